"""Levels of sparse rows: what rough coefficients coarsen to, and which cell each of their unknowns belongs to.

A sparse level is a graph of conductances: edges w_uv > 0 between unknowns, couplings a_u >= 0 to fixed values (Dirichlet, summed
over the axes) and shifts s_u >= 0. Its operator has the diagonal d_u = sum over v of w_uv + a_u + s_u and the entries -w_uv. Every unknown
belongs to a cell of the level's grid; a cell may have several unknowns, or none.

`move` gives an unknown that hangs on one strong edge the cell of that neighbour, because parts never reach beyond a block of cells
(`sparse_split`). `sparse_conductances` has the next level's values and `sparse_cycle` the cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .coarse_operator import index, inverse_where, sum_at
from .hierarchy import Hierarchy, Shape

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HELD = (
    0.8  # an unknown with this share of its diagonal in couplings to fixed values and shift is solved for by relaxation
)
TAU = 0.4  # an unknown moves along its strongest edge where that has this share of its diagonal


@dataclass
class SparseLevel:
    """The graph of a level.

    Attributes
    ----------
    shape : cells per axis
    periodic : per axis
    cell : (3, unknowns) coordinates of every unknown's cell
    low, high : (edges,) the edges' ends, low < high; no two edges join the same unknowns
    weight : (edges,)
    dirichlet, shift : (unknowns,)
    """

    shape: Shape
    periodic: tuple[bool, ...]
    cell: Ints
    low: Ints
    high: Ints
    weight: Tensor
    dirichlet: Tensor
    shift: Tensor

    def __post_init__(self):
        self.ends = index(np.r_[self.low, self.high], self.weight)
        self.others = index(np.r_[self.high, self.low], self.weight)
        self.weight_at_ends = self.weight.repeat(2)
        self.diagonal = self.sum_at_ends(self.weight_at_ends) + self.dirichlet + self.shift
        self.inverse_diagonal = inverse_where(self.diagonal)

    @property
    def unknowns(self) -> int:
        return self.cell.shape[1]

    @property
    def carried(self) -> NDArray[np.bool_]:
        """(unknowns,) whether an unknown goes on to the next level: it has an edge, and a + s < 0.8 d.

        Relaxation alone solves for the others. They would merge with nothing on any level.
        """
        joined = np.bincount(np.r_[self.low, self.high], minlength=self.unknowns) > 0
        return joined & (numbers(self.dirichlet + self.shift) < HELD * numbers(self.diagonal))

    def sum_at_ends(self, values: Tensor) -> Tensor:
        """(unknowns, ...) sums of values given for every edge's low end, then for every edge's high end."""
        return values.new_zeros((self.unknowns, *values.shape[1:])).index_add(0, self.ends, values)

    def most_at_ends(self, values: Tensor) -> Tensor:
        """(unknowns,) the largest of positive values given as for `sum_at_ends`; 0 without any."""
        return values.new_zeros(self.unknowns).scatter_reduce(0, self.ends, values, "amax")

    def apply(self, x: Tensor) -> Tensor:
        """(unknowns, columns) A x."""
        return self.diagonal[:, None] * x - self.sum_at_ends(self.weight_at_ends[:, None] * x[self.others])

    def dense(self) -> Tensor:
        """(unknowns, unknowns) A."""
        n = self.unknowns
        entries = sum_at(np.r_[self.low * n + self.high, self.high * n + self.low], -self.weight_at_ends, n * n)
        return entries.reshape(n, n) + torch.diag(self.diagonal)


def finest_sparse_level(hierarchy: Hierarchy, like: Tensor) -> tuple[SparseLevel, Ints]:
    """The finest level's active unknowns as a graph, and the cell number of each."""
    level = hierarchy.levels[0]
    active = np.flatnonzero(level.active)
    number = np.full(level.unknowns, -1)
    number[active] = np.arange(active.size)
    ends = np.sort(number[np.stack([level.low, level.high])], axis=0)
    pairs, edge = np.unique(ends, axis=1, return_inverse=True)
    weight, dirichlet, shift = (
        torch.as_tensor(v, dtype=like.dtype, device=like.device)
        for v in (hierarchy.weight, hierarchy.dirichlet.sum(0)[active], hierarchy.shift[active])
    )
    cell = np.stack(np.unravel_index(active, level.shape))
    weight = sum_at(edge.ravel(), weight, pairs.shape[1])
    return SparseLevel(level.shape, level.periodic, cell, pairs[0], pairs[1], weight, dirichlet, shift), active


def numbers(values: Tensor) -> Floats:
    """A tensor's values in double precision, for decisions that no gradient follows."""
    return values.detach().cpu().double().numpy()


def move(level: SparseLevel, tau: float = TAU) -> Ints:
    """(3, unknowns) the cells after every unknown that hangs on one strong edge went to the cell at its other end.

    Let v be the neighbour of the largest w_uv, the smallest number among equals. If w_uv >= tau d_u and d_v > d_u, or d_v = d_u and v < u,
    u goes to the cell that v has now, wherever v goes itself. A chain of equal edges thus moves by one cell and does not pile up at its end.
    """
    w, d = numbers(level.weight_at_ends), numbers(level.diagonal)
    u, v = np.r_[level.low, level.high], np.r_[level.high, level.low]
    order = np.lexsort((v, -w, u))
    strongest = order[np.r_[True, np.diff(u[order]) != 0]] if order.size else order
    u, v, w = u[strongest], v[strongest], w[strongest]
    moves = (w >= tau * d[u]) & ((d[v] > d[u]) | ((d[v] == d[u]) & (v < u)))
    home = np.arange(level.unknowns)
    home[u[moves]] = v[moves]
    return level.cell[:, home]


def edge_axis(level: SparseLevel, cell: Ints) -> Ints:
    """(edges,) the axis that an edge runs along: its cells differ by one there and nowhere else; -1 without such an axis."""
    apart = np.abs(cell[:, level.low] - cell[:, level.high])
    for a in range(3):
        if level.periodic[a]:
            apart[a] = np.minimum(apart[a], level.shape[a] - apart[a])
    return np.where(apart.sum(axis=0) == 1, apart.argmax(axis=0), -1)
