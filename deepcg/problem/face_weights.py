"""Face weights: what couples two cells of a grid, beta_f * area_f / distance of centres.

A face is joined where a FLUID cell meets one that is not SOLID; every other has weight 0. Coefficients given per cell are taken to the
faces by harmonic means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..native import library as native
from .grid import FLUID, KINDS, SOLID, Array, Grid


class FaceWeights(Sequence):
    """One array per axis, made when first asked for: where every joined face has the same weight, the kernels need none."""

    def __init__(self, ndim: int, make: Callable[[int], Array]):
        self._made: list[Array | None] = [None] * ndim
        self._make = make

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, axis):
        if isinstance(axis, slice):
            return tuple(self[a] for a in range(*axis.indices(len(self))))
        made = self._made[axis]
        if made is None:
            made = self._made[axis] = self._make(axis % len(self))
        return made


def front(axis: int) -> tuple[slice, ...]:
    """Index that drops the last layer of `axis`: of n+1 faces, those on the low side of each cell."""
    return (slice(None),) * axis + (slice(None, -1),)


def back(axis: int) -> tuple[slice, ...]:
    """Index that drops the first layer of `axis`: of n+1 faces, those on the high side of each cell."""
    return (slice(None),) * axis + (slice(1, None),)


def face_weights(grid: Grid, coefficient=None) -> tuple[Array, ...]:
    """The face weights, one array per axis; `coefficient` as `build_stencil` takes it."""
    if isinstance(coefficient, (tuple, list)) and np.ndim(coefficient[0]) == grid.ndim == len(coefficient):
        betas = enumerate(_check_face_coefficient(grid, axis, beta) for axis, beta in enumerate(coefficient))
        return tuple(_face_weights(grid, axis, beta) for axis, beta in betas)
    outside = [[SOLID if (kind := KINDS[word]) is None else kind for word in sides] for sides in grid.boundary]
    beta = None if coefficient is None else _cell_coefficient(coefficient, grid)
    return native.face_weights(grid.cells, outside, list(grid.periodic), grid.widths, beta)


def uniform_weight(grid: Grid) -> float | None:
    """The weight of every joined face where all cells are cubes of one size; None where they are not."""
    h = float(grid.widths[0][0])
    if any((widths != h).any() for widths in grid.widths):
        return None
    return h ** (grid.ndim - 2)


def joined_faces(grid: Grid, axis: int) -> NDArray[np.bool_]:
    """The faces between a FLUID cell and one that is not SOLID."""
    kind = grid.pad_cells(axis)
    low, high = kind[front(axis)], kind[back(axis)]
    joined = (low != SOLID) & (high != SOLID) & ((low == FLUID) | (high == FLUID))
    if grid.is_periodic(axis) and grid.shape[axis] == 1:
        joined[...] = False  # a cell that is its own neighbour exchanges nothing
    return joined


def _face_weights(grid: Grid, axis: int, beta: Array) -> Array:
    w = beta * grid.areas(axis) / grid.along(axis, grid.distances(axis))
    return np.ascontiguousarray(np.where(joined_faces(grid, axis), w, 0.0))


def _cell_coefficient(coefficient: ArrayLike, grid: Grid) -> Array:
    beta = np.ascontiguousarray(coefficient, dtype=np.float64)
    if beta.shape != grid.shape:
        faces = [tuple(n + (a == axis) for a, n in enumerate(grid.shape)) for axis in range(grid.ndim)]
        raise ValueError(
            f"coefficient: shape {beta.shape} given; the cells' {grid.shape}, or a list of one face array per axis "
            f"with shapes {faces} is needed"
        )
    return beta


def _check_face_coefficient(grid: Grid, axis: int, coefficient: ArrayLike) -> Array:
    beta = np.asarray(coefficient, dtype=np.float64)
    shape = tuple(n + (a == axis) for a, n in enumerate(grid.shape))
    if beta.shape != shape:
        raise ValueError(f"coefficient[{axis}]: shape {beta.shape} given; the faces' {shape} is needed")
    if not (np.isfinite(beta).all() and (beta >= 0).all()):
        raise ValueError(f"coefficient[{axis}]: must be finite and >= 0 on every face (0 = closed)")
    if grid.is_periodic(axis):
        first, last = np.take(beta, 0, axis), np.take(beta, -1, axis)
        if not np.array_equal(first, last):
            raise ValueError(
                f"coefficient[{axis}]: the first and last faces of a periodic axis are the same; give equal values"
            )
    return beta
