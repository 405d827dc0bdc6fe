"""The Krylov iterations on operators given as dense matrices: rates, products, guards and the stopping rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.linalg

from deepcg.krylov import cg, stopping
from deepcg.krylov.cg import conjugate_gradients
from deepcg.krylov.fcg import conjugate_directions
from deepcg.krylov.stopping import Iterate
from tests.support import reference

EPS = np.finfo(float).eps


class Dense:
    """A matrix as the iterations see it; counts its products."""

    def __init__(self, A):
        self.A, self.products = np.asarray(A, dtype=float), 0
        diagonal = self.A.diagonal()
        self.inverse_diagonal = 1.0 / np.where(diagonal == 0, 1.0, diagonal)
        self.norm_bound = float(abs(self.A).sum(axis=1).max())

    def apply(self, x, out):
        self.products += 1
        out[:] = self.A @ x
        return out

    def residual(self, b, x, out):
        np.subtract(b, self.apply(x, out), out=out)
        return float(np.linalg.norm(out))

    def project(self, v):
        return 0.0


def poisson_matrix(name="graded, varying coefficient"):
    return reference.matrix(**reference.CASES[name])


def start(A, b, target=0.0, maxiter=200, x0=None):
    """An iterate, and the list that its iterates go to."""
    iterates = []
    x = np.zeros(len(b)) if x0 is None else np.array(x0, dtype=float)
    operator = A if isinstance(A, Dense) else Dense(A)
    return Iterate(operator, b, x, target, maxiter, lambda now: iterates.append(now.copy())), iterates


def jacobi(A):
    return lambda r: r / A.diagonal()


METHODS = {
    "cg": conjugate_gradients,
    "flexible cg": lambda it, M: conjugate_gradients(it, M, flexible=True),
    **{f"dcd {w}": lambda it, M, w=w: conjugate_directions(it, M, w) for w in (1, 2, 5, None)},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_rate_of_convergence_in_the_energy_norm(method, preconditioned):
    """||e_n||_A <= 2 ((sqrt k - 1) / (sqrt k + 1))^n ||e_0||_A, k the condition of D^-1 A (Saad 2003, equation 6.128)."""
    A = poisson_matrix("open box 2-D") if not preconditioned else poisson_matrix()
    M = jacobi(A) if preconditioned else np.copy
    values = scipy.linalg.eigvalsh(A, np.diag(A.diagonal()) if preconditioned else None)
    k = values[-1] / values[0]
    exact = np.random.default_rng(17).standard_normal(len(A))
    it, iterates = start(A, A @ exact, maxiter=40)
    METHODS[method](it, M)
    energy = [np.sqrt((x - exact) @ A @ (x - exact)) for x in [np.zeros_like(exact), *iterates]]
    bound = 2 * ((np.sqrt(k) - 1) / (np.sqrt(k) + 1)) ** np.arange(len(energy)) * energy[0]
    assert len(energy) >= 30
    assert (np.array(energy) <= bound * (1 + 1e-8) + 1e-13 * energy[0]).all()
    assert (np.diff(energy) <= 1e-13 * energy[0]).all()  # and never grows


@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize("other", [m for m in METHODS if m != "cg"])
def test_all_are_cg_where_the_preconditioner_is_spd(other, preconditioned):
    A = poisson_matrix("open top with walls 2-D")
    M = jacobi(A) if preconditioned else np.copy
    runs = []
    for method in ("cg", other):
        it, iterates = start(A, np.random.default_rng(23).standard_normal(len(A)), maxiter=15)
        METHODS[method](it, M)
        runs.append(iterates)
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-9, atol=1e-9 * abs(runs[0][-1]).max())


@pytest.mark.parametrize("method", METHODS)
def test_finite_termination(method):
    """As many steps as distinct eigenvalues."""
    rng = np.random.default_rng(29)
    Q = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    A = Q @ np.diag(np.repeat([1.0, 3.0, 4.0, 9.0], 10)) @ Q.T
    it, _ = start((A + A.T) / 2, rng.standard_normal(40), target=1e-10)
    METHODS[method](it, np.copy)
    assert (it.reason, it.iterations) == (stopping.CONVERGED, 4)


@pytest.mark.parametrize("method", METHODS)
def test_one_product_an_iteration(method):
    A = Dense(poisson_matrix("open box 3-D"))
    it, _ = start(A, np.random.default_rng(37).standard_normal(len(A.A)), target=1e-9)
    METHODS[method](it, jacobi(A.A))
    assert it.reason == stopping.CONVERGED
    checks = 1 + it.iterations // stopping.CHECK_EVERY  # of the true residual; the last one confirms convergence
    assert it.iterations + 1 <= A.products <= it.iterations + 1 + checks


@pytest.mark.parametrize("method", ["cg", "dcd 2"])
def test_one_product_an_iteration_over_many(method):
    n = 220
    A = Dense(np.diag(np.full(n, 2.0)) - np.eye(n, k=1) - np.eye(n, k=-1))
    it, _ = start(A, np.eye(n)[0], target=1e-8, maxiter=1000)
    METHODS[method](it, np.copy)
    assert it.reason == stopping.CONVERGED
    if not it.fallbacks:
        assert A.products <= it.iterations + 2 + it.iterations // stopping.CHECK_EVERY


@pytest.mark.parametrize("name", ["open box 2-D", "graded, varying coefficient", "open box 3-D"])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_condition_number(name, preconditioned):
    A = poisson_matrix(name)
    values = scipy.linalg.eigvalsh(A, np.diag(A.diagonal()) if preconditioned else None)
    it, _ = start(A, np.random.default_rng(41).standard_normal(len(A)), target=1e-10, maxiter=1000)
    conjugate_gradients(it, jacobi(A) if preconditioned else np.copy)
    assert it.condition == pytest.approx(values[-1] / values[0], rel=0.02)


@pytest.mark.parametrize(
    ("alphas", "betas", "condition"),
    [([], [], None), ([1.0], [], None), ([1.0, -1.0], [0.5], None), ([1.0, 1.0], [-0.5], None)],
)
def test_condition_number_of_too_little(alphas, betas, condition):
    assert cg.lanczos_condition(alphas, betas) is condition


def one_negative_eigenvalue(n=12):
    """Its diagonal is positive, so that nothing but the curvature shows it."""
    v = np.append(np.ones(n // 2), -np.ones(n // 2)) / np.sqrt(n)
    return np.diag(np.arange(2.0, 2.0 + n)) - 15 * np.outer(v, v)


INDEFINITE = {
    "negative definite": -np.eye(12),
    "one negative eigenvalue": one_negative_eigenvalue(),
    "zero": np.zeros((12, 12)),
    "saddle": np.block([[np.eye(6), 2 * np.eye(6)], [2 * np.eye(6), np.eye(6)]]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", INDEFINITE)
def test_indefinite_operator_is_a_breakdown(method, name):
    rng = np.random.default_rng(43)
    for M in (np.copy, lambda r: rng.standard_normal(len(r))):
        it, _ = start(INDEFINITE[name], np.append(np.ones(6), -np.ones(6)), target=1e-10)
        METHODS[method](it, M)
        assert it.reason == stopping.INDEFINITE
        assert np.isfinite(it.x).all()


def hostile(name, A):
    """A preconditioner that its author should not have written."""
    rng = np.random.default_rng(47)
    huge, calls = 1e300, itertools.count()
    return {
        "NaN": lambda r: np.full_like(r, np.nan),
        "one NaN": lambda r: np.append(np.nan, r[1:]),
        "infinite": lambda r: np.full_like(r, np.inf),
        "zeros": np.zeros_like,
        "minus r": lambda r: -r,
        "noise": lambda r: rng.standard_normal(len(r)),
        "constant": np.ones_like,
        "huge constant": lambda r: np.full_like(r, huge),
        "huge r": lambda r: huge * r,
        "tiny r": lambda r: 1e-300 * r,
        "one direction": lambda r: np.eye(len(r))[3],
        "nearly orthogonal": lambda r: (z := rng.standard_normal(len(r))) - (r @ z / (r @ r) - 1e-14) * r,
        "nothing at half": lambda r: np.where(np.arange(len(r)) % 2, r, 0.0),
        "null space of the rest": lambda r: np.linalg.solve(A, np.ones_like(r)),
        "good but every third": lambda r: r if next(calls) % 3 else np.full_like(r, np.nan),
    }[name]


HOSTILE = [
    "NaN", "one NaN", "infinite", "zeros", "minus r", "noise", "constant", "huge constant", "huge r", "tiny r",
    "one direction", "nearly orthogonal", "nothing at half", "null space of the rest", "good but every third",
]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", [*METHODS, "dcd 0"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_preconditioners_cannot_spoil_the_answer(method, name):
    """Without a warning, within a few times the iterations of Jacobi's CG, and saying so."""
    A = poisson_matrix("open box 2-D")
    b = np.random.default_rng(53).standard_normal(len(A))
    target = 1e-8 * np.linalg.norm(b)
    plain, _ = start(A, b, target, maxiter=1000)
    conjugate_gradients(plain, jacobi(A))
    it, _ = start(A, b, target, maxiter=1000)
    run = METHODS.get(method, lambda it, M: conjugate_directions(it, M, 0))
    run(it, hostile(name, A))
    assert it.reason == stopping.CONVERGED
    assert np.linalg.norm(b - A @ it.x) <= target * (1 + 1e-9)
    assert it.iterations <= 4 * plain.iterations + 40 or method == "dcd 0"  # steepest descent is as slow as it is
    harmless = name in ("huge r", "tiny r") or (
        name == "minus r" and "dcd" in method
    )  # its line search takes either sign
    assert it.fallbacks > 0 or harmless


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("skew", [0.1, 1.0, 10.0])
def test_linear_but_not_symmetric_preconditioner(method, skew):
    """It is none for CG, which may stand still but not diverge, nor call it a breakdown of the operator."""
    A, rng = poisson_matrix("open box 2-D"), np.random.default_rng(199)
    S = rng.standard_normal(A.shape) / np.sqrt(len(A))
    b = rng.standard_normal(len(A))
    it, iterates = start(A, b, 1e-8 * np.linalg.norm(b), maxiter=1000)
    METHODS[method](it, lambda r: r + skew * (S @ r))
    assert it.reason == stopping.CONVERGED or (method == "cg" and it.reason == stopping.MAXITER)
    exact = np.linalg.solve(A, b)
    energy = [(x - exact) @ A @ (x - exact) for x in iterates]
    assert (np.diff(energy) <= 1e-12 * energy[0]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["open box 2-D", "graded, varying coefficient", "mixed 3-D"])
@pytest.mark.parametrize("target", [0.0, 1e-30])
def test_attainable_accuracy(method, name, target):
    """An unreachable target ends at rounding, in reasonable time, and is not called convergence."""
    A = poisson_matrix(name)
    b = np.random.default_rng(59).standard_normal(len(A))
    it, _ = start(A, b, target, maxiter=100 * len(A))
    METHODS[method](it, jacobi(A))
    assert it.reason == stopping.ATTAINABLE
    rounding = 10 * EPS * np.linalg.norm(A, 2) * np.linalg.norm(it.x)
    assert np.linalg.norm(b - A @ it.x) <= 4 * rounding
    assert it.iterations <= 4 * len(A)


@pytest.mark.parametrize("method", METHODS)
def test_maxiter_and_callback(method):
    A = poisson_matrix("open box 2-D")
    it, iterates = start(A, np.ones(len(A)), maxiter=7)
    METHODS[method](it, jacobi(A))
    assert (it.reason, it.iterations, len(iterates), len(it.residuals)) == (stopping.MAXITER, 7, 7, 8)
    for x, residual in zip(iterates, it.residuals[1:], strict=True):
        assert residual == pytest.approx(np.linalg.norm(1 - A @ x), rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_do(method):
    A = poisson_matrix("open box 2-D")
    exact = np.random.default_rng(61).standard_normal(len(A))
    for b, x0, maxiter, reason in [
        (np.zeros(len(A)), None, 9, stopping.CONVERGED),
        (A @ exact, exact, 9, stopping.CONVERGED),
        (A @ exact, None, 0, stopping.MAXITER),
    ]:
        it, iterates = start(A, b, target=1e-12 * np.linalg.norm(b), maxiter=maxiter, x0=x0)
        METHODS[method](it, np.copy)
        assert (it.reason, it.iterations, iterates, len(it.residuals)) == (reason, 0, [], 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_lying_recurrence_is_found_out(method):
    """An operator that errs in its products for a while: convergence is believed of b - A x only."""

    class Erring(Dense):
        def apply(self, x, out):
            super().apply(x, out)
            if 10 < self.products < 30:
                out *= 1 + 1e-4 * np.sin(np.arange(len(out)))
            return out

    A = Erring(poisson_matrix("open box 2-D"))
    b = np.random.default_rng(67).standard_normal(len(A.A))
    it, _ = start(A, b, target=1e-9, maxiter=2000)
    METHODS[method](it, np.copy)
    assert it.reason == stopping.CONVERGED
    assert np.linalg.norm(b - A.A @ it.x) <= 1.001e-9
