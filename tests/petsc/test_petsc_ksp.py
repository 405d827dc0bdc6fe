"""The PETSc plugin's Krylov iteration: the same answers as other KSPs, norms, guards, windows, guesses, monitors, leaks."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg.scenes import gallery
from tests.support.petsc_systems import (
    ROOT,
    RTOL,
    box,
    matrix,
    mpiexec,
    options,
    petsc,
    relative_residual,
    run,
    scene,
    solve,
    solver,
    vector,
    view,
)


@pytest.mark.parametrize("name", ["sphere", "plume", "baffles", "porous"])
def test_the_same_iterations_and_answers_as_conjugate_gradients(name):
    if name not in gallery.names(3):
        pytest.skip("no such scene")
    problem, b = scene(name, 16, 3)
    A = problem.matrix()
    coordinates = vector(np.argwhere(problem.cells == deepcg.FLUID)[:, ::-1].astype(float).ravel())
    coordinates.setBlockSize(3)
    given = matrix(A)
    given.compose("coordinates", coordinates)
    solves = {
        how: solve(given, b, ksp_type=how.split()[0], rtol=RTOL, **more)
        for how, more in {
            "deepcg compiled": {},
            "deepcg general": {"ksp_deepcg_native": "0"},
            "deepcg window": {"ksp_deepcg_window": "8"},
            "deepcg general window": {"ksp_deepcg_window": "8", "ksp_deepcg_native": "0"},
            "fcg": {},
            "cg": {},
        }.items()
    }
    for how, (x, iterations, reason) in solves.items():
        assert reason > 0, how
        assert relative_residual(A, x, b) <= 1.1 * RTOL, how
        assert abs(iterations - solves["cg"][1]) <= 2, (how, iterations, solves["cg"][1])
    _, info = deepcg.solve(problem, b, rtol=RTOL)
    assert solves["deepcg compiled"][1] == info.iterations


def open_box(n=12):
    return box(n, n, n, boundary="open")


def test_the_compiled_iteration_runs_where_it_may():
    problem = open_box()
    b, x = vector(np.random.default_rng(1).standard_normal(problem.size)), vector(np.zeros(problem.size))
    for given, expected in (
        ({}, "compiled iteration, window 1"),
        ({"ksp_deepcg_window": "1"}, "compiled iteration, window 1"),
        ({"ksp_deepcg_window": "4"}, "compiled iteration, window 4"),
        ({"ksp_deepcg_window": "0"}, "general iteration, window 0"),
        ({"ksp_deepcg_window": "4", "ksp_deepcg_native": "0"}, "general iteration, window 4"),
        ({"ksp_deepcg_native": "0"}, "general iteration, window 1"),
    ):
        ksp = solver(problem.matrix(), problem.shape, **given)
        ksp.solve(b, x)
        assert expected in view(ksp)
    other = solver(problem.matrix(), problem.shape, pc_type="jacobi")
    other.solve(b, x)
    assert "general iteration, window 32" in view(other)


@pytest.mark.parametrize("norm", ["unpreconditioned", "preconditioned", "natural", "none"])
@pytest.mark.parametrize("pc_type", ["deepcg", "jacobi"])
def test_norms(norm, pc_type):
    problem = open_box(10)
    A, b = problem.matrix(), np.random.default_rng(2).standard_normal(problem.size)
    PETSc = petsc()
    ksp = solver(A, problem.shape, pc_type=pc_type)
    ksp.setNormType(getattr(PETSc.KSP.NormType, norm.upper()))
    ksp.setTolerances(rtol=RTOL, max_it=12 if norm == "none" else 300)
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0 or norm == "none"
    if pc_type == "deepcg" or norm != "none":
        assert relative_residual(A, x, b) <= 1e-6


def test_the_history_is_that_of_the_true_residual():
    problem = open_box(14)
    A, b = problem.matrix(), np.random.default_rng(3).standard_normal(problem.size)
    for native in ("1", "0"):
        ksp, seen = solver(A, problem.shape, ksp_deepcg_native=native), []
        ksp.setConvergenceHistory()
        ksp.setMonitor(lambda _, iteration, norm, seen=seen: seen.append((iteration, norm)))
        x = run(ksp, b)
        history = ksp.getConvergenceHistory()
        assert [i for i, _ in seen] == list(range(ksp.getIterationNumber() + 1))
        assert np.array_equal(history, [n for _, n in seen])
        assert history[0] == pytest.approx(np.linalg.norm(b))
        assert history[-1] == pytest.approx(np.linalg.norm(b - A @ x), rel=1e-6)


@pytest.mark.parametrize("native", ["1", "0"])
def test_a_nonzero_guess(native):
    problem = open_box(10)
    A, rng = problem.matrix(), np.random.default_rng(4)
    exact = rng.standard_normal(problem.size)
    near = exact + 1e-6 * rng.standard_normal(problem.size)
    x, iterations, reason = solve(A, A @ exact, problem.shape, near, ksp_deepcg_native=native, rtol=RTOL)
    _, cold, _ = solve(A, A @ exact, problem.shape, ksp_deepcg_native=native, rtol=RTOL)
    assert reason > 0 and iterations < cold
    assert relative_residual(A, x, A @ exact) <= RTOL
    assert solve(A, A @ exact, problem.shape, exact, ksp_deepcg_native=native)[1] == 0


@pytest.mark.parametrize("anchor", [1e-6, 1e-7])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"ksp_deepcg_native": "0"},
        {"ksp_deepcg_window": "8"},
        {"ksp_type": "cg"},
    ],
)
def test_a_weak_anchor_costs_no_iterations(how, anchor):
    shift, b = np.zeros((16, 16, 16)), np.zeros((16, 16, 16))
    shift[0], b[-1] = anchor, 1.0
    problem = box(16, 16, 16, shift=shift)
    x, iterations, reason = solve(problem.matrix(), b.ravel(), problem.shape, rtol=1e-6, **how)
    assert reason > 0 and iterations <= 8
    assert relative_residual(problem.matrix(), x, b.ravel()) <= 1.1e-6


@pytest.mark.parametrize("native", ["1", "0"])
@pytest.mark.parametrize("scale", [1e-300, 1e-180, 1e150, 1e300])
def test_any_scale_of_b(scale, native):
    """PETSc's norms under- and overflow there; a guess, the history and the tolerance are those of b."""
    problem, rng = open_box(8), np.random.default_rng(3)
    A, b, guess = problem.matrix(), rng.standard_normal(512), rng.standard_normal(512)
    ksp = solver(A, problem.shape, ksp_deepcg_native=native, ksp_atol="0")
    ksp.setConvergenceHistory()
    for x0 in (None, scale * guess):
        x = run(ksp, scale * b, x0) / scale
        assert ksp.getConvergedReason() > 0 and 0 < ksp.getIterationNumber() <= 12
        assert relative_residual(A, x, b) <= 1.1 * RTOL
        assert ksp.getResidualNorm() / scale == pytest.approx(np.linalg.norm(b - A @ x), rel=1e-3)
    assert ksp.getConvergenceHistory()[0] / scale == pytest.approx(np.linalg.norm(b), rel=1e-9)
    assert ksp.getTolerances()[1] == 0.0


@pytest.mark.parametrize("native", ["1", "0"])
def test_tolerances_that_rounding_forbids_end_with_a_reason(native):
    problem = open_box(9)
    b = np.random.default_rng(5).standard_normal(problem.size)
    x, iterations, reason = solve(
        problem.matrix(), b, problem.shape, ksp_deepcg_native=native, rtol=1e-18, ksp_max_it=400
    )
    assert reason < 0 and iterations <= 400
    assert relative_residual(problem.matrix(), x, b) <= 1e-13


@pytest.mark.parametrize("native", ["1", "0"])
def test_the_limit_of_iterations_is_kept(native):
    problem = open_box(16)
    b = np.random.default_rng(6).standard_normal(problem.size)
    PETSc = petsc()
    _, iterations, reason = solve(
        problem.matrix(), b, problem.shape, ksp_deepcg_native=native, ksp_max_it=3, rtol=1e-12
    )
    assert (iterations, reason) == (3, PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)


class Hostile:
    """A preconditioner that is wrong on purpose."""

    def __init__(self, how):
        self.how, self.rng = how, np.random.default_rng(7)

    def apply(self, pc, x, y):
        r = x.getArray(readonly=True)
        y.setArray(
            {
                "zero": 0 * r,
                "noise": self.rng.standard_normal(r.size),
                "uphill": -r,
                "nan": np.nan * r,
                "huge": 1e300 * r,
            }[self.how]
        )


@pytest.mark.parametrize("how", ["zero", "noise", "uphill", "nan", "huge"])
def test_bad_directions_give_way_to_jacobis(how):
    PETSc, problem = petsc(), open_box(8)
    A, b = problem.matrix(), np.random.default_rng(8).standard_normal(512)
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(matrix(A))
    ksp.setType("deepcg")
    ksp.setErrorIfNotConverged(False)
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(Hostile(how))
    ksp.setTolerances(rtol=RTOL)
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0
    assert relative_residual(A, x, b) <= RTOL
    ksp.destroy()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_indefinite_matrices_are_told(sign):
    PETSc = petsc()
    d = np.linspace(-1.0, 2.0, 40)
    d[np.abs(d) < 0.01] = 0.5
    x, _, reason = solve(sign * sp.diags_array(d).tocsr(), np.ones(40), pc_type="none")
    converged = reason > 0 and relative_residual(sp.diags_array(sign * d), x, np.ones(40)) <= RTOL
    assert converged or reason == PETSc.KSP.ConvergedReason.DIVERGED_INDEFINITE_MAT


def test_negative_definite_matrices_by_any_preconditioner():
    problem = open_box(8)
    A, b = -problem.matrix(), np.random.default_rng(9).standard_normal(512)
    for given in ({}, {"pc_type": "jacobi"}, {"ksp_deepcg_native": "0"}, {"pc_type": "none"}):
        x, _, reason = solve(A, b, problem.shape, rtol=RTOL, **given)
        assert reason > 0 and relative_residual(A, x, b) <= RTOL


def test_the_operator_that_counts_is_amat():
    """With another matrix for the preconditioner the iteration is on the first one."""
    PETSc, rough = petsc(), open_box(10)
    beta = np.exp(0.3 * np.random.default_rng(10).standard_normal(rough.shape))
    A = deepcg.Poisson(rough.cells, boundary="open", coefficient=beta).matrix()
    b = np.random.default_rng(11).standard_normal(rough.size)
    ksp = solver(rough.matrix(), rough.shape)
    ksp.setOperators(matrix(A), matrix(rough.matrix()))
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0 and relative_residual(A, x, b) <= RTOL
    assert "general iteration" in view(ksp)
    assert PETSc.KSP.Type.CG == "cg"


def test_wrong_options_are_refused():
    with pytest.raises(petsc().Error) as error, options(ksp_deepcg_window=-2):
        solver(open_box(4).matrix(), (4, 4, 4))
    assert "at least 0 is needed" in str(error.value)


def test_nothing_leaks_over_many_solves():
    """PETSc's own ledger of memory after 1,000 solves with set-up, and what the process holds."""
    output = mpiexec(0, sys.executable, str(ROOT / "tests" / "support" / "petsc_scripts" / "leaks.py"), timeout=300)
    assert "grew by 0 bytes" in output, output
    assert "unfreed" not in output and "[0] " not in output.partition("grew")[2], output


class Raising:
    """A preconditioner that raises at its third application, once."""

    def __init__(self):
        self.calls = 0

    def apply(self, pc, x, y):
        self.calls += 1
        if self.calls == 3:
            raise LookupError("enough")
        x.copy(y)


def test_what_a_preconditioner_raises_arrives_and_the_ksp_goes_on_afterwards():
    PETSc, problem = petsc(), open_box(8)
    A, b = problem.matrix(), np.random.default_rng(12).standard_normal(512)
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(matrix(A))
    ksp.setType("deepcg")
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(Raising())
    ksp.setTolerances(rtol=RTOL)
    with pytest.raises(LookupError, match="enough"):
        run(ksp, b)
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0 and relative_residual(A, x, b) <= RTOL
    ksp.destroy()


@pytest.mark.parametrize("native", ["1", "0"])
@pytest.mark.parametrize("model", ["auto", "jacobi", "none"])
def test_matrices_and_models_without_an_iteration_of_their_own(model, native):
    """A diagonal matrix, one of a single row, and one without entries have no levels; nor have the models jacobi and none."""
    given = {"pc_deepcg_model": model, "ksp_deepcg_native": native}
    laplacian, b = open_box(6).matrix(), np.random.default_rng(0).standard_normal(216)
    for A, grid in (
        (laplacian, "6,6,6"),
        (sp.csr_array(sp.diags_array(np.linspace(1, 9, 216))), "6,6,6"),
        (sp.csr_array([[2.0]]), "1,1"),
    ):
        rhs = b[: A.shape[0]]
        x, _, reason = solve(A, rhs, pc_deepcg_grid=grid, **given)
        assert reason > 0
        assert relative_residual(A, x, rhs) <= 1.1 * RTOL
    for n, grid in ((216, "6,6,6"), (1, "1,1")):
        x, iterations, reason = solve(sp.csr_array((n, n)), b[:n], pc_deepcg_grid=grid, **given)
        assert (reason, iterations) == (petsc().KSP.ConvergedReason.DIVERGED_BREAKDOWN, 0)
        assert not x.any()
