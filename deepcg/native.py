"""The kernels behind their C ABI (`kernels/include/deepcg.h`), loaded by ctypes.

`stencil_apply`, `dot` and `axpy` are None where the library was not built; callers then use their NumPy reference.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

ABI_VERSION = 1
LIBRARY = Path(__file__).with_name("libdeepcg.so")

_bytes = ctypes.POINTER(ctypes.c_uint8)
_doubles = ctypes.POINTER(ctypes.c_double)


class KernelError(RuntimeError):
    """A kernel refused its arguments or failed; the text is the library's own."""


def load(path: Path = LIBRARY) -> ctypes.CDLL:
    """Open the kernel library and check its ABI version.

    Raises
    ------
    OSError
        The library is not there or cannot be opened.
    KernelError
        It was built for another version of this package.
    """
    library = ctypes.CDLL(os.fspath(path))
    try:
        library.dcg_abi_version.restype = ctypes.c_int
        found = library.dcg_abi_version()
        if found != ABI_VERSION:
            raise KernelError(
                f"{path}: ABI version {found}, this deepcg needs {ABI_VERSION}; build it again: make build"
            )
        _declare(library)
    except AttributeError as error:  # a function that is not there
        raise KernelError(f"{path}: not the kernels of this deepcg; build it again: make build ({error})") from error
    return library


def _declare(library: ctypes.CDLL) -> None:
    """The functions' signatures, as the header has them."""
    library.dcg_last_error.restype = ctypes.c_char_p
    library.dcg_stencil_apply.argtypes = [
        ctypes.POINTER(ctypes.c_int64), _bytes, _doubles, _doubles, _doubles, _doubles,
        ctypes.c_int32, _doubles, _doubles, ctypes.c_int32,
    ]  # fmt: skip
    library.dcg_dot.argtypes = [ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, _doubles]
    library.dcg_axpy.argtypes = [ctypes.c_int64, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p]


def _pointer(array: np.ndarray | None, kind=_doubles):
    return None if array is None else array.ctypes.data_as(kind)


def _stencil_apply(stencil, x: np.ndarray, out: np.ndarray) -> None:
    """out = A x; both C-contiguous float64 over all cells."""
    _check_vectors(stencil.cells.size, x=x, out=out)
    lacking = 3 - len(stencil.shape)  # 2-D is one layer of 3-D without faces across z
    shape = (ctypes.c_int64 * 3)(*(1,) * lacking, *stencil.shape)
    weights = (None,) * lacking + stencil.weights
    periodic = sum(1 << (axis + lacking) for axis, wrapped in enumerate(stencil.periodic) if wrapped)
    code = _library.dcg_stencil_apply(
        shape, _pointer(stencil.cells, _bytes), *map(_pointer, weights), _pointer(stencil.shift),
        periodic, _pointer(x), _pointer(out), 0,
    )  # fmt: skip
    if code:
        raise KernelError(f"dcg_stencil_apply: {_library.dcg_last_error().decode()}")


def _check_vectors(size: int, **vectors: np.ndarray) -> None:
    for name, vector in vectors.items():
        if vector.dtype != np.float64 or not vector.flags.c_contiguous or vector.size != size:
            raise ValueError(f"{name}: a C-contiguous float64 array of {size} values is needed")


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """The inner product of two C-contiguous float64 arrays."""
    _check_vectors(a.size, a=a, b=b)
    result = ctypes.c_double()
    if _library.dcg_dot(a.size, a.ctypes.data, b.ctypes.data, result):
        raise KernelError(f"dcg_dot: {_library.dcg_last_error().decode()}")
    return result.value


def _axpy(alpha: float, x: np.ndarray, y: np.ndarray) -> None:
    """y += alpha x for C-contiguous float64 arrays."""
    _check_vectors(x.size, x=x, y=y)
    if _library.dcg_axpy(x.size, alpha, x.ctypes.data, y.ctypes.data):
        raise KernelError(f"dcg_axpy: {_library.dcg_last_error().decode()}")


stencil_apply: Callable | None
dot: Callable | None
axpy: Callable | None
unavailable: str | None
try:
    _library = load()
    stencil_apply, dot, axpy = _stencil_apply, _dot, _axpy
    unavailable = None
except (OSError, KernelError) as error:
    stencil_apply = dot = axpy = None
    unavailable = str(error)
