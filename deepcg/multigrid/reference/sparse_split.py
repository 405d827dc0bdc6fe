"""Parts: which unknowns of a block become one unknown of the next level.

A block merges only what is rigidly tied. Greedy from single unknowns, it merges the two parts with the largest

    q = w_UV / min(D_U, D_V),

w_UV the sum of the edges between them and D the sum of their members' diagonals, edges inside the part included, until q < theta.
A uniform grid of three dimensions has q = 1/6, so theta stays below that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .sparse_levels import Floats, Ints, SparseLevel, numbers

THETA = 0.1


def split(level: SparseLevel, block: Ints, theta: float = THETA) -> tuple[Ints, Ints]:
    """The next level's unknown of each unknown, and the block of each of those.

    Parameters
    ----------
    block : (unknowns,) number of each unknown's block
    theta : parts merge where q is at least this

    Returns
    -------
    part : (unknowns,) numbered by block, then by smallest member; -1 for one that goes no further (`SparseLevel.carried`)
    block_of : (parts,)

    Notes
    -----
    Ties go to the pair whose smallest members come first, the smaller of the two before the larger.
    """
    carried = level.carried
    smallest = _smallest_members(level, block, theta)
    leaders = np.flatnonzero((smallest == np.arange(level.unknowns)) & carried)
    leaders = leaders[np.argsort(block[leaders], kind="stable")]
    part = np.full(level.unknowns, -1)
    part[leaders] = np.arange(leaders.size)
    return np.where(carried, part[smallest], -1), block[leaders]


def _smallest_members(level: SparseLevel, block: Ints, theta: float) -> Ints:
    """(unknowns,) the smallest member of every unknown's part."""
    smallest = np.arange(level.unknowns)
    carried = level.carried
    inner = np.flatnonzero((block[level.low] == block[level.high]) & carried[level.low] & carried[level.high])
    low, high, weight = level.low[inner], level.high[inner], numbers(level.weight)[inner]
    diagonal = numbers(level.diagonal)
    member = np.unique(np.r_[low, high])  # unknowns with an edge inside their block to one that is carried
    member = member[np.argsort(block[member], kind="stable")]
    if not member.size:
        return smallest
    _, first, size = np.unique(block[member], return_index=True, return_counts=True)
    place = np.empty(level.unknowns, dtype=np.int64)  # within the block
    place[member] = np.arange(member.size) - np.repeat(first, size)
    rank = np.empty(level.unknowns, dtype=np.int64)  # of the block
    rank[member] = np.repeat(np.arange(size.size), size)
    for m in np.unique(size):  # blocks of m members at once
        chosen = np.flatnonzero(size == m)
        row = np.full(size.size, -1)
        row[chosen] = np.arange(chosen.size)
        edges = row[rank[low]] >= 0
        b, i, j = row[rank[low[edges]]], place[low[edges]], place[high[edges]]
        between = np.zeros((chosen.size, m, m))
        between[b, i, j] = between[b, j, i] = weight[edges]
        members = member[first[chosen][:, None] + np.arange(m)]
        leader = _merge(between, diagonal[members], theta)
        smallest[members] = np.take_along_axis(members, leader, axis=1)
    return smallest


def _merge(between: Floats, diagonal: Floats, theta: float) -> NDArray[np.int64]:
    """(blocks, m) the first member of each member's part, in every block at once.

    Parameters
    ----------
    between : (blocks, m, m) edges between the members
    diagonal : (blocks, m)
    """
    blocks, m = diagonal.shape
    leader = np.tile(np.arange(m), (blocks, 1))
    active, between, diagonal = np.arange(blocks), between.copy(), diagonal.copy()
    upper = np.triu(np.ones((m, m), dtype=bool), 1)
    while active.size:
        q = np.where(upper, between / np.minimum(diagonal[:, :, None], diagonal[:, None, :]), 0.0)
        best = q.reshape(active.size, -1).argmax(axis=1)
        going = q.reshape(active.size, -1)[np.arange(active.size), best] >= theta
        active, between, diagonal, best = active[going], between[going], diagonal[going], best[going]
        u, v, row = best // m, best % m, np.arange(active.size)
        labels = leader[active]
        leader[active] = np.where(labels == v[:, None], u[:, None], labels)
        merged = between[row, u] + between[row, v]
        merged[row, u] = merged[row, v] = 0.0
        between[row, u] = between[row, :, u] = merged
        between[row, v] = between[row, :, v] = 0.0
        diagonal[row, u] += diagonal[row, v]
    return leader
