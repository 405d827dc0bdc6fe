"""The Krylov iterations on operators given as dense matrices: rates, products, guards and the stopping rule."""

from __future__ import annotations

import itertools
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg

from deepcg.krylov.iteration import solve_system
from deepcg.native import constants as krylov
from deepcg.native import library as native
from deepcg.native.callbacks import Callbacks
from deepcg.native.constants import CG, COMPILED, FCG, FLEXIBLE_CG, JACOBI_CG
from deepcg.native.krylov import System
from tests.support import reference
from tests.support.krylov import solve

EPS = np.finfo(float).eps


class Dense:
    """A matrix as the iterations see it; counts its products."""

    def __init__(self, A):
        self.A, self.products = np.asarray(A, dtype=float), 0
        diagonal = self.A.diagonal()
        self.inverse_diagonal = 1.0 / np.where(diagonal == 0, 1.0, diagonal)

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


class Run:
    """A solve that went through `dcg_krylov`: x, the iterates after each iteration, and the outcome's attributes."""

    def __init__(self, method, A, M, b, target=0.0, maxiter=200, x0=None):
        self.iterates = []
        self.x = np.zeros(len(b)) if x0 is None else np.array(x0, dtype=float)
        operator = A if isinstance(A, Dense) else Dense(A)
        chain, window = HARD[method]
        self._outcome = solve(
            operator, np.array(b, dtype=float), self.x, chain, target=target, maxiter=maxiter, preconditioner=M, window=window,
            callback=lambda now: self.iterates.append(now.copy()),
        )  # fmt: skip

    def __getattr__(self, name):
        return getattr(self._outcome, name)


def jacobi(A):
    return lambda r: r / A.diagonal()


METHODS = {
    "cg": ((CG, JACOBI_CG), None),
    "flexible cg": ((FLEXIBLE_CG, JACOBI_CG), None),
    **{f"dcd {w}": ((FCG, JACOBI_CG), w) for w in (1, 2, 5, None)},
}
HARD = {**METHODS, "dcd 0": ((FCG, JACOBI_CG), 0)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_rate_of_convergence_in_the_energy_norm(method, preconditioned):
    """||e_n||_A <= 2 ((sqrt k - 1) / (sqrt k + 1))^n ||e_0||_A, k the condition of D^-1 A (Saad 2003, equation 6.128)."""
    A = poisson_matrix("open box 2-D") if not preconditioned else poisson_matrix()
    M = jacobi(A) if preconditioned else np.copy
    values = scipy.linalg.eigvalsh(A, np.diag(A.diagonal()) if preconditioned else None)
    k = values[-1] / values[0]
    exact = np.random.default_rng(17).standard_normal(len(A))
    it = Run(method, A, M, A @ exact, maxiter=40)
    energy = [np.sqrt((x - exact) @ A @ (x - exact)) for x in [np.zeros_like(exact), *it.iterates]]
    bound = 2 * ((np.sqrt(k) - 1) / (np.sqrt(k) + 1)) ** np.arange(len(energy)) * energy[0]
    assert len(energy) >= 30
    assert (np.array(energy) <= bound * (1 + 1e-8) + 1e-13 * energy[0]).all()
    assert (np.diff(energy) <= 1e-13 * energy[0]).all()  # and never grows


@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize("other", [m for m in METHODS if m != "cg"])
def test_all_are_cg_where_the_preconditioner_is_spd(other, preconditioned):
    A = poisson_matrix("open top with walls 2-D")
    M = jacobi(A) if preconditioned else np.copy
    b = np.random.default_rng(23).standard_normal(len(A))
    runs = [Run(method, A, M, b, maxiter=15).iterates for method in ("cg", other)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-9, atol=1e-9 * abs(runs[0][-1]).max())


@pytest.mark.parametrize("method", METHODS)
def test_finite_termination(method):
    """As many steps as distinct eigenvalues."""
    rng = np.random.default_rng(29)
    Q = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    A = Q @ np.diag(np.repeat([1.0, 3.0, 4.0, 9.0], 10)) @ Q.T
    it = Run(method, (A + A.T) / 2, np.copy, rng.standard_normal(40), target=1e-10)
    assert (it.reason, it.iterations) == (krylov.CONVERGED, 4)


@pytest.mark.parametrize("method", METHODS)
def test_one_product_an_iteration(method):
    A = Dense(poisson_matrix("open box 3-D"))
    it = Run(method, A, jacobi(A.A), np.random.default_rng(37).standard_normal(len(A.A)), target=1e-9)
    assert it.reason == krylov.CONVERGED
    checks = 1 + it.iterations // krylov.CHECK_EVERY  # of the true residual; the last one confirms convergence
    assert it.iterations + 1 <= A.products <= it.iterations + 1 + checks


@pytest.mark.parametrize("method", ["cg", "dcd 2"])
def test_one_product_an_iteration_over_many(method):
    n = 220
    A = Dense(np.diag(np.full(n, 2.0)) - np.eye(n, k=1) - np.eye(n, k=-1))
    it = Run(method, A, np.copy, np.eye(n)[0], target=1e-8, maxiter=1000)
    assert it.reason == krylov.CONVERGED
    if not it.fallbacks:
        assert A.products <= it.iterations + 2 + it.iterations // krylov.CHECK_EVERY


@pytest.mark.parametrize("name", ["open box 2-D", "graded, varying coefficient", "open box 3-D"])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_condition_number(name, preconditioned):
    A = poisson_matrix(name)
    values = scipy.linalg.eigvalsh(A, np.diag(A.diagonal()) if preconditioned else None)
    M, b = jacobi(A) if preconditioned else np.copy, np.random.default_rng(41).standard_normal(len(A))
    it = Run("cg", A, M, b, target=1e-10, maxiter=1000)
    assert it.condition == pytest.approx(values[-1] / values[0], rel=0.02)


@pytest.mark.parametrize(
    ("alphas", "betas", "condition"),
    [([], [], None), ([1.0], [], None), ([1.0, -1.0], [0.5], None), ([1.0, 1.0], [-0.5], None)],
)
def test_condition_number_of_too_little(alphas, betas, condition):
    """Coefficients as a preconditioner's own iteration tells them."""
    broken_down = SimpleNamespace(residuals=[1.0] * len(alphas), alphas=alphas, betas=betas, broken=True)
    outcome = solve(
        Dense(np.eye(3)), np.ones(3), np.zeros(3), [COMPILED], target=0.0, maxiter=9, own=lambda x, r, target, maxiter: broken_down
    )  # fmt: skip
    assert outcome.condition is condition
    assert (outcome.reason, outcome.iterations) == (krylov.STALLED, len(alphas))


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
        it = Run(method, INDEFINITE[name], M, np.append(np.ones(6), -np.ones(6)), target=1e-10)
        assert it.reason == krylov.BREAKDOWN
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
@pytest.mark.parametrize("method", HARD)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_preconditioners_cannot_spoil_the_answer(method, name):
    """Without a warning, within twice the iterations of Jacobi's CG and a few more, and saying so."""
    A = poisson_matrix("open box 2-D")
    b = np.random.default_rng(53).standard_normal(len(A))
    target = 1e-8 * np.linalg.norm(b)
    plain = Run("cg", A, jacobi(A), b, target, maxiter=1000)
    it = Run(method, A, hostile(name, A), b, target, maxiter=1000)
    assert it.reason == krylov.CONVERGED
    assert np.linalg.norm(b - A @ it.x) <= target * (1 + 1e-9)
    assert it.iterations <= 2 * plain.iterations + 40 or method == "dcd 0"  # steepest descent is as slow as it is
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
    it = Run(method, A, lambda r: r + skew * (S @ r), b, 1e-8 * np.linalg.norm(b), maxiter=1000)
    assert it.reason == krylov.CONVERGED or (method == "cg" and it.reason == krylov.MAXITER)
    exact = np.linalg.solve(A, b)
    energy = [(x - exact) @ A @ (x - exact) for x in it.iterates]
    assert (np.diff(energy) <= 1e-12 * energy[0]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["open box 2-D", "graded, varying coefficient", "mixed 3-D"])
@pytest.mark.parametrize("target", [0.0, 1e-30])
def test_attainable_accuracy(method, name, target):
    """An unreachable target ends at rounding, in reasonable time, and is not called convergence."""
    A = poisson_matrix(name)
    b = np.random.default_rng(59).standard_normal(len(A))
    it = Run(method, A, jacobi(A), b, target, maxiter=100 * len(A))
    assert it.reason == krylov.ATTAINABLE
    rounding = 10 * EPS * np.linalg.norm(A, 2) * np.linalg.norm(it.x)
    assert np.linalg.norm(b - A @ it.x) <= 4 * rounding
    assert it.iterations <= 4 * len(A)


@pytest.mark.parametrize("method", METHODS)
def test_maxiter_and_callback(method):
    A = poisson_matrix("open box 2-D")
    it = Run(method, A, jacobi(A), np.ones(len(A)), maxiter=7)
    assert (it.reason, it.iterations, len(it.iterates), len(it.residuals)) == (krylov.MAXITER, 7, 7, 8)
    for x, residual in zip(it.iterates, it.residuals[1:], strict=True):
        assert residual == pytest.approx(np.linalg.norm(1 - A @ x), rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_do(method):
    A = poisson_matrix("open box 2-D")
    exact = np.random.default_rng(61).standard_normal(len(A))
    for b, x0, maxiter, reason in [
        (np.zeros(len(A)), None, 9, krylov.CONVERGED),
        (A @ exact, exact, 9, krylov.CONVERGED),
        (A @ exact, None, 0, krylov.MAXITER),
    ]:
        it = Run(method, A, np.copy, b, target=1e-12 * np.linalg.norm(b), maxiter=maxiter, x0=x0)
        assert (it.reason, it.iterations, it.iterates, len(it.residuals)) == (reason, 0, [], 1)


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
    it = Run(method, A, np.copy, b, target=1e-9, maxiter=2000)
    assert it.reason == krylov.CONVERGED
    assert np.linalg.norm(b - A.A @ it.x) <= 1.001e-9


BOX = poisson_matrix("open box 2-D")
SIDE = np.ones(len(BOX))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("where", ["preconditioner", "product", "residual"])
def test_what_a_function_raises_ends_the_solve_and_is_raised(method, error, where):
    calls = itertools.count()

    def sometimes(*_):
        if next(calls) == 3:
            raise error

    class Raising(Dense):
        def apply(self, x, out):
            if where == "product":
                sometimes()
            return super().apply(x, out)

        def residual(self, b, x, out):
            if where == "residual":
                for _ in range(4):
                    sometimes()
            return super().residual(b, x, out)

    def M(r):
        if where == "preconditioner":
            sometimes()
        return r

    with pytest.raises(type(error)) as raised:
        Run(method, Raising(BOX), M, SIDE)
    assert raised.value is error
    assert next(calls) == 4  # nothing was called any more


def test_what_a_callback_raises_is_raised():
    def callback(now):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        solve(Dense(BOX), SIDE, np.zeros_like(SIDE), [JACOBI_CG], target=1e-9, maxiter=99, callback=callback)


@pytest.mark.filterwarnings("error")
def test_an_interrupt_between_the_functions_lines_is_raised_and_handlers_are_put_back():
    """The signal comes while C runs; Python's handler is called before the next function's first line."""
    before, seen = signal.getsignal(signal.SIGINT), []

    def M(r):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return r

    with pytest.raises(KeyboardInterrupt):
        Run("cg", BOX, M, SIDE, maxiter=50)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(seen) <= 3


def test_a_preconditioner_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"answered with shape \(3,\) where \(\d+,\) is needed"):
        Run("cg", BOX, lambda r: r[:3], SIDE)


@pytest.mark.parametrize(
    ("chain", "message"),
    [([], "chain is empty"), ([9], "no method"), ([COMPILED], "run must not be NULL"), ([CG], "precondition")],
)
def test_chains_that_cannot_run_are_refused(chain, message):
    with pytest.raises(native.ArgumentError, match=message):
        solve(Dense(BOX), SIDE, np.zeros_like(SIDE), chain, target=0.0, maxiter=9)


def test_the_chain_goes_on_where_an_iteration_gives_up():
    """A compiled iteration that does nothing, then one that does: fallbacks count Jacobi's alone."""
    idle = SimpleNamespace(residuals=[1.0], alphas=[1.0], betas=[], broken=False)
    for chain, fallbacks in (
        ([COMPILED, CG], False),
        ([COMPILED, JACOBI_CG], True),
        ([COMPILED, FCG, JACOBI_CG], False),
    ):
        x = np.zeros_like(SIDE)
        outcome = solve(
            Dense(BOX), SIDE, x, chain, target=1e-9, maxiter=500, preconditioner=np.copy, own=lambda x, r, target, maxiter: idle
        )  # fmt: skip
        assert outcome.reason == krylov.CONVERGED
        assert outcome.fallbacks == (outcome.iterations - 1 if fallbacks else 0)
        assert len(outcome.residuals) == outcome.iterations + 1
        assert np.linalg.norm(SIDE - BOX @ x) <= 1e-9


def test_no_method_starts_from_a_worse_x_than_the_best():
    """A compiled iteration that gets worse is undone; so is one that ends with what is no number."""

    def spoil(by):
        def own(x, r, target, maxiter):
            x += by
            r[:] = 0.0
            return SimpleNamespace(residuals=[0.0], alphas=[1.0], betas=[], broken=False)

        return own

    for by in (1e3, 1e300, np.inf, np.nan):
        for x0, from_zero in ((np.zeros_like(SIDE), True), (np.linspace(0, 1, SIDE.size), False)):
            x, start = x0.copy(), np.linalg.norm(SIDE - BOX @ x0)
            outcome = solve(Dense(BOX), SIDE, x, [COMPILED], target=1e-9, maxiter=9, own=spoil(by), from_zero=from_zero)
            assert outcome.reason == krylov.STALLED and np.array_equal(x, x0)
            assert outcome.residuals[-1] == pytest.approx(start, rel=1e-12)
            x = x0.copy()
            outcome = solve(
                Dense(BOX), SIDE, x, [COMPILED, JACOBI_CG], target=1e-9, maxiter=500, own=spoil(by), from_zero=from_zero
            )
            assert outcome.reason == krylov.CONVERGED and outcome.residuals[1] == pytest.approx(start, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_limit_of_iterations_leaves_a_residual_that_is_true(method):
    A = poisson_matrix("open box 2-D")
    for maxiter in (1, 3, 60):
        it = Run(method, A, np.copy, np.ones(len(A)), target=1e-300, maxiter=maxiter, x0=np.sin(np.arange(len(A))))
        assert it.residuals[-1] == pytest.approx(np.linalg.norm(1 - A @ it.x), rel=1e-8)
        assert it.residuals[-1] <= it.residuals[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [0.3, 2.1])
def test_an_indefinite_matrix_is_told_by_a_direction_and_x_is_the_best_that_there_was(method, shift):
    A = poisson_matrix("open box 2-D") - shift * np.eye(len(poisson_matrix("open box 2-D")))
    assert np.linalg.eigvalsh(A)[0] < 0 < A.diagonal().min()
    b = np.random.default_rng(61).standard_normal(len(A))
    it = Run(method, A, jacobi(A), b, target=1e-10, maxiter=2000)
    assert it.reason == krylov.BREAKDOWN and it.iterations <= 2 * len(A)
    assert np.linalg.norm(b - A @ it.x) <= np.linalg.norm(b)


@pytest.mark.parametrize("method", METHODS)
def test_rounding_is_not_taken_for_an_indefinite_matrix(method):
    """Singular, and b has a part outside the range: x stays finite and no worse than 0, and nothing is called convergence."""
    A = np.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]])
    it = Run(method, A, np.copy, np.ones(3), target=1e-10, maxiter=50)
    assert it.reason != krylov.CONVERGED and np.isfinite(it.x).all()
    assert np.linalg.norm(1 - A @ it.x) <= np.sqrt(3) * (1 + 1e-12)


def test_an_iteration_that_did_more_than_it_was_asked_for_is_refused():
    many = SimpleNamespace(residuals=[1.0] * 60, alphas=[1.0] * 60, betas=[0.0] * 59, broken=False)
    with pytest.raises(ValueError, match="60 iterations where at most 50"):
        solve(Dense(BOX), SIDE, np.zeros_like(SIDE), [COMPILED], target=0.0, maxiter=500, own=lambda *_: many)


@pytest.mark.parametrize("done", [-1, 51])
def test_a_number_of_iterations_that_cannot_be_is_refused(done):
    system, calls = System(n=SIDE.size), Callbacks()
    calls.serve(system, "residual", lambda b, x, r, norm: norm.__setitem__(0, 1.0))
    calls.serve(system, "run", lambda x, r, target, maxiter, history, steps, told, result: told.__setitem__(0, done))
    b, x = SIDE.copy(), np.zeros_like(SIDE)
    with pytest.raises(native.KernelError, match=f"did {done} iterations, and was given 50"):
        solve_system(system, calls, [COMPILED], b.ctypes.data, x.ctypes.data, None, maxiter=500)


def test_every_reason_has_a_text():
    texts = [native.reason_text(reason) for reason in range(6)]
    assert all(texts) and len(set(texts)) == 6
    assert native.reason_text(-1) == native.reason_text(6) == ""
