"""The methods that are compared, every one driven by deepcg's own CG: one b, one x0, one stopping rule, on the true residual.

A peer is a set-up: it takes the problem and gives what `deepcg.Solver` takes as `model=`. Its matrix is assembled inside the
set-up it needs it for, and that time is counted: a matrix-free method does not pay for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import deepcg
from benchmarks.record import true_residual


def cg(problem: deepcg.Poisson) -> Any:
    """Plain conjugate gradients."""
    return "none"


def jacobi(problem: deepcg.Poisson) -> Any:
    """CG with the diagonal."""
    return "jacobi"


def incomplete_cholesky(problem: deepcg.Poisson) -> Any:
    """CG with IC(0), by ilupp."""
    import ilupp

    A = _regular(problem)
    factor = ilupp.IChol0Preconditioner(A)
    return spla.LinearOperator(A.shape, matvec=factor.dot, dtype=float)


def smoothed_aggregation(problem: deepcg.Poisson) -> Any:
    """CG with PyAMG's smoothed aggregation, symmetric Gauss-Seidel, V-cycle (its defaults)."""
    import pyamg

    hierarchy = pyamg.smoothed_aggregation_solver(_csr(problem))
    return hierarchy.aspreconditioner(cycle="V")


def ruge_stuben(problem: deepcg.Poisson) -> Any:
    """CG with PyAMG's classical (Ruge-Stuben) multigrid, V-cycle (its defaults)."""
    import pyamg

    hierarchy = pyamg.ruge_stuben_solver(_csr(problem))
    return hierarchy.aspreconditioner(cycle="V")


def dcdm(problem: deepcg.Poisson) -> Any:
    """The paper's network with conjugate directions, window 2."""
    return "dcdm"


def multigrid(problem: deepcg.Poisson) -> Any:
    """CG with the multilevel network's kernels and classical weights."""
    return "multigrid"


def multilevel(problem: deepcg.Poisson) -> Any:
    """CG with the shipped multilevel network."""
    return "multilevel"


PEERS: dict[str, Callable[[deepcg.Poisson], Any]] = {
    "CG": cg,
    "Jacobi-PCG": jacobi,
    "IC(0)-PCG": incomplete_cholesky,
    "PyAMG SA-PCG": smoothed_aggregation,
    "PyAMG RS-PCG": ruge_stuben,
    "DCDM network": dcdm,
    "multigrid": multigrid,
    "multilevel network": multilevel,
}


def _csr(problem: deepcg.Poisson) -> sp.csr_matrix:
    return sp.csr_matrix(problem.matrix())


def _regular(problem: deepcg.Poisson) -> sp.csr_matrix:
    """The matrix, with a tiny shift where it is singular: incomplete factors need positive pivots."""
    A = _csr(problem)
    return A + 1e-10 * problem.stencil.norm_bound * sp.identity(A.shape[0], format="csr") if problem.singular else A


def solve_with(name: str, problem: deepcg.Poisson, b: np.ndarray, rtol: float, **options) -> tuple[np.ndarray, dict]:
    """Set up and solve with one peer.

    Returns
    -------
    x, figures : figures hold set-up and solve seconds, iterations, residual history, recomputed true residual
    """
    started = time.perf_counter()
    solver = deepcg.Solver(problem, model=PEERS[name](problem), rtol=rtol, **options)
    setup = time.perf_counter() - started
    x, info = solver.solve(b)
    return x, {
        "method": name,
        "setup_seconds": setup,
        "solve_seconds": info.solve_seconds,
        "iterations": info.iterations,
        "fallbacks": info.fallbacks,
        "reason": info.reason,
        "converged": int(info) == 0,
        "true_residual": true_residual(problem, x, b),
        "residuals": [float(f"{r:.4g}") for r in info.residuals],
    }
