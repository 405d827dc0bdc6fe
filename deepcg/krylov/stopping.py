"""The iterate: x, its residual, and the stopping rule that every iteration obeys.

The true residual b - A x, in difference form, decides convergence; the recurrence only says when to look. It is recomputed every
`CHECK_EVERY` steps as well, and replaces the recurrence (van der Vorst and Ye 2000); where the two disagree the method is told to restart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..problem.grid import Array
from ..problem.vectors import axpy, norm2

CHECK_EVERY = 50
DISAGREEMENT = 0.1
ROUNDING = 10 * np.finfo(float).eps

CONVERGED = "converged"
ATTAINABLE = "attainable accuracy"
MAXITER = "maximum number of iterations"
INDEFINITE = "breakdown: a direction of non-positive curvature was met; the operator is not positive definite"


class Operator(Protocol):
    """What the iterations need of A; vectors are flat float64."""

    @property
    def inverse_diagonal(self) -> Array:
        """Flat, 0 where there is no unknown."""

    @property
    def norm_bound(self) -> float:
        """An upper bound of ||A||_2."""

    def apply(self, x: Array, out: Array) -> Array: ...

    def residual(self, b: Array, x: Array, out: Array) -> float:
        """out = b - A x, less its part in the null space; returns its 2-norm."""

    def project(self, v: Array) -> float:
        """Take the null space off v in place."""


@dataclass
class Iterate:
    """x, its residual and the stopping rule; made once a solve and shared by a method and its fallback."""

    operator: Operator
    b: Array
    x: Array
    target: float
    maxiter: int
    callback: Callable[[Array], None] | None = None
    from_zero: bool = False  # x is 0, so that b is its residual
    residuals: list[float] = field(default_factory=list)
    iterations: int = 0
    fallbacks: int = 0
    reason: str | None = None
    condition: float | None = None

    def __post_init__(self):
        self._last_true = np.inf
        self._unhalved = 0
        self.r = self.b.copy() if self.from_zero else np.empty_like(self.b)
        norm = norm2(self.r) if self.from_zero else self._true_residual(self.r)
        self.residuals.append(norm)
        if norm <= self.target:
            self.reason = CONVERGED
        elif self.maxiter <= 0:
            self.reason = MAXITER

    def advance(self, alpha: float, direction: Array, product: Array) -> bool:
        """x += alpha d, r -= alpha A d, then the stopping rule.

        Returns
        -------
        True where the recurrence had lost the true residual, and directions built on it should be forgotten.
        """
        axpy(alpha, direction, self.x)
        axpy(-alpha, product, self.r)
        self.iterations += 1
        norm = norm2(self.r)
        restart = False
        if norm <= self.target or self.iterations % CHECK_EVERY == 0:
            claimed = norm
            true = np.empty_like(self.r)
            norm = self._true_residual(true)
            np.subtract(true, self.r, out=self.r)
            restart = norm2(self.r) > DISAGREEMENT * norm
            self.r = true
            if norm <= self.target:
                self.reason = CONVERGED
            else:
                self._look_for_floor(norm, claimed)
        self.residuals.append(norm)
        if self.reason is None and self.iterations >= self.maxiter:
            self.reason = MAXITER
        if self.callback:
            self.callback(self.x)
        return restart

    def settle(self, residuals: list[float]) -> None:
        """Take over iterations that were done on x and r elsewhere, and apply the stopping rule to the true residual.

        Parameters
        ----------
        residuals : ||r||_2 after each of them, by recurrence
        """
        self.iterations += len(residuals)
        self.residuals += residuals
        claimed = self.residuals[-1]
        norm = self._true_residual(self.r)
        self.residuals[-1] = norm
        if norm <= self.target:
            self.reason = CONVERGED
        else:
            self._look_for_floor(norm, claimed)
        if self.reason is None and self.iterations >= self.maxiter:
            self.reason = MAXITER

    def _true_residual(self, out: Array) -> float:
        """Evaluate b - A x into `out`; its norm."""
        return self.operator.residual(self.b, self.x, out)

    def _look_for_floor(self, norm: float, claimed: float) -> None:
        """Stop where rounding forbids more: the true residual is small beside ||A|| ||x|| and no longer falls."""
        self._unhalved = self._unhalved + 1 if norm > 0.5 * self._last_true else 0
        self._last_true = min(norm, self._last_true)
        rounding = ROUNDING * self.operator.norm_bound * norm2(self.x)
        if norm <= rounding and (self._unhalved >= 1 or claimed < 0.1 * norm):
            self.reason = ATTAINABLE
