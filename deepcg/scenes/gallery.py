"""Named scenes: pressure equations of incompressible flow and of conduction, with a physical right-hand side, at any resolution.

    scene = gallery.scene("plume", 64)
    x, info = deepcg.solve(scene.problem, scene.rhs)

Each scene is a box of `size` cells per axis. Axis 0 points up. Its right-hand side is minus the divergence of a
velocity: a flow that suits the scene (`deepcg.scenes.definitions`) plus seeded turbulence, with nothing crossing the walls.
Rough scenes (`deepcg.scenes.media`) take the contrast of their coefficient; a pressure drop drives them.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft

from ..problem.grid import Array, Grid
from ..problem.poisson import Poisson
from . import definitions, media  # noqa: F401 (importing them enters their scenes into the list, in this order)
from .canvas import SCENES, SEED, Canvas, Draft, Flow
from .conduction import inflow, pressure_drop
from .flow import Ball, Smoke, Solve, Velocity, close_walls, default_solve, divergence

SMALLEST = 8  # cells per axis below which the scenes' parts no longer fit
LARGEST_CONTRAST = 1e12
TURBULENCE = 0.3  # root mean square of the perturbation, relative to the flow's


@dataclass(frozen=True)
class Scene:
    """A system to solve.

    Attributes
    ----------
    name, description : str
    problem : Poisson
    rhs : float64 array of the cells' shape, 0 outside FLUID
        Minus the divergence of `velocity`. Of unit root mean square over FLUID in the scenes of `scene`; in cells per
        unit of time in those of `sequence`; of a drop of 1 in rough scenes.
    velocity : one face array per axis
        Subtracting beta grad p (`flow.subtract_gradient`) makes it divergence-free.
    pressure_drop : bool
        Whether the pressure is 1 below and 0 above the box (`deepcg.scenes.conduction`).
    """

    name: str
    description: str
    problem: Poisson
    rhs: Array
    velocity: Velocity
    pressure_drop: bool = False


def names(dim: int | None = None, rough: bool | None = None) -> tuple[str, ...]:
    """The scenes' names.

    Parameters
    ----------
    dim : 2 or 3, optional
        Only of those that exist in that dimension.
    rough : bool, optional
        Only of those that take a contrast (True), or of those that take none (False).
    """
    return tuple(
        name
        for name, entry in SCENES.items()
        if (dim is None or dim in entry.dims) and (rough is None or rough == (entry.contrast is not None))
    )


def scene(name: str, size: int, dim: int = 3, *, contrast: float | None = None, seed: int | None = None) -> Scene:
    """A named scene.

    Parameters
    ----------
    name : str
        One of `names(dim)`.
    size : int
        Cells along each axis, at least 8; need not be even.
    dim : 2 or 3
    contrast : float, 1 to 1e12; of `names(rough=True)`
        By how much the largest value of the coefficient exceeds the smallest; `deepcg.scenes.media` says what that is in each.
        By default 1e6.
    seed : int, >= 0
        Of whatever is random in it. By default the gallery's own.

    Returns
    -------
    Scene
        The same one, bit for bit, for the same arguments.

    Raises
    ------
    ValueError, TypeError
        For a name, size, dim, contrast or seed that there is not.
    """
    canvas = _check(name, size, dim, contrast, seed)
    entry = SCENES[name]
    return _finish(name, entry.description, entry.draw(canvas), canvas)


def mesh_scene(path: str | os.PathLike, size: int, up: str = "y") -> Scene:
    """Smoke past the object in a mesh file: what "bunny" is for the Stanford bunny.

    Parameters
    ----------
    path : path
        A closed mesh, see `deepcg.io.mesh.read_surface`; it becomes a SOLID obstacle in a box with an open top.
    size : int
        Cells along each axis, at least 8.
    up : "x", "y", "z", "-x", "-y" or "-z"
        The mesh's axis that points up.

    Returns
    -------
    Scene

    Raises
    ------
    deepcg.io.mesh.MeshError, ValueError, TypeError
        The file, or an argument that is not as above.
    """
    canvas = Canvas(_check_size(size), 3)
    description = f"Smoke past the object in {Path(path).name}, in a box with an open top"
    return _finish(Path(path).stem, description, definitions.past_mesh(canvas, path, up), canvas)


def _finish(name: str, description: str, draft: Draft, canvas: Canvas) -> Scene:
    """The system of a draft: its flow with turbulence, and b of unit root mean square; or a pressure drop."""
    problem = Poisson(draft.cells, **draft.options)
    if draft.flow is None:
        return Scene(name, description, problem, pressure_drop(problem), inflow(problem), pressure_drop=True)
    full = _with_turbulence(_on_faces(draft.flow, problem.grid), canvas.rng())
    velocity = close_walls(full, problem)
    if draft.inflow:
        velocity[-1][..., 0] = np.where(problem.grid.fluid[..., 0], full[-1][..., 0], 0.0)
    b = -divergence(velocity, problem.grid)
    # Units of time are free: choose them such that b is of order 1.
    scale = 1.0 / np.sqrt(np.mean(b[problem.grid.fluid] ** 2))
    return Scene(name, description, problem, scale * b, tuple(scale * u for u in velocity))


def sequence(name: str, size: int, dim: int = 3, steps: int = 10, *, solve: Solve | None = None) -> Iterator[Scene]:
    """Successive pressure equations of a simulation with a moving boundary.

    Parameters
    ----------
    name : "sphere"
        A sphere that swings sideways through the smoke's plume.
    size, dim : see `scene`
    steps : int, > 0
    solve : callable (problem, b) -> p
        With which the simulation goes from one system to the next. Default: `deepcg.solve`.

    Yields
    ------
    Scene
        The system that the simulation is about to solve.
    """
    if name != "sphere":
        raise ValueError(f"name: {name!r} given; the only sequence is 'sphere'")
    canvas = _check(name, size, dim)
    if operator.index(steps) < 1:
        raise ValueError(f"steps: {steps} given; at least 1 is needed")
    return _swinging_sphere(canvas, steps, solve or default_solve)


def _swinging_sphere(canvas: Canvas, steps: int, solve: Solve) -> Iterator[Scene]:
    size, description = canvas.size, "smoke past a sphere that swings sideways"
    centre = tuple(size * c for c in (0.4,) + (0.5,) * (canvas.dim - 1))
    ball = Ball(centre, radius=0.15 * size, amplitude=0.2 * size, speed=0.9)
    source = np.broadcast_to(sum((s - 0.5) ** 2 for s in canvas.x[1:]) < 0.15**2, canvas.shape) & (canvas.x[0] < 0.1)
    smoke = Smoke(canvas.fluid(), source, ball=ball, buoyancy=0.1, solve=solve, boundary=canvas.open(0))
    smoke.start(_with_turbulence(_on_faces(definitions.plume_flow, smoke.problem.grid), canvas.rng()))
    for step in range(steps):
        b = smoke.predict()
        yield Scene("sphere", description, smoke.problem, b, smoke.velocity)
        if step + 1 < steps:  # nobody sees what follows the last system
            smoke.correct(solve(smoke.problem, b))


def _check(name: str, size: int, dim: int, contrast: float | None = None, seed: int | None = None) -> Canvas:
    if dim not in (2, 3):
        raise ValueError(f"dim: {dim} given; 2 or 3 is needed")
    if name not in names(dim):
        raise ValueError(f"name: {name!r} given; in {dim}-D one of {', '.join(names(dim))} is needed")
    size, seed = _check_size(size), SEED if seed is None else operator.index(seed)
    if seed < 0:
        raise ValueError(f"seed: {seed} given; an integer >= 0 is needed")
    return Canvas(size, dim, seed, _check_contrast(name, contrast))


def _check_contrast(name: str, contrast: float | None) -> float:
    default = SCENES[name].contrast
    if contrast is None:
        return 1.0 if default is None else default
    if default is None:
        raise ValueError(
            f"contrast: {contrast:g} given, and {name!r} takes none; it belongs to {', '.join(names(rough=True))}"
        )
    if not 1.0 <= contrast <= LARGEST_CONTRAST:
        raise ValueError(f"contrast: {contrast:g} given; a number from 1 to {LARGEST_CONTRAST:g} is needed")
    return float(contrast)


def _check_size(size: int) -> int:
    if operator.index(size) < SMALLEST:
        raise ValueError(f"size: {size} given; at least {SMALLEST} cells per axis are needed")
    return operator.index(size)


def _on_faces(flow: Flow, grid: Grid) -> Velocity:
    """A flow's normal components on the faces."""
    ends = [np.concatenate([[0.0], np.cumsum(h)]) / h.sum() for h in grid.widths]
    middles = [0.5 * (e[1:] + e[:-1]) for e in ends]
    velocity = []
    for axis in range(grid.ndim):
        x = [grid.along(a, ends[a] if a == axis else middles[a]) for a in range(grid.ndim)]
        shape = tuple(n + (a == axis) for a, n in enumerate(grid.shape))
        velocity.append(np.array(np.broadcast_to(flow(axis, x), shape), dtype=np.float64))
    return tuple(velocity)


def _with_turbulence(velocity: Velocity, rng: np.random.Generator) -> Velocity:
    """A velocity with random components of Kolmogorov's spectrum, E(k) ~ k^-5/3, added.

    It is smooth on the scale of a few cells, as what a simulation's own dissipation leaves. Nothing makes the random
    part divergence-free: its divergence is the broadband part of the right-hand side.
    """
    dim = len(velocity)
    amplitude = TURBULENCE * np.sqrt(sum(np.mean(u**2) for u in velocity) / dim)
    slope = -0.5 * (5.0 / 3.0 + dim - 1)  # modes at wave number k: ~ k^(dim - 1)
    perturbed = []
    for u in velocity:
        modes = scipy.fft.rfftn(rng.standard_normal(u.shape, dtype=np.float32))
        # Wave numbers over the box; the transform's last axis holds the non-negative ones only.
        k = [np.fft.fftfreq(n, 1.0 / n).astype(np.float32) for n in u.shape[:-1]]
        k.append(np.arange(modes.shape[-1], dtype=np.float32))
        k2 = np.asarray(sum(s * s for s in np.ix_(*k)))
        k2[(0,) * dim] = np.inf  # no mean
        spectrum = k2 ** np.float32(0.5 * slope) * np.exp(-k2 * np.float32((4.0 / max(u.shape)) ** 2))
        noise = scipy.fft.irfftn(modes * spectrum, s=u.shape)
        perturbed.append(u + amplitude / np.sqrt(np.mean(noise**2)) * noise)
    return tuple(perturbed)
