"""AMGCL by pyamgcl, inside AMGCL's own conjugate gradients, on OpenMP threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyamgcl
import scipy.sparse.linalg as spla

from benchmarks.workers.methods import Loaded, MatrixMethod, version
from benchmarks.workers.scipy_methods import conjugate_gradients


class AMGCL(MatrixMethod):
    """Settings are AMGCL's own by their dotted names."""

    version = version("pyamgcl")

    def __init__(self, **settings: Any):
        self._settings = settings
        self._amg: Any = None

    def set_up(self, system: Loaded) -> None:
        self._amg = pyamgcl.amg(system.regular, self._settings)  # its coarsest level is factorised

    def adopt(self, system: Loaded) -> None:
        """Its CG takes another matrix with the hierarchy that is there."""

    def drop(self) -> None:
        self._amg = None

    def iterate(self, system, r, rtol, maxiter, history):
        if (
            history is not None
        ):  # AMGCL tells no history: the same cycle inside SciPy's CG, in the run that is not timed
            cycle = spla.LinearOperator(system.A.shape, matvec=self._amg, dtype=float)
            conjugate_gradients(system.A, r, cycle, rtol, maxiter, history)
        scale = float(np.linalg.norm(r))  # AMGCL takes a right-hand side of small norm for zero
        solver = pyamgcl.solver(self._amg, {"type": "cg", "tol": rtol, "maxiter": maxiter})
        return scale * solver(system.A, r / scale), int(solver.iters)


KINDS = {"amg": AMGCL}
