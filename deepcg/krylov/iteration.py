"""Solves by the kernels' Krylov iterations (`dcg_krylov`), around operators and preconditioners that are Python functions.

The iterations, their guards and the stopping rule are in `kernels/src/krylov`; so is the theory.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..native import library as native
from ..native.constants import CG_BREAKDOWN, CHAIN, WINDOW
from ..native.krylov import Options, Report, System
from ..problem.grid import Array

Preconditioner = Callable[[Array], Array]  # r -> z


class Operator(Protocol):
    """What the iterations need of A; vectors are flat float64."""

    @property
    def inverse_diagonal(self) -> Array:
        """Flat, 0 where there is no unknown."""

    @property
    def norm_bound(self) -> float:
        """An upper bound of ||A||_2."""

    def apply(self, x: Array, out: Array) -> Any:
        """out = A x"""

    def residual(self, b: Array, x: Array, out: Array) -> float:
        """out = b - A x, less its part in the null space; returns its 2-norm."""

    def project(self, v: Array) -> Any:
        """Take the null space off v in place."""


@dataclass(frozen=True)
class Outcome:
    """How a solve went, as `dcg_report` has it.

    Attributes
    ----------
    reason : int
        `enum dcg_reason`.
    iterations, fallbacks, restarts : int
    residuals : list of float
        The norm of the initial residual, then after each iteration.
    condition : float or None
        Of the preconditioned operator, by CG's coefficients.
    """

    reason: int
    iterations: int
    fallbacks: int
    restarts: int
    residuals: list[float]
    condition: float | None


def solve(
    operator: Operator,
    b: Array,
    x: Array,
    chain: Sequence[int],
    *,
    target: float,
    maxiter: int,
    preconditioner: Preconditioner | None = None,
    own: Callable[[Array, Array, float, int], Any] | None = None,
    window: int | None = WINDOW,
    callback: Callable[[Array], None] | None = None,
    from_zero: bool = False,
) -> Outcome:
    """Solve A x = b, in place of x.

    Parameters
    ----------
    operator : Operator
    b, x : flat float64, contiguous
    chain : of `enum dcg_method`
        Each takes over where the one before it gives up.
    target : converged means ||b - A x||_2 <= target
    maxiter : int
    preconditioner : r -> z, for all methods but COMPILED and JACOBI_CG
        An exception in it, as in `operator` and `callback`, ends the solve and is raised.
    own : (x, r, target, maxiter) -> deepcg.multigrid.cycle.Run, for COMPILED
    window : of FCG: earlier directions that each new one is made A-orthogonal to; None for all
    callback : called with x after every iteration
    from_zero : x is 0, so that b is its residual
    """
    native.check_vectors(b.size, b=b, x=x)
    size, calls, held = b.size, Callbacks(), np.empty_like(b)
    diagonal: list[Array] = []  # keeps its memory

    def precondition(r, z):
        assert preconditioner is not None
        held[...] = vector(r, size)  # a copy: what keeps it must not see memory that goes
        answer = preconditioner(held)
        if np.shape(answer) != held.shape:
            raise ValueError(f"preconditioner: answered with shape {np.shape(answer)} where {held.shape} is needed")
        vector(z, size)[...] = answer

    def run(x, r, target, maxiter, *results):
        assert own is not None
        tell_run(own(vector(x, size), vector(r, size), target, maxiter), *results)

    def inverse_diagonal(values):
        diagonal.append(np.ascontiguousarray(operator.inverse_diagonal, dtype=np.float64))
        values[0] = diagonal[0].ctypes.data

    def observe(iteration, norm, now, stop):
        assert callback is not None
        if iteration:
            callback(x)

    system = System(n=size)
    calls.serve(system, "product", lambda x, y: operator.apply(vector(x, size), vector(y, size)))
    calls.serve(
        system,
        "residual",
        lambda b, x, r, norm: norm.__setitem__(0, operator.residual(*(vector(v, size) for v in (b, x, r)))),
    )
    calls.serve(system, "project", lambda v: operator.project(vector(v, size)))
    calls.serve(system, "inverse_diagonal", inverse_diagonal)
    calls.serve(system, "norm_bound", lambda bound: bound.__setitem__(0, operator.norm_bound))
    for name, function, given in (
        ("precondition", precondition, preconditioner),
        ("run", run, own),
        ("observe", observe, callback),
    ):
        if given is not None:
            calls.serve(system, name, function)
    return solve_system(
        system, calls, chain, b.ctypes.data, x.ctypes.data, None,
        target=target, maxiter=maxiter, window=window, from_zero=from_zero,
    )  # fmt: skip


def solve_system(
    system: System,
    calls: Callbacks,
    chain: Sequence[int],
    b: int,
    x: int,
    r: int | None,
    *,
    target: float,
    maxiter: int,
    window: int | None = WINDOW,
    from_zero: bool = False,
) -> Outcome:
    """The same for a system whose vectors are addresses, which only its own functions need to understand; r: room for the residual."""
    options = Options(
        chain=(ctypes.c_int32 * CHAIN)(*chain),
        window=-1 if window is None else min(window, 2**31 - 1),
        from_zero=from_zero,
        maxiter=min(maxiter, 2**62),
        target=target,
    )
    report = ctypes.POINTER(Report)()
    with calls.kept(), np.errstate(over="ignore", invalid="ignore"):  # the guards meet a preconditioner's infinities
        native.call("dcg_krylov", ctypes.byref(system), ctypes.byref(options), b, x, r, ctypes.byref(report))
    told = report.contents
    outcome = Outcome(
        told.reason,
        told.iterations,
        told.fallbacks,
        told.restarts,
        told.residuals[: told.count],
        told.condition or None,
    )
    native.destroy(report, "report")
    return outcome


def vector(address: int, n: int) -> Array:
    """The n float64 values at an address, in place."""
    return np.ctypeslib.as_array((ctypes.c_double * n).from_address(address))


def tell_run(run: Any, history: int, steps: int, iterations: Any, result: Any) -> None:
    """Write a `deepcg.multigrid.cycle.Run` where `run` of `dcg_system` is to write it."""
    n = len(run.residuals)
    if n:
        vector(history, n)[:] = run.residuals
        vector(steps, 2 * n).reshape(n, 2)[...] = np.transpose([run.alphas, [0.0, *run.betas]])
    iterations[0], result[0] = n, CG_BREAKDOWN if run.broken else 0


class Callbacks:
    """Python functions that C calls. What one of them raises ends the C function, and is raised after it."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def serve(self, system: System, name: str, function: Callable[..., Any]) -> None:
        """Put a function into its place in the system."""

        def call(_, *arguments):
            if self._error is None:
                try:
                    function(*arguments)
                except BaseException as error:
                    self._error = error
            return int(self._error is not None)

        setattr(system, name, dict(System._fields_)[name](call))

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Within it, C calls the functions; after it, what was kept is raised.

        Handlers of signals run before a callback's first line, where nothing can catch what they raise (KeyboardInterrupt): they are called
        from handlers that keep it.
        """
        handlers = {}
        if threading.current_thread() is threading.main_thread():
            handlers = {n: old for n in signal.valid_signals() if callable(old := signal.getsignal(n))}

        def keep(number, frame):
            try:
                handlers[number](number, frame)
            except BaseException as error:
                self._error = self._error or error

        for number in handlers:
            signal.signal(number, keep)
        try:
            yield
        except native.KernelError:
            if self._error is None:
                raise
        finally:
            for number, handler in handlers.items():
                if signal.getsignal(number) is keep:
                    signal.signal(number, handler)
        if self._error is not None:
            raise self._error
