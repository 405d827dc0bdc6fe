"""What a preconditioner is: the protocol, and any of them as an operator of SciPy's.

Each maps a residual over all cells (flat float64, 0 outside FLUID) to a direction laid out alike, and says whether it
is linear and symmetric positive definite: that decides which iteration may use it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse.linalg as spla

from ..problem.grid import Array
from ..problem.poisson import Poisson


class Preconditioner(Protocol):
    """What `deepcg.solve` takes as `model=` besides names and paths."""

    name: str
    linear: bool
    spd: bool

    def __call__(self, r: Array) -> Array:
        """A new array with the direction for r; both flat over all cells."""

    def update(self, problem: Poisson) -> None:
        """Serve another problem of the same shape."""


class PreconditionerOperator(spla.LinearOperator):
    """A preconditioner as a SciPy LinearOperator over the user's unknowns.

    Attributes
    ----------
    linear, spd : bool
        What the method it is given to may rely on; SciPy's `cg` needs both.
    """

    def __init__(self, problem: Poisson, preconditioner: Preconditioner):
        n = problem.layout.size
        super().__init__(np.dtype(float), (n, n))
        self._layout, self._preconditioner = problem.layout, preconditioner
        self.name, self.linear, self.spd = preconditioner.name, preconditioner.linear, preconditioner.spd

    def _matvec(self, r):
        r = np.asarray(r, dtype=float).reshape(-1)
        # as for a right-hand side: sign and eliminated rows are then those of A's own inverse
        return self._layout.solution(self._preconditioner(self._layout.rhs(r)), r)
