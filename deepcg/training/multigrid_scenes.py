"""Random scenes to train the multilevel network on: small boxes of any size with what a solver meets, none of the gallery's.

Each draws its own sides, obstacles, free surface, coefficient and spacing. Sizes are not only even, so that a network sees
blocks of one cell; walls are often thin, so that it sees blocks with several aggregates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage as ndi

from ..problem.grid import FLUID, OPEN, SOLID, Array
from ..problem.poisson import Poisson

SIZES = {2: (24, 64), 3: (10, 28)}
MOST_CELLS = 12_000  # what makes a step of training too long is rarer than it is instructive
FEWEST_UNKNOWNS = 100
LARGEST_JUMP = 1000.0


def random_scene(rng: np.random.Generator, dim: int) -> Poisson:
    """A problem, drawn from `rng`; the same one for the same state."""
    while True:
        low, high = SIZES[dim]
        shape = tuple(int(n) for n in rng.integers(low, high + 1, dim))
        if np.prod(shape) > MOST_CELLS:
            continue
        cells = _cells(rng, shape)
        if np.count_nonzero(cells == FLUID) < FEWEST_UNKNOWNS:
            continue
        options: dict[str, Any] = {"boundary": _sides(rng, dim)}
        if rng.random() < 0.4:
            options["coefficient"] = _coefficient(rng, shape)
        if rng.random() < 0.35:
            options["spacing"] = _spacing(rng, shape)
        if rng.random() < 0.08:
            options["shift"] = float(10.0 ** rng.uniform(-4, 0))
        return Poisson(cells, **options)


def random_crop(rng: np.random.Generator, cells: np.ndarray) -> Poisson:
    """A box cut out of a user's own cells, as large as training allows, with random sides."""
    shape = list(cells.shape)
    while np.prod(shape) > MOST_CELLS:
        shape[int(np.argmax(shape))] -= 1
    enough = max(1, min(FEWEST_UNKNOWNS, int(np.count_nonzero(cells == FLUID))))
    for _ in range(1000):
        corner = [int(rng.integers(n - m + 1)) for n, m in zip(cells.shape, shape, strict=True)]
        cut = cells[tuple(slice(c, c + m) for c, m in zip(corner, shape, strict=True))]
        if int(np.count_nonzero(cut == FLUID)) >= enough:
            return Poisson(cut, boundary=_sides(rng, cells.ndim))
    raise ValueError("geometry: no part of it has enough FLUID cells (0) to train on")


def _sides(rng: np.random.Generator, dim: int) -> list[Any]:
    sides: list[Any] = []
    for _ in range(dim):
        if rng.random() < 0.15:
            sides.append("periodic")
        else:
            sides.append(tuple(str(word) for word in rng.choice(["wall", "open"], 2, p=[0.75, 0.25])))
    return sides


def _cells(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Obstacles of one or two kinds, then, in a quarter of the scenes, a free surface."""
    cells = np.full(shape, FLUID, dtype=np.uint8)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.25, 0.5, 0.25]))):
        draw = (_balls, _boxes, _plates)[int(rng.choice(3, p=[0.3, 0.25, 0.45]))]
        cells[draw(rng, shape)] = SOLID
    if rng.random() < 0.25:
        axis = int(rng.integers(len(shape)))
        relief = np.asarray(smooth_noise(rng, shape).mean(axis=axis, keepdims=True))
        above = _centres(shape)[axis] - rng.uniform(0.05, 0.4) * relief > rng.uniform(0.3, 0.8)
        cells[above & (cells == FLUID)] = OPEN
    return cells


def _balls(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A union of one to twelve balls, the more the smaller."""
    count = int(rng.integers(1, 13))
    solid = np.zeros(shape, dtype=bool)
    for _ in range(count):
        radius = rng.uniform(0.08, 0.35) / np.cbrt(count) ** 0.7
        centre = rng.random(len(shape))
        solid |= sum((x - c) ** 2 for x, c in zip(_centres(shape), centre, strict=True)) < radius**2
    return solid


def _boxes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    solid = np.zeros(shape, dtype=bool)
    for _ in range(int(rng.integers(1, 7))):
        low = rng.uniform(-0.1, 0.9, len(shape))
        high = low + rng.uniform(0.05, 0.5, len(shape))
        solid |= np.logical_and.reduce(
            np.broadcast_arrays(*((x > a) & (x < b) for x, a, b in zip(_centres(shape), low, high, strict=True)))
        )
    return solid


def _plates(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Walls of one or two cells, straight or tilted, with a few holes in each: what coarse grids find hardest."""
    solid = np.zeros(shape, dtype=bool)
    x = _centres(shape)
    for _ in range(int(rng.integers(1, 6))):
        if rng.random() < 0.7:
            axis = int(rng.integers(len(shape)))
            at, thickness = int(rng.integers(shape[axis])), int(rng.integers(1, 3))
            plate = np.zeros(shape, dtype=bool)
            plate[(slice(None),) * axis + (slice(at, at + thickness),)] = True
        else:
            normal = rng.standard_normal(len(shape))
            normal /= np.linalg.norm(normal)
            distance = sum(n * (s - c) for n, s, c in zip(normal, x, rng.uniform(0.2, 0.8, len(shape)), strict=True))
            plate = np.abs(distance) < 0.8 / min(shape)
        for _ in range(int(rng.integers(0, 4))):
            radius = rng.uniform(0.04, 0.15)
            centre = rng.random(len(shape))
            # A hole goes through the plate whichever way it stands: distance along the plate's own directions only.
            plate &= ~(_two_smallest(x, centre, shape) < radius**2)
        solid |= plate
    return solid


def _two_smallest(x: list[Array], centre: Array, shape: tuple[int, ...]) -> Array:
    """Squared distance from a centre without its largest component."""
    parts = np.stack([np.broadcast_to((s - c) ** 2, shape) for s, c in zip(x, centre, strict=True)])
    return np.sort(parts, axis=0)[:-1].sum(axis=0)


def _coefficient(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Log-normal, or of two phases; up to 1000 between the extremes."""
    jump = LARGEST_JUMP ** rng.uniform(0.2, 1.0)
    if rng.random() < 0.5:
        noise = smooth_noise(rng, shape)
        return np.exp(np.log(jump) * noise / np.ptp(noise))
    inside = _balls(rng, shape) | _boxes(rng, shape) if rng.random() < 0.5 else _balls(rng, shape)
    return np.where(inside, jump ** rng.choice([-1.0, 1.0]), 1.0)


def _spacing(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Any]:
    """One width per axis, or widths that grow along each, by up to 8 in all."""
    scales = np.exp(rng.uniform(-1.0, 1.0, len(shape)))
    if rng.random() < 0.5:
        return [float(s) for s in scales]
    widths = []
    for n, scale in zip(shape, scales, strict=True):
        t = np.linspace(-1.0, 1.0, n)
        slope, bend = rng.uniform(-1.0, 1.0, 2)
        widths.append(scale * np.exp(slope * t + bend * np.abs(t)))
    return widths


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise that is smooth on a scale drawn between one cell and a third of the box, of zero mean and unit range."""
    width = np.exp(rng.uniform(0.0, np.log(min(shape) / 3)))
    noise = ndi.gaussian_filter(rng.standard_normal(shape), width, mode="wrap")
    noise -= noise.mean()
    return noise / max(np.ptp(noise), 1e-12)


def _centres(shape: tuple[int, ...]) -> list[Array]:
    """Cell centres, one broadcastable array per axis, 0..1 over the box."""
    return list(np.ogrid[tuple(slice(0.5 / n, 1.0, 1.0 / n) for n in shape)])
