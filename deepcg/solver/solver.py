"""`deepcg.Solver`: a problem, a preconditioner and a Krylov iteration put together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..krylov.iteration import Outcome
from ..krylov.report import SolveInfo, SolveInfos
from ..native import library as native
from ..native.callbacks import Callbacks, tell_run, vector
from ..native.constants import CHECK_EVERY, WINDOW
from ..native.device import check_device
from ..native.device_array import on_gpu
from ..native.library import InconsistentError
from ..native.session import Observer, Session
from ..native.session import Preconditioner as Served
from ..preconditioners.base import Preconditioner, capability
from ..preconditioners.registry import build
from ..problem.from_matrix.hints import describe_shape
from ..problem.grid import Array
from ..problem.poisson import Poisson
from ..problem.vector_layout import check_vector
from .fallback import Fallbacks, check_fallback
from .gpu import DeviceSolve, refuse

__all__ = ["InconsistentError", "Solver", "as_problem", "choose_method"]
METHODS = ("auto", "cg", "dcd")


class Solver:
    """A problem with its set-up kept: solve for many right-hand sides, update for changed cells or coefficients.

    Threads may share one; its solves and updates then take turns. Copies and pickles do their set-up anew: on the machine where they are.

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
    fallback : "auto", "multigrid", "amg", "jacobi" or "none"
        What goes on, from the best x so far, where the model breaks down, stalls, or would take hundreds of iterations more. "auto": the classical
        cycle "multigrid", where the model is another one; then algebraic multigrid ("amg"), where PyAMG or AMGCL is installed; then conjugate
        gradients with Jacobi. A single name: that, then Jacobi. "none": the solve ends there. The models "jacobi" and "none" have no other
        fallback unless one is named. What is needed is set up when it is needed; `info.steps` tells who did how much.
    grid, coordinates, rounding :
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
        fallback: str = "auto",
        grid=None,
        coordinates=None,
        rounding: float | None = None,
    ):
        started = time.perf_counter()
        self._turn = threading.RLock()  # the preconditioner's work space serves one solve at a time
        check_tolerances(rtol, atol, maxiter, inconsistent, window)
        if method not in METHODS:
            raise ValueError(f"method: {method!r} given; one of {METHODS} is needed")
        check_device(device)
        check_fallback(fallback)
        self.problem = as_problem(problem, grid, coordinates, rounding)
        self.rtol, self.atol, self.maxiter, self.inconsistent = rtol, atol, maxiter, inconsistent
        self.window = window
        self._asked = {"model": model, "method": method, "device": device, "fallback": fallback}
        self.preconditioner = build(self.problem, model, device)
        self.method = choose_method(method, self.preconditioner)
        self._fallbacks = Fallbacks(fallback, self.problem, self.preconditioner)
        self._session: Session | None = share(self.problem)  # None: a solve has it
        self.setup_seconds = time.perf_counter() - started

    def __getstate__(self) -> dict:
        names = ("problem", "window", "rtol", "atol", "maxiter", "inconsistent")
        return {**{name: getattr(self, name) for name in names}, **self._asked}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def update(self, problem=None, *, cells=None, coefficient=None, shift=None) -> None:
        """Serve changed cells, coefficients or shift, or a whole new problem of the same dimension.

        Parameters
        ----------
        problem : Poisson, SciPy sparse matrix, or None
            A matrix, where the present problem was read from one: its rows lie where the present one's lie; its entries may be others, at other
            places. None: the present grid with the parts given by keyword replaced.
        """
        started = time.perf_counter()
        if problem is None:
            problem = self.problem.updated(cells=cells, coefficient=coefficient, shift=shift)
        elif cells is not None or coefficient is not None or shift is not None:
            raise ValueError("update: give a problem, or its changed parts, not both")
        if sp.issparse(problem) and self.problem.places is not None:
            problem = self.problem.reread(problem, self.problem.places.rounding)
        problem = as_problem(problem)
        with self._turn:
            self.preconditioner.update(problem)
            self.problem = problem
            self._fallbacks = Fallbacks(self._asked["fallback"], problem, self.preconditioner)
            self._session = share(problem)  # a solve whose callback this is keeps the one it has
        self.setup_seconds = time.perf_counter() - started

    def solve(self, b: ArrayLike, x0: ArrayLike | None = None, callback: Callable | None = None) -> tuple[Array, Any]:
        """Solve A x = b; see `deepcg.solve`. The report is a `SolveInfo`, or a `SolveInfos` for several right-hand sides."""
        with self._turn:
            if on_gpu(b):
                return self._solve_on_gpu(b, x0, callback)
            if self.problem.layout.count_columns(b) is not None:
                return self._solve_columns(b, x0, callback)
            session, self._session = (
                self._session or share(self.problem),
                None,
            )  # a callback's solve makes one of its own
            try:
                return self._solve(session, b, x0, callback)
            finally:
                self._session = self._session or session

    def _solve(
        self, session: Session, b: ArrayLike, x0: ArrayLike | None, callback: Callable | None
    ) -> tuple[Array, SolveInfo]:
        started = time.perf_counter()
        layout = self.problem.layout
        rhs = layout.rows(b, "b")
        x = np.zeros_like(rhs) if x0 is None else np.array(layout.rows(x0, "x0"))
        calls = Callbacks()
        served, observer, fallback = self._serve(calls, callback is None), None, self._fallbacks.serve(calls)
        if callback is not None:
            observer = Observer()
            calls.serve(observer, "observe", lambda iteration, norm, now, stop: (
                iteration and callback(np.array(layout.like(vector(now, x.size), b)))
            ))  # fmt: skip
        session.set(
            method=self.method,
            window="all" if self.window is None else min(self.window, 2**31 - 1),
            rtol=float(self.rtol),
            atol=float(self.atol),
            maxiter="default" if self.maxiter is None else min(self.maxiter, 2**62),
            inconsistent=self.inconsistent,
            fallback=self._fallbacks.option,
        )
        session.serve(served, observer, fallback)
        try:
            with calls.kept():
                result = session.solve(rhs, x)
        except native.ArgumentError as error:
            text = str(error)
            raise (ValueError(f"x0{text[1:]}") if text.startswith("x:") else error) from None
        info = SolveInfo.of(
            Outcome.of(result),
            setup_seconds=self.setup_seconds,
            solve_seconds=time.perf_counter() - started,
            model=self.preconditioner.name,
            method=self.method,
            projected=result.projected,
        )
        return layout.like(x, b), info

    def _solve_columns(self, b: ArrayLike, x0: Any, callback: Callable | None) -> tuple[Array, SolveInfos]:
        """The same for every column of b, one after the other."""
        layout, b = self.problem.layout, check_vector(b, "b")
        guesses = None if x0 is None else layout.count_columns(x0)
        if guesses not in (None, b.shape[-1]):
            raise ValueError(
                f"x0: shape {np.shape(x0)} given for b of shape {b.shape}; as many columns, or one guess for all, is needed"
            )
        x, infos = np.empty(b.shape), []
        for column in range(b.shape[-1]):
            guess = x0 if guesses is None else check_vector(x0, "x0")[..., column]
            try:
                x[..., column], info = self.solve(b[..., column], guess, callback)
            except ValueError as error:
                if not str(error).startswith("b:"):
                    raise
                raise type(error)(f"b, column {column}{str(error)[1:]}") from None
            infos.append(info)
        return x, SolveInfos.of(infos)

    def _serve(self, calls: Callbacks, compiled: bool) -> Served:
        """The preconditioner, and with it the iteration that it brings along, as functions that the session calls."""
        preconditioner, size = self.preconditioner, self.problem.cells.size
        held = np.empty(size)

        def apply(r, z):
            held[...] = vector(r, size)  # a copy: what keeps it must not see memory that goes
            answer = preconditioner(held)
            if np.shape(answer) != held.shape:
                raise ValueError(f"preconditioner: answered with shape {np.shape(answer)} where {held.shape} is needed")
            vector(z, size)[...] = answer

        made = Served(trusted=preconditioner.spd and capability(preconditioner, "trusted"))
        calls.serve(made, "apply", apply)
        own = capability(preconditioner, "native_cg" if self.method == "cg" else "native_directions")
        if own is not None and compiled:
            window = () if self.method == "cg" else (CHECK_EVERY if self.window is None else self.window,)

            def run(x, r, target, maxiter, *results):
                tell_run(own(vector(x, size), vector(r, size), target, maxiter, *window), maxiter, *results)

            calls.serve(made, "run", run)
        return made

    def _solve_on_gpu(self, b: Any, x0: Any, callback: Callable | None) -> tuple[Any, SolveInfo]:
        """The same for a b that lives on a GPU, without moving it; x is made there."""
        started = time.perf_counter()
        cycle = refuse(self.preconditioner, callback)
        given = DeviceSolve(self.problem, cycle, b, x0, self.inconsistent)
        maxiter = 10 * self.problem.size if self.maxiter is None else self.maxiter
        outcome = given.run(self.rtol, self.atol, maxiter, lambda calls: self._serve(calls, False), self._fallbacks)
        info = SolveInfo.of(
            outcome,
            setup_seconds=self.setup_seconds,
            solve_seconds=time.perf_counter() - started,
            model=cycle.name,
            method="cg",
            projected=given.projected,
        )
        return given.x, info


def share(problem: Poisson) -> Session:
    """A session of one's own that serves what the problem's has read."""
    made = Session()
    made.share(problem.layout.session)
    return made


def as_problem(A, grid=None, coordinates=None, rounding=None) -> Poisson:
    """A Poisson problem from what `deepcg.solve` takes as A."""
    if isinstance(A, Poisson):
        if grid is not None or coordinates is not None:
            raise ValueError("grid, coordinates: a Poisson problem has its own grid; give them with a matrix only")
        if rounding is not None:
            raise ValueError("rounding: a Poisson problem's coefficients are exact; give it with a matrix only")
        return A
    if grid is None and coordinates is None and sp.issparse(A):
        raise ValueError(
            "grid: not given; a matrix needs grid=(ny, nx) or (nz, ny, nx), grid=its cells, or coordinates= of the rows' cells"
            + describe_shape(A, None)
        )
    is_shape = grid is not None and np.ndim(grid) <= 1 and not isinstance(grid, (str, Poisson))
    shape = tuple(np.atleast_1d(grid).tolist()) if is_shape else None
    try:
        return Poisson.from_matrix(
            A, cells=None if is_shape else grid, shape=shape, coordinates=coordinates, rounding=rounding
        )
    except (ValueError, TypeError) as error:  # which know the argument as from_matrix has it
        argument, colon, text = str(error).partition(":")
        raise type(error)(f"grid{colon}{text}" if argument in ("cells", "shape") else str(error)) from None


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
