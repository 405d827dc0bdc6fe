"""Where the rows of a matrix lie on a grid: from the cells, the grid's shape, or the coordinates of cell centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..grid import FLUID, SOLID, Array, check_cells

LEVEL_GAP = 1e-4  # of the widest gap between centres along an axis: closer coordinates are the same level
LEVEL_FLOOR = 1e-7  # of the box's largest extent: likewise, and what decides in a plane of one level
SPARSEST = 100  # cells of the bounding grid per row, beyond which centres are taken for unstructured


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows of a matrix lie on a grid.

    Attributes
    ----------
    kinds : uint8 array
        The cells: as given, or FLUID where there is a row and SOLID elsewhere.
    cell : int array, (n,), or None
        Each row's cell as a flat index; None where row i is cell i.
    widths : one array per axis
        Cell widths.
    walls : bool array of the cells' shape, or None
        The cells that the user says are SOLID.
    """

    kinds: NDArray[np.uint8]
    cell: NDArray[np.intp] | None
    widths: tuple[Array, ...]
    walls: NDArray[np.bool_] | None = None

    def of(self, rows: NDArray) -> NDArray:
        """The cells of these rows."""
        return rows if self.cell is None else self.cell[rows]

    def spread(self, values: NDArray) -> NDArray:
        """Values per row as an array of the cells' shape, 0 in cells without a row."""
        if self.cell is None:
            return values.reshape(self.kinds.shape)
        full = np.zeros(self.kinds.shape, dtype=values.dtype)
        full.reshape(-1)[self.cell] = values
        return full

    def name(self, row) -> str:
        """A row as an error message names it."""
        index = np.unravel_index(int(self.of(np.asarray(row))), self.kinds.shape)
        return f"row {int(row)} (cell {tuple(int(i) for i in index)})"

    def name_cell(self, index: tuple[int, ...]) -> str:
        flat = int(np.ravel_multi_index(index, self.kinds.shape))
        return self.name(flat if self.cell is None else np.flatnonzero(self.cell == flat)[0])


def place_rows(n: int, cells=None, shape=None, coordinates=None) -> RowPlaces:
    """The places of n rows, from exactly one of the three descriptions of the grid."""
    given = [name for name, v in (("cells", cells), ("shape", shape), ("coordinates", coordinates)) if v is not None]
    if len(given) != 1:
        raise ValueError(
            f"{', '.join(given) or 'grid'}: {len(given) or 'no'} descriptions of the grid given; exactly one of "
            "cells=, shape= and coordinates= is needed"
        )
    if cells is not None:
        return _place_on_cells(n, cells)
    if shape is not None:
        return _place_on_shape(n, shape)
    return _place_by_coordinates(n, coordinates)


def _place_on_cells(n: int, cells: ArrayLike) -> RowPlaces:
    kinds = check_cells(cells)
    fluid = np.flatnonzero(kinds.reshape(-1) == FLUID)
    if n not in (kinds.size, fluid.size):
        raise ValueError(
            f"cells: {kinds.size} cells, {fluid.size} of them FLUID, given for a matrix of {n} rows; "
            "A needs a row for every cell or for every FLUID cell"
        )
    return RowPlaces(kinds, None if n == kinds.size else fluid, _unit_widths(kinds.shape), kinds == SOLID)


def _place_on_shape(n: int, shape: Sequence[int]) -> RowPlaces:
    entries = np.atleast_1d(np.asarray(shape))
    if entries.dtype.kind not in "ui" or entries.ndim != 1:
        raise TypeError(f"shape: {shape!r} given; integers (ny, nx) or (nz, ny, nx) are needed")
    sizes = tuple(int(entry) for entry in entries)
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise ValueError(f"shape: {shape!r} given; (ny, nx) or (nz, ny, nx) with positive entries is needed")
    total = prod(sizes)
    if total != n:
        raise ValueError(
            f"shape: {sizes} has {total} cells but A has {n} rows; they must agree "
            "(pass cells= if only the FLUID cells have rows)"
        )
    return RowPlaces(np.full(sizes, FLUID, dtype=np.uint8), None, _unit_widths(sizes))


def _place_by_coordinates(n: int, coordinates: ArrayLike) -> RowPlaces:
    centres = np.asarray(coordinates)
    if centres.dtype.kind not in "fiu":
        raise TypeError(f"coordinates: dtype {centres.dtype} given; real numbers are needed")
    if centres.shape not in ((n, 2), (n, 3)) or n == 0:
        raise ValueError(
            f"coordinates: shape {centres.shape} given; ({n}, 2) or ({n}, 3), one centre per row of A, is needed"
        )
    if not np.isfinite(centres).all():
        raise ValueError("coordinates: contains NaN or infinity")
    # columns are (x, y[, z]), array axes (z, y, x)
    centres = centres.astype(np.float64)
    floor = LEVEL_FLOOR * float(np.ptp(centres, axis=0).max())
    found = [find_levels(column, floor) for column in centres.T[::-1]]
    levels, index = tuple(level for level, _ in found), tuple(which for _, which in found)
    sizes = tuple(level.size for level in levels)
    if prod(sizes) > SPARSEST * n:
        raise ValueError(
            f"coordinates: the {n} centres take {' x '.join(map(str, sizes))} different coordinates along (z,) y, x; "
            "cell centres of a rectilinear grid are needed"
        )
    cell = np.ravel_multi_index(index, sizes)
    order = np.argsort(cell, kind="stable")
    if (same := cell[order[1:]] == cell[order[:-1]]).any():
        k = int(np.argmax(same))
        raise ValueError(
            f"coordinates: rows {order[k]} and {order[k + 1]} have the same cell centre, "
            f"{tuple(centres[order[k]].tolist())}; every row needs a cell of its own"
        )
    kinds = np.full(sizes, SOLID, dtype=np.uint8)
    kinds.reshape(-1)[cell] = FLUID
    in_order = cell.size == kinds.size and np.array_equal(cell, np.arange(cell.size))
    return RowPlaces(kinds, None if in_order else cell, tuple(map(estimate_widths, levels)))


def find_levels(values: Array, floor: float) -> tuple[Array, NDArray[np.intp]]:
    """The distinct values up to noise, ascending, and for each value the number of its level.

    Gaps below `floor`, or small against the axis's widest gap, are noise.
    """
    distinct, which = np.unique(values, return_inverse=True)
    gaps = np.diff(distinct)
    noise = max(LEVEL_GAP * gaps.max(initial=0.0), floor)
    level = np.concatenate([[0], np.cumsum(gaps > noise)]).astype(np.intp)
    return np.bincount(level, weights=distinct) / np.bincount(level), level[which]


def estimate_widths(centres: Array) -> Array:
    """Cell widths with faces half-way between the centres (exact on uniform grids; the operator does not use them)."""
    if centres.size == 1:
        return np.ones(1)
    gaps = np.diff(centres)
    return 0.5 * (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]]))


def _unit_widths(shape: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(np.ones(n) for n in shape)
