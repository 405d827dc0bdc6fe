"""Algebraic multigrid by a package that is installed: AMGCL (pyamgcl), else PyAMG."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from ..problem.grid import Array
from ..problem.poisson import Poisson

REGULAR = 1e-10
"""Of its diagonal that a singular matrix gets added: factors need positive pivots, and no eigenvalue of the preconditioned matrix feels it."""


class AlgebraicMultigrid:
    """One V-cycle of classical (Ruge-Stuben) algebraic multigrid on the matrix: linear, symmetric, positive definite.

    Its set-up takes as long as some hundred iterations of a geometric cycle. Contrasts of coefficients cost it few iterations.

    Raises
    ------
    ImportError
        Neither package is installed.
    """

    linear, spd = True, True
    trusted = False  # to rounding, and as the package has it
    fallback = "multigrid"

    def __init__(self, problem: Poisson):
        self._package = installed()
        if not self._package:
            raise ImportError(f"model: {MISSING}")
        self.name = named()
        self.update(problem)

    def update(self, problem: Poisson) -> None:
        self._fluid = problem.stencil.fluid.reshape(-1)
        A = problem.stencil.matrix()
        if problem.singular:
            diagonal = A.diagonal()
            A = A + sp.diags_array(REGULAR * np.where(diagonal > 0.0, diagonal, 1.0))
        self._cycle = PACKAGES[self._package](sp.csr_matrix(A))

    def __call__(self, r: Array) -> Array:
        z = np.zeros_like(r)
        z[self._fluid] = self._cycle(r[self._fluid])
        return z


def _amgcl(A: sp.csr_matrix) -> Callable[[Array], Array]:
    import pyamgcl

    return pyamgcl.amg(A, {"coarsening.type": "ruge_stuben", "relax.type": "gauss_seidel"})


def _pyamg(A: sp.csr_matrix) -> Callable[[Array], Array]:
    import pyamg

    return pyamg.ruge_stuben_solver(A).aspreconditioner(cycle="V").matvec


PACKAGES = {"AMGCL": _amgcl, "PyAMG": _pyamg}
MODULES = {"AMGCL": "pyamgcl", "PyAMG": "pyamg"}
MISSING = "algebraic multigrid needs PyAMG or AMGCL: pip install 'deepcg[amg]'"


def installed() -> str:
    """The package that is taken; empty where there is none."""
    return next((name for name, module in MODULES.items() if importlib.util.find_spec(module)), "")


def named() -> str:
    """What reports call it; empty where there is none."""
    package = installed()
    return f"amg ({package})" if package else ""
