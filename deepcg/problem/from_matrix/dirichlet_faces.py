"""Open faces of a problem read from a matrix: where what a diagonal has beyond its row's off-diagonals belongs.

Couplings to fixed values that are no rows (Dirichlet conditions folded into the diagonal) leave an excess and no place. Where a cell
lacks neighbours its excess is given to open faces on those sides, so that the coarsening keeps its place; what cells with all
neighbours have (a mass term) is taken off first, and stays shift. The operator is the same either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..face_weights import back, front, joined_faces
from ..grid import Array, Boundary, Grid
from ..stencil import Stencil, uniform_stencil

SAME = 1e-14  # relative difference of weights that is rounding: the residual is measured with the operator that is read

Sides = tuple[tuple[bool, bool], ...]


@dataclass(frozen=True)
class Missing:
    """The cells that lack a neighbour.

    Attributes
    ----------
    cell : int array, (n,)
        Flat indices.
    lacks : bool array, (n, 2 ndim)
        Whether there is neither a coupling nor an unknown on each side: low, high of every axis.
    place : int array, (n, 2 ndim)
        The side's own number where that is a side of the grid, else 2 ndim: an obstacle inside.
    """

    cell: NDArray[np.intp]
    lacks: NDArray[np.bool_]
    place: NDArray[np.intp]


def find_missing(
    unknown: NDArray[np.bool_], walls: NDArray[np.bool_] | None, weights: list[Array], periodic: list[bool]
) -> Missing:
    """The unknowns that lack neighbours; across an axis of one cell there is nothing to lack, at a known wall neither."""
    known = unknown if walls is None else unknown | walls
    sides, edges = [], []
    for axis, w in enumerate(weights):
        for high in (False, True):
            last = (slice(None),) * axis + (-1 if high else 0,)
            beyond, edge = np.roll(known, -1 if high else 1, axis), np.zeros(unknown.shape, dtype=bool)
            if not periodic[axis]:
                beyond[last], edge[last] = False, True
            none = w[back(axis) if high else front(axis)] == 0.0
            sides.append(unknown & none & ~beyond if unknown.shape[axis] > 1 else np.zeros_like(unknown))
            edges.append(edge)
    cell = np.flatnonzero(np.logical_or.reduce(sides))
    lacks, edge = (np.stack([v.reshape(-1)[cell] for v in part], axis=1) for part in (sides, edges))
    return Missing(cell, lacks, np.where(edge, np.arange(len(sides)), len(sides)))


def place_excess(
    unknown: NDArray[np.bool_],
    walls: NDArray[np.bool_] | None,
    weights: list[Array],
    excess: Array,
    small: Array,
    periodic: list[bool],
) -> Array:
    """Give the excess of cells that lack neighbours to faces on those sides.

    Cells that lack one neighbour tell which sides of the grid are open; cells that lack several share their excess among those.

    Parameters
    ----------
    unknown, walls : bool arrays of the cells' shape
        Walls that are known to be none of the open faces' cells; or None.
    weights : list of one float64 array per axis
        Face weights, n+1 along their own axis; changed in place.
    excess, small : float64 arrays of the cells' shape
        Of the diagonal over the sum of the off-diagonals, and what counts as rounding in it.
    periodic : list of bool

    Returns
    -------
    shift : float64 array of the cells' shape
        The excess that is left.
    """
    found = find_missing(unknown, walls, weights, periodic)
    full = unknown.copy()
    full.reshape(-1)[found.cell] = False
    having = full & (excess != 0.0)
    count = np.count_nonzero(having)
    # of a few cells only (a porous body, a fixed value) it is not common
    common = excess[having].sum() / count if 2 * count > np.count_nonzero(full) else 0.0

    beyond = excess.reshape(-1)[found.cell] - common
    beyond[beyond <= small.reshape(-1)[found.cell]] = 0.0
    alone = found.lacks.sum(axis=1) == 1
    place = (found.place * found.lacks).sum(axis=1)  # of the one side that such a cell lacks
    places = np.arange(1 + found.place.shape[1])
    opened, closed = (np.isin(places, place[alone & chosen]) for chosen in (beyond > 0.0, beyond == 0.0))
    sharing = found.lacks & ~(closed & ~opened)[found.place]
    sharing = np.where(sharing.any(axis=1, keepdims=True), sharing, found.lacks)
    share = np.where(sharing, (beyond / sharing.sum(axis=1))[:, None], 0.0)
    for side in range(share.shape[1]):
        axis, high = divmod(side, 2)
        taking = share[:, side] > 0.0
        at = list(np.unravel_index(found.cell[taking], unknown.shape))
        at[axis] = at[axis] + high
        weights[axis][tuple(at)] = share[taking, side]
    for axis in (axis for axis, turns in enumerate(periodic) if turns):
        first, last = ((slice(None),) * axis + (end,) for end in (0, -1))
        weights[axis][first] = weights[axis][last] = np.maximum(weights[axis][first], weights[axis][last])

    left = excess.copy()
    left.reshape(-1)[found.cell] -= beyond
    left[np.abs(left) <= small] = 0.0
    return left


def touched(weights: list[Array]) -> NDArray[np.bool_]:
    """The cells with a face of positive weight."""
    return np.logical_or.reduce([side for a, w in enumerate(weights) for side in (w[front(a)] > 0.0, w[back(a)] > 0.0)])


def open_sides(weights: Sequence[Array], periodic: Sequence[bool]) -> Sides:
    """Whether OPEN cells lie outside each side, by the weights there."""
    return tuple(
        (False, False) if turns else (bool(np.take(w, 0, axis).any()), bool(np.take(w, -1, axis).any()))
        for axis, (w, turns) in enumerate(zip(weights, periodic, strict=True))
    )


def boundary_words(sides: Sides, periodic: Sequence[bool]) -> Boundary:
    """What lies outside each side, as `deepcg.Poisson` says it."""
    return tuple(
        ("periodic", "periodic") if turns else ("open" if low else "wall", "open" if high else "wall")
        for (low, high), turns in zip(sides, periodic, strict=True)
    )


def with_one_weight(grid: Grid, stencil: Stencil) -> Stencil:
    """The same stencil by the one weight that all joined faces of the grid have, if they do."""
    if stencil.shift is not None:
        return stencil
    example = next((float(w.max()) for w in stencil.weights if w.size and w.any()), 0.0)
    if example == 0.0:
        return stencil
    for axis, w in enumerate(stencil.weights):
        if (np.abs(w - example * joined_faces(grid, axis)) > SAME * example).any():
            return stencil
    return uniform_stencil(grid, example)
