"""The layers of the multilevel network, in PyTorch: relaxation on a level, prolongation and restriction, the coarsest inverse.

Vectors have shape (batch, unknowns). `deepcg.multigrid.reference.network` puts the layers together and says what is learned.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from .coarse_operator import Couplings, Transfer, index, inverse_where, sum_at
from .hierarchy import Coarsening, Level


class Prolongation:
    """P from a coarse level to the next finer one, and its transpose."""

    def __init__(self, fine: Level, coarse: Level, transfer: Transfer):
        coarsening, like = fine.coarsening, transfer.interp_parent
        assert coarsening is not None
        self._fine, self._coarse, self.transfer = fine, coarse, transfer
        regular = (coarsening.unknown[: fine.cells] >= 0) & (coarsening.unknown[: fine.cells] < coarse.cells)
        self._regular = index(regular, like)
        others = np.flatnonzero(coarsening.unknown >= 0)
        others = others[(others >= fine.cells) | (coarsening.unknown[others] >= coarse.cells)]
        self._others, self._parents = index(others, like), index(coarsening.unknown[others], like)
        self._steps = [_axis_step(coarsening, a, coarse.shape, transfer) for a in range(3) if coarsening.side[a].any()]

    def prolong(self, coarse: Tensor) -> Tensor:
        """(batch, fine unknowns) P x."""
        value = coarse[:, : self._coarse.cells].reshape(-1, *self._coarse.shape)
        for dim, parent, neighbour, from_parent, from_neighbour in self._steps:
            value = from_parent * _along(value, parent, dim) + from_neighbour * _along(value, neighbour, dim)
        value = self._on_all(torch.where(self._regular, value.flatten(1), 0.0), self._fine)
        return value.index_add(1, self._others, coarse[:, self._parents])

    def restrict(self, fine: Tensor) -> Tensor:
        """(batch, coarse unknowns) P^T r."""
        value = torch.where(self._regular, fine[:, : self._fine.cells], 0.0).reshape(-1, *self._fine.shape)
        for dim, parent, neighbour, from_parent, from_neighbour in reversed(self._steps):
            value = _along(from_parent * value, parent.T, dim) + _along(from_neighbour * value, neighbour.T, dim)
        value = self._on_all(value.flatten(1), self._coarse)
        return value.index_add(1, self._parents, fine[:, self._others])

    @staticmethod
    def _on_all(primary: Tensor, level: Level) -> Tensor:
        return torch.nn.functional.pad(primary, (0, level.unknowns - level.cells))


def _axis_step(coarsening: Coarsening, axis: int, shape: tuple[int, ...], transfer: Transfer):
    """Interpolation along an axis: dimension of a batch, matrices that pick parent and neighbour, their factors.

    The factors are those of the coarse cell reached so far: axes before this one are fine already, those after it coarse.
    """
    like, parent, side = transfer.interp_parent, coarsening.parent[axis], coarsening.side[axis]
    rows, n = np.arange(parent.size), shape[axis]
    pick = np.zeros((2, parent.size, n))
    pick[0, rows, parent] = 1.0
    pick[1, rows[side != 0], (parent + side)[side != 0] % n] = 1.0
    half = index(np.where(side > 0, 1, 0), like)
    factors = []
    for table in (transfer.interp_parent[axis], transfer.interp_neighbour[axis]):
        for before in range(axis + 1):
            table = table.index_select(before + 1, index(coarsening.parent[before], like))
        chosen = half.reshape([-1 if a == axis else 1 for a in range(3)]) > 0
        factors.append(torch.where(chosen, table[1], table[0]))
    matrices = torch.as_tensor(pick, dtype=like.dtype, device=like.device)
    return axis + 1, matrices[0], matrices[1], *factors


def _along(value: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """A matrix applied along one dimension."""
    return (value.movedim(dim, -1) @ matrix.T).movedim(-1, dim)


class LevelValues:
    """A level as the network's forward pass needs it.

    Parameters
    ----------
    couplings : Couplings
    factor : (unknowns,) learned factor of the relaxation

    Attributes
    ----------
    passes : list of (colour, (unknowns,) relaxation factor over diagonal, 0 on other colours)
    prolongation : from the next level, None at the coarsest
    """

    def __init__(self, couplings: Couplings, factor: Tensor):
        self.couplings, level = couplings, couplings.level
        self.level = level
        self.diagonal = couplings.diagonal()
        active = index(level.active, factor)
        self.relaxation = torch.where(active, factor * inverse_where(self.diagonal), 0.0)
        self.faces = couplings.faces()
        self._below = torch.stack([self.faces[a].roll(1, a) for a in range(3)])
        unstructured = np.flatnonzero(~level.structured)
        self._low, self._high = (index(end[unstructured], factor) for end in (level.low, level.high))
        self._unstructured = couplings.weight[index(unstructured, factor)]
        self.prolongation: Prolongation | None = None
        self.passes = []
        for colour, members in level.passes():
            chosen = torch.zeros_like(self.relaxation)
            chosen[index(members, factor)] = 1.0
            self.passes.append((colour, chosen * self.relaxation))
        self._secondary = index(level.cells + np.flatnonzero(level.active[level.cells :]), factor)
        if len(self._secondary):
            self._triangle = self._gauss_seidel()

    def apply(self, x: Tensor) -> Tensor:
        """A x."""
        level = self.level
        grid = x[:, : level.cells].reshape(-1, *level.shape)
        around = sum(
            self.faces[a] * grid.roll(-1, a + 1) + self._below[a] * grid.roll(1, a + 1)
            for a in range(3)
            if level.shape[a] > 1
        )
        y = self.diagonal * x
        if isinstance(around, Tensor):
            y = y - torch.nn.functional.pad(around.flatten(1), (0, level.unknowns - level.cells))
        if len(self._unstructured):
            y = y.index_add(1, self._low, -self._unstructured * x[:, self._high])
            y = y.index_add(1, self._high, -self._unstructured * x[:, self._low])
        return y

    def residual(self, x: Tensor, b: Tensor) -> Tensor:
        return b - self.apply(x)

    def relax(self, x: Tensor, b: Tensor, factor: Tensor) -> Tensor:
        """One pass; factor: relaxation factor over diagonal, 0 where there is nothing to relax."""
        return x + factor * self.residual(x, b)

    def relax_secondary(self, x: Tensor, b: Tensor, backward: bool) -> Tensor:
        """Gauss-Seidel over the secondary unknowns in order, or in reverse, by the triangle that it inverts."""
        if not len(self._secondary):
            return x
        r = self.residual(x, b)[:, self._secondary]
        triangle = self._triangle.T if backward else self._triangle
        change = torch.linalg.solve_triangular(triangle, r.T, upper=backward).T
        return x.index_add(1, self._secondary, change)

    def _gauss_seidel(self) -> Tensor:
        """(secondary, secondary) the lower triangle of A over the active secondary unknowns, its diagonal over the learned factors."""
        level, n = self.level, len(self._secondary)
        place = np.full(level.unknowns, -1)
        place[self._secondary.cpu().numpy()] = np.arange(n)
        unstructured = np.flatnonzero((place[level.low] >= 0) & (place[level.high] >= 0))
        p, q = place[level.low[unstructured]], place[level.high[unstructured]]
        weight = self.couplings.weight
        below = sum_at(np.maximum(p, q) * n + np.minimum(p, q), weight[index(unstructured, weight)], n * n).reshape(
            n, n
        )
        return torch.diag(1.0 / self.relaxation[self._secondary]) - below


class DirectSolve:
    """The coarsest level: a generalised inverse over its active unknowns, in double precision as long as it is being made."""

    def __init__(self, couplings: Couplings):
        level, weight = couplings.level, couplings.weight.double()
        members = np.flatnonzero(level.active)
        n = len(members)
        place = np.full(level.unknowns, -1)
        place[members] = np.arange(n)
        p, q = place[level.low], place[level.high]
        joined = sum_at(np.r_[p * n + q, q * n + p], weight.repeat(2), n * n).reshape(n, n)
        outside = (couplings.dirichlet.sum(0) + couplings.shift).double()[index(members, weight)]
        matrix = torch.diag(joined.sum(1) + outside) - joined
        # On a singular component the constants are taken out: (A + c u u^T)^-1 - u u^T / c, u constant of unit length.
        constants = torch.from_numpy(_singular(level, members, p, q)).to(weight.device)
        c = matrix.diagonal().mean().detach() if n else 1.0
        projector = constants @ constants.T
        inverse = torch.linalg.inv(matrix + c * projector) - projector / c
        self._members, self.inverse = index(members, weight), inverse.to(couplings.weight.dtype)

    def __call__(self, b: Tensor) -> Tensor:
        x = b[:, self._members] @ self.inverse
        return torch.zeros_like(b).index_add(1, self._members, x)


def _singular(level: Level, members: NDArray, p: NDArray, q: NDArray) -> NDArray[np.float64]:
    """(n, components) constants of unit length on the components that nothing holds."""
    n = len(members)
    count, label = connected_components(sp.coo_array((np.ones(p.size), (p, q)), shape=(n, n)), directed=False)
    holds = (level.has_dirichlet.any(axis=0) | level.shifted)[members]
    free = np.flatnonzero(np.bincount(label, holds, minlength=count) == 0)
    chosen = (label[:, None] == free).astype(float)
    return chosen / np.sqrt(np.maximum(chosen.sum(axis=0), 1.0))
