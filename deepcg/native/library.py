"""The kernels behind their C ABI (`kernels/include/deepcg.h`), loaded by ctypes.

Without them the package can be imported, and whatever needs them raises `UnavailableError`, which says how to build them.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np

from .constants import (
    FEATURES,
    HIDDEN,
    INCONSISTENT,
    INVALID_ARGUMENT,
    LEVELS,
    OUT_OF_MEMORY,
    OUTPUTS,
    STENCIL_TYPES,
    SWEEPS,
)

ABI_VERSION = 8
LIBRARY = Path(__file__).parents[1] / "libdeepcg.so"


class Operator(ctypes.Structure):
    """`dcg_operator`."""

    _fields_ = (
        ("shape", ctypes.c_int64 * 3),
        ("cells", ctypes.c_void_p),
        ("unit", ctypes.c_double),
        ("weights", ctypes.c_void_p * 3),
        ("shift", ctypes.c_void_p),
        ("periodic", ctypes.c_int32),
        ("open", ctypes.c_int32),
    )


class Parameters(ctypes.Structure):
    """`dcg_parameters`."""

    _fields_ = (
        ("sweeps", ctypes.c_int32 * LEVELS),
        ("omega", ctypes.c_float * 2 * SWEEPS * 2),
        ("relaxation_table", ctypes.c_float * STENCIL_TYPES),
        ("rough", ctypes.c_float),
        ("local", ctypes.c_int32),
        ("hidden_weight", ctypes.c_float * FEATURES * HIDDEN),
        ("hidden_bias", ctypes.c_float * HIDDEN),
        ("output_weight", ctypes.c_float * HIDDEN * OUTPUTS),
        ("output_bias", ctypes.c_float * OUTPUTS),
    )


class SparseLevel(ctypes.Structure):
    """`dcg_sparse_level`."""

    _fields_ = (
        ("unknowns", ctypes.c_int64),
        ("visits", ctypes.c_int32),
        ("cell", ctypes.POINTER(ctypes.c_int64)),
        ("start", ctypes.POINTER(ctypes.c_int64)),
        ("neighbour", ctypes.POINTER(ctypes.c_int32)),
        ("weight", ctypes.POINTER(ctypes.c_float)),
        ("slack", ctypes.POINTER(ctypes.c_float)),
    )


class KernelError(RuntimeError):
    """A kernel refused its arguments or failed; the text is the library's own."""


class ArgumentError(KernelError, ValueError):
    """A kernel refused its arguments."""


class InconsistentError(ArgumentError):
    """b has a part outside the range of a singular operator."""


class OutOfMemoryError(KernelError, MemoryError):
    """There was not enough memory; the text says how many bytes were asked for."""


class UnavailableError(KernelError):
    """The kernels were not built, or not for this version of the package."""


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
        version = library.dcg_abi_version()
        if version != ABI_VERSION:
            raise KernelError(
                f"{path}: ABI version {version}, this deepcg needs {ABI_VERSION}; build it again: make build"
            )
        _declare(library)
    except AttributeError as error:  # a function that is not there
        raise KernelError(f"{path}: not the kernels of this deepcg; build it again: make build ({error})") from error
    return library


def _declare(library: ctypes.CDLL) -> None:
    """The functions' signatures, as the header has them."""
    pointer, i32, i64, real = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
    signatures = {
        "dcg_apply": (pointer, pointer, pointer, i32),
        "dcg_face_weights": (pointer, pointer, pointer, i32, pointer, pointer, pointer),
        "dcg_norm_bound": (pointer, pointer),
        "dcg_dot": (i64, pointer, pointer, pointer),
        "dcg_axpy": (i64, real, pointer, pointer),
        "dcg_components": (pointer, i64, pointer, pointer, pointer, pointer),
        "dcg_project": (i64, pointer, pointer, pointer, i64, pointer, pointer),
        "dcg_release_memory": (),
        "dcg_multilevel_create": (pointer, pointer, i32, pointer),
        "dcg_multilevel_update": (pointer, pointer),
        "dcg_multilevel_apply": (pointer, pointer, pointer),
        "dcg_multilevel_cg": (pointer, pointer, pointer, real, i64, pointer, pointer, pointer, pointer),
        "dcg_multilevel_directions": (pointer, i32, pointer, pointer, real, i64, pointer, pointer, pointer, pointer),
        "dcg_multilevel_info": (pointer, pointer, pointer, i32, pointer, pointer),
        "dcg_multilevel_sparse_level": (pointer, i32, pointer),
        "dcg_multilevel_parents": (pointer, i32, pointer),
        "dcg_krylov": (pointer, pointer, pointer, pointer, pointer, pointer),
        "dcg_solver_create": (pointer,),
        "dcg_solver_set_option": (pointer, ctypes.c_char_p, ctypes.c_char_p),
        "dcg_solver_set_grid": (pointer, i32, pointer, pointer),
        "dcg_solver_set_coordinates": (pointer, i32, i64, pointer),
        "dcg_solver_set_matrix": (pointer, pointer, i32),
        "dcg_solver_set_operator": (pointer, pointer),
        "dcg_solver_share": (pointer, pointer),
        "dcg_solver_set_preconditioner": (pointer, pointer),
        "dcg_solver_set_observer": (pointer, pointer),
        "dcg_solver_solve": (pointer, pointer, pointer, pointer),
        "dcg_solver_read": (pointer, pointer),
        "dcg_solver_to_cells": (pointer, i32, pointer, pointer),
        "dcg_solver_from_cells": (pointer, pointer, pointer, pointer),
    }
    for name, arguments in signatures.items():
        getattr(library, name).argtypes = arguments
    library.dcg_last_error.restype = ctypes.c_char_p
    library.dcg_reason_text.argtypes, library.dcg_reason_text.restype = (i32,), ctypes.c_char_p
    for name in ("dcg_multilevel_destroy", "dcg_solver_destroy", "dcg_report_destroy"):
        getattr(library, name).argtypes = (pointer,)
        getattr(library, name).restype = None


def call(name: str, *arguments) -> None:
    """Call a function of the library; arrays are passed by their address.

    Raises
    ------
    UnavailableError
        There is no library.
    KernelError
        With the library's own text.
    """
    require()
    given = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
    code = getattr(_library, name)(*given)
    if code:
        text = _library.dcg_last_error().decode()
        told = {INVALID_ARGUMENT: ArgumentError, INCONSISTENT: InconsistentError, OUT_OF_MEMORY: OutOfMemoryError}.get(
            code
        )
        raise told(text) if told else KernelError(f"{name}: {text}")


def require() -> None:
    """UnavailableError where the kernels are not there."""
    if unavailable is not None:
        raise UnavailableError(
            f"deepcg's compiled kernels are needed and not here; build them with `make build` (g++ and make are needed): {unavailable}"
        )


def destroy(handle: Any, what: str = "multilevel") -> None:
    getattr(_library, f"dcg_{what}_destroy")(handle)


def operator(stencil) -> Operator:
    """A stencil as the kernels take it. It refers to the stencil's arrays, which must outlive it."""
    axes = (0, 1, 2) if len(stencil.shape) == 3 else (0, 2)  # a 2-D grid (ny, nx) is (ny, 1, nx)
    op = Operator(shape=(1, 1, 1), cells=stencil.cells.ctypes.data)
    if stencil.unit is None:
        op.shift = None if stencil.shift is None else stencil.shift.ctypes.data
    else:
        op.unit = stencil.unit
    for axis, place in enumerate(axes):
        op.shape[place] = stencil.shape[axis]
        op.periodic |= stencil.periodic[axis] << place
        for side in (0, 1):
            op.open |= stencil.open_sides[axis][side] << (2 * place + side)
        if stencil.unit is None:
            op.weights[place] = stencil.weights[axis].ctypes.data
    return op


def parameters(given) -> Parameters:
    """A multilevel network's parameters (`deepcg.multigrid.parameters.Parameters`) as the kernels take them."""
    made = Parameters(local=given.local, rough=given.rough)
    for field, value in given.tensors().items():
        ctypes.memmove(ctypes.byref(made, getattr(Parameters, field).offset), value.ctypes.data, value.nbytes)
    return made


def stencil_apply(stencil, x: np.ndarray, out: np.ndarray) -> None:
    """out = A x; both C-contiguous float64 over all cells."""
    check_vectors(stencil.cells.size, x=x, out=out)
    op = operator(stencil)
    call("dcg_apply", ctypes.byref(op), x, out, 0)


def face_weights(cells, outside, periodic, widths, coefficient) -> tuple[np.ndarray, ...]:
    """The face weights of a grid, one array per axis.

    Parameters
    ----------
    cells : uint8 array, 2-D or 3-D
    outside : (low, high) kinds per axis; periodic : one bool per axis
    widths : of the cells, float64, one array per axis
    coefficient : float64 array of the cells' shape, or None
    """
    first = 3 - cells.ndim
    shape, kinds = (ctypes.c_int64 * 3)(1, 1, 1), (ctypes.c_uint8 * 6)()
    given, made = (ctypes.c_void_p * 3)(), (ctypes.c_void_p * 3)()
    weights = tuple(np.empty([n + (a == axis) for a, n in enumerate(cells.shape)]) for axis in range(cells.ndim))
    for axis, n in enumerate(cells.shape):
        place = first + axis
        shape[place] = n
        kinds[2 * place], kinds[2 * place + 1] = outside[axis]
        given[place], made[place] = widths[axis].ctypes.data, weights[axis].ctypes.data
    bits = sum(bool(p) << (first + axis) for axis, p in enumerate(periodic))
    address = None if coefficient is None else coefficient.ctypes.data
    call("dcg_face_weights", shape, cells, kinds, bits, given, address, made)
    return weights


def norm_bound(stencil) -> float:
    bound = ctypes.c_double()
    op = operator(stencil)
    call("dcg_norm_bound", ctypes.byref(op), ctypes.byref(bound))
    return bound.value


def check_vectors(size: int, **vectors: np.ndarray) -> None:
    """ValueError for a vector that the kernels cannot take by its address."""
    for name, vector in vectors.items():
        if (
            not isinstance(vector, np.ndarray)
            or vector.dtype != np.float64
            or not vector.flags.c_contiguous
            or vector.size != size
        ):
            raise ValueError(f"{name}: a C-contiguous float64 array of {size} values is needed")


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The inner product of two C-contiguous float64 arrays."""
    check_vectors(a.size, a=a, b=b)
    result = ctypes.c_double()
    call("dcg_dot", a.size, a, b, ctypes.byref(result))
    return result.value


def axpy(alpha: float, x: np.ndarray, y: np.ndarray) -> None:
    """y += alpha x for C-contiguous float64 arrays."""
    check_vectors(x.size, x=x, y=y)
    call("dcg_axpy", x.size, alpha, x, y)


def release_memory() -> None:
    """Give back to the system what the kernels keep of ended solvers' memory for the next ones (1 GiB at most)."""
    call("dcg_release_memory")


def reason_text(reason: int) -> str:
    """A number of `enum dcg_reason` in words."""
    require()
    return _library.dcg_reason_text(reason).decode()


unavailable: str | None
try:
    _library = load()
    unavailable = None
except (OSError, KernelError) as error:
    unavailable = str(error)
