"""The kernels' reading of matrices (`kernels/src/matrix`), which has all the rules."""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from deepcg.native import library as native
from deepcg.native.session import MatrixResult

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
        ("ghosts", ctypes.c_int64),
        ("ghost", ctypes.c_void_p),
        ("sum", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("rounding", ctypes.c_double),
        ("cells", ctypes.c_void_p),
        ("dim", ctypes.c_int32),
        ("keep_uncoupled", ctypes.c_int32),
    )


class Reading:
    """The operator behind a matrix over the cells of a grid.

    Parameters
    ----------
    A : csr_array, (n, n), float64
        Its indices and starts of one type; it is held on to.
    shape : tuple of int
        The grid's.
    cell : int64 array, (n,), or None
        Each row's cell; None where row i is cell i.
    rounding : float
        Of the entries, relative.
    cells : uint8 array of the grid's shape, or None
        What the user says of the cells.
    keep_uncoupled : bool
        Zero rows of FLUID cells are unknowns, and all their rows are where none is coupled.

    Attributes
    ----------
    shape : (nz, ny, nx)
    kinds : uint8 array, the cells with a layer of ghosts
        UNKNOWN, DIAGONAL, EMPTY, or NONE where there is no row.
    cells : uint8 array
    weights : list of three float64 arrays, n+1 along their own axis; shift : float64 array
        Undefined where `result.unit` is the one weight of all faces.
    result : MatrixResult

    Raises
    ------
    ArgumentError
        With the reason why the matrix is none of a Poisson problem.
    KernelError
        The kernels were not built.
    """

    def __init__(
        self,
        A: sp.csr_array,
        shape: tuple[int, ...],
        cell: NDArray[np.int64] | None,
        *,
        rounding: float = 0.0,
        cells: NDArray[np.uint8] | None = None,
        keep_uncoupled: bool = False,
    ):
        self._scan = ctypes.c_void_p()
        self.shape = shape if len(shape) == 3 else (shape[0], 1, shape[1])
        self.A, self._cell, self._known = A, cell, cells
        m = Matrix(
            shape=self.shape, count=self.shape, rows=A.shape[0], index_bytes=A.indptr.dtype.itemsize, rounding=rounding,
            dim=len(shape), keep_uncoupled=keep_uncoupled,
        )  # fmt: skip
        m.start[0], m.column[0], m.value[0] = (v.ctypes.data for v in (A.indptr, A.indices, A.data))
        m.cell = None if cell is None else cell.ctypes.data
        m.cells = None if cells is None else cells.ctypes.data
        self.kinds = np.empty([n + 2 for n in self.shape], np.uint8)
        self.cells = np.empty(self.shape, np.uint8)
        self.weights = [np.empty([n + (a == axis) for a, n in enumerate(self.shape)]) for axis in range(3)]
        self.shift = np.empty(self.shape)
        self.result = MatrixResult()
        self._matrix = m
        native.call("dcg_matrix_scan_create", ctypes.byref(self._scan))
        self.read()

    def __del__(self):
        if self._scan:
            native.load().dcg_matrix_scan_destroy(self._scan)

    def read(self, same_columns: bool = False) -> None:
        """Read what the matrix holds now; `same_columns`: only its values have changed since the last time."""
        addresses = (ctypes.c_void_p * 3)(*(w.ctypes.data for w in self.weights))
        kinds, cells, shift = (ctypes.c_void_p(v.ctypes.data) for v in (self.kinds, self.cells, self.shift))
        matrix = ctypes.byref(self._matrix)
        native.call("dcg_matrix_scan_rows", matrix, self._scan, same_columns, kinds)
        native.call("dcg_matrix_read", matrix, self._scan, kinds, cells, addresses, shift, ctypes.byref(self.result))

    @property
    def inner_kinds(self) -> NDArray[np.uint8]:
        return self.kinds[1:-1, 1:-1, 1:-1]
