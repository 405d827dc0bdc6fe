"""SciPy's conjugate gradients, with the preconditioners that people put into it. SciPy and PyAMG are serial, whatever the cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from benchmarks.workers.methods import Loaded, MatrixMethod, version


class CG(MatrixMethod):
    """Plain conjugate gradients."""

    version = version("scipy")

    def __init__(self) -> None:
        self._preconditioner: spla.LinearOperator | None = None

    def set_up(self, system: Loaded) -> None:
        self._preconditioner = self.preconditioner(system)

    def adopt(self, system: Loaded) -> None:
        """SciPy takes any operator: the one of an earlier matrix too."""

    def drop(self) -> None:
        self._preconditioner = None

    def preconditioner(self, system: Loaded) -> Any:
        return None

    def iterate(self, system, r, rtol, maxiter, history):
        return conjugate_gradients(system.A, r, self._preconditioner, rtol, maxiter, history)


def conjugate_gradients(A: Any, r: np.ndarray, M: Any, rtol: float, maxiter: int, history: list[float] | None):
    """`scipy.sparse.linalg.cg` with its iterations counted; residuals cost a product each and are evaluated on request only."""
    count, norm = 0, float(np.linalg.norm(r))

    def watch(x: np.ndarray) -> None:
        nonlocal count
        count += 1
        if history is not None:
            history.append(float(np.linalg.norm(r - A @ x)) / norm)

    e, _ = spla.cg(A, r, rtol=rtol, atol=0.0, maxiter=maxiter, M=M, callback=watch)
    return e, count


class Jacobi(CG):
    """The diagonal."""

    def preconditioner(self, system):
        return sp.diags(1.0 / system.A.diagonal())


class IncompleteCholesky(CG):
    """IC(0), by ilupp."""

    version = CG.version

    def preconditioner(self, system):
        import ilupp

        factor = ilupp.IChol0Preconditioner(system.regular)
        self.version = version("ilupp", "scipy")
        return spla.LinearOperator(system.A.shape, matvec=factor.dot, dtype=float)


class SmoothedAggregation(CG):
    """PyAMG's smoothed aggregation, V-cycle.

    Parameters
    ----------
    settings : of `pyamg.smoothed_aggregation_solver`
    """

    def __init__(self, **settings: Any):
        super().__init__()
        self._settings = {key: _pairs(value) for key, value in settings.items()}

    def preconditioner(self, system):
        import pyamg

        self.version = version("pyamg", "scipy")
        return self.hierarchy(pyamg, system.A).aspreconditioner(cycle="V")

    def hierarchy(self, pyamg: Any, A: sp.csr_matrix) -> Any:
        return pyamg.smoothed_aggregation_solver(A, **self._settings)


class RugeStuben(SmoothedAggregation):
    """PyAMG's classical multigrid, V-cycle; settings of `pyamg.ruge_stuben_solver`."""

    def hierarchy(self, pyamg, A):
        return pyamg.ruge_stuben_solver(A, **self._settings)


def _pairs(value: Any) -> Any:
    """PyAMG tells a method's options by a tuple (name, options); JSON has lists."""
    return tuple(value) if isinstance(value, list) else value


class Deflated(IncompleteCholesky):
    """Deflated conjugate gradients: subdomains' constants are projected out, IC(0) sees the rest.

    With Z the indicator vectors of blocks of `block` cells along each axis, E = Z^T A Z and P = I - A Z E^-1 Z^T, CG solves
    P A y = P r; then e = Z E^-1 Z^T r + P^T y, whose residual is that of y.

    References
    ----------
    Nicolaides, "Deflation of conjugate gradients with applications to boundary value problems", SIAM J. Numer. Anal. 24 (1987).
    Frank and Vuik, "On the construction of deflation-based preconditioners", SIAM J. Sci. Comput. 23 (2001).
    Saad, Yeung, Erhel, Guyomarc'h, "A deflated version of the conjugate gradient algorithm", SIAM J. Sci. Comput. 21 (2000).
    """

    adopting_sets_up = True

    def __init__(self, block: int = 8, incomplete_cholesky: bool = True):
        super().__init__()
        self._block, self._ic = block, incomplete_cholesky
        self._coarse: Callable[[np.ndarray], np.ndarray] | None = None

    def set_up(self, system):
        self._preconditioner = self.preconditioner(system) if self._ic else Jacobi.preconditioner(self, system)
        index = np.unravel_index(system.places, system.shape)
        blocks = [(n + self._block - 1) // self._block for n in system.shape]
        _, number = np.unique(np.ravel_multi_index([i // self._block for i in index], blocks), return_inverse=True)
        n = system.rhs.size
        Z = sp.csr_matrix((np.ones(n), (np.arange(n), number)))
        self._Z, self._AZ = Z, sp.csr_matrix(system.A @ Z)
        E = sp.csc_matrix(Z.T @ self._AZ)
        if system.null_space is not None:  # pin one block of each singular component: E's equations stay consistent
            pinned = [number[np.flatnonzero(system.null_space == k)[0]] for k in range(1, system.null_space.max() + 1)]
            E = E + sp.csc_matrix((E.diagonal()[pinned], (pinned, pinned)), shape=E.shape)
        self._coarse = spla.splu(sp.csc_matrix(E)).solve

    def drop(self):
        super().drop()
        self._coarse = None

    def adopt(self, system):
        """The subdomains' matrix belongs to its A: it is made anew with everything else."""
        self.drop()
        self.set_up(system)

    def iterate(self, system, r, rtol, maxiter, history):
        A, Z, AZ, coarse = system.A, self._Z, self._AZ, self._coarse

        def project(v: np.ndarray) -> np.ndarray:
            return v - AZ @ coarse(Z.T @ v)

        operator = spla.LinearOperator(A.shape, matvec=lambda v: project(A @ v), dtype=float)
        start = project(r)
        share = float(np.linalg.norm(start) / np.linalg.norm(r))  # what rtol refers to is ||r||
        if share <= rtol:
            return Z @ coarse(Z.T @ r), 0
        part: list[float] | None = None if history is None else []
        y, count = conjugate_gradients(operator, start, self._preconditioner, rtol / share, maxiter, part)
        if history is not None and part is not None:
            history.extend(value * share for value in part)
        return Z @ coarse(Z.T @ r) + y - Z @ coarse(AZ.T @ y), count


KINDS = {
    "cg": CG,
    "jacobi": Jacobi,
    "ic": IncompleteCholesky,
    "sa": SmoothedAggregation,
    "rs": RugeStuben,
    "deflated": Deflated,
}
