"""`dcg_krylov` and its structures (`kernels/include/deepcg.h`)."""

from __future__ import annotations

import ctypes

from .constants import CHAIN

_POINTER, _I32, _I64, _REAL = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double


def function(*arguments):
    """The type of a callback, whose first argument is its context."""
    return ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, *arguments)


class System(ctypes.Structure):
    """`dcg_system`. Vectors arrive as addresses."""

    _fields_ = (
        ("n", _I64),
        ("context", _POINTER),
        ("product", function(_POINTER, _POINTER)),
        ("residual", function(_POINTER, _POINTER, _POINTER, ctypes.POINTER(_REAL))),
        ("project", function(_POINTER)),
        ("precondition", function(_POINTER, _POINTER)),
        ("run", function(_POINTER, _POINTER, _REAL, _I64, _POINTER, _POINTER, ctypes.POINTER(_I64), ctypes.POINTER(_I32))),
        ("sum", function(_I64, ctypes.POINTER(_REAL))),
        ("keep", function(_I32)),
        ("measure", function(_POINTER, ctypes.POINTER(_REAL))),
        ("judge", function(_I64, _REAL, ctypes.POINTER(_I32))),
        ("observe", function(_I64, _REAL, _POINTER, ctypes.POINTER(_I32))),
        ("inverse_diagonal", function(ctypes.POINTER(_POINTER))),
        ("magnitude", function(_POINTER, _POINTER, ctypes.POINTER(_REAL))),
        ("fall_back", function(ctypes.POINTER(_I32))),
    )  # fmt: skip


class Options(ctypes.Structure):
    """`dcg_krylov_options`."""

    _fields_ = (
        ("chain", _I32 * CHAIN),
        ("window", _I32),
        ("from_zero", _I32),
        ("threads", _I32),
        ("followed", _I32),
        ("maxiter", _I64),
        ("rtol", _REAL),
        ("atol", _REAL),
        ("norm", _REAL),
        ("worst_guess", _REAL),
    )


class Report(ctypes.Structure):
    """`dcg_report`."""

    _fields_ = (
        ("reason", _I32),
        ("iterations", _I64),
        ("fallbacks", _I64),
        ("done", _I64 * CHAIN),
        ("restarts", _I64),
        ("condition", _REAL),
        ("count", _I64),
        ("residuals", ctypes.POINTER(_REAL)),
    )
