"""The grid: which cells are unknowns, how wide they are, and what lies outside.

A grid is a box of cells, each FLUID (an unknown), SOLID (a wall) or OPEN (a fixed value, zero unless
`Poisson.rhs` says otherwise). Everything per axis is in array-axis order: (y, x) in 2-D, (z, y, x) in 3-D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..native.constants import FLUID, OPEN, SOLID

KINDS = {"wall": SOLID, "open": OPEN, "periodic": None}

Boundary = tuple[tuple[str, str], ...]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Cells, widths and outer boundary; made by `Grid.create`, which checks them.

    Attributes
    ----------
    cells : uint8 array, shape (ny, nx) or (nz, ny, nx)
        FLUID, SOLID or OPEN; read-only.
    widths : one float64 array per axis
        Cell widths along that axis.
    boundary : one (low, high) pair per axis
        "wall", "open" or "periodic".
    """

    cells: NDArray[np.uint8]
    widths: tuple[Array, ...]
    boundary: Boundary

    @classmethod
    def create(cls, cells: ArrayLike, spacing=1.0, boundary="wall") -> Grid:
        """Check the user's description of a grid and bring it into one form."""
        checked = check_cells(cells)
        return cls(checked, check_spacing(spacing, checked.shape), check_boundary(boundary, checked.ndim))

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.cells.setflags(write=False)  # which NumPy's pickles forget

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cells.shape

    @property
    def ndim(self) -> int:
        return self.cells.ndim

    @property
    def fluid(self) -> NDArray[np.bool_]:
        """True where there is an unknown; cell-shaped."""
        return self.cells == FLUID

    def is_periodic(self, axis: int) -> bool:
        return self.boundary[axis][0] == "periodic"

    @property
    def periodic(self) -> tuple[bool, ...]:
        """`is_periodic` of every axis."""
        return tuple(self.is_periodic(axis) for axis in range(self.ndim))

    def along(self, axis: int, values: NDArray) -> NDArray:
        """A 1-D array of values along `axis`, shaped to broadcast over the cells."""
        shape = [1] * self.ndim
        shape[axis] = -1
        return values.reshape(shape)

    def pad(self, axis: int, values: NDArray) -> NDArray:
        """Values (full or broadcastable) with one more layer on both sides of `axis`: wrapped or repeated."""
        width = [(1, 1) if a == axis else (0, 0) for a in range(self.ndim)]
        return np.pad(values, width, mode="wrap" if self.is_periodic(axis) else "edge")

    def pad_cells(self, axis: int) -> NDArray[np.uint8]:
        """The cells with the layer outside both sides of `axis`, as the boundary says."""
        padded = self.pad(axis, self.cells)
        for side, word in zip((0, -1), self.boundary[axis], strict=True):
            kind = KINDS[word]
            if kind is not None:
                padded[(slice(None),) * axis + (side,)] = kind
        return padded

    def distances(self, axis: int) -> Array:
        """Distance of the two cell centres at each of the n+1 faces of `axis`.

        Outside an open boundary lies a cell as wide as the one inside.
        """
        h = np.pad(self.widths[axis], 1, mode="wrap" if self.is_periodic(axis) else "edge")
        return 0.5 * (h[:-1] + h[1:])

    def areas(self, axis: int) -> Array:
        """Area (in 2-D: length) of the faces across `axis`, broadcastable over the cells."""
        area = np.ones((1,) * self.ndim)
        for other in range(self.ndim):
            if other != axis:
                area = area * self.along(other, self.widths[other])
        return area

    def volumes(self) -> Array:
        """Volume (in 2-D: area) of each cell, broadcastable over the cells."""
        return self.areas(0) * self.along(0, self.widths[0])

    def centres(self, axis: int) -> Array:
        """Coordinates of the cell centres along `axis`, from the low side of the box."""
        h = self.widths[axis]
        return np.cumsum(h) - 0.5 * h


def check_cells(cells: ArrayLike) -> NDArray[np.uint8]:
    """A read-only uint8 copy of `cells`, or a ValueError or TypeError that says what is wrong."""
    array = np.asarray(cells)
    if array.dtype.kind == "b":
        raise TypeError(
            "cells: a boolean array given, which does not say what True is; np.where(cells, deepcg.SOLID, deepcg.FLUID) is needed where True "
            "is a wall, np.where(cells, deepcg.FLUID, deepcg.SOLID) where it is an unknown"
        )
    if array.dtype.kind not in "ui":
        remedy = "; cells.astype(np.uint8) has integers" if array.dtype.kind == "f" else ""
        raise TypeError(
            f"cells: dtype {array.dtype} given; an integer array of FLUID=0, SOLID=1, OPEN=2 is needed{remedy}"
        )
    if array.ndim == 1 and array.size in (2, 3) and array.min() > 0:
        shape = tuple(array.tolist())
        raise ValueError(f"cells: {shape} given, which looks like a shape; np.zeros({shape}, dtype=np.uint8) is needed")
    if array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(f"cells: shape {array.shape} given; (ny, nx) or (nz, ny, nx) with at least one cell is needed")
    if array.min() < FLUID or array.max() > OPEN:
        raise ValueError(
            f"cells: values {array.min()}..{array.max()} given; only FLUID=0, SOLID=1 and OPEN=2 are allowed"
        )
    if not (array == FLUID).any():
        raise ValueError("cells: no FLUID cell (0) given; at least one unknown is needed")
    checked = np.array(array, dtype=np.uint8, order="C")
    checked.setflags(write=False)
    return checked


def check_spacing(spacing, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Cell widths per axis from a scalar, one scalar per axis, or one array per axis."""
    per_axis = [spacing] * len(shape) if is_scalar(spacing) else list(spacing)
    if len(per_axis) != len(shape):
        raise ValueError(
            f"spacing: {len(per_axis)} entries given; a scalar or one entry per axis ({len(shape)}) is needed"
        )
    widths = []
    for axis, (entry, n) in enumerate(zip(per_axis, shape, strict=True)):
        h = np.asarray(entry, dtype=np.float64)
        if h.ndim == 0:
            h = np.full(n, float(h))
        if h.shape != (n,):
            raise ValueError(f"spacing[{axis}]: shape {h.shape} given; a scalar or {n} cell widths are needed")
        if not (np.isfinite(h).all() and (h > 0).all()):
            raise ValueError(f"spacing[{axis}]: widths must be finite and > 0")
        widths.append(h.copy())
    return tuple(widths)


def is_scalar(value) -> bool:
    """Whether one number was given (a list of arrays of several lengths is no array that NumPy could measure)."""
    return not isinstance(value, (list, tuple)) and np.ndim(value) == 0


def check_boundary(boundary: str | Sequence, ndim: int) -> Boundary:
    """One (low, high) pair of words per axis from one word, or one word or pair per axis."""
    if not isinstance(boundary, (str, Sequence, np.ndarray)):
        raise TypeError(f"boundary: {boundary!r} given; one word or one entry per axis is needed")
    per_axis = [boundary] * ndim if isinstance(boundary, str) else list(boundary)
    if len(per_axis) != ndim:
        raise ValueError(f"boundary: {len(per_axis)} entries given; one word or one entry per axis ({ndim}) is needed")
    pairs = []
    for axis, entry in enumerate(per_axis):
        pair = (entry, entry) if isinstance(entry, str) else entry
        if np.ndim(pair) != 1 or len(pair) != 2:
            raise ValueError(f"boundary[{axis}]: {entry!r} given; one word or a (low, high) pair of words is needed")
        low, high = pair
        for word in (low, high):
            if word not in KINDS:
                raise ValueError(
                    f"boundary[{axis}]: {word!r} given; 'wall' (Neumann), 'open' (Dirichlet) or 'periodic' is needed"
                )
        if (low == "periodic") != (high == "periodic"):
            raise ValueError(
                f"boundary[{axis}]: ({low!r}, {high!r}) given; 'periodic' must stand on both sides of an axis"
            )
        pairs.append((low, high))
    return tuple(pairs)
