"""Random grids and coefficients: the arguments of `deepcg.Poisson`, with a word for each choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.campaign.assembly import FLUID, OPEN, SOLID

PRIMES = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 31, 41, 53, 67, 97, 131, 211, 401, 997)
Tags = dict[str, Any]


def pick(rng: np.random.Generator, **chances: float) -> str:
    """One of the words, by their relative chances."""
    weights = np.array(list(chances.values()), dtype=float)
    return list(chances)[int(rng.choice(len(chances), p=weights / weights.sum()))].replace("_", " ")


def exponent(rng: np.random.Generator, low: float, high: float) -> float:
    return float(10 ** rng.uniform(low, high))


def grid(rng: np.random.Generator, tags: Tags, large: bool = True) -> dict[str, Any]:
    """cells, spacing (an array per axis) and boundary (a pair per axis)."""
    shape = sizes(rng, tags, large)
    cells = solids(rng, tags, shape)
    return {"cells": cells, "spacing": widths(rng, tags, shape), "boundary": boundary(rng, tags, len(shape))}


def sizes(rng: np.random.Generator, tags: Tags, large: bool) -> tuple[int, ...]:
    dim = int(rng.choice([1, 2, 3], p=[0.15, 0.45, 0.4]))
    most = 20_000 if large and rng.random() < 0.02 else 3000
    target = exponent(rng, 0, np.log10(most))
    if dim == 1:
        one = [1] * int(rng.integers(1, 3))
        shape = one + [max(1, int(target))]
        rng.shuffle(shape)
    else:
        parts = rng.dirichlet([3] * dim)
        shape = [max(1, round(target**part)) for part in parts]
    if rng.random() < 0.3:
        shape = [max(p for p in PRIMES if p <= n) for n in shape]
    tags["dimension"], tags["shape"] = dim, "x".join(map(str, shape))
    return tuple(int(n) for n in shape)


def solids(rng: np.random.Generator, tags: Tags, shape: tuple[int, ...]) -> np.ndarray:
    cells = np.full(shape, FLUID, np.uint8)
    kind = pick(rng, none=4, random=2, pocket=1, thin_wall=1, ball=1, open_cells=1, mixture=1, checkerboard=0.3)
    at = np.indices(shape)
    if kind in ("random", "mixture"):
        cells[rng.random(shape) < rng.choice([0.05, 0.3, 0.6])] = SOLID
    if kind == "pocket":
        low = [int(rng.integers(0, n)) for n in shape]
        high = [int(rng.integers(a, n)) for a, n in zip(low, shape, strict=True)]
        inside = np.all([(a <= i) & (i <= b) for i, a, b in zip(at, low, high, strict=True)], axis=0)
        core = np.all([(a < i) & (i < b) for i, a, b in zip(at, low, high, strict=True)], axis=0)
        cells[inside & ~core] = SOLID
    if kind == "thin wall":
        axis = int(rng.integers(len(shape)))
        wall = at[axis] == rng.integers(shape[axis])
        hole = rng.random(shape) < rng.choice([0.0, 0.02, 0.1])
        cells[wall & ~hole] = SOLID
    if kind == "ball":
        away = sum((i / max(n - 1, 1) - rng.random()) ** 2 for i, n in zip(at, shape, strict=True))
        cells[away < rng.uniform(0.02, 0.2)] = SOLID
    if kind in ("open cells", "mixture"):
        cells[rng.random(shape) < rng.choice([0.01, 0.1, 0.4])] = OPEN
    if kind == "checkerboard":
        cells[(at.sum(axis=0) % 2) == 1] = rng.choice([SOLID, OPEN])
    if not (cells == FLUID).any():
        cells[tuple(int(rng.integers(n)) for n in shape)] = FLUID
    tags["cells"] = kind
    return cells


def widths(rng: np.random.Generator, tags: Tags, shape: tuple[int, ...]) -> list[np.ndarray]:
    kind = pick(rng, unit=4, cubes=1, boxes=2, graded=2, random=1)
    if kind == "unit":
        made = [np.ones(n) for n in shape]
    elif kind == "cubes":
        made = [np.full(n, h) for h in [exponent(rng, -4, 4)] for n in shape]
    elif kind == "boxes":
        made = [np.full(n, exponent(rng, -2, 2)) for n in shape]
    elif kind == "graded":
        most = rng.uniform(0.5, 4)
        made = [
            exponent(rng, -1, 1) * 10 ** (rng.choice([-1, 1]) * most * np.linspace(0, rng.choice([0, 1]), n))
            for n in shape
        ]
    else:
        made = [10 ** rng.uniform(-1, 1, n) for n in shape]
    tags["spacing"] = kind
    return made


def boundary(rng: np.random.Generator, tags: Tags, dim: int) -> list[tuple[str, str]]:
    kind = pick(rng, walls=3, open=2, mixture=5)
    if kind != "mixture":
        pairs = [(word, word) for word in ["wall" if kind == "walls" else "open"] * dim]
    else:
        pairs = []
        for _ in range(dim):
            words = tuple(str(word) for word in rng.choice(["wall", "open"], 2))
            pairs.append(("periodic", "periodic") if rng.random() < 0.3 else words)
    tags["boundary"] = kind
    return pairs


def coefficient(rng: np.random.Generator, tags: Tags, made: dict[str, Any]) -> Any:
    """None, a cell array or a list of face arrays, with contrasts up to 1e10."""
    cells, shape = made["cells"], made["cells"].shape
    kind = pick(rng, none=3, smooth=1.5, jumps=1.5, independent=1, one_cell=0.7, faces=1.5, fractions=1)
    decades = 0.0 if kind == "none" else float(rng.uniform(0.3, 10))
    tags["coefficient"], tags["decades"] = kind, round(decades, 1)
    if kind == "none":
        return None
    if kind in ("faces", "fractions"):
        arrays = [face_array(rng, shape, axis, kind, decades, made["boundary"][axis]) for axis in range(len(shape))]
        return arrays
    if kind == "smooth":
        field = gaussian_filter(rng.standard_normal(shape), 2.0)
        beta = 10 ** (decades * (field - field.min()) / max(float(np.ptp(field)), 1e-12))
    elif kind == "jumps":
        field = gaussian_filter(rng.standard_normal(shape), float(rng.choice([0, 1, 3])))
        beta = np.where(field > np.quantile(field, rng.uniform(0.1, 0.9)), 10.0**decades, 1.0)
    elif kind == "one cell":
        beta = np.ones(shape)
        beta[tuple(int(rng.integers(n)) for n in shape)] = 10 ** (rng.choice([-1, 1]) * decades)
    else:
        beta = 10 ** (decades * rng.random(shape))
    beta = beta * exponent(rng, -decades, 0)
    if rng.random() < 0.3:
        beta[cells == SOLID] = rng.choice([0.0, np.nan, -1.0, np.inf])  # ignored there
        beta[cells == OPEN] = 0.0  # takes the fluid cell's
    return beta


def face_array(rng, shape, axis: int, kind: str, decades: float, words: tuple[str, str]) -> np.ndarray:
    size = tuple(n + (a == axis) for a, n in enumerate(shape))
    if kind == "faces":
        beta = 10 ** (decades * rng.random(size))
    else:
        beta = np.clip(rng.normal(0.6, 0.6, size), 10**-decades, 1)
    if rng.random() < 0.5:
        beta[rng.random(size) < rng.choice([0.02, 0.2, 0.5])] = 0.0
    if words[0] == "periodic":
        first, last = ((slice(None),) * axis + (at,) for at in (0, -1))
        beta[last] = beta[first]
    return beta


def shift(rng: np.random.Generator, tags: Tags, shape: tuple[int, ...], diagonal: float) -> Any:
    """None, a number or an array: 1e-14 to 1e6 of a typical diagonal."""
    kind = pick(rng, none=5, everywhere=2, one_face=1.5, one_cell=1, random=1, some=0.7)
    if kind == "none":
        tags["shift"] = "none"
        return None
    size = exponent(rng, -14, 6)
    tags["shift"], tags["anchor"] = kind, float(f"{size:.1e}")
    value, added = size * diagonal, np.zeros(shape)
    if kind == "everywhere":
        return value
    if kind == "one face":
        axis = int(rng.integers(len(shape)))
        added[(slice(None),) * axis + (rng.choice([0, -1]),)] = value
    elif kind == "one cell":
        added[tuple(int(rng.integers(n)) for n in shape)] = value
    elif kind == "random":
        added = value * 10 ** rng.uniform(-6, 0, shape)
    else:
        added[rng.random(shape) < 0.1] = value
    return added
