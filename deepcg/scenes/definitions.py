"""The gallery's scenes of flow: cells, flow and coefficients of each, drawn into a box of any size; axis 0 points up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from ..problem.grid import FLUID, OPEN, SOLID, Array
from .canvas import Canvas, Draft, fill_ball, registered

# ---- flows ---------------------------------------------------------------------------------------------------------


def plume_flow(axis: int, x: Sequence[Array]) -> Any:
    """A buoyant jet that widens as it rises and draws in what is around it."""
    width = 0.08 + 0.15 * x[0]
    core = np.exp(-sum((s - 0.5) ** 2 for s in x[1:]) / width**2)
    if axis == 0:
        return 0.2 + 1.5 * core
    return -0.3 * (x[axis] - 0.5) / width * core


def _collapse(axis: int, x: Sequence[Array]) -> Any:
    """A column of water that sinks under gravity and runs out along the floor."""
    if axis == 0:
        return -0.2 - x[0] * np.exp(-((x[-1] / 0.4) ** 2))
    return x[-1] * np.exp(-3.0 * x[0]) if axis == len(x) - 1 else 0.0


def _swirl(axis: int, x: Sequence[Array]) -> Any:
    """Two counter-rotating vortices in the plane of the first and the last axis."""
    last = len(x) - 1
    if axis not in (0, last):
        return 0.0
    first = np.exp(-((x[0] - 0.4) ** 2 + (x[last] - 0.35) ** 2) / 0.04)
    second = np.exp(-((x[0] - 0.65) ** 2 + (x[last] - 0.7) ** 2) / 0.02)
    if axis == 0:
        return 5.0 * ((x[last] - 0.35) * first - (x[last] - 0.7) * second)
    return -5.0 * ((x[0] - 0.4) * first - (x[0] - 0.65) * second)


def _upward(axis: int, x: Sequence[Array]) -> Any:
    return 1.0 if axis == 0 else 0.0


def _channel(axis: int, x: Sequence[Array]) -> Any:
    """A parabolic profile along the last axis."""
    if axis != len(x) - 1:
        return 0.0
    profile: Any = 1.5
    for s in x[:-1]:
        profile = profile * 4.0 * s * (1.0 - s)
    return profile


def _rising_bubble(axis: int, x: Sequence[Array]) -> Any:
    """Gravity's step down everywhere, and a bubble that rises through it with a return flow beside it."""
    r2 = (x[0] - 0.35) ** 2 + sum((s - 0.5) ** 2 for s in x[1:])
    inside = np.exp(-r2 / 0.04)
    if axis == 0:
        return -0.2 + 1.5 * inside * (1.0 - (r2 - (x[0] - 0.35) ** 2) / 0.04)
    return 1.5 * (x[axis] - 0.5) * (x[0] - 0.35) / 0.04 * inside


# ---- scenes --------------------------------------------------------------------------------------------------------


@registered(2, 3)
def box(canvas: Canvas) -> Draft:
    """A buoyant jet in an empty box with an open top: every weight is 1."""
    return Draft(canvas.fluid(), plume_flow, {"boundary": canvas.open(0)})


@registered(2, 3)
def plume(canvas: Canvas) -> Draft:
    """Smoke that rises from a nozzle and meets a plate, in a box with an open top."""
    cells, r = canvas.fluid(), _radius(canvas)
    thickness = max(1, canvas.size // 40)
    pipe = (r > 0.1) & (r < 0.1 + (thickness + 0.5) / canvas.size) & (canvas.x[0] < 0.15)
    cells[pipe] = SOLID
    plate = canvas.slab(0, 0.5, thickness)
    cells[plate][np.broadcast_to(r < 0.2, canvas.shape)[plate]] = SOLID
    return Draft(cells, plume_flow, {"boundary": canvas.open(0)})


@registered(2, 3)
def sphere(canvas: Canvas) -> Draft:
    """Smoke past a sphere, in a box with an open top."""
    cells = canvas.fluid()
    cells[canvas.ball((0.4,) + (0.5,) * (canvas.dim - 1), 0.15)] = SOLID
    return Draft(cells, plume_flow, {"boundary": canvas.open(0)})


@registered(3)
def bunny(canvas: Canvas) -> Draft:
    """Smoke past the Stanford bunny, in a box with an open top."""
    with resources.as_file(resources.files("deepcg.data") / "bunny.stl") as path:
        return past_mesh(canvas, path)


@registered(2, 3)
def dam_break(canvas: Canvas) -> Draft:
    """A column of water that collapses over a wet floor with a block, drops above it: a free surface under air."""
    z, x = canvas.x[0], canvas.x[-1]
    ripple = sum(np.sin(2.0 * np.pi * (3.0 * s + 0.2)) for s in canvas.x[1:])
    depth = np.where(x < 0.4, 0.7, 0.2) + 0.02 * ripple
    cells = np.where(np.broadcast_to(z < depth, canvas.shape), np.uint8(FLUID), np.uint8(OPEN))
    rng = canvas.rng()
    for _ in range(12):
        centre = (rng.uniform(0.4, 0.9), *rng.uniform(0.1, 0.9, canvas.dim - 2), rng.uniform(0.5, 0.9))
        cells[canvas.ball(centre, rng.uniform(0.02, 0.05))] = FLUID
    block = (abs(x - 0.65) < 0.06) & (z < 0.25)
    cells[np.broadcast_to(block, canvas.shape)] = SOLID
    return Draft(cells, _collapse)


@registered(2, 3)
def porous(canvas: Canvas) -> Draft:
    """Flow up through a bed of overlapping balls, half of it solid, open at both ends; pockets may be cut off."""
    cells = canvas.fluid()
    rng = canvas.rng()
    count, radius = (70, (0.03, 0.06)) if canvas.dim == 2 else (280, (0.06, 0.09))
    for _ in range(count):
        centre = rng.uniform(0.0, 1.0, canvas.dim)
        centre[0] = 0.15 + 0.7 * centre[0]
        fill_ball(cells, centre, rng.uniform(*radius), SOLID)
    return Draft(cells, _upward, {"boundary": canvas.ends()})


@registered(2, 3)
def baffles(canvas: Canvas) -> Draft:
    """A channel with thin staggered baffles; the flow enters through one end and leaves through the other."""
    cells = canvas.fluid()
    count = min(5, canvas.size // 4)
    reach = int(0.65 * canvas.size)
    for i in range(count):
        baffle = cells[canvas.slab(canvas.dim - 1, (i + 1) / (count + 1), 1 if canvas.size < 64 else 2)]
        if i % 2:
            baffle[-reach:] = SOLID
        else:
            baffle[:reach] = SOLID
    return Draft(cells, _channel, {"boundary": canvas.open(canvas.dim - 1)}, inflow=True)


@registered(2, 3)
def cavity(canvas: Canvas) -> Draft:
    """Swirling flow in a closed box: walls only, so that the pressure is known up to a constant."""
    return Draft(canvas.fluid(), _swirl)


@registered(2, 3)
def bubble(canvas: Canvas) -> Draft:
    """A gas bubble that rises in a liquid a thousand times as dense; the coefficient is 1 / density."""
    gas = canvas.ball((0.35,) + (0.5,) * (canvas.dim - 1), 0.2)
    options = {"coefficient": np.where(gas, 1000.0, 1.0), "boundary": canvas.open(0)}
    return Draft(canvas.fluid(), _rising_bubble, options)


@registered(2, 3)
def stretched(canvas: Canvas) -> Draft:
    """A channel whose cells get thinner towards the walls, down to a thirtieth of their length."""
    to_wall = 1.0 - abs(np.linspace(-1.0, 1.0, canvas.size))
    across = 30.0 ** (to_wall / to_wall.max())
    across /= across.mean()
    along = np.full(canvas.size, across.max())
    options = {"spacing": [across] * (canvas.dim - 1) + [along], "boundary": canvas.open(canvas.dim - 1)}
    return Draft(canvas.fluid(), _channel, options, inflow=True)


def past_mesh(canvas: Canvas, path: str | os.PathLike, up: str = "y") -> Draft:
    """Smoke past the object in a mesh file, in a box with an open top."""
    from ..io.mesh import voxelize  # needs the optional dependencies of meshes

    cells = voxelize(path, canvas.shape, margin=0.2, up=up)
    return Draft(cells, plume_flow, {"boundary": canvas.open(0)})


def _radius(canvas: Canvas) -> Array:
    """Distance from the box's vertical axis, relative to its size."""
    return np.sqrt(sum((s - 0.5) ** 2 for s in canvas.x[1:]))
