"""The kernels' reader of matrices: one pass over the entries, where NumPy takes many.

It takes what it can read without doubt. Everything else (refusals, zero rows, cells that contradict the matrix) is left to `matrix_reader`,
whose rules it follows and whose messages name what is wrong.
"""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...native import library as native
from ..face_weights import back, front
from ..grid import FLUID, OPEN, SOLID, Grid
from ..stencil import Stencil, uniform_stencil
from .dirichlet_faces import SAME, boundary_words, open_sides
from .row_numbering import RowPlaces

UNKNOWN, DIAGONAL, EMPTY, NONE = range(4)  # what a row is


class Matrix(ctypes.Structure):
    """`dcg_matrix`."""

    _fields_ = (
        ("shape", ctypes.c_int64 * 3),
        ("first", ctypes.c_int64 * 3),
        ("count", ctypes.c_int64 * 3),
        ("rows", ctypes.c_int64),
        ("first_row", ctypes.c_int64),
        ("cell", ctypes.c_void_p),
        ("index_bytes", ctypes.c_int32),
        ("start", ctypes.c_void_p * 2),
        ("column", ctypes.c_void_p * 2),
        ("value", ctypes.c_void_p * 2),
        ("ghost", ctypes.c_void_p),
        ("sum", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("alike", ctypes.c_double),
    )


class Found(ctypes.Structure):
    """`dcg_matrix_found`."""

    _fields_ = (
        ("sign", ctypes.c_double),
        ("unit", ctypes.c_double),
        ("periodic", ctypes.c_int32),
        ("open", ctypes.c_int32),
        ("shifted", ctypes.c_int32),
        ("unknowns", ctypes.c_int64),
        ("diagonal", ctypes.c_int64),
        ("empty", ctypes.c_int64),
        ("dropped", ctypes.c_int64),
    )


class Reading:
    """A matrix over the cells of a grid as the kernel reads it.

    Parameters
    ----------
    A : csr_array, (n, n), float64
        Its indices and starts of one type; it is held on to.
    shape : tuple of int
        The grid's.
    cell : int64 array, (n,), or None
        Each row's cell; None where row i is cell i.
    rounding : float
        Differences up to this fraction of the diagonal count as none.
    alike : float
        Weights that differ relatively by no more are taken for one.

    Attributes
    ----------
    shape : (nz, ny, nx)
    kinds : uint8 array, the cells with a layer of ghosts
        UNKNOWN, DIAGONAL, EMPTY, or NONE where there is no row.
    cells : uint8 array
    weights : list of three float64 arrays, n+1 along their own axis; shift : float64 array
        Undefined where `found.unit` is the one weight of all faces.
    found : Found

    Raises
    ------
    ArgumentError
        With the reader's reason.
    """

    def __init__(self, A: sp.csr_array, shape, cell: NDArray[np.int64] | None, rounding: float, alike: float = 0.0):
        self._rows = ctypes.c_void_p()
        self.shape = shape if len(shape) == 3 else (shape[0], 1, shape[1])
        self.A, self._cell = A, cell
        m = Matrix(
            shape=self.shape, count=self.shape, rows=A.shape[0], index_bytes=A.indptr.dtype.itemsize, alike=alike
        )
        m.start[0], m.column[0], m.value[0] = (v.ctypes.data for v in (A.indptr, A.indices, A.data))
        m.cell = None if cell is None else cell.ctypes.data
        self.kinds = np.empty([n + 2 for n in self.shape], np.uint8)
        self.cells = np.empty(self.shape, np.uint8)
        self.weights = [np.empty([n + (a == axis) for a, n in enumerate(self.shape)]) for axis in range(3)]
        self.shift = np.empty(self.shape)
        self.found = Found()
        self._matrix, self._rounding = m, rounding
        native.call("dcg_rows_create", ctypes.byref(self._rows))
        self.read()

    def __del__(self):
        if self._rows:
            native.destroy(self._rows, "rows")

    def read(self, same_columns: bool = False) -> None:
        """Read what the matrix holds now; `same_columns`: only its values have changed since the last time."""
        addresses = (ctypes.c_void_p * 3)(*(w.ctypes.data for w in self.weights))
        native.call("dcg_matrix_kinds", ctypes.byref(self._matrix), self._rows, same_columns, self.kinds)
        native.call(
            "dcg_matrix_read", ctypes.byref(self._matrix), self._rows, self.kinds, self._rounding, self.cells, addresses,
            self.shift, ctypes.byref(self.found),
        )  # fmt: skip

    @property
    def inner_kinds(self) -> NDArray[np.uint8]:
        return self.kinds[1:-1, 1:-1, 1:-1]


def read_quickly(A: sp.csr_array, places: RowPlaces, rounding: float) -> tuple[Grid, Stencil, float, NDArray] | None:
    """The grid and operator behind A, its sign, and the kind of each row; None where the rules want a closer look."""
    if native.unavailable is not None or A.indptr.dtype != A.indices.dtype:
        return None
    shape, cell = places.kinds.shape, None if places.cell is None else places.cell.astype(np.int64)
    try:
        reading = Reading(A, shape, cell, rounding, SAME)
    except native.ArgumentError:
        return None
    found, kinds = reading.found, reading.inner_kinds.reshape(shape)
    unknown, told = kinds == UNKNOWN, reading.cells.reshape(shape)
    if found.empty or not found.unknowns or (unknown & (places.kinds != FLUID)).any():
        return None
    if places.walls is not None and (places.walls & (told == OPEN)).any():
        return None

    axes = (0, 1, 2) if len(shape) == 3 else (0, 2)
    periodic = tuple(bool(found.periodic >> axis & 1) for axis in axes)
    cells = np.where(unknown, np.uint8(FLUID), places.kinds)
    cells[~unknown & (cells == FLUID)] = SOLID
    cells[told == OPEN] = OPEN
    cells.setflags(write=False)
    if found.unit == 0.0:
        weights = tuple(
            reading.weights[axis].reshape([n + (a == axis) for a, n in zip(axes, shape, strict=True)]) for axis in axes
        )
        shift = reading.shift.reshape(shape) if found.shifted else None
        grid = Grid(cells, places.widths, boundary_words(open_sides(weights, periodic), periodic))
        stencil = Stencil(cells, weights, shift, periodic)
    else:
        if _beside(unknown, periodic)[(cells == OPEN) & (told == SOLID)].any():
            return None  # the cells call a face open, and the matrix closed
        sides = tuple((bool(found.open >> 2 * axis & 1), bool(found.open >> 2 * axis + 1 & 1)) for axis in axes)
        grid = Grid(cells, places.widths, boundary_words(sides, periodic))
        stencil = uniform_stencil(grid, found.unit)
    return grid, stencil, found.sign, kinds.reshape(-1)[places.of(np.arange(A.shape[0]))]


def _beside(mask: NDArray[np.bool_], periodic: tuple[bool, ...]) -> NDArray[np.bool_]:
    """The cells that have a cell of the mask as a neighbour."""
    near = np.zeros_like(mask)
    for axis, turns in enumerate(periodic):
        near[back(axis)] |= mask[front(axis)]
        near[front(axis)] |= mask[back(axis)]
        if turns:
            first, last = ((slice(None),) * axis + (end,) for end in (0, -1))
            near[first] |= mask[last]
            near[last] |= mask[first]
    return near
