"""What goes on in PETSc where the network fails: KSP deepcg with PC deepcg, its option, its view, on several ranks."""

import json
import re

import numpy as np
import pytest

import deepcg
from tests.support import weak_model
from tests.support.petsc_systems import RTOL, options, petsc, python, relative_residual, run, solver, view

SHAPE = (64, 64)
A = deepcg.Poisson(np.zeros(SHAPE, np.uint8), boundary="open").matrix()
CLOSED = deepcg.Poisson(np.zeros(SHAPE, np.uint8)).matrix()
EXACT = np.random.default_rng(5).standard_normal(A.shape[0])


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    return str(weak_model.save(tmp_path_factory.mktemp("models"), 2))


def steps(ksp) -> dict[str, int]:
    return {name: int(n) for name, n in re.findall(r"^ *fallback (\w+): (\d+) iterations", view(ksp), re.MULTILINE)}


def solved(matrix, weak, **given):
    """A KSP that has solved, and its residual."""
    b = matrix @ EXACT
    ksp = solver(matrix, SHAPE, pc_deepcg_model=weak, **given)
    return ksp, relative_residual(matrix, run(ksp, b), b)


def amg() -> str:
    """What serves by default after the classical cycle."""
    types = {"hypre", "gamg"}
    ksp = solver(A, SHAPE)
    return next(name for name in types if f"fallback of KSP deepcg: multigrid, then {name}; not set up" in view(ksp))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("matrix", ["open", "closed"])
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["multigrid"]),
        ({"ksp_deepcg_native": "0"}, ["multigrid"]),
        ({"ksp_deepcg_window": "8"}, ["multigrid"]),
        ({"pc_deepcg_fallback": "multigrid"}, ["multigrid"]),
        ({"pc_deepcg_fallback": "gamg"}, ["gamg"]),
        ({"pc_deepcg_fallback": "gamg", "ksp_norm_type": "natural"}, ["gamg"]),
    ],
)
def test_the_option_says_who_goes_on(matrix, sign, given, names, weak):
    ksp, left = solved(sign * (A if matrix == "open" else CLOSED), weak, **given)
    assert ksp.getConvergedReason() > 0
    assert left <= (RTOL if "ksp_norm_type" not in given else 1e-5)
    assert list(steps(ksp)) == names and 1 <= steps(ksp)[names[0]] <= 40


def test_algebraic_multigrid_comes_after_the_classical_cycle():
    """Where the model is the classical cycle, there is nothing but that."""
    assert f"fallback of KSP deepcg: {amg()}; not set up" in view(solver(A, SHAPE, pc_deepcg_model="multigrid"))


@pytest.mark.parametrize("model", ["jacobi", "none"])
def test_models_that_are_asked_for_as_they_are(model):
    ksp, left = solved(A, model)
    assert ksp.getConvergedReason() > 0 and left <= RTOL
    assert "multigrid" not in view(ksp) and set(steps(ksp)) <= {"jacobi"}


def test_without_a_fallback_the_solve_ends_or_goes_on_alone(weak):
    ksp, left = solved(A, weak, pc_deepcg_fallback="none", ksp_max_it="2000")
    assert steps(ksp) == {}
    assert (ksp.getConvergedReason() > 0) == (left <= RTOL)


def test_options_reach_the_preconditioner_and_the_view_has_it(weak):
    with options(pc_deepcg_fallback_pc_gamg_threshold="0.03"):
        ksp, left = solved(A, weak, pc_deepcg_fallback="gamg")
        text = view(ksp)
    assert left <= RTOL
    assert "PC Object: (pc_deepcg_fallback_)" in text and "type: gamg" in text and "0.03" in text


def test_it_follows_the_matrix(weak):
    PETSc = petsc()
    ksp, _ = solved(A, weak, pc_deepcg_fallback="gamg")
    first = steps(ksp)["gamg"]
    matrix, _ = ksp.getOperators()
    other = matrix.duplicate(copy=True)
    shift = np.linspace(1e-3, 2e-3, A.shape[0])
    other.setDiagonal(PETSc.Vec().createWithArray(A.diagonal() + shift, comm=PETSc.COMM_SELF))
    ksp.setOperators(other)
    changed = A.copy()
    changed.setdiag(A.diagonal() + shift)
    b = changed @ EXACT
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0 and relative_residual(changed, x, b) <= RTOL
    assert 1 <= steps(ksp)["gamg"] <= first + 2


def test_a_matrix_that_is_no_stencil_is_still_an_error_by_default(weak):
    far = A.tolil()
    far[3, 40 * 64 + 7] = far[40 * 64 + 7, 3] = -0.5
    far[3, 3] = far[40 * 64 + 7, 40 * 64 + 7] = 5.0
    for given in ({}, {"pc_deepcg_fallback": "multigrid"}, {"pc_deepcg_fallback": "none"}):
        with pytest.raises(petsc().Error) as error:
            solver(far.tocsr(), SHAPE, **given)
        assert "are coupled but no face neighbours" in str(error.value)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("kind", ["open", "closed", "negative"])
def test_on_ranks(ranks, kind, weak):
    for fallback, more in (("multigrid", ()), ("gamg", ("-pc_deepcg_fallback", "gamg"))):
        output = python(ranks, "fallback.py", weak, kind, "-ksp_view", "-pc_deepcg_gather", "200", *more)
        result = json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[5:])
        _, reason, left = result["solve"]
        assert reason > 0 and left <= 1.1 * RTOL, (fallback, output)
        assert re.search(rf"fallback {fallback}: \d+ iterations", output), output
        code, fallbacks, told = result["deepcg.solve"]
        assert code == 0 and [name for name, _ in told] == ["multigrid"] and fallbacks >= told[0][1]
