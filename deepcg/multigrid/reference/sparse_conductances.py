"""Conductances of the next sparse level: crossing edges in series with what lies inside their parts.

An edge of weight w between two parts reaches from one part's middle to the other's,

    g = max(w / 2, c / (R_u + R_v + 1 / w)),   R_u = share_u / max(w_axis, w_any / 2, w),

w_any the strongest edge of u inside its part and w_axis the strongest along the edge's axis, 0 without one. share_u = S / (S + d_u) says how much of
the part lies behind u: S is the mean diagonal of u's neighbours in its part, weighted by the edges, 0 without any. Inside a uniform grid the share is 1/2 and
R = 1 / (2 w), the formula of `network`. One weak inner edge cannot cut a strong crossing edge, as there: g is never below w / 2. Edges
between the same parts add up. A Dirichlet coupling becomes a / (1 + a / (2 max(w_any, a))), at least 2/3 of it; shifts add up. An edge to an unknown
that goes no further is a Dirichlet coupling of its other end: relaxation leaves that unknown little to correct.

With P the injection and w in the place of g the next operator is P^T A P. Hence P^T A P / 2 <= A_c <= P^T A P for every g in [w / 2, w].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .coarse_operator import index, inverse_where, sum_at
from .hierarchy import Shape
from .sparse_levels import Ints, SparseLevel, edge_axis

SERIES = 0.85  # c
ACROSS = 0.5  # how much of u's strongest edge in any direction counts along the crossing edge's axis
SLOW = 0.45  # a level with more of the finer one's unknowns is visited once, and takes g = w


@dataclass
class Parts:
    """How a level's unknowns become those of the next one.

    Attributes
    ----------
    shape : of the next level
    cell : (3, parts)
    part : (unknowns,) -1 for those that go no further
    axis : (edges,) the axis each edge runs along, -1 without one
    """

    shape: Shape
    cell: Ints
    part: Ints
    axis: Ints

    @property
    def count(self) -> int:
        return self.cell.shape[1]


class Surroundings:
    """What the formulas of the conductances see of a level whose parts are known.

    Crossing edges are counted from both ends, each edge's low end first: `near` is the end itself, `far` the other one.

    Attributes
    ----------
    dirichlet : (unknowns,) a, with the edges to unknowns that go no further
    share : (unknowns,) S / (S + d)
    mean : (unknowns,) S
    inside : (unknowns,) sum of the edges inside the part
    strongest : (unknowns,) w_any
    crossing : (crossing edges,) which edges cross
    near, far : (2 crossing edges,)
    w : (2 crossing edges,) the crossing edge's weight
    along : (2 crossing edges,) w_axis of the near end
    """

    def __init__(self, level: SparseLevel, parts: Parts):
        self.level, self.parts = level, parts
        weight, part, n = level.weight, parts.part, level.unknowns
        kept = np.stack([part[level.low], part[level.high]]) >= 0
        inner = (part[level.low] == part[level.high]) & kept[0]
        self.crossing = np.flatnonzero(kept.all(axis=0) & ~inner)
        lost = level.weight_at_ends * index(np.tile(kept.sum(axis=0) == 1, 2), weight)
        self.dirichlet = level.dirichlet + level.sum_at_ends(lost)
        within = level.weight_at_ends * index(np.r_[inner, inner], weight)
        self.inside = level.sum_at_ends(within)
        self.strongest = level.most_at_ends(within)
        self.mean = level.sum_at_ends(within * level.diagonal[level.others]) * inverse_where(self.inside)
        self.share = self.mean * inverse_where(self.mean + level.diagonal)
        place = np.r_[parts.axis * n + level.low, parts.axis * n + level.high]
        known = np.flatnonzero(np.r_[inner, inner] & np.r_[parts.axis >= 0, parts.axis >= 0])
        by_axis = weight.new_zeros(3 * n).scatter_reduce(
            0, index(place[known], weight), within[index(known, weight)], "amax"
        )
        self.near = np.r_[level.low[self.crossing], level.high[self.crossing]]
        self.far = np.r_[level.high[self.crossing], level.low[self.crossing]]
        self.w = weight[index(self.crossing, weight)].repeat(2)
        axis = np.tile(parts.axis[self.crossing], 2)
        at = index(np.maximum(axis, 0) * n + self.near, weight)
        self.along = torch.where(index(axis >= 0, weight), by_axis[at], 0.0)

    def resistances(self, across: float = ACROSS) -> Tensor:
        """(2 crossing edges,) R of each crossing edge's ends."""
        near = index(self.near, self.w)
        inner = torch.maximum(torch.maximum(self.along, across * self.strongest[near]), self.w)
        return self.share[near] / inner


def series(around: Surroundings, resistances: Tensor, c: float = SERIES) -> Tensor:
    """(crossing edges,) g, from R of each crossing edge's ends."""
    w, (low, high) = around.w[: len(around.crossing)], resistances.reshape(2, -1)
    return torch.maximum(0.5 * w, c / (low + high + 1.0 / w))


def next_level(around: Surroundings, g: Tensor | None) -> SparseLevel:
    """The next level from the conductances of the crossing edges; without them it is P^T A P."""
    level, parts = around.level, around.parts
    count, dirichlet = parts.count, around.dirichlet
    if g is None:
        g = around.w[: len(around.crossing)]
    else:
        dirichlet = dirichlet / (1.0 + 0.5 * dirichlet * inverse_where(torch.maximum(around.strongest, dirichlet)))
    ends = np.sort(parts.part[np.stack([level.low, level.high])[:, around.crossing]], axis=0)
    key, edge = np.unique(ends[0] * count + ends[1], return_inverse=True)
    low, high = np.divmod(key, max(count, 1))
    members = np.flatnonzero(parts.part >= 0)
    kept, at = index(members, g), parts.part[members]
    return SparseLevel(
        parts.shape,
        level.periodic,
        parts.cell,
        low,
        high,
        sum_at(edge, g, key.size),
        sum_at(at, dirichlet[kept], count),
        sum_at(at, level.shift[kept], count),
    )


def plan_parts(level: SparseLevel, parent: tuple[Ints, Ints, Ints], cell: Ints, split_blocks) -> Parts:
    """The parts of the blocks that `parent` makes of the cells.

    Parameters
    ----------
    parent : per axis, the block's coordinate of each cell (`semicoarsening.semicoarsen`)
    cell : (3, unknowns) cells after moving
    split_blocks : function of the level and the (unknowns,) number of each one's block, as `sparse_split.split`
    """
    shape = (int(parent[0][-1]) + 1, int(parent[1][-1]) + 1, int(parent[2][-1]) + 1)
    block = np.ravel_multi_index(tuple(parent[a][cell[a]] for a in range(3)), shape)
    part, block_of = split_blocks(level, block)
    return Parts(shape, np.stack(np.unravel_index(block_of, shape)), part, edge_axis(level, cell))
