"""Truncated flexible conjugate gradients: conjugate directions over a window, whatever proposes them.

`conjugate_directions` is algorithm 1 of Kaneda et al. 2023, with any window m. The direction may come from anything: it is made A-orthogonal to
the last m directions, and the step along it is exact. m = 1 with a linear SPD preconditioner is CG.

What makes the answer safe:

* The true residual decides convergence, and replaces the recurrence now and then (`deepcg.krylov.stopping`).
* Sufficient decrease. A step along d lowers ||e||_A^2 by (d.r)^2 / d.Ad. With D the diagonal and A <= 2 D (diagonal dominance), Jacobi's direction
  D^-1 r lowers it by at least (r.D^-1 r) / 2, and by nature of e, r.D^-1 r >= lambda_min(D^-1 A) ||e||_A^2. A direction that does not
  reach DECREASE * r.D^-1 r, or has no positive finite curvature, is not taken: Jacobi's is. So every iteration contracts the
  error by 1 - DECREASE * lambda_min at least, whatever the preconditioner does.
* After PATIENCE failures in a row, MOST_FAILURES in all, or STALL iterations without halving the residual, Jacobi-preconditioned CG takes over
  for good: it has CG's convergence theory, which steepest descent has not.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from ..problem.grid import Array
from ..problem.vectors import axpy, dot
from .cg import MOST_FAILURES, PATIENCE, Preconditioner, conjugate_gradients, jacobi
from .stopping import INDEFINITE, Iterate

WINDOW = 32  # the paper keeps 2; beside an evaluation of its network 30 more vectors cost little, and save many an iteration (README has the ablation)
DECREASE = 0.05
STALL = 30


class Step(NamedTuple):
    """A direction d, its product A d, and d.Ad."""

    direction: Array
    product: Array
    curvature: float


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
