"""Python functions that the kernels call."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import library as native
from .constants import CG_BREAKDOWN


def vector(address: int, n: int) -> np.ndarray:
    """The n float64 values at an address, in place."""
    return np.ctypeslib.as_array((ctypes.c_double * n).from_address(address))


def tell_run(run: Any, maxiter: int, history: int, steps: int, iterations: Any, result: Any) -> None:
    """Write a `deepcg.multigrid.cycle.Run` where `run` of a C structure is to write it."""
    n = len(run.residuals)
    if n > maxiter:
        raise ValueError(f"preconditioner: its own iteration did {n} iterations where at most {maxiter} were asked for")
    if n:
        vector(history, n)[:] = run.residuals
        vector(steps, 2 * n).reshape(n, 2)[...] = np.transpose([run.alphas, [0.0, *run.betas]])
    iterations[0], result[0] = n, CG_BREAKDOWN if run.broken else 0


class Callbacks:
    """Python functions that C calls. What one of them raises ends the C function, and is raised after it."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def serve(self, struct: ctypes.Structure, name: str, function: Callable[..., Any]) -> None:
        """Put a function into its place in a structure, which keeps it."""

        def call(_, *arguments):
            if self._error is None:
                try:
                    function(*arguments)
                except BaseException as error:
                    self._error = error
            return int(self._error is not None)

        kind: Any = {field[0]: field[1] for field in struct._fields_}[name]
        setattr(struct, name, kind(call))

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
            with np.errstate(over="ignore", invalid="ignore"):  # the guards meet a preconditioner's infinities
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
