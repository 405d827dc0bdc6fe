"""The stencil operator: face weights, and the finite-volume operator that they define.

    (A x)_i = sum over faces w_f (x_i - x_nb) + s_i x_i,    w_f = beta_f * area_f / distance of centres

with x_nb = 0 in an OPEN cell and no term at a SOLID face. Vectors are cell-shaped or flat over *all* cells, zero
outside FLUID: a structured vector costs a little memory where there are walls and saves every gather and scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..native import library as native
from .face_weights import FaceWeights, back, face_weights, front, joined_faces, uniform_weight
from .grid import FLUID, Array, Grid


@dataclass(frozen=True)
class Stencil:
    """A 5-point (2-D) or 7-point (3-D) symmetric positive semi-definite operator on a grid.

    Attributes
    ----------
    cells : uint8 array
        FLUID, SOLID or OPEN.
    weights : sequence of one float64 array per axis
        Face weights, n+1 along their own axis; 0 at closed faces. On a periodic axis the first and the last
        layer are the same faces, with equal values.
    shift : float64 array of the cells' shape, or None
        Added to the diagonal.
    periodic : one bool per axis
    unit : float or None
        The one weight of all faces between a FLUID cell and one that is not SOLID, where there is but one and no shift.
    open_sides : one (low, high) pair of bools per axis
        Whether OPEN cells lie outside; asked for only with `unit`.
    """

    cells: NDArray[np.uint8]
    weights: Sequence[Array]
    shift: Array | None
    periodic: tuple[bool, ...]
    unit: float | None = None
    open_sides: tuple[tuple[bool, bool], ...] = ((False, False),) * 3

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cells.shape

    @cached_property
    def fluid(self) -> NDArray[np.bool_]:
        return self.cells == FLUID

    @cached_property
    def size(self) -> int:
        """Number of unknowns."""
        return int(np.count_nonzero(self.fluid))

    @cached_property
    def diagonal(self) -> Array:
        """The diagonal of A, cell-shaped, 0 outside FLUID."""
        total = np.zeros(self.shape)
        for axis, w in enumerate(self.weights):
            total += w[front(axis)] + w[back(axis)]
        if self.shift is not None:
            total += self.shift
        total[~self.fluid] = 0.0
        return total

    @cached_property
    def inverse_diagonal(self) -> Array:
        """1 / diagonal, with 1 for unknowns whose diagonal is 0 (isolated cells) and 0 outside FLUID."""
        d = self.diagonal
        safe = np.where(d > 0, d, 1.0)
        return np.where(self.fluid, 1.0 / safe, 0.0)

    @cached_property
    def norm_bound(self) -> float:
        """An upper bound of ||A||_2 (Gershgorin: twice the largest diagonal entry, shift counted once)."""
        if self.unit is not None:
            return 4.0 * len(self.shape) * self.unit
        return native.norm_bound(self)

    def apply(self, x: Array, out: Array | None = None) -> Array:
        """A x for a vector over all cells (flat or cell-shaped) that is zero outside FLUID; out: the result's array."""
        if out is None:
            out = np.empty_like(x)
        native.stencil_apply(self, x, out)
        return out

    def matrix(self) -> sp.csr_array:
        """A as CSR over the FLUID cells in C order, built without a loop over cells."""
        number = np.full(self.shape, -1, dtype=np.int32)
        number[self.fluid] = np.arange(self.size, dtype=np.int32)
        axes = range(len(self.shape))
        columns, values = [], []
        for axis, side in [(a, -1) for a in axes] + [(None, 0)] + [(a, 1) for a in reversed(axes)]:
            if axis is None:
                column, value = number, self.diagonal
            else:
                column = np.roll(number, -side, axis)
                value = -self.weights[axis][front(axis) if side < 0 else back(axis)]
                if not self.periodic[axis]:
                    column[(slice(None),) * axis + (0 if side < 0 else -1,)] = -1
            columns.append(column[self.fluid])
            values.append(value[self.fluid])
        column = np.stack(columns, axis=1)
        value = np.stack(values, axis=1)
        keep = (column >= 0) & (value != 0.0)
        keep[:, len(self.shape)] = True  # the diagonal, even where it is 0
        indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int32)
        result = sp.csr_array((value[keep], column[keep], indptr), shape=(self.size, self.size))
        result.sum_duplicates()
        return result


def build_stencil(grid: Grid, coefficient=None, shift=None) -> Stencil:
    """The operator of a grid.

    Parameters
    ----------
    grid : Grid
    coefficient : None, a cell array, or a sequence of one face array per axis
        See `deepcg.Poisson`.
    shift : None, scalar or cell array, >= 0
    """
    added = check_shift(shift, grid)
    unit = uniform_weight(grid) if coefficient is None and added is None else None
    if unit is not None:
        return uniform_stencil(grid, unit)
    return Stencil(grid.cells, face_weights(grid, coefficient), added, grid.periodic)


def uniform_stencil(grid: Grid, weight: float) -> Stencil:
    """The stencil in which all joined faces of the grid have this weight."""
    weights = FaceWeights(grid.ndim, partial(joined_weights, grid, weight))
    sides = tuple((low == "open", high == "open") for low, high in grid.boundary)
    return Stencil(grid.cells, weights, None, grid.periodic, weight, sides)


def joined_weights(grid: Grid, weight: float, axis: int) -> Array:
    return np.where(joined_faces(grid, axis), weight, 0.0)


def check_shift(shift, grid: Grid) -> Array | None:
    """The shift per cell, 0 outside FLUID, or None where there is none."""
    if shift is None:
        return None
    s = np.asarray(shift, dtype=np.float64)
    if s.ndim and s.shape != grid.shape:
        raise ValueError(f"shift: shape {s.shape} given; a scalar or the cells' {grid.shape} is needed")
    s = np.where(grid.fluid, s, 0.0)
    if not (np.isfinite(s).all() and (s >= 0).all()):
        raise ValueError("shift: must be finite and >= 0 in every FLUID cell")
    return s if s.any() else None
