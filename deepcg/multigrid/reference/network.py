"""The default network: multilevel, linear in the residual, symmetric and positive definite whatever its parameters.

A U-shaped network whose layers are relaxation sweeps, transfers and, at the bottom, a small dense inverse. Its stencils are those of
the problem and of the coarser networks of transmissibilities that follow from it (`deepcg.multigrid.reference.hierarchy`); learned are

- omega: relaxation factors, on the finest and on coarser levels, by sweep and colour, in (0, 3/2);
- relaxation_table: factors of it in (3/4, 5/4) on a finest level of unit weights, by the number of a cell's joined faces and whether one is OPEN;
- a local function of each unknown's surroundings - shares of its diagonal that lie in Dirichlet couplings, in the shift, along its strongest
  and its weakest axis, and in differences between opposite faces - with one hidden layer of eight, softsign throughout. The layer
  enters as h(features) - h(features with Dirichlet couplings, shift and differences set to 0), so the factors are constant inside regular
  grids, stretched or not; trained networks leave them at 1 there, so that help at walls costs nothing far from them. It gives
  factors of the relaxation and of the edges, both in (3/4, 5/4), and of the odds in (1/2, 3/2) of interpolating from the
  parent's neighbour instead of the parent. An edge takes both its ends' factors, a Dirichlet coupling its unknown's twice. The finest
  level is the problem's own operator: there the function changes the relaxation only, and with unit weights nothing.

With all factors 1 it is a classical geometric multigrid V-cycle. This module is the network's definition; the kernels
(kernels/src/cycle/cycle.cpp, through `deepcg.multigrid.cycle`) compute the same function of the residual, in single precision.

From one level to the next
--------------------------
An edge of weight w between two blocks runs from one block's middle to the other's: half the edge that lies inside each is in series,

    g = 1 / (R_u + 1 / w + R_v),   R = 1 / (2 w_inside),

R = 1 / (2 w) where a wall takes the place of the inner edge, 0 for a block of one cell; g of parallel edges add up. So do
Dirichlet couplings, g = 1 / (R_u + 1 / a), without the mirrored half. On a uniform grid this is the operator discretised anew. A potential that is
linear along the chain drops by g R_u between the middle and the edge's end: the prolongation, one axis after the other, takes the
share g R_u of the neighbour's value and as much less of its own parent's, averaged over the faces between two blocks with weights g.
Unknowns in a secondary aggregate, and secondary unknowns, take their parent's value.

The network is symmetric and positive definite
----------------------------------------------
Let A be a level's operator. Edges, Dirichlet couplings and shifts are not negative whatever the factors, so A is symmetric and positive
semi-definite, with diagonal D > 0 on the active unknowns. A pass relaxes one colour c, x <- x + omega F_c D^-1 (b - A x), F_c = diag(f),
f > 0 on the colour's unknowns and 0 elsewhere. No two unknowns of a colour are joined, so the pass changes the error e = x* - x by
E_c e = e - omega F_c D^-1 A e, which is self-adjoint in the (semi-)inner product <u, v>_A = u.A v, and with r = A e

    |E_c e|_A^2 = |e|_A^2 - sum over the colour of omega f (2 - omega f) r_i^2 / d_i.

By the bounds omega f < 3/2 * 5/4 = 1.875 < 2: a pass never raises the error's A-norm, and leaves it only where r vanishes on the colour.
Secondary unknowns are relaxed one by one (Gauss-Seidel), each a colour of its own with f < 5/4. All passes of a sweep together,
S = E_k ... E_1, thus satisfy |S e|_A < |e|_A unless A e = 0: every unknown has a colour, and as long as no pass changed anything
r is still the residual that came in. Post-smoothing makes the same passes in reverse order: S* = E_1 ... E_k, the A-adjoint of S.

Let N be the linear map of pre-smoothing from zero, S = I - N A, and B the network of the coarser level, by induction symmetric and
positive semi-definite (at the bottom: a generalised inverse of a semi-definite matrix). With R = P^T, z = M r for

    M = (N + N^T - N^T A N) + (I - A N)^T P B P^T (I - A N).

Both terms are symmetric and the second is positive semi-definite. For r = A e the first gives r.(...) r = |e|_A^2 - |S e|_A^2 > 0 unless
r = 0. So M is symmetric positive definite on the range of A - on all vectors where nothing is singular - and conjugate gradients
may use it. The coarse operators need not be P^T A P, nor must the prolongation preserve constants.
(Bramble, Multigrid Methods, 1993, chapter 3, and Hackbusch, Multi-Grid Methods and Applications, 1985, section 10, argue alike.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softsign

from ...native.constants import (
    FACTOR_SPREAD,
    FEATURES,
    HIDDEN,
    LEVELS,
    ODDS_SPREAD,
    OMEGA_BELOW,
    OUTPUTS,
    STENCIL_TYPES,
    SWEEPS,
)
from ...problem.poisson import Poisson
from ..parameters import Parameters
from .coarse_operator import Couplings, coarsen_values, index
from .hierarchy import Hierarchy, build_hierarchy
from .layers import DirectSolve, LevelValues, Prolongation


@dataclass
class Levels:
    """A problem as `Multilevel.setup` prepares it: values from the finest level on, and the coarsest level's inverse."""

    values: list[LevelValues]
    coarsest: DirectSolve
    scale: float  # the finest level's operator is this times the problem's


class Multilevel(nn.Module):
    """The network; `levels = network.setup(problem)`, then `z = network(levels, r)`, differentiable throughout.

    Parameters
    ----------
    sweeps : int, or one per level from the finest
        Relaxation sweeps before and after the coarse correction, 1 to 4; the last holds for all levels below.
    local : bool
        Whether there is a local function; without it its factors are 1.
    seed : int
        Of the hidden layer's initial weights. They have no effect before training: all factors are 1, omega too.
    neutral : 2 or 3, optional
        Keeps the local function's factors at 1 inside a uniform grid of that dimension, whatever the other parameters: what is
        learned near walls and jumps then costs nothing where there are none. The output's bias is no parameter of its own then.
    """

    def __init__(
        self, sweeps: int | Sequence[int] = 2, local: bool = True, seed: int = 2311, neutral: int | None = None
    ):
        super().__init__()
        self._regular: Tensor
        self.set_sweeps(sweeps)
        self.local = local
        generator = torch.Generator().manual_seed(seed)
        self.raw_omega = nn.Parameter(torch.full((2, SWEEPS, 2), 0.5))
        self.raw_relaxation_table = nn.Parameter(torch.zeros(STENCIL_TYPES))
        self.hidden_weight = nn.Parameter(2.0 * torch.randn(HIDDEN, FEATURES, generator=generator))
        self.hidden_bias = nn.Parameter(torch.randn(HIDDEN, generator=generator))
        self.output_weight = nn.Parameter(torch.zeros(OUTPUTS, HIDDEN))
        self.output_bias = nn.Parameter(torch.zeros(OUTPUTS), requires_grad=False)  # regular grids stay as they are
        self.register_buffer("_regular", torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0]), persistent=False)

    def set_sweeps(self, sweeps: int | Sequence[int]) -> None:
        """Of each level from the finest; the last holds for all below."""
        per_level = [sweeps] if isinstance(sweeps, int) else list(sweeps)
        self.sweeps = (per_level + [per_level[-1]] * LEVELS)[:LEVELS]

    @property
    def omega(self) -> Tensor:
        """(2, 4, 2) relaxation factors in (0, 3/2)."""
        return 0.5 * OMEGA_BELOW * (1.0 + softsign(self.raw_omega))

    @property
    def relaxation_table(self) -> Tensor:
        """(16,) factors in (3/4, 5/4)."""
        return 1.0 + FACTOR_SPREAD * softsign(self.raw_relaxation_table)

    def local_factors(self, features: Tensor) -> Tensor:
        """(n, 3) factors of relaxation, edges and the odds of interpolating, from (n, 5) features."""
        here, regular = ((f @ self.hidden_weight.T) + self.hidden_bias for f in (features, features * self._regular))
        out = softsign((softsign(here) - softsign(regular)) @ self.output_weight.T + self.output_bias)
        return 1.0 + out * out.new_tensor([FACTOR_SPREAD, FACTOR_SPREAD, ODDS_SPREAD])

    def setup(self, problem: Poisson | Hierarchy) -> Levels:
        """The values of all levels, in the precision and on the device of the parameters."""
        hierarchy = build_hierarchy(problem) if isinstance(problem, Poisson) else problem
        like = self.raw_omega
        weight, dirichlet, shift = (
            torch.as_tensor(v, dtype=like.dtype, device=like.device)
            for v in (hierarchy.weight, hierarchy.dirichlet, hierarchy.shift)
        )
        couplings = Couplings(hierarchy.levels[0], weight, dirichlet, shift)
        factor = (
            self.relaxation_table[index(hierarchy.stencil_type, like)]
            if hierarchy.unit
            else self._factors(couplings)[:, 0]
        )
        values = [LevelValues(couplings, factor)]
        for level in hierarchy.levels[1:]:
            couplings, transfer = coarsen_values(couplings, level)
            factors = self._factors(couplings)
            couplings = couplings.scaled(factors[:, 1])
            transfer = transfer.with_odds(factors[: level.cells, 2].reshape(level.shape))
            values[-1].prolongation = Prolongation(values[-1].level, level, transfer)
            values.append(LevelValues(couplings, factors[:, 0]))
        return Levels(values, DirectSolve(couplings), hierarchy.scale)

    def _factors(self, couplings: Couplings) -> Tensor:
        """The local function of every unknown; 1 where no edge is."""
        joined = couplings.edge_sums() > 0
        if not self.local:
            return joined.new_ones((len(joined), OUTPUTS), dtype=couplings.weight.dtype)
        return torch.where(joined[:, None], self.local_factors(couplings.features()), 1.0)

    def forward(self, levels: Levels, r: Tensor) -> Tensor:
        """z = M r for residuals over all cells, shape (batch, cells), 0 outside FLUID."""
        return levels.scale * self._visit(levels, 0, r)

    def _visit(self, levels: Levels, number: int, b: Tensor) -> Tensor:
        level = levels.values[number]
        if level.prolongation is None:
            return levels.coarsest(b)
        omega = self.omega[min(number, 1)]
        sweeps = range(self.sweeps[min(number, LEVELS - 1)])
        x = torch.zeros_like(b)
        for sweep in sweeps:
            for colour, scaling in level.passes:
                x = level.relax(x, b, omega[sweep, colour] * scaling)
            x = level.relax_secondary(x, b, backward=False)
        down = level.prolongation.restrict(level.residual(x, b))
        x = x + level.prolongation.prolong(self._visit(levels, number + 1, down))
        for sweep in reversed(sweeps):
            x = level.relax_secondary(x, b, backward=True)
            for colour, scaling in reversed(level.passes):
                x = level.relax(x, b, omega[sweep, colour] * scaling)
        return x

    def bounded_parameters(self) -> Parameters:
        """The constrained values, as model files and kernels hold them."""

        def array(value: Tensor) -> np.ndarray:
            return value.detach().cpu().numpy().astype(np.float32)

        return Parameters(
            sweeps=np.array(self.sweeps, dtype=np.int32),
            omega=array(self.omega),
            relaxation_table=array(self.relaxation_table),
            hidden_weight=array(self.hidden_weight),
            hidden_bias=array(self.hidden_bias),
            output_weight=array(self.output_weight),
            output_bias=array(self.output_bias),
            local=self.local,
        )

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> Multilevel:
        """The network that has these parameters."""

        def inverse(bounded: np.ndarray) -> Tensor:  # of softsign
            return torch.from_numpy(bounded / (1.0 - np.abs(bounded))).float()

        network = cls([int(s) for s in parameters.sweeps], parameters.local)
        values = {
            "raw_omega": inverse(parameters.omega.astype(float) / (0.5 * OMEGA_BELOW) - 1.0),
            "raw_relaxation_table": inverse((parameters.relaxation_table.astype(float) - 1.0) / FACTOR_SPREAD),
            **{name: torch.from_numpy(value) for name, value in parameters.tensors().items() if name in _PLAIN},
        }
        network.load_state_dict(values)
        return network


_PLAIN = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")
