"""A pressure drop across a box, and what comes of it: the flux through both ends, and the effective conductivity.

The pressure is 1 in the cells outside the low side of axis 0 and 0 in those outside its high side, both of them open. The flux
through either side per area and pressure gradient is the effective conductivity (of a porous medium the permeability, of a
composite the conductivity, of a battery's pores their fraction of the volume over the tortuosity). The pressures hold at the
centres of the cells outside: half a cell of either end's medium belongs to what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..problem.grid import Array
from ..problem.poisson import Poisson
from .flow import Velocity


@dataclass(frozen=True)
class Conductivity:
    """The effective conductivity, by the flux that enters and by the one that leaves; what lies between is the residual's.

    Attributes
    ----------
    inlet, outlet : float
    """

    inlet: float
    outlet: float

    @property
    def value(self) -> float:
        """The mean of both."""
        return 0.5 * (self.inlet + self.outlet)

    @property
    def apart(self) -> float:
        """The difference of both, relative to their mean."""
        return abs(self.inlet - self.outlet) / abs(self.value) if self.value else 0.0

    def __str__(self) -> str:
        return f"{self.value:.6g} (inlet {self.inlet:.6g}, outlet {self.outlet:.6g}: {self.apart:.1e} apart)"


def pressure_drop(problem: Poisson) -> Array:
    """The right-hand side of a pressure of 1 outside the low side of axis 0 and of 0 outside the high one."""
    at_low = np.zeros(problem.shape)
    at_low[0] = 1.0
    return problem.rhs(open_value=at_low)


def inflow(problem: Poisson) -> Velocity:
    """The velocity that the pressure drop causes while the pressure inside is 0: beta times the gradient at the low side.

    Minus its divergence is `pressure_drop`; with beta grad p subtracted it is the flow that the drop drives.
    """
    velocity = tuple(np.zeros(w.shape) for w in problem.stencil.weights)
    velocity[0][0] = (problem.stencil.weights[0] / problem.grid.areas(0))[0]
    return velocity


def effective_conductivity(problem: Poisson, pressure: ArrayLike) -> Conductivity:
    """The flux through either side of axis 0, times the distance of the two pressures, over the box's area.

    Parameters
    ----------
    problem : Poisson
        Made from cells, both sides of axis 0 open.
    pressure : array of the cells' shape
        The solution for `pressure_drop`.

    Raises
    ------
    ValueError
        For sides or a pressure that are not as above.
    """
    grid, p = problem.grid, np.asarray(pressure, dtype=np.float64)
    if p.shape != grid.shape:
        raise ValueError(f"pressure: shape {p.shape} given; the cells' {grid.shape} is needed")
    if grid.boundary[0] != ("open", "open"):
        raise ValueError(f"problem: sides {grid.boundary[0]} of axis 0 given; ('open', 'open') is needed")
    w = problem.stencil.weights[0]
    length, area = float(grid.distances(0).sum()), math.prod(float(h.sum()) for h in grid.widths[1:])
    into, out_of = float(np.sum(w[0] * (1.0 - p[0]))), float(np.sum(w[-1] * p[-1]))
    return Conductivity(into * length / area, out_of * length / area)


def flux_magnitude(problem: Poisson, velocity: Sequence[Array]) -> Array:
    """The length of a face velocity's mean over each cell; 0 outside FLUID."""
    square = np.zeros(problem.shape)
    for axis, u in enumerate(velocity):
        inside = np.moveaxis(u, axis, 0)
        square += np.moveaxis(0.5 * (inside[:-1] + inside[1:]), 0, axis) ** 2
    return np.where(problem.grid.fluid, np.sqrt(square), 0.0)
