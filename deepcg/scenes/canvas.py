"""What a scene is drawn into, what comes of it, and the list of the scenes that there are.

A scene is a short function from an empty `Canvas` to a `Draft`; `deepcg.scenes.gallery` makes a system of it. Lengths are
relative to the box, so that a scene is the same one at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..problem.grid import FLUID, Array
from .flow import Ball

SEED = 2311

Cells = NDArray[np.uint8]
Flow = Callable[[int, Sequence[Array]], Any]
"""flow(axis, x): the component along `axis` at coordinates x, one broadcastable array per axis, 0..1 over the box."""


@dataclass(frozen=True)
class Canvas:
    """The empty box that a scene is drawn into, and the numbers that are free in it."""

    size: int
    dim: int
    seed: int = SEED
    contrast: float = 1.0
    """Of scenes that are rough (`Entry.contrast`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,) * self.dim

    @property
    def x(self) -> list[Array]:
        """Cell centres, one broadcastable array per axis, 0..1 over the box."""
        return list(np.ogrid[(slice(0.5 / self.size, 1.0, 1.0 / self.size),) * self.dim])

    def rng(self) -> np.random.Generator:
        """Random numbers that the seed and the dimension determine."""
        return np.random.default_rng([self.seed, self.dim])

    def fluid(self) -> Cells:
        return np.full(self.shape, FLUID, dtype=np.uint8)

    def ball(self, centre: Sequence[float], radius: float) -> NDArray[np.bool_]:
        """The cells whose centres lie in a ball; sizes relative to the box."""
        scaled = Ball(tuple(c * self.size for c in centre), radius * self.size)
        return scaled.mask(self.shape, 0.0)

    def open(self, axis: int) -> list[Any]:
        """Walls all round but for the high side of `axis`, which is open."""
        sides: list[Any] = ["wall"] * self.dim
        sides[axis] = ("wall", "open")
        return sides

    def ends(self) -> list[Any]:
        """Walls all round but for both sides of axis 0, which are open."""
        return ["open"] + ["wall"] * (self.dim - 1)

    def slab(self, axis: int, at: float, thickness: int) -> tuple[slice, ...]:
        """Index of a layer of that many cells across `axis`."""
        low = int(at * self.size)
        return (slice(None),) * axis + (slice(low, low + thickness),)


@dataclass(frozen=True)
class Draft:
    """A scene's definition: cells, what drives it, and the arguments of `Poisson` that are not the default."""

    cells: Cells
    flow: Flow | None
    """None: no flow is given; a drop of the pressure from one side of axis 0 to the other drives it."""
    options: dict[str, Any] = field(default_factory=dict)
    inflow: bool = False
    """Whether the flow enters through the wall on the low side of the last axis."""


@dataclass(frozen=True)
class Entry:
    draw: Callable[[Canvas], Draft]
    dims: tuple[int, ...]
    description: str
    contrast: float | None = None
    """Of a rough scene, the contrast of its coefficient where none is asked for; None: the scene takes none."""


SCENES: dict[str, Entry] = {}


def registered(*dims: int, contrast: float | None = None) -> Callable:
    """Register a function as a scene under its name, its docstring's first line being the description."""

    def register(draw: Callable[[Canvas], Draft]) -> Callable[[Canvas], Draft]:
        description = (draw.__doc__ or "").splitlines()[0].rstrip(".")
        SCENES[draw.__name__] = Entry(draw, dims, description, contrast)
        return draw

    return register


def fill_ball(values: NDArray, centre: Array, radius: float, value: float) -> None:
    """Set the cells whose centres lie in a ball, touching only those around it: a bed has hundreds."""
    n = values.shape[0]
    around = box_around(centre, radius, n)
    x = np.ogrid[around]
    values[around][sum(((s + 0.5) / n - c) ** 2 for s, c in zip(x, centre, strict=True)) <= radius**2] = value


def box_around(centre: Array, reach: float, n: int) -> tuple[slice, ...]:
    """Index of the cells within `reach` of a point along every axis, of n a side."""
    return tuple(slice(max(0, int((c - reach) * n)), min(n, max(0, int((c + reach) * n) + 2))) for c in centre)
