"""How the vectors of a matrix, as its user numbers them, map to the rows of the session that has read it."""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from ...native.session import Read, Session
from ..grid import Array
from ..vector_layout import Layout, check_finite, check_vector


class MatrixLayout(Layout):
    """Vectors in the order of the rows of A, or of the cells' shape.

    Parameters
    ----------
    A : csr_array, (n, n)
        The matrix as the user gave it.
    session : Session
        It has read A.
    read : Read
        The session's view of A.
    shape : tuple of int
        The grid's.

    Attributes
    ----------
    eliminated : int array
        The rows that are diagonal only and solved on their own.
    cell : int array or None
        The flat index of each row's cell. None: row i is cell i.
    """

    of_matrix = True

    def __init__(self, A: sp.csr_array, session: Session, read: Read, shape: tuple[int, ...]):
        self._A, self.session, self.shape, self.sign = A, session, shape, read.facts.sign
        # a slice where nothing is to be picked: indexing then copies nothing
        self._cell: slice | NDArray[np.int64] = (
            session.array(read.cell, ctypes.c_int64, self.size) if read.cell else slice(None)
        )
        self.cell = None if isinstance(self._cell, slice) else self._cell
        alone = session.array(read.row, ctypes.c_int64, read.alone)
        scales = [session.array(scale, ctypes.c_double, self.size) for scale in (read.row_scale, read.column_scale)]
        self._scale = scales[0] * scales[1] if read.row_scale else None
        self.eliminated, self._ignored = alone[: read.diagonal], alone[read.diagonal :]

    @property
    def size(self) -> int:
        return self._A.shape[0]

    def matrix(self) -> sp.csr_array:
        return self._A

    def apply(self, x: ArrayLike) -> Array:
        return self.like(self._A @ self.rows(x, "x"), x)

    def rows(self, v: ArrayLike, name: str) -> Array:
        values = check_vector(v, name)
        if values.shape == self.shape:
            rows = np.ascontiguousarray(values.reshape(-1)[self._cell], dtype=np.float64)
        elif values.shape == (self.size,):
            rows = np.ascontiguousarray(values, dtype=np.float64)
        else:
            raise ValueError(
                f"{name}: shape {values.shape} given; ({self.size},) rows of A or the cells' {self.shape} is needed (several: as columns, ({self.size}, k))"
            )
        if self._ignored.size:
            rows = rows.copy()
            rows[self._ignored] = 0.0
        return check_finite(rows, name)

    def like(self, rows: Array, given: ArrayLike) -> Array:
        if np.shape(given) != self.shape:
            return rows
        if isinstance(self._cell, slice):
            return rows.reshape(self.shape)
        full = np.zeros(self.shape)
        full.reshape(-1)[self._cell] = rows
        return full

    def residual(self, r: Array) -> Array:
        rows = self.session.rows(r, None, np.empty(self.size))
        return rows if self._scale is None else rows / self._scale
