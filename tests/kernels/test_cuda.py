"""The CUDA kernels' arithmetic through their host build, and how they are found and refused where there is no GPU."""

import ctypes
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import deepcg
from deepcg.multigrid.cuda import CudaCycle
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.native import device
from deepcg.native import library as native
from deepcg.native.device_array import device_array, from_capsule, on_gpu
from tests.support.cycles import on_grids

KERNELS = Path(__file__).parents[2] / "kernels"

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("make") is None or native.unavailable is not None,
    reason="needs g++, make and the compiled kernels",
)


def compile_for_host(folder: Path, *options: str) -> ctypes.CDLL:
    """The .cu sources as C++: phases are loops, and host memory stands in for the device's."""
    flags = " ".join(["-O1", "-Werror", *options])
    make = ["make", "--silent", "-C", str(KERNELS), f"-j{os.cpu_count()}", "host"]
    subprocess.run([*make, "CXX=g++", f"OUT={folder}", f"BUILD={folder}", f"DCG_FLAGS={flags}"], check=True)
    return device.library.__wrapped__(folder / "libdeepcg_cuda_host.so")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return compile_for_host(tmp_path_factory.mktemp("forward"))


@pytest.fixture(scope="module")
def host_backward(tmp_path_factory):
    return compile_for_host(tmp_path_factory.mktemp("backward"), "-DDCG_BACKWARD")


def random_cells(shape, seed=2311):
    return (np.random.default_rng(seed).random(shape) < 0.15).astype(np.uint8)


def with_one_open(shape):
    cells = random_cells(shape)
    cells[(0,) * len(shape)] = deepcg.OPEN
    return cells


def thin_walls(shape):
    """Walls one cell thick, in the middle of coarse cells: these are divided, and secondary unknowns follow."""
    cells = np.zeros(shape, np.uint8)
    cells[..., shape[-1] // 2] = cells[shape[0] // 3] = deepcg.SOLID
    cells[0, 0] = deepcg.FLUID
    return cells


def coefficient(shape):
    return np.exp(np.random.default_rng(7).standard_normal(shape))


def build(shape, kind):
    ndim = len(shape)
    if kind == "singular":
        return deepcg.Poisson(random_cells(shape))
    if kind == "open":
        return deepcg.Poisson(with_one_open(shape))
    if kind == "weighted":
        return deepcg.Poisson(random_cells(shape), coefficient=coefficient(shape), boundary="open")
    if kind == "periodic":
        return deepcg.Poisson(random_cells(shape), boundary=["periodic"] * ndim)
    if kind == "shifted":
        boundary = ["periodic"] + ["open"] * (ndim - 1)
        return deepcg.Poisson(random_cells(shape), coefficient=coefficient(shape), shift=0.01, boundary=boundary)
    return deepcg.Poisson(thin_walls(shape))


KINDS = ("singular", "open", "weighted", "periodic", "shifted", "walls")
SHAPES = ((17, 23), (64, 95), (2, 9, 16), (13, 17, 19), (33, 32, 40), (31, 27, 29))


def residual(problem, seed=11):
    fluid = problem.stencil.cells.reshape(-1) == deepcg.FLUID
    r = np.random.default_rng(seed).standard_normal(fluid.size) * fluid
    problem.components.project(r)
    return r


def learned():
    """Parameters that use every part of the network."""
    rng, plain = np.random.default_rng(3), Parameters.classical()
    return Parameters(
        sweeps=np.array([1, 2, 3, 4, 2, 1, 1, 2]),
        omega=rng.uniform(0.9, 1.2, plain.omega.shape),
        relaxation_table=rng.uniform(0.9, 1.1, plain.relaxation_table.shape),
        hidden_weight=rng.standard_normal(plain.hidden_weight.shape),
        hidden_bias=rng.standard_normal(plain.hidden_bias.shape),
        output_weight=rng.standard_normal(plain.output_weight.shape),
        output_bias=rng.standard_normal(plain.output_bias.shape),
    )


@pytest.fixture
def on_host(monkeypatch, host):
    monkeypatch.setattr(device, "library", lambda: host)
    library = types.ModuleType(FakeGpuArray.__module__)  # in which deepcg looks for a new array like one given
    library.empty_like = lambda v: FakeGpuArray(np.full_like(v.values, np.nan))
    monkeypatch.setitem(sys.modules, library.__name__, library)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_as_on_the_cpu(on_host, shape, kind):
    problem = build(shape, kind)
    for parameters in (Parameters.classical(), learned()):
        cpu, gpu = MultilevelCycle(problem, on_grids(parameters), threads=1), CudaCycle(problem, parameters, threads=1)
        r = residual(problem)
        z = cpu(r)
        difference = gpu(r) - z
        problem.components.project(difference)  # a constant on a singular component is what rounding makes of it
        assert np.linalg.norm(difference) <= 5e-6 * np.linalg.norm(z)
        runs, left = [], []
        for cycle in (cpu, gpu):
            x, rest = np.zeros_like(r), r.copy()
            runs.append(cycle.native_cg(x, rest, 1e-8 * np.linalg.norm(r), 60))
            left.append(np.linalg.norm(r - problem.stencil.apply(x, np.empty_like(x))))
        assert abs(len(runs[0].residuals) - len(runs[1].residuals)) <= 1
        assert not runs[1].broken and max(left) <= 1.1e-8 * np.linalg.norm(r)
        n = min(len(runs[0].alphas), 3)
        np.testing.assert_allclose(runs[1].alphas[:n], runs[0].alphas[:n], rtol=1e-4)


@needs_compiler
def test_walls_make_extra_unknowns():
    assert any(
        level.secondary for level in MultilevelCycle(build((31, 27, 29), "walls"), Parameters.classical()).levels
    )


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_no_order_within_a_phase_matters(monkeypatch, host, host_backward, kind):
    """Threads of one phase must not depend on each other: the loops turned round give the same bits."""
    problem = build((33, 16, 19), kind)
    r, results = residual(problem), []
    for library in (host, host_backward):
        monkeypatch.setattr(device, "library", lambda library=library: library)
        cycle = CudaCycle(problem, learned())
        x, rest = np.zeros_like(r), r.copy()
        cycle.native_cg(x, rest, 1e-8 * np.linalg.norm(r), 40)
        results.append((cycle(r), x, rest))
    for forward, backward in zip(*results, strict=True):
        assert np.array_equal(forward, backward)


@needs_compiler
def test_large_and_small_levels_are_both_there(on_host):
    cycle = CudaCycle(build((33, 32, 40), "open"), Parameters.classical())
    assert 1 < cycle.small_levels < len(MultilevelCycle(build((33, 32, 40), "open"), Parameters.classical()).levels)
    assert cycle.kernels == "host" and cycle.memory > 8 * 33 * 32 * 40


@needs_compiler
def test_what_benchmarks_measure(on_host):
    cycle = CudaCycle(build((17, 23), "open"), Parameters.classical())
    assert cycle.seconds("sweep", 1)[1] == 26 * 17 * 23
    assert cycle.seconds("copy", 1)[1] > 0 and cycle.seconds("cycle", 1)[0] > 0


@needs_compiler
def test_solve_with_the_device_asked_for(on_host):
    problem = build((20, 21, 22), "open")
    b = residual(problem).reshape(problem.shape)
    x, info = deepcg.solve(problem, b, model="multigrid", device="cuda")
    assert info == 0 and info.fallbacks == 0
    assert np.linalg.norm(b - problem.apply(x)) <= 1e-6 * np.linalg.norm(b)


@needs_compiler
def test_update_to_another_shape(on_host):
    cycle = CudaCycle(build((17, 23), "open"), Parameters.classical())
    problem = build((13, 17, 19), "weighted")
    r = residual(problem)
    cycle.update(problem)
    assert np.allclose(cycle(r), CudaCycle(problem, Parameters.classical())(r), rtol=0, atol=0)


@needs_compiler
def test_what_ends_an_iteration(on_host):
    problem = build((17, 23), "open")
    cycle, r = CudaCycle(problem, Parameters.classical()), residual(problem)
    assert cycle.native_cg(np.zeros_like(r), r.copy(), 1e9, 5).residuals == []
    assert cycle.native_cg(np.zeros_like(r), r.copy(), 0.0, 0).residuals == []
    assert len(cycle.native_cg(np.zeros_like(r), r.copy(), 0.0, 3).residuals) == 3
    nothing = cycle.native_cg(np.zeros_like(r), r * np.nan, 0.0, 5)
    assert nothing.broken and not nothing.residuals


class FakeGpuArray:
    """What a GPU array looks like from outside; for the host build its memory is the host's."""

    __module__ = "fake_gpu_library"

    def __init__(self, values, **changes):
        self.values = values
        self._changes = changes

    @property
    def __cuda_array_interface__(self):
        held = self.values.__array_interface__
        strides = None if self.values.flags.c_contiguous else self.values.strides
        return {"shape": held["shape"], "typestr": held["typestr"], "data": held["data"], "strides": strides,
                "version": 3} | self._changes  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ((17, 23), (2, 9, 16), (13, 17, 19)))
def test_solve_where_b_lives(on_host, shape, kind):
    problem = build(shape, kind)
    rng = np.random.default_rng(5)
    b = rng.standard_normal(problem.shape)  # values outside FLUID are ignored, those outside the range are projected
    x, info = deepcg.solve(problem, FakeGpuArray(b), model="multigrid")
    expected, on_cpu = deepcg.solve(problem, b, model="multigrid")
    assert info == 0 and info.fallbacks == 0 and abs(info.iterations - on_cpu.iterations) <= 1
    assert info.projected == pytest.approx(on_cpu.projected, rel=1e-10)
    assert info.residuals[0] == pytest.approx(on_cpu.residuals[0], rel=1e-10)
    left = problem.layout.rhs(b) - problem.stencil.apply(x.values.reshape(-1), np.empty(b.size))
    problem.components.project(left)
    assert np.linalg.norm(left) == pytest.approx(info.residuals[-1], rel=1e-6)
    assert info.residuals[-1] <= 1e-6 * info.residuals[0]
    assert (x.values[problem.stencil.cells != deepcg.FLUID] == 0).all()
    assert np.linalg.norm(x.values - expected) <= 1e-3 * np.linalg.norm(expected)
    _, info = deepcg.solve(problem, FakeGpuArray(b), x0=x, model="multigrid")
    assert info == 0 and info.iterations == 0


@needs_compiler
def test_a_weak_anchor_costs_no_iterations(on_host):
    shift, b = np.zeros((16, 16, 16)), np.zeros((16, 16, 16))
    shift[0], b[-1] = 1e-7, 1.0
    problem = deepcg.Poisson(np.zeros(b.shape, np.uint8), shift=shift)
    for given in (b, FakeGpuArray(b)):
        x, info = deepcg.solve(problem, given, model="multigrid", device="cuda")
        assert info == 0 and info.fallbacks == 0 and info.iterations <= 8
        x = x if given is b else x.values
        assert np.linalg.norm(b - problem.apply(x)) <= 1.1e-6 * np.linalg.norm(b)


@needs_compiler
def test_magnitude_is_that_of_the_rows(on_host):
    """|| |A| |x| + |b| ||_2 by an assembled matrix."""
    for kind in KINDS:
        problem = build((9, 10, 11), kind)
        fluid, rng = problem.cells == deepcg.FLUID, np.random.default_rng(3)
        b, x = (np.where(fluid, rng.standard_normal(fluid.shape), 0.0) for _ in range(2))
        cycle = CudaCycle(problem, Parameters.classical())
        expected = np.linalg.norm(abs(problem.matrix()) @ abs(x[fluid]) + abs(b[fluid]))
        assert cycle.magnitude(FakeGpuArray(b.ravel()), FakeGpuArray(x.ravel())) == pytest.approx(expected, rel=1e-12)


@needs_compiler
def test_a_useless_guess_and_a_b_of_zeros_on_the_gpu(on_host):
    problem = build((17, 23), "open")
    b, guess = residual(problem).reshape(problem.shape), np.ones(problem.shape)
    x, info = deepcg.solve(problem, FakeGpuArray(b), x0=1e200 * guess, model="multigrid")
    assert info == 0 and info.fallbacks == 0 and info.residuals[0] == pytest.approx(np.linalg.norm(b))
    x, info = deepcg.solve(problem, FakeGpuArray(0 * b), x0=guess, model="multigrid")
    assert info == 0 and info.iterations == 0 and not x.values.any()


@needs_compiler
def test_what_the_gpu_cannot_do_is_refused_or_ended_on_the_host(on_host):
    problem = build((17, 23), "open")
    b = FakeGpuArray(np.random.default_rng(5).standard_normal(problem.shape))
    with pytest.raises(ValueError, match="lives on a GPU"):
        deepcg.solve(problem, b, model="multigrid", device="cpu")
    with pytest.raises(ValueError, match="callback"):
        deepcg.solve(problem, b, model="multigrid", callback=print)
    with pytest.raises(ValueError, match="over all cells"):
        deepcg.solve(problem, FakeGpuArray(np.ones(7)), model="multigrid")
    with pytest.raises(ValueError, match="NaN"):
        deepcg.solve(problem, FakeGpuArray(np.full(problem.shape, np.nan)), model="multigrid")
    with pytest.raises(deepcg.InconsistentError):
        deepcg.solve(build((17, 23), "singular"), b, model="multigrid", inconsistent="error")
    _, info = deepcg.solve(problem, b, model="multigrid", maxiter=2)
    assert info > 0 and info.iterations == 2
    _, info = deepcg.solve(problem, b, model="multigrid", rtol=1e-17)
    assert info.reason == "attainable accuracy" and info.residuals[-1] < 1e-13 * info.residuals[0]


@needs_compiler
def test_arrays_on_the_device_are_used_as_they_are(on_host):
    problem = build((13, 17, 19), "open")
    cycle, r = CudaCycle(problem, Parameters.classical()), residual(problem)
    z = FakeGpuArray(np.empty(problem.shape))
    assert cycle(FakeGpuArray(r.reshape(problem.shape)), out=z) is z
    assert np.array_equal(z.values.reshape(-1), cycle(r))
    x, rest = np.zeros_like(r), r.copy()
    cycle.native_cg(FakeGpuArray(x), FakeGpuArray(rest), 1e-8 * np.linalg.norm(r), 40)
    assert np.linalg.norm(r - problem.stencil.apply(x, np.empty_like(x))) <= 1.1e-8 * np.linalg.norm(r)
    with pytest.raises(ValueError, match="one is on the GPU"):
        cycle.native_cg(FakeGpuArray(x), rest, 0.0, 1)
    with pytest.raises(ValueError, match="one for each cell"):
        cycle(FakeGpuArray(r[:-1].copy()), out=z)


def test_device_arrays_are_checked():
    with pytest.raises(TypeError, match="float64"):
        device_array(FakeGpuArray(np.zeros(3, np.float32)), "b")
    with pytest.raises(ValueError, match="contiguous"):
        device_array(FakeGpuArray(np.zeros((4, 4))[:, ::2]), "b")
    with pytest.raises(ValueError, match="read-only"):
        device_array(FakeGpuArray(np.zeros(3), data=(8, True)), "x", writable=True)
    with pytest.raises(TypeError, match="list given"):
        device_array([1.0], "b")
    assert on_gpu(FakeGpuArray(np.zeros(3))) and not on_gpu(np.zeros(3)) and not on_gpu([1.0])


def test_dlpack_is_read():
    values = np.arange(24.0).reshape(2, 3, 4)
    array = from_capsule(values[1:].__dlpack__(), "b")
    assert array.pointer == values[1:].ctypes.data and array.shape == (1, 3, 4)
    with pytest.raises(ValueError, match="contiguous"):
        from_capsule(values.T.__dlpack__(), "b")
    with pytest.raises(TypeError, match="float64"):
        from_capsule(np.zeros(3, np.int64).__dlpack__(), "b")


def test_a_tensor_on_the_cpu_is_not_on_a_gpu():
    torch = pytest.importorskip("torch")
    assert not on_gpu(torch.zeros(3))


def test_without_a_library_the_error_says_what_to_do(tmp_path):
    with pytest.raises(device.UnavailableError, match="make build"):
        device.library.__wrapped__(tmp_path / "none.so")


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc here")
def test_where_nvcc_is_the_kernels_are_built():
    opened = ctypes.CDLL(str(device.LIBRARY))
    assert opened.dcg_cuda_abi_version() == device.ABI_VERSION


def gpu_is_missing():
    try:
        device.library()
    except device.UnavailableError:
        return True
    return False


@pytest.mark.skipif(not gpu_is_missing(), reason="there is a GPU here")
def test_without_a_gpu_it_is_refused():
    with pytest.raises(ValueError, match="device"):
        deepcg.Solver(deepcg.Poisson(np.zeros((8, 8), np.uint8)), model="multigrid", device="cuda")


@pytest.mark.skipif(gpu_is_missing(), reason="no GPU here")
@pytest.mark.parametrize("kind", KINDS)
def test_on_the_gpu_as_on_the_cpu(kind):
    problem = build((33, 32, 40), kind)
    r = residual(problem)
    z = MultilevelCycle(problem, Parameters.classical())(r)
    assert np.linalg.norm(CudaCycle(problem, Parameters.classical())(r) - z) <= 5e-6 * np.linalg.norm(z)
