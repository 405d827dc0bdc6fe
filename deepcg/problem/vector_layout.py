"""How the user's vectors map to the solver's, which run over all cells and are zero outside FLUID."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from .grid import Array
from .stencil import Stencil
from .vectors import Scan, scan


class Layout(Protocol):
    """Translates the vectors of A as the user knows it."""

    of_matrix: bool
    sign: float  # -1 where A is the negative of the operator that is solved with

    @property
    def size(self) -> int:
        """Length of the user's flat vectors."""

    def matrix(self) -> sp.csr_array:
        """A over the user's unknowns."""

    def apply(self, x: ArrayLike) -> Array:
        """A x in the user's layout."""

    def rhs(self, b: ArrayLike) -> Array:
        """The right-hand side over all cells (flat), a new array."""

    def borrowed_rhs(self, b: ArrayLike) -> tuple[Array, Scan]:
        """The same, which may be b itself and is not to be written to, and its scan."""

    def guess(self, x0: ArrayLike) -> Array:
        """An initial guess over all cells (flat)."""

    def residual(self, r: Array) -> Array:
        """The user's flat vector of a residual or a correction: no sign, no boundary data."""

    def solution(self, x: Array, b: ArrayLike) -> Array:
        """The solution, laid out as b is; it may share the memory of x."""

    def reference_norm(self, b: ArrayLike, projected: Array, norm: float) -> float:
        """The ||b|| that rtol refers to; `projected`, of 2-norm `norm`, is the right-hand side that is solved for."""


class CellLayout:
    """Vectors of the cells' shape, or flat over the FLUID cells in C order."""

    of_matrix = False
    sign = 1.0

    def __init__(self, stencil: Stencil):
        self._stencil = stencil

    @property
    def size(self) -> int:
        return self._stencil.size

    def matrix(self) -> sp.csr_array:
        return self._stencil.matrix()

    def apply(self, x: ArrayLike) -> Array:
        return self.solution(self._stencil.apply(self._to_cells(x, "x")), x)

    def rhs(self, b: ArrayLike) -> Array:
        return self._to_cells(b, "b")

    def borrowed_rhs(self, b: ArrayLike) -> tuple[Array, Scan]:
        stencil = self._stencil
        if isinstance(b, np.ndarray) and b.shape == stencil.shape and b.dtype == np.float64 and b.flags.c_contiguous:
            values = b.reshape(-1)
            found = scan(stencil.cells, values)
            if not found.outside and np.isfinite(found.largest):
                return values, found
        values = self.rhs(b)
        return values, scan(stencil.cells, values)

    def guess(self, x0: ArrayLike) -> Array:
        return self._to_cells(x0, "x0")

    def residual(self, r: Array) -> Array:
        return r.reshape(self._stencil.shape)[self._stencil.fluid]

    def solution(self, x: Array, b: ArrayLike) -> Array:
        full = x.reshape(self._stencil.shape)
        return full if np.shape(b) == full.shape else full[self._stencil.fluid]

    def reference_norm(self, b: ArrayLike, projected: Array, norm: float) -> float:
        return norm

    def _to_cells(self, v: ArrayLike, name: str) -> Array:
        stencil = self._stencil
        values = check_vector(v, name)
        if values.shape == stencil.shape:
            full = np.array(values, dtype=np.float64, order="C")
            full[~stencil.fluid] = 0.0
        elif values.shape == (stencil.size,):
            full = np.zeros(stencil.shape)
            full[stencil.fluid] = values
        else:
            raise ValueError(
                f"{name}: shape {values.shape} given; the cells' {stencil.shape} or ({stencil.size},) unknowns is needed"
            )
        return check_finite(full.reshape(-1), name)


def check_vector(v: ArrayLike, name: str) -> np.ndarray:
    values = np.asarray(v)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: dtype {values.dtype} given; real numbers are needed")
    return values


def check_finite(values: Array, name: str) -> Array:
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: contains NaN or infinity")
    return values
