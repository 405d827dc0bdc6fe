"""Preconditioners: what the names mean, foreign operators, networks on any scale, and hostile ones that must not matter."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import deepcg
from deepcg import FLUID, ModelFileError, Poisson, preconditioner, solve
from deepcg.dcdm.preconditioner import mean_face_weight
from deepcg.io import model_file
from deepcg.preconditioners.registry import automatic, build
from tests.support import reference


@pytest.mark.parametrize("case", ["pockets 2-D", "graded, varying coefficient", "mixed 3-D"])
def test_jacobi_and_none_are_what_they_are_called(case):
    A = reference.matrix(**reference.CASES[case])
    problem, r = Poisson(**reference.CASES[case]), np.random.default_rng(211).standard_normal(len(A))
    for model, expected in (("none", r), ("jacobi", r / np.where(A.diagonal() > 0, A.diagonal(), 1.0))):
        M = preconditioner(problem, model)
        assert (M.name, M.linear, M.spd, M.shape) == (model, True, True, A.shape)
        np.testing.assert_allclose(M @ r, expected, rtol=1e-13)


def test_scipys_cg_takes_it():
    arguments = reference.CASES["graded, varying coefficient"]
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    b = np.random.default_rng(223).standard_normal(len(A))
    counts = {}
    for model in ("none", "jacobi"):
        seen = []
        x, code = spla.cg(A, b, rtol=1e-10, M=preconditioner(problem, model), callback=seen.append, maxiter=5000)
        assert code == 0
        assert np.linalg.norm(b - A @ x) <= 1.001e-10 * np.linalg.norm(b)
        counts[model] = len(seen)
    assert counts["jacobi"] < 0.5 * counts["none"]  # the coefficient jumps over four decades


@pytest.mark.parametrize("sign", [1, -1])
def test_it_approximates_the_inverse_of_a_matrix_as_its_user_knows_it(sign):
    A = sign * Poisson(**reference.CASES["open box 2-D"]).matrix()
    M = preconditioner(Poisson.from_matrix(A, shape=(9, 13)), "jacobi")
    r = np.random.default_rng(227).standard_normal(A.shape[0])
    np.testing.assert_allclose(M @ r, r / A.diagonal(), rtol=1e-14)


def exact_inverses(A):
    """The same inverse in every form that `model=` takes."""
    inverse = np.linalg.inv(A.toarray())

    class Own:
        """A preconditioner object of the user's: over all cells (here all are FLUID)."""

        name, linear, spd = "own", True, True

        def __call__(self, r):
            return inverse @ r

        def update(self, problem):
            self.problem = problem

    return {
        "function": lambda r: inverse @ r,
        "linear operator": spla.aslinearoperator(inverse),
        "sparse matrix": sp.csr_array(inverse),
        "array": inverse,
        "object": Own(),
        "operator over another": preconditioner(Poisson.from_matrix(A, shape=(9, 13)), Own()),
    }


@pytest.mark.parametrize("method", ["auto", "cg", "dcd"])
@pytest.mark.parametrize("form", exact_inverses(sp.eye_array(117)))
def test_an_exact_inverse_takes_one_iteration(form, method):
    problem = Poisson(**reference.CASES["open box 2-D"])
    b = np.random.default_rng(229).standard_normal(problem.size)
    _, info = solve(problem, b, model=exact_inverses(problem.matrix())[form], method=method, rtol=1e-10)
    assert (int(info), info.iterations, info.fallbacks) == (0, 1, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_foreign_operator_sees_the_users_sign(sign):
    A = sign * Poisson(**reference.CASES["open box 2-D"]).matrix()
    b = np.random.default_rng(233).standard_normal(A.shape[0])
    _, info = solve(A, b, grid=(9, 13), model=np.linalg.inv(A.toarray()), rtol=1e-10)
    assert (int(info), info.iterations, info.fallbacks) == (0, 1, 0)


HOSTILE = {
    "NaN": lambda r: np.full_like(r, np.nan),
    "infinite": lambda r: np.full_like(r, np.inf),
    "zeros": np.zeros_like,
    "minus r": lambda r: -r,
    "noise": lambda r: np.random.default_rng(list(r[:4].tobytes())).standard_normal(len(r)),
    "constant": np.ones_like,
    "huge": lambda r: np.full_like(r, 1e300),
    "huge r": lambda r: 1e300 * r,
    "one cell": lambda r: np.eye(1, len(r))[0],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["cg", "dcd"])
@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("case", ["pockets 2-D", "graded, varying coefficient", "walls 3-D", "single unknown"])
def test_hostile_functions_cannot_spoil_the_answer(case, how, method):
    arguments = reference.CASES[case]
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    null = reference.null_space(A)
    b = np.random.default_rng(241).standard_normal(len(A))
    b -= null @ (null.T @ b)
    x, info = solve(problem, b, model=HOSTILE[how], method=method, rtol=1e-8)
    assert info == 0, str(info)
    assert np.linalg.norm(b - A @ x) <= 1.001e-8 * np.linalg.norm(b)
    one_dimensional = case == "single unknown"  # there every direction is the right one
    harmless = how == "huge r" or one_dimensional or (how == "minus r" and method == "dcd")
    if not harmless:
        assert info.fallbacks > 0
        assert f"{info.fallbacks} of the iterations by fallback (" in str(info)


def test_a_function_may_fail_with_its_own_error():
    def broken(r):
        raise RuntimeError("no licence")

    with pytest.raises(RuntimeError, match="no licence"):
        solve(Poisson(**reference.CASES["open box 2-D"]), np.ones((9, 13)), model=broken)


@pytest.mark.parametrize("result", [np.ones(3), np.ones((9, 13, 2)), 1.0])
def test_a_function_of_another_shape_is_named(result):
    with pytest.raises(ValueError, match="model: "):
        solve(Poisson(**reference.CASES["open box 2-D"]), np.ones((9, 13)), model=lambda r: result)


def test_mean_face_weight():
    for seed in range(400, 430):
        arguments = reference.random_arguments(seed)
        total, count = np.zeros(np.shape(arguments["cells"])), np.zeros(np.shape(arguments["cells"]))
        for cell, *_, weight, _, _ in reference.Faces(**arguments):
            total[cell] += weight
            count[cell] += weight > 0
        expected = np.where(count > 0, total / np.maximum(count, 1), 1.0)
        problem = Poisson(**arguments)
        fluid = problem.cells == FLUID
        np.testing.assert_allclose(mean_face_weight(problem)[fluid], expected[fluid], rtol=1e-12)


@pytest.fixture
def untrained(tmp_path):
    """Paths of networks with random weights."""
    torch = pytest.importorskip("torch")
    from deepcg.dcdm.file import save_network
    from deepcg.dcdm.network import DCDM

    torch.manual_seed(251)
    return {dim: save_network(tmp_path / f"{dim}.safetensors", DCDM(dim, (2, 2, 2), 4), "random", {}) for dim in (2, 3)}


BOX = {"cells": np.zeros((7, 10), dtype=np.uint8), "boundary": ["open", "wall"]}


def test_the_networks_answer_scales_as_an_inverse_does(untrained):
    """f(s r) = s f(r) for s > 0, and with A times c it is 1/c of it, at any magnitude."""
    r = np.random.default_rng(257).standard_normal((7, 10))
    M = build(Poisson(**BOX), untrained[2])
    assert not M.linear
    assert not M.spd
    z = M(r.ravel())
    for scale, c in itertools.product((1e-12, 3e15), (1e-9, 1.0, 1e9)):
        scaled = build(Poisson(**BOX, coefficient=np.full((7, 10), c)), untrained[2])
        np.testing.assert_allclose(scaled((scale * r).ravel()) * c / scale, z, rtol=0, atol=1e-5 * abs(z).max())


def test_the_network_is_silent_where_there_is_nothing(untrained):
    for dim, case in ((2, "pockets 2-D"), (3, "mixed 3-D")):
        problem = Poisson(**reference.CASES[case])
        M, fluid = build(problem, untrained[dim]), (problem.cells == FLUID).ravel()
        assert not M(np.zeros(fluid.size)).any()
        r = np.where(fluid, np.random.default_rng(263).standard_normal(fluid.size), 0.0)
        before = r.copy()
        z = M(r)
        assert not z[~fluid].any()
        assert np.isfinite(z).all()
        np.testing.assert_array_equal(r, before)
        np.testing.assert_array_equal(M(r), z)  # deterministic


def test_the_network_refuses_what_it_was_not_made_for(untrained):
    with pytest.raises(ValueError, match="random is for 3-D problems; this one is 2-D"):
        build(Poisson(**BOX), untrained[3])
    with pytest.raises(ValueError, match="device: 'tpu' given"):
        build(Poisson(**BOX), untrained[2], device="tpu")
    with pytest.raises(ValueError, match="method: 'cg' needs a linear preconditioner and random is not"):
        solve(Poisson(**BOX), np.ones((7, 10)), model=untrained[2], method="cg")


def test_a_gpu_that_is_not_there_is_refused(untrained):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device: 'cuda' given, but torch finds no GPU"):
        solve(Poisson(**BOX), np.ones((7, 10)), model=untrained[2], device="cuda")


@pytest.mark.parametrize("dim", [2, 3])
def test_auto_is_the_multilevel_network(dim):
    problem = Poisson(np.zeros((4,) * dim, dtype=np.uint8))
    learned = f"multilevel-{dim}d"
    assert automatic(problem) == (learned if learned in model_file.shipped() else "multigrid")


BARE = """
import sys
import numpy as np
import deepcg
problem = deepcg.Poisson(np.zeros((6, 7), dtype=np.uint8), boundary="open")
x, info = deepcg.solve(problem, np.ones((6, 7)))
assert info == 0 and info.model == "multigrid", info
try:
    deepcg.solve(problem, np.ones((6, 7)), model="dcdm")
except (ImportError, deepcg.ModelFileError) as error:
    print(error)
"""


def test_numpy_and_scipy_are_all_it_takes(tmp_path):
    """In an interpreter that has nothing else: "auto" is the classical cycle, and a network is refused with what to install."""
    for module in (np, scipy):
        folder = Path(module.__file__).parent
        (tmp_path / folder.name).symlink_to(folder)
        if (libraries := folder.with_name(f"{folder.name}.libs")).exists():
            (tmp_path / libraries.name).symlink_to(libraries)
    (tmp_path / "deepcg").symlink_to(Path(deepcg.__file__).parent)
    run = subprocess.run(
        [sys.executable, "-S", "-c", BARE],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "pip install 'deepcg[network]'" in run.stdout


def test_unknown_names_list_the_known():
    with pytest.raises(ModelFileError, match=r"'nonsense' is neither a shipped name .*dcdm-2d.* nor a file"):
        build(Poisson(**BOX), "nonsense")
