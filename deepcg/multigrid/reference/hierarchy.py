"""The levels of the multilevel network: which unknowns each has, what joins them, and how one level becomes the next.

A level is a network of transmissibilities: edges (faces) between unknowns, and Dirichlet couplings (OPEN faces) to fixed values.
The next level pairs cells along each axis into blocks. Its unknowns are the aggregates of a block: the sets of fine unknowns that are
connected inside it. A block's largest aggregate is its primary unknown, which lies on the coarse grid. The others, which a wall
divides off, are secondary unknowns, numbered behind the primary ones.

This module holds everything that does not depend on learned parameters, as integers: learned factors scale edges but never
make or cut one. `deepcg.multigrid.reference.network` computes the values; kernels/src/setup/coarsen.cpp does both at once, and faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ...problem.face_weights import back, front
from ...problem.poisson import Poisson
from .semicoarsening import estimate_widths, semicoarsen

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Shape = tuple[int, int, int]

DIRECT = 64  # unknowns that are solved for directly


@dataclass
class Coarsening:
    """How a level's unknowns and edges become those of the next.

    Attributes
    ----------
    parent : per axis, coarse cell of each fine one
    side : per axis, where in it: -1 the low half, 1 the high half, 0 alone
    unknown : coarse unknown of each fine one, -1 for those that are not active
    inner : edges inside blocks
    crossing : edges between blocks
    edge : coarse edge of each crossing one
    interpolated : which of the crossing edges the prolongation interpolates along: grid neighbours in primary aggregates
    """

    parent: tuple[Ints, Ints, Ints]
    side: tuple[Ints, Ints, Ints]
    unknown: Ints
    inner: Ints
    crossing: Ints
    edge: Ints
    interpolated: Bools


@dataclass
class Level:
    """One level: unknowns 0..cells-1 lie on the grid in C order, those from `cells` on are secondary.

    Attributes
    ----------
    shape : nz, ny, nx; a 2-D grid (ny, nx) is (ny, 1, nx)
    periodic : per axis
    secondary_cell : (secondary,) cell of each secondary unknown
    low, high, axis : (edges,) the edges' ends, from low to high along `axis`; no two are the same
    has_dirichlet : (3, unknowns) whether an unknown has Dirichlet couplings across each axis
    shifted : (unknowns,) whether it has a shift
    active : (unknowns,) whether there is anything to solve for
    coarsening : to the next level; None at the coarsest
    """

    shape: Shape
    periodic: tuple[bool, ...]
    secondary_cell: Ints
    low: Ints
    high: Ints
    axis: Ints
    has_dirichlet: Bools
    shifted: Bools
    active: Bools
    coarsening: Coarsening | None = None

    @property
    def cells(self) -> int:
        return int(np.prod(self.shape))

    @property
    def unknowns(self) -> int:
        return self.cells + len(self.secondary_cell)

    @property
    def cell(self) -> Ints:
        """The cell of every unknown."""
        return np.concatenate([np.arange(self.cells), self.secondary_cell])

    @property
    def structured(self) -> Bools:
        """The edges between primary unknowns; the others are unstructured."""
        return (self.low < self.cells) & (self.high < self.cells)

    def passes(self) -> list[tuple[int, Ints]]:
        """The colours that a sweep relaxes in turn: number (0 or 1) and unknowns, no two of which are joined.

        Red and black, by the parity of the cell's coordinates. Round a periodic axis of odd length two cells of the same
        parity meet, so its last layer gets passes of its own.
        """
        at = np.unravel_index(np.arange(self.cells), self.shape)
        active = self.active[: self.cells]
        odd_axes = [a for a in range(3) if self.periodic[a] and self.shape[a] % 2]
        passes = []
        for number in range(2 << len(odd_axes)):
            chosen = active & ((at[0] + at[1] + at[2]) % 2 == number % 2)
            for bit, a in enumerate(odd_axes, start=1):
                chosen = chosen & ((at[a] == self.shape[a] - 1) == (number >> bit) % 2)
            passes.append((number % 2, np.flatnonzero(chosen)))
        return passes


@dataclass
class Hierarchy:
    """All levels of a problem, and the values of the finest.

    Attributes
    ----------
    levels : from the finest
    unit : whether every face of the finest level has the same weight; its values are then those of weight 1
    scale : the finest level's operator is this times the problem's
    weight : (edges,) of the finest level's edges
    dirichlet : (3, cells)
    shift : (cells,)
    stencil_type : (cells,) with `unit`: number of faces that are not walls, plus 8 where one of them is OPEN
    """

    levels: list[Level]
    unit: bool
    scale: float
    weight: Floats
    dirichlet: Floats
    shift: Floats
    stencil_type: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def build_hierarchy(problem: Poisson) -> Hierarchy:
    """The levels of a problem, down to at most 64 unknowns."""
    hierarchy = finest_values(problem)
    level = hierarchy.levels[0]
    widths: list[Floats] = [np.ones(n) for n in level.shape]
    if not hierarchy.unit:
        faces = np.zeros((3, level.cells))
        faces[level.axis, level.low] = hierarchy.weight
        widths = estimate_widths(faces.reshape(3, *level.shape))
    target = min((h.min() for h in widths if h.size > 1), default=1.0)
    while np.count_nonzero(level.active) > DIRECT and level.cells > 1:
        parent, side, target = semicoarsen(widths, target)
        widths = [np.bincount(p, h).astype(float) for p, h in zip(parent, widths, strict=True)]
        level = coarsen(level, parent, side)
        hierarchy.levels.append(level)
    return hierarchy


def finest_values(problem: Poisson) -> Hierarchy:
    """A hierarchy of the finest level alone, in single precision relative to the largest weight as the kernels have it."""
    stencil = problem.stencil
    axes = (0, 2) if len(stencil.shape) == 2 else (0, 1, 2)
    nz, ny, nx = stencil.shape if len(axes) == 3 else (stencil.shape[0], 1, stencil.shape[1])
    shape = (nz, ny, nx)
    fluid = stencil.fluid.reshape(shape)
    by_axis = dict(zip(axes, stencil.periodic, strict=True))
    periodic = tuple(by_axis.get(a, False) and shape[a] > 1 for a in range(3))
    shift = np.zeros(shape) if stencil.shift is None else stencil.shift.reshape(shape) * fluid
    faces: list[Floats] = [np.zeros(tuple(n + (a == b) for b, n in enumerate(shape))) for a in range(3)]
    for a, w in zip(axes, stencil.weights, strict=True):
        faces[a] = w.reshape(faces[a].shape)
    largest = max(w.max() for w in faces) or shift.max() or 1.0
    scale = 1.0 / (stencil.unit or largest)
    number = np.arange(fluid.size).reshape(shape)
    ends, weights, dirichlet = [], [], np.zeros((3, *shape))
    open_faces = np.zeros(shape, dtype=np.int64)
    for a in range(3):
        below, above = (np.where(fluid, (faces[a][part(a)] * scale).astype(np.float32), 0.0) for part in (front, back))
        joined_above, joined_below = np.roll(fluid, -1, a), np.roll(fluid, 1, a)
        if not periodic[a]:
            joined_above[(slice(None),) * a + (-1,)] = False
            joined_below[(slice(None),) * a + (0,)] = False
        dirichlet[a] = np.where(joined_above, 0.0, above) + np.where(joined_below, 0.0, below)
        open_faces += np.rint(dirichlet[a]).astype(np.int64)
        edges = joined_above & (above > 0)
        ends.append((number[edges], np.roll(number, -1, a)[edges], np.full(np.count_nonzero(edges), a)))
        weights.append(above[edges])
    low, high, axis = (np.concatenate(parts) for parts in zip(*ends, strict=True))
    shift = (shift * scale).astype(np.float32).astype(float).ravel()
    outside = dirichlet.reshape(3, -1)
    weight = np.concatenate(weights).astype(float)
    degree = np.bincount(low, minlength=fluid.size) + np.bincount(high, minlength=fluid.size)
    active = (degree > 0) | (outside > 0).any(axis=0) | (shift > 0)
    none = np.empty(0, dtype=np.int64)
    level = Level(shape, periodic, none, low, high, axis, outside > 0, shift > 0, active)
    hierarchy = Hierarchy([level], stencil.unit is not None, scale, weight, outside, shift)
    if hierarchy.unit:
        hierarchy.stencil_type = degree + open_faces.ravel() + 8 * (open_faces.ravel() > 0)
    return hierarchy


def coarsen(level: Level, parent: tuple[Ints, Ints, Ints], side: tuple[Ints, Ints, Ints]) -> Level:
    """The next level; `level.coarsening` is set to how it came about."""
    shape = (int(parent[0][-1]) + 1, int(parent[1][-1]) + 1, int(parent[2][-1]) + 1)
    cells = int(np.prod(shape))
    at = np.unravel_index(level.cell, level.shape)
    block = np.ravel_multi_index(tuple(parent[a][at[a]] for a in range(3)), shape)
    low, high, axis = level.low, level.high, level.axis
    together = block[low] == block[high]
    wraps = np.stack(at)[axis, low] == np.array(level.shape)[axis] - 1
    # A block that reaches round the box is not joined to itself through its far end.
    joins = together & ~(wraps & level.structured)
    unknown, secondary_cell = _aggregates(level, block, low[joins], high[joins], cells)
    crossing = np.flatnonzero(~together)
    ends = np.stack([axis[crossing], unknown[low[crossing]], unknown[high[crossing]]])
    coarse_ends, edge = np.unique(ends, axis=1, return_inverse=True)
    interpolated = level.structured[crossing] & (ends[1] < cells) & (ends[2] < cells)
    level.coarsening = Coarsening(
        parent, side, unknown, np.flatnonzero(together & ~wraps), crossing, edge.ravel(), interpolated
    )

    count = cells + len(secondary_cell)
    has_dirichlet, shifted, active = np.zeros((3, count), bool), np.zeros(count, bool), np.zeros(count, bool)
    for a in range(3):
        has_dirichlet[a, unknown[level.has_dirichlet[a] & level.active]] = True
    shifted[unknown[level.shifted & level.active]] = True
    active[coarse_ends[1:]] = True  # an unknown without edges has nothing left to do on a coarse level
    new_axis, new_low, new_high = coarse_ends
    return Level(shape, level.periodic, secondary_cell, new_low, new_high, new_axis, has_dirichlet, shifted, active)


def _aggregates(level: Level, block: Ints, low: Ints, high: Ints, cells: int) -> tuple[Ints, Ints]:
    """Coarse unknown of every unknown, and the cells of the secondary ones, from the edges inside blocks."""
    n = level.unknowns
    count, aggregate = connected_components(
        sp.coo_array((np.ones(low.size), (low, high)), shape=(n, n)), directed=False
    )
    members = np.flatnonzero(level.active)
    size = np.bincount(aggregate[members], minlength=count)
    first = np.full(count, n)
    np.minimum.at(first, aggregate[members], members)
    ids = np.flatnonzero(size)
    home = block[first[ids]]
    order = ids[np.lexsort((first[ids], -size[ids], home))]  # the largest of each block comes first
    primary = np.r_[True, np.diff(block[first[order]]) != 0] if order.size else np.zeros(0, dtype=bool)
    secondary = order[~primary]
    secondary = secondary[np.lexsort((first[secondary], block[first[secondary]]))]
    number = np.full(count, -1)
    number[order[primary]] = block[first[order[primary]]]
    number[secondary] = cells + np.arange(secondary.size)
    return np.where(level.active, number[aggregate], -1), block[first[secondary]]
