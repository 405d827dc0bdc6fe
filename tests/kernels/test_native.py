"""The kernels against their NumPy references, at odd sizes, and what crosses the C boundary."""

import ctypes
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest

from deepcg import Poisson
from deepcg.native import library as native
from tests.support import numpy_kernels
from tests.support.reference import random_arguments

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason=f"kernels not built: {native.unavailable}")

EPS = np.finfo(float).eps


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (5, 13), (1, 1, 1), (3, 5, 7), (2, 2, 2), (33, 31, 37)])
@pytest.mark.parametrize("boundary", ["wall", "open", "periodic"])
@pytest.mark.parametrize("shifted", [False, True])
def test_operator_equals_its_reference(shape, boundary, shifted):
    rng = np.random.default_rng([7, *shape])
    cells = rng.choice([0, 0, 0, 1, 2], shape).astype(np.uint8)
    cells.flat[0] = 0
    shift = rng.uniform(0, 2, shape) if shifted else None
    stencil = Poisson(cells, boundary=boundary, coefficient=rng.uniform(0.1, 9, shape), shift=shift).stencil
    x = np.where(stencil.fluid, rng.standard_normal(shape), 0.0)
    y = np.full(shape, np.nan)
    native.stencil_apply(stencil, x, y)
    assert np.abs(y - numpy_kernels.stencil_apply(stencil, x)).max() <= 10 * EPS * stencil.norm_bound * np.abs(x).max()
    assert not y[~stencil.fluid].any()


@pytest.mark.parametrize("shape", [(1, 1), (5, 13), (3, 5, 7), (33, 31, 37)])
@pytest.mark.parametrize("coefficient", [None, 3.0])
def test_residual_equals_its_reference(shape, coefficient):
    rng = np.random.default_rng([8, *shape])
    cells = rng.choice([0, 0, 0, 1, 2], shape).astype(np.uint8)
    cells.flat[0] = 0
    given = None if coefficient is None else rng.uniform(0.1, coefficient, shape)
    stencil = Poisson(cells, boundary="open", coefficient=given).stencil
    b, x = (np.where(stencil.fluid, rng.standard_normal(shape), 0.0).reshape(-1) for _ in range(2))
    r = np.full(x.size, np.nan)
    op, square = native.operator(stencil), ctypes.c_double()
    addresses = (ctypes.c_void_p(v.ctypes.data) for v in (b, x, r))
    native.call("dcg_residual", ctypes.byref(op), *addresses, ctypes.byref(square), 0)
    norm = math.sqrt(square.value)
    expected = b - numpy_kernels.stencil_apply(stencil, x.reshape(shape)).reshape(-1)
    assert np.abs(r - expected).max() <= 20 * EPS * (stencil.norm_bound * np.abs(x).max() + np.abs(b).max())
    assert norm == pytest.approx(np.linalg.norm(expected), rel=1e-13)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 8191, 8193, 65535, 65537, 300_001])
def test_inner_product_and_update_equal_numpy(n):
    rng = np.random.default_rng(n + 3)
    a, b = rng.standard_normal(n), rng.standard_normal(n)
    assert abs(native.dot(a, b) - a @ b) <= 10 * EPS * np.sum(np.abs(a * b)) + 1e-300
    expected = b + 0.37 * a
    native.axpy(0.37, a, b)
    assert np.array_equal(b, expected)


def test_inner_product_is_the_same_for_any_number_of_threads():
    libgomp = ctypes.CDLL("libgomp.so.1")
    a = np.random.default_rng(11).standard_normal(500_003)
    before = libgomp.omp_get_max_threads()
    sums = set()
    try:
        for threads in (1, 2, 3, 5):
            libgomp.omp_set_num_threads(threads)
            sums.add(native.dot(a, a))
    finally:
        libgomp.omp_set_num_threads(before)
    assert len(sums) == 1


def test_vectors_that_the_kernels_cannot_take_are_refused():
    stencil = Poisson(np.zeros((4, 6), dtype=np.uint8)).stencil
    good = np.zeros((4, 6))
    for bad in (np.zeros((4, 6), dtype=np.float32), np.zeros((4, 12))[:, ::2], np.zeros((4, 5))):
        with pytest.raises(ValueError, match="x: a C-contiguous float64 array of 24 values"):
            native.stencil_apply(stencil, bad, good)
        with pytest.raises(ValueError, match="out: a C-contiguous"):
            native.stencil_apply(stencil, good, bad)
    with pytest.raises(ValueError, match="b: a C-contiguous float64 array of 24 values"):
        native.dot(np.zeros(24), np.zeros(25))


def test_in_place_application_is_refused_with_the_librarys_own_words():
    stencil = Poisson(np.zeros((4, 6), dtype=np.uint8)).stencil
    x = np.zeros((4, 6))
    with pytest.raises(native.KernelError, match="x and y must not be the same array"):
        native.stencil_apply(stencil, x, x)


def test_null_pointers_are_error_codes():
    library = native.load()
    assert library.dcg_apply(None, None, None, 0) == 1
    assert b"must not be NULL" in library.dcg_last_error()


def test_a_library_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(native, "ABI_VERSION", 99)
    with pytest.raises(native.KernelError, match="needs 99; build it again: make build"):
        native.load()


def test_the_header_and_the_loader_agree_on_the_version():
    header = (native.LIBRARY.parent.parent / "kernels" / "include" / "deepcg.h").read_text()
    assert f"#define DCG_ABI_VERSION {native.ABI_VERSION}\n" in header


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("int dcg_abi_version(void) { return 77; }", "ABI version 77, this deepcg needs"),
        (
            f"int dcg_abi_version(void) {{ return {native.ABI_VERSION}; }}",
            "not the kernels of this deepcg; build it again",
        ),
        ("int another_library(void) { return 0; }", "not the kernels of this deepcg; build it again"),
    ],
)
def test_another_library_in_the_kernels_place_is_refused(tmp_path, source, message):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "other.c").write_text(source)
    library = tmp_path / "other.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "other.c")], check=True)
    with pytest.raises(native.KernelError, match=message):
        native.load(library)


@pytest.mark.parametrize("content", [None, b"", b"no library"])
def test_a_library_that_cannot_be_opened_is_an_os_error(tmp_path, content):
    path = tmp_path / "libdeepcg.so"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError):
        native.load(path)


@pytest.mark.parametrize("seed", range(500, 540))
def test_operator_equals_its_reference_on_any_problem(seed):
    """Graded spacing, face coefficients with closed faces, mixed boundaries, axes of one cell; flat vectors."""
    stencil = Poisson(**random_arguments(seed)).stencil
    x = np.where(stencil.fluid, np.random.default_rng([seed, 9]).standard_normal(stencil.shape), 0.0)
    y = np.full(x.size, np.nan)
    native.stencil_apply(stencil, x.ravel(), y)
    error = np.abs(y.reshape(x.shape) - numpy_kernels.stencil_apply(stencil, x)).max()
    assert error <= 10 * EPS * stencil.norm_bound * np.abs(x).max()


WITHOUT = """
import numpy as np
import deepcg, deepcg.native.library as native
assert native.unavailable
try:
    deepcg.solve(deepcg.Poisson(np.zeros((6, 7), dtype=np.uint8), boundary="open"), np.ones((6, 7)), model="jacobi")
except native.UnavailableError as error:
    print(error)
"""


def test_without_the_kernels_a_solve_says_how_to_build_them(tmp_path):
    package = tmp_path / "deepcg"
    shutil.copytree(
        native.LIBRARY.parent, package, ignore=shutil.ignore_patterns("*.so", "__pycache__", "models", "data")
    )
    run = subprocess.run([sys.executable, "-c", WITHOUT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "build them with `make build`" in run.stdout and len(run.stdout.splitlines()) == 1
