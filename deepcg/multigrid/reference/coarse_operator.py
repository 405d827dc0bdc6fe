"""The couplings of a level's unknowns, in PyTorch, and how the next level's couplings and transfer follow from it.

`deepcg.multigrid.reference.network` has the formulas, `deepcg.multigrid.reference.hierarchy` the integers behind them.
Nothing is changed in place, so gradients flow from any result to whatever the couplings depend on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .hierarchy import Level


def index(values: NDArray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, device=like.device)


def sum_at(places: NDArray, values: Tensor, size: int) -> Tensor:
    """(size,) the sum of `values` at each place."""
    return values.new_zeros(size).index_add(0, index(places, values), values)


def inverse_where(values: Tensor, factor: float = 1.0) -> Tensor:
    """factor / values where they are positive, 0 elsewhere."""
    positive = values > 0
    return torch.where(positive, factor / torch.where(positive, values, 1.0), 0.0)


@dataclass
class Couplings:
    """The couplings of a level's unknowns: edges to one another, Dirichlet couplings and shifts to fixed values.

    Attributes
    ----------
    weight : (edges,)
    dirichlet : (3, unknowns)
    shift : (unknowns,)
    """

    level: Level
    weight: Tensor
    dirichlet: Tensor
    shift: Tensor

    def faces(self) -> Tensor:
        """(3, nz, ny, nx) weights of the structured edges, each at its low end."""
        level, on_grid = self.level, np.flatnonzero(self.level.structured)
        places = level.axis[on_grid] * level.cells + level.low[on_grid]
        return sum_at(places, self.weight[index(on_grid, self.weight)], 3 * level.cells).reshape(3, *level.shape)

    def edge_sums(self) -> Tensor:
        """(unknowns,) sum of each unknown's edges."""
        level = self.level
        return sum_at(np.r_[level.low, level.high], self.weight.repeat(2), level.unknowns)

    def diagonal(self) -> Tensor:
        return self.edge_sums() + self.dirichlet.sum(0) + self.shift

    def features(self) -> Tensor:
        """(unknowns, 5) what the local function sees: shares of the diagonal, see `deepcg.multigrid.reference.network`."""
        level, faces = self.level, self.faces()
        below = torch.stack([faces[a].roll(1, a) for a in range(3)])
        secondary = level.unknowns - level.cells
        along = torch.nn.functional.pad((faces + below).reshape(3, -1), (0, secondary)) + self.dirichlet
        asymmetry = torch.nn.functional.pad((faces - below).abs().reshape(3, -1), (0, secondary)).sum(0)
        total = self.diagonal()
        axes = along[[a for a in range(3) if level.shape[a] > 1]]
        most, least = (axes.amax(0), axes.amin(0)) if len(axes) else (torch.zeros_like(total), total)
        share = torch.stack([self.dirichlet.sum(0), self.shift, most, least, asymmetry], dim=1)
        return share * inverse_where(total)[:, None]

    def scaled(self, factor: Tensor) -> Couplings:
        """With every edge multiplied by both its ends' factors and every Dirichlet coupling by its unknown's squared."""
        low, high = index(self.level.low, factor), index(self.level.high, factor)
        return Couplings(self.level, self.weight * factor[low] * factor[high], self.dirichlet * factor**2, self.shift)


@dataclass
class Transfer:
    """The weights of a fine cell's parent (`interp_parent`) and of the parent's neighbour on its side (`interp_neighbour`) along each axis.

    Both have shape (3, 2, nz, ny, nx): axis, low or high half, coarse cell.
    """

    interp_parent: Tensor
    interp_neighbour: Tensor

    def with_odds(self, factor: Tensor) -> Transfer:
        """With the odds of interpolating from the neighbour multiplied by a factor per coarse cell."""
        rescale = 1.0 / (1.0 + self.interp_neighbour * (factor - 1.0))
        return Transfer(self.interp_parent * rescale, self.interp_neighbour * factor * rescale)


def coarsen_values(fine: Couplings, level: Level) -> tuple[Couplings, Transfer]:
    """Couplings of the next level, which is `level`, and the transfer from it: series and parallel resistances."""
    of, weight = fine.level, fine.weight
    coarsening = of.coarsening
    assert coarsening is not None
    n, at = of.unknowns, np.unravel_index(of.cell, of.shape)
    side = np.concatenate([coarsening.side[a][at[a]] for a in range(3)])  # by axis * n + unknown
    low, high = of.axis * n + of.low, of.axis * n + of.high
    inner = np.r_[low[coarsening.inner], high[coarsening.inner]]
    within = inverse_where(sum_at(inner, weight[index(coarsening.inner, weight)].repeat(2), 3 * n), 0.5)

    # Edges between blocks. Where a wall takes the place of the inner edge, its half counts as one of the same weight.
    w = weight[index(coarsening.crossing, weight)]
    ends = low[coarsening.crossing], high[coarsening.crossing]
    has_inner = np.zeros(3 * n, dtype=bool)
    has_inner[inner] = True
    resistance = []
    for end in ends:
        mirrored = index(~has_inner[end] & (side[end] != 0), weight)
        resistance.append(torch.where(mirrored, 0.5 / w, within[index(end, weight)]))
    g = 1.0 / (resistance[0] + 1.0 / w + resistance[1])

    on_boundary = np.flatnonzero((of.has_dirichlet & (coarsening.unknown >= 0)).ravel())
    outward_axis, outward_unknown = np.divmod(on_boundary, n)
    dirichlet = fine.dirichlet.reshape(-1)[index(on_boundary, weight)]
    inside = within[index(on_boundary, weight)]
    h = 1.0 / (inside + 1.0 / dirichlet)
    parent = coarsening.unknown[outward_unknown]
    members = np.flatnonzero(coarsening.unknown >= 0)
    couplings = Couplings(
        level,
        sum_at(coarsening.edge, g, len(level.low)),
        sum_at(outward_axis * level.unknowns + parent, h, 3 * level.unknowns).reshape(3, -1),
        sum_at(coarsening.unknown[members], fine.shift[index(members, weight)], level.unknowns),
    )

    # The prolongation: the potential's drop between a block's middle and its outer edges, averaged over them.
    size = 6 * level.cells
    joined, interpolated = weight.new_zeros(size), weight.new_zeros(size)
    along = index(np.flatnonzero(coarsening.interpolated), weight)
    for end, high_half, r in ((of.low, 1, resistance[0]), (of.high, 0, resistance[1])):
        edges = coarsening.crossing[coarsening.interpolated]
        places = (2 * of.axis[edges] + high_half) * level.cells + coarsening.unknown[end[edges]]
        joined = joined + sum_at(places, g[along], size)
        interpolated = interpolated + sum_at(places, (g * g * r)[along], size)
    on_grid = np.flatnonzero((outward_unknown < of.cells) & (parent < level.cells) & has_inner[on_boundary])
    places = (2 * outward_axis + (side[on_boundary] > 0))[on_grid] * level.cells + parent[on_grid]
    joined = joined + sum_at(places, h[index(on_grid, weight)], size)
    dropped = sum_at(places, (h * h * inside)[index(on_grid, weight)], size)
    share = inverse_where(joined)
    shape = (3, 2, *level.shape)
    return couplings, Transfer(
        (1.0 - (interpolated + dropped) * share).reshape(shape), (interpolated * share).reshape(shape)
    )
