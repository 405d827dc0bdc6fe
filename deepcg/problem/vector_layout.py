"""How the user's vectors map to a session's rows, and those to vectors over all cells, which are zero outside FLUID."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..native.session import Session
from .grid import Array
from .stencil import Stencil


class Layout:
    """Translates the vectors of A as the user knows it.

    Attributes
    ----------
    of_matrix : bool
    sign : 1.0 or -1.0
        -1 where A is the negative of the operator that is solved with.
    size : int
        Length of the user's flat vectors.
    shape : tuple of int
        The cells'.
    session : deepcg.native.session.Session
        It has read the problem.
    """

    of_matrix: bool
    sign = 1.0
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        raise NotImplementedError

    @cached_property
    def session(self) -> Session:
        raise NotImplementedError

    def matrix(self) -> sp.csr_array:
        """A over the user's unknowns."""
        raise NotImplementedError

    def apply(self, x: ArrayLike) -> Array:
        """A x in the user's layout."""
        raise NotImplementedError

    def rows(self, v: ArrayLike, name: str) -> Array:
        """A float64 value per row of the session; it may be the user's array, and is not to be written to."""
        raise NotImplementedError

    def like(self, rows: Array, given: ArrayLike) -> Array:
        """Values per row, laid out as `given` is; it may share their memory."""
        raise NotImplementedError

    def count_columns(self, v: ArrayLike) -> int | None:
        """How many vectors v holds along one more axis, its last; None where v is one vector, or no such array.

        What has the cells' shape is one vector.
        """
        *vector, count = np.shape(v) or (0,)
        several = tuple(vector) in (self.shape, (self.size,)) and np.shape(v) != self.shape
        return count if several else None

    def rhs(self, b: ArrayLike) -> Array:
        """The right-hand side over all cells (flat), a new array."""
        return check_finite(self.session.rhs(self.rows(b, "b"), self._cells()), "b")

    def guess(self, x0: ArrayLike, name: str = "x0") -> Array:
        """An initial guess over all cells (flat), a new array."""
        return check_finite(self.session.guess(self.rows(x0, name), self._cells()), name)

    def residual(self, r: Array) -> Array:
        """The user's flat vector of a residual or a correction: no sign, no boundary data."""
        raise NotImplementedError

    def solution(self, x: Array, b: ArrayLike) -> Array:
        """The solution for b, laid out as b is."""
        rows = self.rows(b, "b")
        return self.like(self.session.rows(x, rows, np.empty_like(rows)), b)

    def _cells(self) -> Array:
        return np.empty(math.prod(self.shape))


class CellLayout(Layout):
    """Vectors of the cells' shape, or flat over the FLUID cells in C order. The session's rows are the cells."""

    of_matrix = False

    def __init__(self, stencil: Stencil):
        self._stencil, self.shape = stencil, stencil.shape

    def __getstate__(self) -> dict:
        """Without the session: it refers to the arrays of this stencil, not of a copy's."""
        return {name: value for name, value in self.__dict__.items() if name != "session"}

    @property
    def size(self) -> int:
        return self._stencil.size

    @cached_property
    def session(self) -> Session:
        made = Session()
        made.set_operator(self._stencil)
        return made

    def matrix(self) -> sp.csr_array:
        return self._stencil.matrix()

    def apply(self, x: ArrayLike) -> Array:
        return self.like(self._stencil.apply(self.guess(x, "x")), x)

    def rows(self, v: ArrayLike, name: str) -> Array:
        values = check_vector(v, name)
        if values.shape == self.shape:
            return np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
        if values.shape != (self.size,):
            raise ValueError(
                f"{name}: shape {values.shape} given; the cells' {self.shape} or ({self.size},) unknowns is needed (several: as columns, ({self.size}, k))"
            )
        full = np.zeros(self.shape)
        full[self._stencil.fluid] = values
        return full.reshape(-1)

    def like(self, rows: Array, given: ArrayLike) -> Array:
        full = rows.reshape(self.shape)
        return full if np.shape(given) == self.shape else full[self._stencil.fluid]

    def residual(self, r: Array) -> Array:
        return r.reshape(self.shape)[self._stencil.fluid]


def check_vector(v: ArrayLike, name: str) -> np.ndarray:
    if sp.issparse(v):
        raise TypeError(f"{name}: a sparse array given; a dense one is needed: {name}.toarray()")
    values = np.asarray(v)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: dtype {values.dtype} given; real numbers are needed")
    return values


def check_finite(values: Array, name: str) -> Array:
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: contains NaN or infinity")
    return values
