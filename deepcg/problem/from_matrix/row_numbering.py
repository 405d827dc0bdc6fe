"""Where the rows of a matrix lie on a grid: from the cells, the grid's shape, or the coordinates of cell centres."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from ...native import library as native
from ...native.session import Session
from ..grid import FLUID, check_cells


def place_rows(session: Session, n: int, cells=None, shape=None, coordinates=None) -> int:
    """Tell a session the places of n rows, by exactly one of the three descriptions of the grid; returns its dimension."""
    given = [name for name, v in (("cells", cells), ("shape", shape), ("coordinates", coordinates)) if v is not None]
    if len(given) != 1:
        raise ValueError(
            f"{', '.join(given) or 'grid'}: {len(given) or 'no'} descriptions of the grid given; exactly one of "
            "cells=, shape= and coordinates= is needed"
        )
    if cells is not None:
        return _place_on_cells(session, n, cells)
    if shape is not None:
        return _place_on_shape(session, n, shape)
    return _place_by_coordinates(session, n, coordinates)


def _place_on_cells(session: Session, n: int, cells: ArrayLike) -> int:
    kinds = check_cells(cells)
    fluid = int(np.count_nonzero(kinds == FLUID))
    if n not in (kinds.size, fluid):
        raise ValueError(
            f"cells: {kinds.size} cells, {fluid} of them FLUID, given for a matrix of {n} rows; "
            "A needs a row for every cell or for every FLUID cell"
        )
    session.set_grid(kinds.shape, kinds)
    return kinds.ndim


def _place_on_shape(session: Session, n: int, shape: Sequence[int]) -> int:
    entries = np.atleast_1d(np.asarray(shape))
    if entries.dtype.kind not in "ui" or entries.ndim != 1:
        raise TypeError(f"shape: {shape!r} given; integers (ny, nx) or (nz, ny, nx) are needed")
    sizes = tuple(int(entry) for entry in entries)
    if len(sizes) == 1:
        sizes = (1, *sizes)
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise ValueError(f"shape: {shape!r} given; (ny, nx) or (nz, ny, nx) with positive entries is needed")
    total = prod(sizes)
    if total != n:
        raise ValueError(
            f"shape: {sizes} has {total} cells but A has {n} rows; they must agree "
            "(pass cells= if only the FLUID cells have rows)"
        )
    session.set_grid(sizes)
    return len(sizes)


def _place_by_coordinates(session: Session, n: int, coordinates: ArrayLike) -> int:
    centres = np.asarray(coordinates)
    if centres.dtype.kind not in "fiu":
        raise TypeError(f"coordinates: dtype {centres.dtype} given; real numbers are needed")
    if centres.shape not in ((n, 2), (n, 3)) or n == 0:
        raise ValueError(
            f"coordinates: shape {centres.shape} given; ({n}, 2) or ({n}, 3), one centre per row of A, is needed"
        )
    try:
        session.set_coordinates(np.ascontiguousarray(centres, dtype=np.float64))
    except native.ArgumentError as error:
        raise ValueError(str(error)) from None
    return centres.shape[1]
