"""The cycle of the sparse levels, for coefficients of any contrast: symmetric positive definite, differentiable in all its values.

The finest level relaxes in red and black, two sweeps before and two after. Every level below relaxes by damped Jacobi, before and after, one sweep for each
factor of `omega`: these levels need no colours. Two different factors, 1 / omega the roots of a Chebyshev polynomial on [0.4, 2], do more than the same one
twice. The prolongation is the injection P. A level that is small against the one above it is visited twice (W), any other once. The coarsest level has a
dense inverse.

Why it is symmetric positive definite
-------------------------------------
Let B be a level's cycle, A its operator, and A_c the next level's. One visit is B_c; two stationary visits are B' = 2 B_c - B_c A_c B_c. If the
eigenvalues of B_c A_c lie in (0, 2), those of B' A_c lie in (0, 1]. Two visits come with g >= w / 2 and couplings a >= 2/3 of what they were, so
A_c >= P^T A P / 2, hence P B' P^T A <= 2 Pi with Pi the A-orthogonal projector onto the range of P. One visit comes with g = w: then A_c = P^T A P and
P B_c P^T A has its eigenvalues in [0, 2). Either way I - P B P^T A has its eigenvalues in [-1, 1]. A relaxation S that contracts in the A-norm makes them
those of S* (I - P B P^T A) S, in (-1, 1), so the level's B A has its own in (0, 2). The induction begins with the dense inverse. Damped Jacobi contracts if
|prod (1 - omega_k t)| < 1 for all t in (0, 2], the range of D^-1 A; a factor f_u <= 1 per unknown narrows that range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .coarse_operator import index
from .hierarchy import Floats, Ints
from .semicoarsening import semicoarsen
from .sparse_conductances import ACROSS, SERIES, SLOW, Surroundings, next_level, plan_parts, series
from .sparse_levels import TAU, SparseLevel, move
from .sparse_split import THETA, split

DIRECT = 200  # unknowns that are solved for directly
CHEBYSHEV = (0.566, 1.577)  # at most 0.285 of an error with eigenvalues of D^-1 A in [0.4, 2] is left


@dataclass(eq=False)
class Rule:
    """The constants of the set-up and of the cycle; a subclass may put functions in their place.

    Attributes
    ----------
    tau, theta, c, across, slow : see `move`, `split`, `series` and `Surroundings.resistances`
    omega : factors of the Jacobi sweeps, per level below the finest; the last holds for all levels below
    omega_finest : factors of the red-black sweeps
    direct : unknowns at most of the coarsest level
    """

    tau: float = TAU
    theta: float = THETA
    c: float = SERIES
    across: float = ACROSS
    slow: float = SLOW
    omega: Sequence[Sequence[float]] = (CHEBYSHEV,)
    omega_finest: Sequence[float] = (1.15, 1.15)
    direct: int = DIRECT

    def conductances(self, around: Surroundings, number: int) -> Tensor:
        """(crossing edges,) g on level `number`, in [w / 2, w]."""
        return series(around, around.resistances(self.across), self.c)

    def relaxation(self, around: Surroundings, number: int) -> Tensor | None:
        """(unknowns,) factor of every unknown's relaxation, in (0, 1] below the finest level; None: 1."""
        return None


@dataclass
class Stage:
    """A level in the cycle.

    Attributes
    ----------
    level : SparseLevel
    part : (unknowns,) the next level's unknown of each one, -1 without; None at the coarsest level
    visits : how often the next level is visited
    passes : (unknowns, 1) factor over diagonal of every pass before the coarse correction, in order; 0 on other colours
    inverse : (unknowns, unknowns) at the coarsest level
    """

    level: SparseLevel
    part: Ints | None = None
    visits: int = 1
    passes: list[Tensor] = field(default_factory=list)
    inverse: Tensor | None = None

    def __post_init__(self):
        if self.part is not None:
            members = np.flatnonzero(self.part >= 0)
            self._members, self._at = (index(v, self.level.weight) for v in (members, self.part[members]))

    def restrict(self, r: Tensor, count: int) -> Tensor:
        """(parts, columns) P^T r."""
        return r.new_zeros((count, r.shape[1])).index_add(0, self._at, r[self._members])

    def prolong(self, x: Tensor) -> Tensor:
        """(unknowns, columns) P x."""
        return x.new_zeros((self.level.unknowns, x.shape[1])).index_add(0, self._members, x[self._at])


class SparseCycle:
    """z = M r for residuals of shape (unknowns, columns).

    Parameters
    ----------
    finest : SparseLevel
        One unknown at most in each cell.
    widths : per axis, widths of the finest cells relative to each other (`semicoarsening.estimate_widths`)
    rule : Rule
    """

    def __init__(self, finest: SparseLevel, widths: Sequence[Floats], rule: Rule | None = None):
        self.rule = rule or Rule()
        self.stages: list[Stage] = []
        level, spans = finest, list(widths)
        target = min((h.min() for h in spans if h.size > 1), default=1.0)
        while level.unknowns > self.rule.direct and int(np.prod(level.shape)) > 1:
            parent, _, target = semicoarsen(spans, target)
            spans = [np.bincount(p, h).astype(float) for p, h in zip(parent, spans, strict=True)]
            number = len(self.stages)
            cell = move(level, self.rule.tau) if number else level.cell
            parts = plan_parts(level, parent, cell, partial(split, theta=self.rule.theta))
            if parts.count == level.unknowns:
                break
            around = Surroundings(level, parts)
            twice = parts.count <= self.rule.slow * level.unknowns
            self.stages.append(Stage(level, parts.part, 1 + twice, self._passes(around, number)))
            level = next_level(around, self.rule.conductances(around, number) if twice else None)
        inverse = torch.linalg.pinv(level.dense(), hermitian=True)
        self.stages.append(Stage(level, inverse=inverse))

    def __call__(self, r: Tensor) -> Tensor:
        return self.visit(0, r)

    def visit(self, number: int, b: Tensor) -> Tensor:
        """(unknowns, columns) one cycle from zero, from level `number` down."""
        stage = self.stages[number]
        if stage.inverse is not None:
            return stage.inverse @ b
        level, below = stage.level, self.stages[number + 1]
        x = self.relax(number, None, b, False)
        rc = stage.restrict(b - level.apply(x), below.level.unknowns)
        xc = self.visit(number + 1, rc)
        if stage.visits == 2 and below.inverse is None:
            xc = xc + self.visit(number + 1, rc - below.level.apply(xc))
        return self.relax(number, x + stage.prolong(xc), b, True)

    def relax(self, number: int, x: Tensor | None, b: Tensor, backward: bool) -> Tensor:
        """The sweeps before the coarse correction, from None for zero, or after it in reverse."""
        stage = self.stages[number]
        for scaling in reversed(stage.passes) if backward else stage.passes:
            x = scaling * b if x is None else x + scaling * (b - stage.level.apply(x))
        return torch.zeros_like(b) if x is None else x

    def _passes(self, around: Surroundings, number: int) -> list[Tensor]:
        level, factor = around.level, self.rule.relaxation(around, number)
        scaling = (level.inverse_diagonal if factor is None else factor * level.inverse_diagonal)[:, None]
        if number > 0:
            return [omega * scaling for omega in self.rule.omega[min(number, len(self.rule.omega)) - 1]]
        colours = [index(colour, scaling)[:, None] for colour in _colours(level)]
        return [omega * (scaling * colour) for omega in self.rule.omega_finest for colour in colours]


def _colours(level: SparseLevel) -> list[Floats]:
    """(unknowns,) 1 on each colour in turn, 0 elsewhere: the passes of `hierarchy.Level`, which no edge joins."""
    odd_axes = [a for a in range(3) if level.periodic[a] and level.shape[a] % 2]
    colour = level.cell.sum(axis=0) % 2
    for bit, a in enumerate(odd_axes, start=1):
        colour = colour + ((level.cell[a] == level.shape[a] - 1) << bit)
    return [(colour == c).astype(float) for c in range(2 << len(odd_axes))]
