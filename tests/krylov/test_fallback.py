"""The chain of `dcg_krylov` where a method fails or is slow: what goes on, from where, and who is said to have done how much."""

import itertools

import numpy as np
import pytest

from deepcg.multigrid.cycle import Run
from deepcg.native import constants as krylov
from deepcg.native import library as native
from deepcg.native.constants import CG, CHECK_EVERY, COMPILED, FALLBACK_CG, FCG, FLEXIBLE_CG, FURTHER, JACOBI_CG, STALL
from tests.krylov.test_krylov import Dense
from tests.support import reference
from tests.support.krylov import solve

A = reference.matrix(**reference.CASES["open box 3-D"])
N = len(A)
RNG = np.random.default_rng(3)
B = RNG.standard_normal(N)
SPOILT = 10.0 ** RNG.uniform(-3, 3, N)
TARGET = 1e-8 * np.linalg.norm(B)
INVERSE = np.linalg.inv(A)
OWN = [CG, FLEXIBLE_CG, FCG]


def poor(r):
    """Symmetric, positive definite, and of a condition number that makes conjugate gradients crawl."""
    return SPOILT * r


def good(r):
    return INVERSE @ r


def go(chain, M=poor, fallbacks=(good,), maxiter=5000, target=TARGET, **options):
    x = np.zeros(N)
    return x, solve(
        Dense(A), B, x, chain, target=target, maxiter=maxiter, preconditioner=M, window=1, fallbacks=fallbacks, **options
    )  # fmt: skip


def judge(x, outcome):
    assert outcome.reason == krylov.CONVERGED
    assert np.linalg.norm(B - A @ x) <= TARGET
    assert sum(outcome.done) == outcome.iterations == len(outcome.residuals) - 1


@pytest.mark.parametrize("method", OWN)
def test_a_slow_method_is_left_after_one_stretch(method):
    _, alone = go([method, JACOBI_CG], fallbacks=None)
    x, outcome = go([method, FALLBACK_CG, JACOBI_CG])
    judge(x, outcome)
    assert alone.iterations > (
        FURTHER if method != FCG else 1.5 * outcome.iterations
    )  # FCG takes Jacobi's directions in between
    assert (
        outcome.done[0] <= (STALL if method != FCG else 2 * STALL)
        and 1 <= outcome.done[1] <= 3
        and outcome.done[2] == 0
    )
    assert outcome.fallbacks >= outcome.done[1] and outcome.condition is None


@pytest.mark.parametrize("method", OWN)
def test_a_method_that_converges_fairly_is_not_left(method):
    asked = []
    x, outcome = go(
        [method, FALLBACK_CG, JACOBI_CG], lambda r: r / A.diagonal(), [lambda r: asked.append(r) or good(r)]
    )
    judge(x, outcome)
    assert not asked and outcome.fallbacks == 0 and outcome.done == (outcome.iterations, 0, 0)


def steps_of(M):
    """A compiled iteration: so many steps of steepest descent, said to be conjugate gradients."""

    def own(x, r, target, maxiter):
        norms = []
        while len(norms) < maxiter and (not norms or norms[-1] > target):
            z = M(r)
            alpha = (r @ z) / (z @ A @ z)
            x += alpha * z
            r -= alpha * (A @ z)
            norms.append(float(np.linalg.norm(r)))
        return Run(norms, [1.0] * len(norms), [1.0] * (len(norms) - 1), False)

    return own


def test_a_slow_compiled_iteration_is_left_for_another_preconditioner():
    """Its residual halves in every call, so that the float64 iteration around the same preconditioner would be asked otherwise."""
    scale = 0.98 ** np.arange(CHECK_EVERY)

    def halving(x, r, target, maxiter):
        x += (1 - 0.45) * (INVERSE @ r)
        r *= 0.45
        norms = (np.linalg.norm(r) / scale[-1] * scale).tolist()
        return Run(norms, [1.0] * len(norms), [0.5] * (len(norms) - 1), False)

    x, outcome = go([COMPILED, CG, FALLBACK_CG, JACOBI_CG], own=halving)
    judge(x, outcome)
    assert outcome.done[0] == CHECK_EVERY and outcome.done[1] == 0 and 1 <= outcome.done[2] <= 3


def test_a_compiled_iteration_that_does_not_halve_goes_to_float64_first():
    x, outcome = go([COMPILED, CG, FALLBACK_CG, JACOBI_CG], lambda r: r / A.diagonal(), own=steps_of(poor))
    judge(x, outcome)
    assert outcome.done[0] == CHECK_EVERY and outcome.done[1] > 0 and outcome.done[2:] == (0, 0)


@pytest.mark.parametrize(
    ("method", "answer"),
    [*itertools.product(OWN, [np.nan, 0.0]), (CG, -1.0), (FLEXIBLE_CG, -1.0)],  # FCG takes steps backwards, too
)
def test_a_preconditioner_that_breaks_after_some_applications(method, answer):
    """From the best x: the residual does not jump back where the fallback begins."""
    calls = itertools.count()
    x, outcome = go(
        [method, FALLBACK_CG, JACOBI_CG], lambda r: r / A.diagonal() if next(calls) < 8 else np.full(N, answer) * r
    )
    judge(x, outcome)
    assert outcome.done[0] >= 8 and outcome.done[1] >= 1 and outcome.done[2] == 0
    assert outcome.residuals[outcome.done[0]] <= min(outcome.residuals[:8])


def test_fallbacks_are_tried_in_order():
    x, outcome = go([CG, FALLBACK_CG, FALLBACK_CG, JACOBI_CG], fallbacks=[lambda r: SPOILT[::-1] * r, good])
    judge(x, outcome)
    assert outcome.done[0] <= STALL and outcome.done[1] <= STALL and 1 <= outcome.done[2] <= 3 and outcome.done[3] == 0


def test_one_that_cannot_be_had_is_passed_over():
    x, outcome = go([CG, FALLBACK_CG, FALLBACK_CG, JACOBI_CG], fallbacks=[None, good])
    judge(x, outcome)
    assert outcome.done[1] == 0 and 1 <= outcome.done[2] <= 3


def test_a_slow_method_goes_on_where_no_fallback_can_be_had():
    """Jacobi is no better than a method that is merely slow."""
    mild = lambda r: SPOILT**0.5 * r  # noqa: E731
    _, alone = go([CG], mild, None)
    x, outcome = go([CG, FALLBACK_CG, JACOBI_CG], mild, [None])
    judge(x, outcome)
    assert alone.reason == krylov.CONVERGED and alone.iterations > FURTHER
    assert outcome.done[0] == outcome.iterations and outcome.fallbacks == 0


def test_a_fallback_that_fails_leaves_the_solve_to_jacobi():
    x, outcome = go([CG, FALLBACK_CG, JACOBI_CG], fallbacks=[lambda r: np.full(N, np.nan)])
    judge(x, outcome)
    assert 1 <= outcome.done[1] <= krylov.CHECK_EVERY and outcome.done[2] > 0
    assert outcome.fallbacks >= outcome.done[1] + outcome.done[2]


@pytest.mark.parametrize("maxiter", [STALL - 1, STALL, STALL + 1, STALL + 2])
def test_the_limit_of_iterations_is_of_all_methods_together(maxiter):
    slow = lambda r: SPOILT[::-1] * r  # noqa: E731
    _, outcome = go([CG, FALLBACK_CG, JACOBI_CG], fallbacks=[slow], maxiter=maxiter)
    assert outcome.reason == krylov.MAXITER and outcome.iterations == sum(outcome.done) == maxiter


def test_rounding_is_not_taken_for_slowness():
    """A target that float64 cannot reach ends at the attainable accuracy: no fallback is set up for it."""
    asked = []
    x, outcome = go(
        [CG, FALLBACK_CG, JACOBI_CG], lambda r: r / A.diagonal(), [lambda r: asked.append(r) or good(r)], target=0.0
    )
    assert outcome.reason == krylov.ATTAINABLE and not asked
    assert np.linalg.norm(B - A @ x) <= 1e-13 * np.linalg.norm(B)


def test_a_chain_may_leave_the_fallback_to_its_caller():
    _, outcome = go([CG], followed=True, fallbacks=None)
    assert outcome.reason == krylov.STALLED and outcome.iterations <= STALL


def test_a_fallback_without_its_function_is_refused():
    with pytest.raises(native.ArgumentError, match="fall_back must not be NULL where the chain has DCG_FALLBACK_CG"):
        go([CG, FALLBACK_CG], fallbacks=None)
