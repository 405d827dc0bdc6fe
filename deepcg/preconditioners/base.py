"""The protocol of preconditioners: maps from residuals to directions that declare their properties; and any as an operator of SciPy's."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.sparse.linalg as spla

from ..problem.grid import Array
from ..problem.poisson import Poisson


class Preconditioner(Protocol):
    """M in z = M r. An object that `deepcg.solve` takes as `model=` has these members.

    Attributes
    ----------
    name : str
        What reports call it.
    linear, spd : bool
        Whether M is linear, and symmetric positive definite. Both: conjugate gradients by default; else flexible ones.

    Notes
    -----
    `problem.stencil` is A: `apply(x, out)` for vectors as below, `diagonal` and `inverse_diagonal` in the cells' shape, `norm_bound`, and
    `matrix()`, CSR over the FLUID cells. It stands for the positive (semi-)definite one of A and -A.

    More may be declared, and is what `OPTIONAL` says where it is not. Solvers ask by `capability`:

    trusted : bool
        Whether `spd` holds by construction. Where it does not, beta of conjugate gradients is the flexible one.
    native_cg : (x, r, target, maxiter) -> deepcg.multigrid.cycle.Run, or None
        Preconditioned conjugate gradients that M brings along, compiled around itself.
    native_directions : (x, r, target, maxiter, window) -> deepcg.multigrid.cycle.Run, or None
        Truncated flexible conjugate gradients, likewise.
    fallback : "auto", "multigrid", "amg" or "jacobi"
        What the solver's "auto" means for M, see `deepcg.Solver`: what is left to try where M fails.
    device : "cpu" or "cuda"
        Where M works. "cuda": it also takes vectors that live on the GPU.
    description : dict
        Of the model file that M was read from.
    """

    name: str
    linear: bool
    spd: bool

    def __call__(self, r: Array) -> Array:
        """A new array with the direction for r; both flat float64 over all cells, 0 outside FLUID."""

    def update(self, problem: Poisson) -> None:
        """Serve another problem of the same shape."""


OPTIONAL: dict[str, Any] = {
    "trusted": True,
    "native_cg": None,
    "native_directions": None,
    "fallback": "auto",
    "device": "cpu",
    "description": {},
}


def capability(preconditioner: Any, name: str) -> Any:
    """The value that a preconditioner, or its class, declares under a name of `OPTIONAL`."""
    return getattr(preconditioner, name, OPTIONAL[name])


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
        self._problem, self._preconditioner = problem, preconditioner
        self.name, self.linear, self.spd = preconditioner.name, preconditioner.linear, preconditioner.spd

    def _matvec(self, r):
        r = np.asarray(r, dtype=float).reshape(-1)
        # as for a right-hand side: sign and eliminated rows are then those of A's own inverse
        layout = self._problem.layout
        return layout.solution(self._preconditioner(layout.rhs(r)), r)
