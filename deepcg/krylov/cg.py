"""Preconditioned conjugate gradients, with their guards.

`conjugate_gradients`: Hestenes and Stiefel 1952; preconditioned as in Saad 2003, algorithm 9.1. It minimises the A-norm of the error along one
direction an iteration, with one product A d each. For a preconditioner that is linear and SPD only up to rounding, beta is that of Polak and
Ribiere (Golub and Ye 1999: flexible CG).

What makes the answer safe:

* The true residual decides convergence, and replaces the recurrence now and then (`deepcg.krylov.stopping`).
* CG, whose preconditioner is said to be SPD, checks only what that implies: the angle between r and z = M r has a cosine of at least
  2 sqrt(k) / (1 + k), k the condition number of M (Wielandt). One below ALIGNMENT is rounding: Jacobi's direction is taken. And d.r must be
  r.z: a d that is further off has lost its conjugacy (M is not what it was said to be) and makes way for z. The step is exact on d either way.
* A preconditioner whose iteration runs compiled (`compiled`) is checked at the end of every run by the true residual.
* After PATIENCE directions refused, or MOST_FAILURES losses of conjugacy, Jacobi's direction is taken for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from ..problem.grid import Array
from ..problem.vectors import dot, norm2
from .stopping import CHECK_EVERY, INDEFINITE, Iterate, Operator

ALIGNMENT = 1e-12
PATIENCE = 3
MOST_FAILURES = 10
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
