"""The kernels' solver session (`dcg_solver_*`): a matrix or an operator in, solutions out."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

import numpy as np

from . import library as native
from .constants import GUESS, RHS
from .krylov import function

_POINTER, _I32, _I64, _REAL = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double

_SHARING = threading.Lock()  # the first to share a session makes it find its null space
os.register_at_fork(before=_SHARING.acquire, after_in_parent=_SHARING.release, after_in_child=_SHARING.release)


class Csr(ctypes.Structure):
    """`dcg_csr`."""

    _fields_ = (
        ("rows", _I64),
        ("index_bytes", _I32),
        ("start", _POINTER * 2),
        ("column", _POINTER * 2),
        ("value", _POINTER * 2),
        ("ghosts", _I64),
        ("ghost", _POINTER),
    )


class MatrixResult(ctypes.Structure):
    """`dcg_matrix_result`."""

    _fields_ = (
        ("sign", _REAL),
        ("unit", _REAL),
        ("periodic", _I32),
        ("open", _I32),
        ("shifted", _I32),
        ("unknowns", _I64),
        ("diagonal", _I64),
        ("empty", _I64),
        ("dropped", _I64),
    )


class Read(ctypes.Structure):
    """`dcg_read`."""

    _fields_ = (
        ("facts", MatrixResult),
        ("op", native.Operator),
        ("cell", _POINTER),
        ("diagonal", _I64),
        ("alone", _I64),
        ("row", _POINTER),
        ("inverse", _POINTER),
        ("row_scale", _POINTER),
        ("column_scale", _POINTER),
        ("widths", _POINTER * 3),
    )


class Preconditioner(ctypes.Structure):
    """`dcg_preconditioner`."""

    _fields_ = (
        ("context", _POINTER),
        ("apply", function(_POINTER, _POINTER)),
        ("run", function(_POINTER, _POINTER, _REAL, _I64, _POINTER, _POINTER, ctypes.POINTER(_I64), ctypes.POINTER(_I32))),
        ("trusted", _I32),
    )  # fmt: skip


class Fallback(ctypes.Structure):
    """`dcg_fallback`."""

    _fields_ = (
        ("context", _POINTER),
        ("name", ctypes.c_char_p),
        ("set_up", function(ctypes.POINTER(_I32))),
        ("apply", function(_POINTER, _POINTER)),
    )


class Step(ctypes.Structure):
    """`dcg_step`."""

    _fields_ = (("name", ctypes.c_char_p), ("iterations", _I64))


class Observer(ctypes.Structure):
    """`dcg_observer`."""

    _fields_ = (("context", _POINTER), ("observe", function(_I64, _REAL, _POINTER, ctypes.POINTER(_I32))))


class Result(ctypes.Structure):
    """`dcg_result`."""

    _fields_ = (
        ("reason", _I32),
        ("text", ctypes.c_char_p),
        ("iterations", _I64),
        ("fallbacks", _I64),
        ("step", ctypes.POINTER(Step)),
        ("steps", _I64),
        ("residuals", ctypes.POINTER(_REAL)),
        ("projected", _REAL),
        ("condition", _REAL),
        ("setup_seconds", _REAL),
        ("solve_seconds", _REAL),
    )


class Session:
    """A session with these options; `kernels/include/deepcg.h` says what its functions do."""

    def __init__(self, **options):
        self._handle = ctypes.c_void_p()
        self._held: list[Any] = []  # what the kernels refer to
        native.call("dcg_solver_create", ctypes.byref(self._handle))
        self.set(**options)

    def __del__(self):
        if self._handle:
            native.destroy(self._handle, "solver")

    def __deepcopy__(self, memo) -> Session:
        """Itself: a copy of a problem shares what was read of it, which does not change."""
        return self

    def __reduce__(self):
        raise TypeError(
            "session: memory of the kernels is not pickled; pickle the deepcg.Poisson or deepcg.Solver that it is of"
        )

    def call(self, name: str, *arguments) -> None:
        native.call(f"dcg_solver_{name}", self._handle, *arguments)

    def set(self, **options) -> None:
        for name, value in options.items():
            self.call("set_option", name.encode(), str(value).encode())

    def set_grid(self, shape: tuple[int, ...], cells: np.ndarray | None = None) -> None:
        self.call("set_grid", len(shape), np.array(shape, np.int64), cells)

    def set_coordinates(self, centres: np.ndarray) -> None:
        self.call("set_coordinates", centres.shape[1], len(centres), centres)

    def set_matrix(self, A) -> None:
        """A SciPy CSR array in float64, with starts and columns of one type."""
        csr = Csr(rows=A.shape[0], index_bytes=A.indptr.dtype.itemsize)
        csr.start[0], csr.column[0], csr.value[0] = (v.ctypes.data for v in (A.indptr, A.indices, A.data))
        self.call("set_matrix", ctypes.byref(csr), 0)

    def set_operator(self, stencil) -> None:
        self.call("set_operator", ctypes.byref(native.operator(stencil)))
        self._held = [stencil]

    def share(self, other: Session) -> None:
        """Serve what another session has read."""
        with _SHARING:
            self.call("share", other._handle)
        self._held = [other]

    def read(self) -> Read:
        read = Read()
        self.call("read", ctypes.byref(read))
        return read

    def array(self, address: int | None, kind: Any, *shape: int) -> np.ndarray:
        """The kernels' memory at an address as a read-only array, which keeps the session."""
        if not address or not np.prod(shape):
            return np.empty(shape, kind)
        values = (kind * int(np.prod(shape))).from_address(address)
        values.session = self
        made: np.ndarray = np.frombuffer(values, kind).reshape(shape)
        made.setflags(write=False)
        return made

    def serve(
        self, preconditioner: Preconditioner, observer: Observer | None = None, fallback: Fallback | None = None
    ) -> None:
        """Take these functions for the next solves; whoever calls keeps the structures meanwhile."""
        self.call("set_preconditioner", ctypes.byref(preconditioner))
        self.call("set_observer", None if observer is None else ctypes.byref(observer))
        self.call("set_fallback", None if fallback is None else ctypes.byref(fallback))

    def solve(self, b: np.ndarray, x: np.ndarray) -> Result:
        """Solve in place of x, the guess; flat float64 over rows. Text and residuals are the session's, until the next solve."""
        native.check_vectors(b.size, b=b, x=x)
        result = Result()
        self.call("solve", b, x, ctypes.byref(result))
        return result

    def rhs(self, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The right-hand side over cells."""
        self.call("to_cells", RHS, b, out)
        return out

    def guess(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.call("to_cells", GUESS, x, out)
        return out

    def rows(self, x: np.ndarray, b: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        """A vector over cells as one over rows; those that are no unknowns get their solution for b, or 0."""
        self.call("from_cells", x, b, out)
        return out
