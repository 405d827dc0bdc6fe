"""Where the rows of a matrix lie on a grid: from the cells, the grid's shape, or the coordinates of cell centres."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...native import library as native
from ..grid import FLUID, Array, check_cells


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows of a matrix lie on a grid.

    Attributes
    ----------
    widths : one array per axis
        Cell widths.
    cell : int64 array, (n,), or None
        Each row's cell as a flat index; None where row i is cell i.
    cells : uint8 array, or None
        The cells where the user gave them.
    """

    widths: tuple[Array, ...]
    cell: NDArray[np.int64] | None = None
    cells: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The grid's."""
        return tuple(h.size for h in self.widths)


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
    return RowPlaces(_unit_widths(kinds.shape), None if n == kinds.size else fluid.astype(np.int64, copy=False), kinds)


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
    return RowPlaces(_unit_widths(sizes))


def _place_by_coordinates(n: int, coordinates: ArrayLike) -> RowPlaces:
    centres = np.asarray(coordinates)
    if centres.dtype.kind not in "fiu":
        raise TypeError(f"coordinates: dtype {centres.dtype} given; real numbers are needed")
    if centres.shape not in ((n, 2), (n, 3)) or n == 0:
        raise ValueError(
            f"coordinates: shape {centres.shape} given; ({n}, 2) or ({n}, 3), one centre per row of A, is needed"
        )
    dim = centres.shape[1]
    centres = np.ascontiguousarray(centres, dtype=np.float64)
    sizes, in_order = (ctypes.c_int64 * 3)(), ctypes.c_int32()
    cell, widths = np.empty(n, np.int64), np.empty((3, n))
    addresses = (ctypes.c_void_p * 3)(*(w.ctypes.data for w in widths))
    try:
        native.call("dcg_place_rows", dim, n, centres, sizes, cell, addresses, ctypes.byref(in_order))
    except native.ArgumentError as error:
        raise ValueError(str(error)) from None
    axes = (0, 1, 2) if dim == 3 else (0, 2)
    return RowPlaces(tuple(widths[a, : sizes[a]].copy() for a in axes), None if in_order.value else cell)


def _unit_widths(shape: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(np.ones(n) for n in shape)
