"""Preconditioners of one line: none, and the diagonal."""

from __future__ import annotations

from ..problem.grid import Array
from ..problem.poisson import Poisson


class Identity:
    """z = r: plain conjugate gradients."""

    name, linear, spd = "none", True, True
    fallback = "jacobi"  # whoever asks for plain conjugate gradients gets them

    def __init__(self, problem: Poisson):
        pass

    def __call__(self, r: Array) -> Array:
        return r.copy()

    def update(self, problem: Poisson) -> None:
        pass


class Jacobi:
    """z = D^-1 r."""

    name, linear, spd = "jacobi", True, True
    fallback = "jacobi"

    def __init__(self, problem: Poisson):
        self.update(problem)

    def __call__(self, r: Array) -> Array:
        return self._inverse_diagonal * r

    def update(self, problem: Poisson) -> None:
        self._inverse_diagonal = problem.stencil.inverse_diagonal.reshape(-1)
