"""Incompressible flow on a staggered (MAC) grid: divergence, projection, and a smoke simulation for the gallery.

A velocity is one face array per axis, n+1 entries along its own axis: the component along that axis at its faces
(Harlow and Welch 1965). The projection (Chorin 1968) solves A p = -div u and subtracts beta grad p; what crosses a
closed face, nothing or what a moving wall prescribes, is left as it is and counts in the divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import ArrayLike, NDArray

from ..problem.face_weights import back, front
from ..problem.grid import SOLID, Array, Grid, check_cells
from ..problem.poisson import Poisson

Velocity = tuple[Array, ...]
Solve = Callable[[Poisson, Array], Array]


def divergence(velocity: Sequence[Array], grid: Grid) -> Array:
    """Net outflow of every cell: the sum over its faces of area times outward normal velocity.

    Parameters
    ----------
    velocity : one face array per axis
        n+1 entries along its own axis; on a periodic axis the first and the last layer are the same faces.
    grid : Grid

    Returns
    -------
    float64 array of the cells' shape, 0 outside FLUID
        Integrated over the cell, not divided by its volume: minus this is the right-hand side of the pressure equation.
    """
    _check_velocity(velocity, grid)
    total = np.zeros(grid.shape)
    for axis, u in enumerate(velocity):
        total += np.diff(u * grid.areas(axis), axis=axis)
    total[~grid.fluid] = 0.0
    return total


def close_walls(velocity: Sequence[Array], problem: Poisson) -> Velocity:
    """The velocity with 0 on every closed face: at walls, inside solids, and where no FLUID cell is near."""
    return tuple(np.where(w > 0, u, 0.0) for u, w in zip(velocity, problem.stencil.weights, strict=True))


def subtract_gradient(velocity: Sequence[Array], problem: Poisson, pressure: ArrayLike) -> Velocity:
    """u - beta grad p; closed faces keep their velocity.

    Parameters
    ----------
    velocity : one face array per axis
    problem : Poisson
        Made from cells.
    pressure : array of the cells' shape, 0 outside FLUID
    """
    grid = problem.grid
    p = np.asarray(pressure, dtype=np.float64)
    if p.shape != grid.shape:
        raise ValueError(f"pressure: shape {p.shape} given; the cells' {grid.shape} is needed")
    projected = []
    for axis, (u, w) in enumerate(zip(velocity, problem.stencil.weights, strict=True)):
        outside = [(1, 1) if a == axis else (0, 0) for a in range(grid.ndim)]
        padded = np.pad(p, outside, mode="wrap") if grid.is_periodic(axis) else np.pad(p, outside)
        projected.append(u - w / grid.areas(axis) * np.diff(padded, axis=axis))
    return tuple(projected)


def project(velocity: Sequence[Array], problem: Poisson, solve: Solve | None = None) -> Velocity:
    """The velocity made divergence-free, up to what `solve` leaves of the residual.

    Parameters
    ----------
    velocity : one face array per axis
    problem : Poisson
    solve : callable (problem, b) -> p
        b and p have the cells' shape. Default: `deepcg.solve`.
    """
    p = (solve or default_solve)(problem, -divergence(velocity, problem.grid))
    return subtract_gradient(velocity, problem, p)


def default_solve(problem: Poisson, b: Array) -> Array:
    """`deepcg.solve` with its defaults; RuntimeError where it did not converge."""
    from ..api import solve  # that module may load a network; a caller with a solver of its own need not

    p, info = solve(problem, b)
    if info != 0:
        raise RuntimeError(f"the pressure solve did not converge: {info}")
    return p


@dataclass(frozen=True)
class Ball:
    """A solid ball (in 2-D a disc) that swings sideways: centre + amplitude sin(speed t / amplitude) on the last axis.

    Attributes
    ----------
    centre : one float per axis, in cells from the low side
    radius, amplitude : float, in cells
        An amplitude of 0 is a ball at rest.
    speed : float
        The largest speed, in cells per unit of time.
    """

    centre: tuple[float, ...]
    radius: float
    amplitude: float = 0.0
    speed: float = 0.0

    def mask(self, shape: tuple[int, ...], time: float) -> NDArray[np.bool_]:
        """The cells whose centres lie inside at `time`."""
        centre = list(self.centre)
        if self.amplitude:
            centre[-1] += self.amplitude * math.sin(self.speed * time / self.amplitude)
        points = np.ogrid[tuple(slice(0, n) for n in shape)]
        r2 = sum((x + 0.5 - c) ** 2 for x, c in zip(points, centre, strict=True))
        return np.asarray(r2 <= self.radius**2)

    def velocity(self, time: float) -> tuple[float, ...]:
        """The ball's velocity, one float per axis."""
        swing = self.speed * math.cos(self.speed * time / self.amplitude) if self.amplitude else 0.0
        return (0.0,) * (len(self.centre) - 1) + (swing,)


class Smoke:
    """Smoke that rises from a source, past walls and a moving ball; unit spacing, axis 0 points up.

    A step is semi-Lagrangian advection (Stam 1999; second-order back-trace, linear interpolation), buoyancy, the walls'
    velocities, and the projection. `predict` and `correct` are its two halves around the linear solve, for callers that
    want the system itself.

    Parameters
    ----------
    cells : integer array, (ny, nx) or (nz, ny, nx)
        What does not move.
    source : bool array of the cells' shape
        Where the smoke's concentration is held at 1.
    boundary : see `deepcg.Poisson`
    ball : Ball, optional
    buoyancy : float
        Upward acceleration of pure smoke, in cells per unit of time squared.
    solve : callable (problem, b) -> p
        The projection's solver, on cell-shaped arrays. Default: `deepcg.solve`.

    Attributes
    ----------
    problem : Poisson, the pressure equation at the present time
    velocity : tuple of face arrays, in cells per unit of time
    smoke : float64 array of the cells' shape, between 0 and 1
    time : float
    """

    def __init__(
        self, cells: ArrayLike, source: ArrayLike, *, boundary="wall", ball: Ball | None = None, buoyancy: float = 0.1,
        solve: Solve | None = None,
    ):  # fmt: skip
        self.still = check_cells(cells)
        self.source = np.asarray(source, dtype=bool)
        if self.source.shape != self.still.shape:
            raise ValueError(f"source: shape {self.source.shape} given; the cells' {self.still.shape} is needed")
        if ball is not None and len(ball.centre) != self.still.ndim:
            raise ValueError(
                f"ball: centre of {len(ball.centre)} entries given; one per axis ({self.still.ndim}) is needed"
            )
        self.boundary, self.ball, self.buoyancy, self.solve = boundary, ball, buoyancy, solve
        self.time = 0.0
        self.problem = self._place_walls()
        self.velocity: Velocity = tuple(np.zeros_like(w) for w in self.problem.stencil.weights)
        self.smoke = np.zeros(self.still.shape)
        self._hold_smoke()

    def start(self, velocity: Sequence[Array]) -> None:
        """Take an initial velocity, projected."""
        _check_velocity(velocity, self.problem.grid)
        self.velocity = project(self._impose_walls(velocity), self.problem, self.solve)

    def step(self, dt: float = 1.0) -> None:
        """Advance by dt (best not more than a few cells' travel)."""
        b = self.predict(dt)
        self.correct((self.solve or default_solve)(self.problem, b))

    def predict(self, dt: float = 1.0) -> Array:
        """Everything up to the linear solve.

        Returns
        -------
        The right-hand side of the pressure equation whose operator is now `self.problem`.
        """
        if not dt > 0:
            raise ValueError(f"dt: {dt} given; a time step > 0 is needed")
        velocity, smoke = self._advect(dt)
        self.time += dt
        self.problem = self._place_walls()
        self.smoke = smoke
        self._hold_smoke()
        velocity[0][1:-1] += 0.5 * dt * self.buoyancy * (self.smoke[1:] + self.smoke[:-1])
        self.velocity = self._impose_walls(velocity)
        return -divergence(self.velocity, self.problem.grid)

    def correct(self, pressure: ArrayLike) -> None:
        """The rest of the step, from the solution of the system that `predict` left."""
        self.velocity = subtract_gradient(self.velocity, self.problem, pressure)

    def _advect(self, dt: float) -> tuple[list[Array], Array]:
        shape, velocity = self.still.shape, self.velocity
        faces = [_trace(velocity, _points(u.shape, axis), dt) for axis, u in enumerate(velocity)]
        advected = [_sample(u, axis, points) for axis, (u, points) in enumerate(zip(velocity, faces, strict=True))]
        return advected, _sample(self.smoke, None, _trace(velocity, _points(shape, None), dt))

    def _ball_mask(self) -> NDArray[np.bool_]:
        if self.ball is None:
            return np.zeros(self.still.shape, dtype=bool)
        return self.ball.mask(self.still.shape, self.time)

    def _place_walls(self) -> Poisson:
        cells = np.where(self._ball_mask(), np.uint8(SOLID), self.still)
        return Poisson(cells, boundary=self.boundary)

    def _impose_walls(self, velocity: Sequence[Array]) -> Velocity:
        """The walls' velocity on every closed face: 0, and the ball's on all faces of the ball's cells.

        Faces inside the ball carry it too, so that cells which it leaves start with the velocity of what was there.
        """
        imposed = close_walls(velocity, self.problem)
        if self.ball is None:
            return imposed
        inside = self._ball_mask()
        for axis, (u, speed) in enumerate(zip(imposed, self.ball.velocity(self.time), strict=True)):
            edge = [(1, 1) if a == axis else (0, 0) for a in range(inside.ndim)]
            padded = np.pad(inside, edge)
            u[padded[front(axis)] | padded[back(axis)]] = speed
        return imposed

    def _hold_smoke(self) -> None:
        self.smoke[self.source] = 1.0
        self.smoke[self.problem.cells == SOLID] = 0.0


def _points(shape: tuple[int, ...], face_axis: int | None) -> list[Array]:
    """Coordinates, in cells, of the faces across `face_axis` (None: of the cells' centres)."""
    return list(np.meshgrid(*[np.arange(n) + _offset(a, face_axis) for a, n in enumerate(shape)], indexing="ij"))


def _offset(axis: int, face_axis: int | None) -> float:
    return 0.0 if axis == face_axis else 0.5


def _sample(values: Array, face_axis: int | None, points: Sequence[Array]) -> Array:
    """Linear interpolation at points in cells; beyond the outermost samples their value holds.

    It never leaves the range of `values`, which keeps the smoke within its bounds.
    """
    index = [x - _offset(a, face_axis) for a, x in enumerate(points)]
    return ndi.map_coordinates(values, index, order=1, mode="nearest")


def _trace(velocity: Sequence[Array], points: Sequence[Array], dt: float) -> list[Array]:
    """Where what is at `points` was dt ago: the midpoint rule backwards along the velocity."""

    def back(where: Sequence[Array], time: float) -> list[Array]:
        return [x - time * _sample(u, axis, where) for axis, (x, u) in enumerate(zip(points, velocity, strict=True))]

    return back(back(points, 0.5 * dt), dt)


def _check_velocity(velocity: Sequence[Array], grid: Grid) -> None:
    shapes = [tuple(n + (a == axis) for a, n in enumerate(grid.shape)) for axis in range(grid.ndim)]
    given = [np.shape(u) for u in velocity]
    if given != shapes:
        raise ValueError(f"velocity: shapes {given} given; one face array per axis with shapes {shapes} is needed")
