"""The Krylov iterations: preconditioned conjugate gradients, and conjugate directions over a window.

Both minimise the A-norm of the error along one direction an iteration, with one product A d each.

* `conjugate_gradients`: Hestenes and Stiefel 1952; preconditioned as in Saad 2003, algorithm 9.1. For a preconditioner that is linear and SPD
  only up to rounding, beta is that of Polak and Ribiere (Golub and Ye 1999: flexible CG).
* `conjugate_directions`: Kaneda et al. 2023, algorithm 1, with any window m. The direction may come from anything: it is made A-orthogonal to
  the last m directions, and the step along it is exact. m = 1 with a linear SPD preconditioner is CG.

What makes the answer safe:

* The true residual decides convergence, and replaces the recurrence now and then (`deepcg.iterate`).
* Sufficient decrease. A step along d lowers ||e||_A^2 by (d.r)^2 / d.Ad. With D the diagonal and A <= 2 D (diagonal dominance), Jacobi's direction
  D^-1 r lowers it by at least (r.D^-1 r) / 2, and by nature of e, r.D^-1 r >= lambda_min(D^-1 A) ||e||_A^2. A direction that does not
  reach DECREASE * r.D^-1 r, or has no positive finite curvature, is not taken: Jacobi's is. So every iteration contracts the
  error by 1 - DECREASE * lambda_min at least, whatever the preconditioner does.
* CG, whose preconditioner is said to be SPD, checks only what that implies: the angle between r and z = M r has a cosine of at least
  2 sqrt(k) / (1 + k), k the condition number of M (Wielandt). One below ALIGNMENT is rounding: Jacobi's direction is taken. And d.r must be
  r.z: a d that is further off has lost its conjugacy (M is not what it was said to be) and makes way for z. The step is exact on d either way.
* A preconditioner whose iteration runs compiled (`compiled`) is checked at the end of every run by the true residual.
* After PATIENCE failures in a row, MOST_FAILURES in all, or STALL iterations without halving the residual, Jacobi-preconditioned CG takes over
  for good: it has CG's convergence theory, which steepest descent has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from .grid import Array
from .iterate import CHECK_EVERY, INDEFINITE, Iterate, Operator
from .vectors import axpy, dot, norm2

WINDOW = 32  # the paper keeps 2; beside an evaluation of its network 30 more vectors cost little, and save many an iteration (README has the ablation)
ALIGNMENT = 1e-12
DECREASE = 0.05
PATIENCE = 3
MOST_FAILURES = 10
STALL = 30


class Step(NamedTuple):
    """A direction d, its product A d, and d.Ad."""

    direction: Array
    product: Array
    curvature: float


Preconditioner = Callable[[Array], Array]  # r -> z, a new array that the iteration may overwrite


def jacobi(operator: Operator) -> Preconditioner:
    """The fallback direction: D^-1 r."""
    return lambda r: operator.inverse_diagonal * r


@np.errstate(over="ignore", invalid="ignore")  # a preconditioner's infinities are told by the guards
def conjugate_gradients(it: Iterate, preconditioner: Preconditioner, flexible: bool = False) -> None:
    """Preconditioned conjugate gradients, until `it.reason` says why it stopped.

    Parameters
    ----------
    it : Iterate
    preconditioner : r -> z, linear and SPD (nearly so with `flexible`)
    flexible : beta of Polak and Ribiere, at the price of one vector and one inner product

    Notes
    -----
    `it.condition` becomes the condition number of the preconditioned operator as Lanczos sees it through CG's own coefficients
    (Saad 2003, section 6.7.3), over the iterations since the last restart.
    """
    operator, fallback = it.operator, jacobi(it.operator)
    failures = lost = 0
    direction, product = np.zeros_like(it.r), np.empty_like(it.r)
    before = np.empty_like(it.r) if flexible else None
    alphas: list[float] = []
    betas: list[float] = []
    rho = 0.0  # r.z of the last iteration; 0 starts afresh
    while it.reason is None:
        use_fallback = failures >= PATIENCE or lost >= MOST_FAILURES
        z = (fallback if use_fallback else preconditioner)(it.r)
        rho_new = dot(it.r, z)
        if not (rho_new > ALIGNMENT * it.residuals[-1] * norm2(z) and np.isfinite(rho_new)):
            if preconditioner is fallback or use_fallback:
                it.reason = INDEFINITE
                return
            failures, rho = failures + 1, 0.0
            z, use_fallback = fallback(it.r), True
            rho_new = dot(it.r, z)
        beta = 0.0 if rho == 0.0 else (rho_new - (dot(before, z) if before is not None else 0.0)) / rho
        direction *= beta
        direction += z
        operator.project(direction)
        slope = dot(direction, it.r)
        if rho and not 0.5 * rho_new < slope < 2.0 * rho_new:
            lost, rho = lost + 1, 0.0
            direction[...] = z
            operator.project(direction)
            slope = dot(direction, it.r)
        operator.apply(direction, product)
        curvature = dot(direction, product)
        if not (curvature > 0 and np.isfinite(curvature)):
            if rho == 0.0 and (preconditioner is fallback or use_fallback):
                it.reason = INDEFINITE
                return
            failures, rho = failures + 1, 0.0
            direction[...] = 0.0
            continue
        if before is not None:
            before[...] = it.r
        alpha = slope / curvature
        if rho == 0.0:
            alphas, betas = [], []
        else:
            betas.append(beta)
        alphas.append(alpha)
        it.fallbacks += use_fallback
        restart = it.advance(alpha, direction, product)
        rho = 0.0 if restart else rho_new
    it.condition = lanczos_condition(alphas, betas)


def compiled(it: Iterate, iterate: Callable[[Array, Array, float, int], Any]) -> None:
    """An iteration that a linear SPD preconditioner brings along, compiled around it, until `it.reason` says why it stopped.

    `iterate(x, r, target, maxiter)` works on x and r in place; its answer has `residuals`, `alphas`, `betas` and `broken`.

    The loop goes by its recurrence for at most `CHECK_EVERY` iterations; the true residual then decides. Where it broke down or
    has not halved the residual, Jacobi-preconditioned CG takes over.
    """
    while it.reason is None:
        before = it.residuals[-1]
        run = iterate(it.x, it.r, it.target, min(CHECK_EVERY, it.maxiter - it.iterations))
        it.operator.project(it.x)
        if run.residuals:
            it.settle(run.residuals)
        if len(run.alphas) > 1:
            it.condition = lanczos_condition(run.alphas, run.betas)
        if it.reason is None and (run.broken or not it.residuals[-1] < 0.5 * before):
            started = it.iterations
            conjugate_gradients(it, jacobi(it.operator))
            it.fallbacks += it.iterations - started
            it.condition = None


def lanczos_condition(alphas: list[float], betas: list[float]) -> float | None:
    """Condition number of the tridiagonal matrix behind CG's coefficients; None from fewer than two iterations."""
    if len(alphas) < 2 or min(alphas) <= 0 or min(betas) < 0:
        return None
    a, beta = np.asarray(alphas), np.asarray(betas)
    diagonal = 1 / a
    diagonal[1:] += beta / a[:-1]
    values = scipy.linalg.eigvalsh_tridiagonal(diagonal, np.sqrt(beta) / a[:-1])
    return float(values[-1] / values[0]) if values[0] > 0 else None


@np.errstate(over="ignore", invalid="ignore")
def conjugate_directions(it: Iterate, preconditioner: Preconditioner, window: int | None = WINDOW) -> None:
    """Conjugate directions (Kaneda et al. 2023, algorithm 1), until `it.reason` says why it stopped.

    Parameters
    ----------
    it : Iterate
    preconditioner : r -> d, any map; need not be linear
    window : how many earlier directions each new one is made A-orthogonal to; None for all, 0 for steepest descent along
        the preconditioner's directions. The paper's code keeps 2. Each costs two vectors, 16 bytes per cell.
    """
    fallback = jacobi(it.operator)
    kept: deque[Step] = deque(maxlen=window)
    in_a_row = failures = 0
    best_before, since = it.residuals[-1], 0  # for the stall guard: the best residual of earlier stretches
    while it.reason is None:
        needed = DECREASE * dot(it.r, fallback(it.r))
        step = _conjugate(it, preconditioner(it.r), kept)
        if _decrease(it, step) >= needed:
            in_a_row = 0
        else:
            in_a_row, failures = in_a_row + 1, failures + 1
            it.fallbacks += 1
            step = _conjugate(it, fallback(it.r), kept)
            if not step.curvature > 0:  # rounding may have spoilt the window: try the plain direction before giving up
                kept.clear()
                step = _conjugate(it, fallback(it.r), kept)
            if not step.curvature > 0:
                it.reason = INDEFINITE
                return
        alpha = dot(step.direction, it.r) / step.curvature
        restart = it.advance(alpha, step.direction, step.product)
        kept.append(step)
        if restart:
            kept.clear()
        since += 1
        stalled = False
        if since == STALL:
            best = min(it.residuals[-STALL:])
            stalled = best > 0.5 * best_before
            best_before, since = min(best, best_before), 0
        if it.reason is None and (in_a_row >= PATIENCE or failures >= MOST_FAILURES or stalled):
            started = it.iterations
            kept.clear()
            conjugate_gradients(it, fallback)
            it.fallbacks += it.iterations - started
            it.condition = None  # it would speak of Jacobi's operator, not of the preconditioner that was asked for
            return


def _conjugate(it: Iterate, direction: Array, kept: deque[Step]) -> Step:
    """Make `direction` A-orthogonal to the kept ones; A d follows by linearity, so one product is all it takes."""
    it.operator.project(direction)
    product = it.operator.apply(direction, np.empty_like(direction))
    for earlier in kept:
        coefficient = -dot(direction, earlier.product) / earlier.curvature
        axpy(coefficient, earlier.direction, direction)
        axpy(coefficient, earlier.product, product)
    curvature = dot(direction, product)
    return Step(direction, product, curvature if np.isfinite(curvature) else -1.0)


def _decrease(it: Iterate, step: Step) -> float:
    """By how much the exact step lowers ||e||_A^2; negative where there is no such step."""
    if not step.curvature > 0:
        return -1.0
    slope = dot(step.direction, it.r)
    decrease = slope * slope / step.curvature
    return decrease if np.isfinite(decrease) else -1.0
