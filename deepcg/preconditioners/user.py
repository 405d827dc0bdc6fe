"""The user's own preconditioner: an operator, a matrix or a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.linalg as spla

from ..problem.grid import Array
from ..problem.poisson import Poisson


class UserOperator:
    """A LinearOperator, sparse matrix or function over the user's unknowns, such as PyAMG's `aspreconditioner()`."""

    trusted = False  # believed to be SPD, as in SciPy, but not to the point of standing still if it is not

    def __init__(self, problem: Poisson, operator: Any):
        self._operator = (
            spla.aslinearoperator(operator) if not callable(operator) or hasattr(operator, "matvec") else None
        )
        self._function: Callable = self._operator.matvec if self._operator is not None else operator
        self.name = getattr(operator, "name", type(operator).__name__)
        self.linear = bool(getattr(operator, "linear", True))
        self.spd = bool(getattr(operator, "spd", True))
        self.update(problem)

    def update(self, problem: Poisson) -> None:
        self._problem = problem
        n = problem.layout.size
        if self._operator is not None and self._operator.shape != (n, n):
            raise ValueError(f"model: an operator of shape {self._operator.shape} given; ({n}, {n}) is needed")

    def __call__(self, r: Array) -> Array:
        residual = self._problem.layout.residual(r)
        z = np.asarray(self._function(residual))
        if z.shape != residual.shape:
            raise ValueError(f"model: {self.name} answered with shape {z.shape} where {residual.shape} is needed")
        if not np.isfinite(z).all():  # no direction: the iteration takes its own
            return np.zeros_like(r)
        return self._problem.layout.guess(z) * self._problem.layout.sign  # M approximates A^-1 as the user knows A
