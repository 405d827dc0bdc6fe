"""How the vectors of a matrix, as its user numbers and signs them, map to the solver's vectors over all cells."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from ..grid import Array
from ..vector_layout import check_finite, check_vector
from ..vectors import Scan, norm2, scan

ALL = slice(None)
Index = slice | NDArray[np.intp]


class MatrixLayout:
    """Vectors in the order of the rows of A, or of the cells' shape.

    Rows that are diagonal only are eliminated: x_r = b_r / a_rr, and what couples to them moves to the right-hand side,
    b_i - a_ir x_r. The operator that is solved with is then positive (semi-)definite over the rows that are kept.

    Parameters
    ----------
    A : csr_array, (n, n)
        The matrix as the user gave it.
    cells : uint8 array
        The stencil's.
    cell : int array, (n,), or None
        Each row's cell as a flat index; None where row i is cell i.
    sign : 1.0 or -1.0
        The stencil's operator is sign * A on the kept rows.
    kept, eliminated : bool array, (n,)
        Rows that are unknowns of the stencil, and rows that are solved on their own. In rows that are neither (a zero
        row of a cell that is no unknown) b is ignored and x is 0.
    """

    of_matrix = True
    sign: float
    size: int

    def __init__(
        self,
        A: sp.csr_array,
        cells: NDArray[np.uint8],
        cell: NDArray[np.intp] | None,
        sign: float,
        kept: NDArray[np.bool_],
        eliminated: NDArray[np.bool_],
    ):
        self._A, self._cells, self._shape = A, cells, cells.shape
        self.sign, self.size = sign, A.shape[0]
        # a slice where nothing is to be picked: indexing then copies nothing
        self._cell: Index = ALL if cell is None else cell
        self._kept: Index = ALL if kept.all() else np.flatnonzero(kept)
        self._kept_cell: Index = self._kept if cell is None else cell[self._kept]
        self._eliminated = np.flatnonzero(eliminated)
        self._ignored = np.flatnonzero(~(kept | eliminated))
        self._eliminated_diagonal = A.diagonal()[self._eliminated] if self._eliminated.size else np.empty(0)

    @property
    def eliminated(self) -> NDArray[np.intp]:
        """The rows that are diagonal only and solved on their own."""
        return self._eliminated

    def matrix(self) -> sp.csr_array:
        return self._A

    def apply(self, x: ArrayLike) -> Array:
        return self._like(self._A @ self._to_rows(x, "x"), x)

    def rhs(self, b: ArrayLike) -> Array:
        return np.array(self._rhs(b))

    def borrowed_rhs(self, b: ArrayLike) -> tuple[Array, Scan]:
        values = self._rhs(b)
        return values, scan(self._cells, values)

    def _rhs(self, b: ArrayLike) -> Array:
        """The right-hand side, which may be the user's array."""
        rows = self._to_rows(b, "b")
        kept = rows[self._kept]
        if self._eliminated.size:
            kept = kept - self._moved(rows)
        return self._to_cells(kept if self.sign > 0 else -kept)

    def guess(self, x0: ArrayLike) -> Array:
        return np.array(self._to_cells(self._to_rows(x0, "x0")[self._kept]))

    def residual(self, r: Array) -> Array:
        rows = np.zeros(self.size)
        rows[self._kept] = r.reshape(-1)[self._kept_cell]
        return rows

    def solution(self, x: Array, b: ArrayLike) -> Array:
        if self._kept_cell is ALL:
            return self._like(x.reshape(-1), b)
        rows = self.residual(x)
        if self._eliminated.size:
            rows[self._eliminated] = self._eliminated_solution(self._to_rows(b, "b"))
        return self._like(rows, b)

    def reference_norm(self, b: ArrayLike, projected: Array, norm: float) -> float:
        """||b||2 of the user's b, less what the projection took off it."""
        if not self._eliminated.size:
            return norm
        rows = self._to_rows(b, "b")
        kept = self.sign * projected.reshape(-1)[self._kept_cell] + self._moved(rows)
        return math.hypot(norm2(kept), norm2(rows[self._eliminated]))

    def _eliminated_solution(self, rows: Array) -> Array:
        return rows[self._eliminated] / self._eliminated_diagonal

    def _moved(self, rows: Array) -> Array:
        """What the eliminated rows' solution contributes to A x in the kept rows."""
        x = np.zeros(rows.size)
        x[self._eliminated] = self._eliminated_solution(rows)
        return (self._A @ x)[self._kept]

    def _to_rows(self, v: ArrayLike, name: str) -> Array:
        """A value per row; it may be the user's array, and is not to be written to."""
        values = check_vector(v, name)
        if values.shape == self._shape:
            rows = np.ascontiguousarray(values.reshape(-1)[self._cell], dtype=np.float64)
        elif values.shape == (self.size,):
            rows = np.ascontiguousarray(values, dtype=np.float64)
        else:
            raise ValueError(
                f"{name}: shape {values.shape} given; ({self.size},) rows of A or the cells' {self._shape} is needed"
            )
        if self._ignored.size:
            rows = rows.copy()
            rows[self._ignored] = 0.0
        return check_finite(rows, name)

    def _like(self, rows: Array, given: ArrayLike) -> Array:
        """Values per row, laid out as `given` is."""
        if np.shape(given) != self._shape:
            return rows
        if self._cell is ALL:
            return rows.reshape(self._shape)
        full = np.zeros(self._shape)
        full.reshape(-1)[self._cell] = rows
        return full

    def _to_cells(self, kept: Array) -> Array:
        if self._kept_cell is ALL:
            return kept
        full = np.zeros(math.prod(self._shape))
        full[self._kept_cell] = kept
        return full
