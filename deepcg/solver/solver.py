"""`deepcg.Solver`: a problem, a preconditioner and a Krylov iteration put together."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..krylov.iteration import solve as iterate
from ..krylov.report import SolveInfo
from ..native.constants import CG, CHECK_EVERY, COMPILED, FCG, FLEXIBLE_CG, JACOBI_CG, WINDOW
from ..native.device import check_device
from ..native.device_array import on_gpu
from ..preconditioners.base import Preconditioner, capability
from ..preconditioners.registry import build
from ..problem.grid import Array
from ..problem.poisson import Poisson
from ..problem.vectors import largest, norm2
from .gpu import DeviceSolve, refuse

METHODS = ("auto", "cg", "dcd")
MODERATE = 1e-100, 1e100  # magnitudes whose squares neither over- nor underflow


class InconsistentError(ValueError):
    """b has a part outside the range of a singular operator."""


class Solver:
    """A problem with its set-up kept: solve for many right-hand sides, update for changed cells or coefficients.

    Threads may share one; its solves and updates then take turns.

    Parameters
    ----------
    problem : Poisson, or whatever `deepcg.solve` takes as A
    model : str, path or preconditioner object
        "auto": the shipped multilevel network. A name that `deepcg info` lists, such as "multigrid", "jacobi" or "none". A model file.
        A SciPy LinearOperator, matrix or function over the unknowns. An object as `deepcg.preconditioners.base.Preconditioner` describes it.
    method : "auto", "cg" or "dcd"
        "auto" takes "cg" for linear SPD preconditioners and conjugate directions ("dcd") for others.
    device : "auto", "cpu" or "cuda"
        Where a network is evaluated; the iteration itself is in float64 on the CPU.
    window : int or None
        Of "dcd": how many earlier directions each new one is made A-orthogonal to (None: all; the paper: 2). Costs 16 bytes
        per cell each, as far as the iteration gets.
    rtol, atol : float
        Converged means ||b - A x||_2 <= max(rtol ||b||_2, atol), on the true residual.
    maxiter : int or None
        None: ten times the number of unknowns, as SciPy has it.
    inconsistent : "project" or "error"
        What happens to a b with a part outside the range of a singular operator.
    grid, coordinates :
        Of a SciPy matrix, see `deepcg.solve`.
    """

    def __init__(
        self,
        problem,
        *,
        model: Any = "auto",
        method: str = "auto",
        device: str = "auto",
        window: int | None = WINDOW,
        rtol: float = 1e-6,
        atol: float = 0.0,
        maxiter: int | None = None,
        inconsistent: str = "project",
        grid=None,
        coordinates=None,
    ):
        started = time.perf_counter()
        self._turn = threading.RLock()  # the preconditioner's work space serves one solve at a time
        check_tolerances(rtol, atol, maxiter, inconsistent, window)
        if method not in METHODS:
            raise ValueError(f"method: {method!r} given; one of {METHODS} is needed")
        check_device(device)
        self.problem = as_problem(problem, grid, coordinates)
        self.rtol, self.atol, self.maxiter, self.inconsistent = rtol, atol, maxiter, inconsistent
        self.window = window
        self.preconditioner = build(self.problem, model, device)
        self.method = choose_method(method, self.preconditioner)
        self._operator = _Operator(self.problem)
        self.setup_seconds = time.perf_counter() - started

    def update(self, problem=None, *, cells=None, coefficient=None, shift=None) -> None:
        """Serve changed cells, coefficients or shift, or a whole new problem of the same dimension.

        Parameters
        ----------
        problem : Poisson, or None
            None: the present grid with the parts given by keyword replaced.
        """
        started = time.perf_counter()
        if problem is None:
            problem = self.problem.updated(cells=cells, coefficient=coefficient, shift=shift)
        elif cells is not None or coefficient is not None or shift is not None:
            raise ValueError("update: give a problem, or its changed parts, not both")
        problem = as_problem(problem)
        with self._turn:
            self.preconditioner.update(problem)
            self.problem, self._operator = problem, _Operator(problem)
        self.setup_seconds = time.perf_counter() - started

    def solve(
        self, b: ArrayLike, x0: ArrayLike | None = None, callback: Callable | None = None
    ) -> tuple[Array, SolveInfo]:
        """Solve A x = b; see `deepcg.solve`."""
        with self._turn:
            return self._solve_on_gpu(b, x0, callback) if on_gpu(b) else self._solve(b, x0, callback)

    def _solve(self, b: ArrayLike, x0: ArrayLike | None, callback: Callable | None) -> tuple[Array, SolveInfo]:
        started = time.perf_counter()
        layout = self.problem.layout
        rhs, seen = layout.borrowed_rhs(b)
        x = np.zeros_like(rhs) if x0 is None else layout.guess(x0)
        size = seen.largest if x0 is None else max(seen.largest, self._operator.norm_bound * largest(x))
        if size and not MODERATE[0] <= size <= MODERATE[1]:
            return self._solve_scaled(2.0 ** min(-math.frexp(size)[1], 1000), b, x0, callback)
        rhs, norm, projected = self._projected(rhs, seen.norm)
        self._operator.project(x)
        target = max(self.rtol * layout.reference_norm(b, rhs, norm), self.atol)
        maxiter = 10 * self.problem.size if self.maxiter is None else self.maxiter
        report = None if callback is None else lambda now: callback(np.array(layout.solution(now, b)))
        own = None if callback is not None else self._own_iteration()
        outcome = iterate(
            self._operator, rhs, x, self._chain(own), target=target, maxiter=maxiter, preconditioner=self.preconditioner, own=own,
            window=self.window, callback=report, from_zero=x0 is None,
        )  # fmt: skip
        self._operator.project(x)
        info = SolveInfo.of(
            outcome,
            setup_seconds=self.setup_seconds,
            solve_seconds=time.perf_counter() - started,
            model=self.preconditioner.name,
            method=self.method,
            projected=projected,
        )
        return layout.solution(x, b), info

    def _own_iteration(self) -> Callable | None:
        """The method as the preconditioner itself has it, where it has."""
        if self.method == "cg":
            return capability(self.preconditioner, "native_cg")
        directions = capability(self.preconditioner, "native_directions")
        if directions is None:
            return None
        window = CHECK_EVERY if self.window is None else self.window
        return lambda x, r, target, maxiter: directions(x, r, target, maxiter, window)

    def _chain(self, own: Callable | None) -> tuple[int, ...]:
        """The iterations, each of which takes over where the one before it gives up."""
        if own is not None:
            return COMPILED, JACOBI_CG
        if self.method == "dcd":
            return FCG, JACOBI_CG
        certain = self.preconditioner.spd and capability(self.preconditioner, "trusted")
        return CG if certain else FLEXIBLE_CG, JACOBI_CG

    def _solve_on_gpu(self, b: Any, x0: Any, callback: Callable | None) -> tuple[Any, SolveInfo]:
        """The same for a b that lives on a GPU, without moving it; x is made there."""
        started = time.perf_counter()
        cycle = refuse(self.preconditioner, callback)
        given = DeviceSolve(self.problem, cycle, b, x0)
        if given.projected:
            self._refuse_inconsistent(given.projected, given.norm)
        target = max(self.rtol * given.norm, self.atol)
        outcome = given.run(self._operator, target, 10 * self.problem.size if self.maxiter is None else self.maxiter)
        info = SolveInfo.of(
            outcome,
            setup_seconds=self.setup_seconds,
            solve_seconds=time.perf_counter() - started,
            model=cycle.name,
            method="cg",
            projected=given.projected,
        )
        return given.x, info

    def _solve_scaled(self, scale: float, b: ArrayLike, x0: ArrayLike | None, callback: Callable | None):
        """Solve for `scale` (a power of two) times b, and scale back: for numbers whose squares have no floating point."""
        scaled = copy.copy(self)
        scaled.atol = self.atol * scale
        report = None if callback is None else lambda now: callback(now / scale)
        guess = None if x0 is None else np.asarray(x0) * scale
        x, info = scaled.solve(np.asarray(b) * scale, guess, report)
        info.residuals = [residual / scale for residual in info.residuals]
        info.projected /= scale
        return x / scale, info

    def _projected(self, rhs: Array, norm: float) -> tuple[Array, float, float]:
        """b on the range, its norm, and the norm of what was removed; what rounding leaves outside counts as nothing."""
        if not self.problem.singular:
            return rhs, norm, 0.0
        inside = rhs.copy()
        removed = self._operator.project(inside)
        if removed <= 1e-12 * norm:
            removed = 0.0
        else:
            self._refuse_inconsistent(removed, norm)
        return inside, norm2(inside), removed

    def _refuse_inconsistent(self, removed: float, norm: float) -> None:
        if self.inconsistent == "error":
            raise InconsistentError(
                f"b: {removed:.3e} of its norm {norm:.3e} lies outside the range of the operator, which is singular on "
                f"{self.problem.components.count} component(s) without an OPEN face; make b sum to zero there, or pass "
                "inconsistent='project'"
            )


class _Operator:
    """The problem as the iterations see it: flat vectors over all cells."""

    def __init__(self, problem: Poisson):
        self._stencil, self._components = problem.stencil, problem.components

    @property
    def inverse_diagonal(self) -> Array:
        return self._stencil.inverse_diagonal.reshape(-1)

    @property
    def norm_bound(self) -> float:
        return self._stencil.norm_bound

    def apply(self, x: Array, out: Array) -> Array:
        return self._stencil.apply(x, out)

    def residual(self, b: Array, x: Array, out: Array) -> float:
        norm = self._stencil.residual(b, x, out)
        if not self._components.count:
            return norm
        self._components.project(out)
        return norm2(out)

    def project(self, v: Array) -> float:
        return self._components.project(v)


def as_problem(A, grid=None, coordinates=None) -> Poisson:
    """A Poisson problem from what `deepcg.solve` takes as A."""
    if isinstance(A, Poisson):
        if grid is not None or coordinates is not None:
            raise ValueError("grid, coordinates: a Poisson problem has its own grid; give them with a matrix only")
        return A
    is_shape = isinstance(grid, (tuple, list)) and all(np.ndim(n) == 0 for n in grid)
    return Poisson.from_matrix(
        A, cells=None if is_shape else grid, shape=tuple(grid) if is_shape else None, coordinates=coordinates
    )


def choose_method(method: str, preconditioner: Preconditioner) -> str:
    """ "cg" for linear SPD preconditioners, else "dcd"; refuses "cg" where its theory does not hold."""
    if method == "auto":
        return "cg" if preconditioner.linear and preconditioner.spd else "dcd"
    if method == "cg" and not preconditioner.linear:
        raise ValueError(
            f"method: 'cg' needs a linear preconditioner and {preconditioner.name} is not; use 'dcd' or 'auto'"
        )
    return method


def check_tolerances(rtol: Any, atol: Any, maxiter: Any, inconsistent: str, window: Any) -> None:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: {value!r} given; a finite number >= 0 is needed")
    for name, value in (("maxiter", maxiter), ("window", window)):
        if value is not None and not (isinstance(value, (int, np.integer)) and value >= 0):
            raise ValueError(f"{name}: {value!r} given; None or an integer >= 0 is needed")
    if inconsistent not in ("project", "error"):
        raise ValueError(f"inconsistent: {inconsistent!r} given; 'project' or 'error' is needed")
