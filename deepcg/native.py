"""The kernels behind their C ABI (`kernels/include/deepcg.h`), loaded by ctypes.

`stencil_apply` is None where the library was not built; callers then use their NumPy reference.
"""

from __future__ import annotations

import ctypes
import os
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
    library.dcg_abi_version.restype = ctypes.c_int
    found = library.dcg_abi_version()
    if found != ABI_VERSION:
        raise KernelError(f"{path}: ABI version {found}, this deepcg needs {ABI_VERSION}; build it again: make build")
    library.dcg_last_error.restype = ctypes.c_char_p
    library.dcg_stencil_apply.argtypes = [
        ctypes.POINTER(ctypes.c_int64), _bytes, _doubles, _doubles, _doubles, _doubles,
        ctypes.c_int32, _doubles, _doubles, ctypes.c_int32,
    ]  # fmt: skip
    return library


def _pointer(array: np.ndarray | None, kind=_doubles):
    return None if array is None else array.ctypes.data_as(kind)


def _stencil_apply(stencil, x: np.ndarray, out: np.ndarray) -> None:
    """out = A x; both C-contiguous float64 over all cells."""
    for name, vector in (("x", x), ("out", out)):
        if vector.dtype != np.float64 or not vector.flags.c_contiguous or vector.size != stencil.cells.size:
            raise ValueError(f"{name}: a C-contiguous float64 array of {stencil.cells.size} values is needed")
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


try:
    _library = load()
    stencil_apply = _stencil_apply
    unavailable = None
except (OSError, KernelError) as error:
    stencil_apply = None
    unavailable = str(error)
