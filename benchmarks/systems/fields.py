"""Rough coefficient fields by frozen names, beside the gallery's rough scenes: kinds on which preconditioners for jumps are told apart.

A field is a function of a shape, random numbers and, where it takes one, a contrast. Both sides of axis 0 are open, the others walls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

import deepcg
from deepcg.problem.grid import FLUID, Array

FIELD_SEED = 71903

Draw = Callable[[tuple[int, ...], np.random.Generator, float], Array]


@dataclass(frozen=True)
class Field:
    """How a field is drawn, and whether it takes a contrast."""

    draw: Draw
    takes_contrast: bool


def problem(name: str, size: int, dim: int, contrast: float | None = None) -> deepcg.Poisson:
    """The problem of a field.

    Raises
    ------
    ValueError
        For a contrast that a field does not take, or that it lacks.
    """
    field = FIELDS[name]
    if field.takes_contrast != (contrast is not None):
        raise ValueError(
            f"contrast: {contrast} given; {name!r} takes {'one, such as 1e6' if field.takes_contrast else 'none'}"
        )
    shape = (size,) * dim
    beta = field.draw(shape, np.random.default_rng([FIELD_SEED, dim]), contrast or 1.0)
    return deepcg.Poisson(
        np.full(shape, FLUID, dtype=np.uint8), coefficient=beta, boundary=["open"] + ["wall"] * (dim - 1)
    )


def _white(sigma: float) -> Draw:
    return lambda shape, rng, contrast: np.exp(sigma * rng.standard_normal(shape))


def _smooth(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A Gaussian field of variance 1 that is smooth over two cells."""
    field = gaussian_filter(rng.standard_normal(shape), 2.0, mode="wrap")
    return field / field.std()


def _layered(shape: tuple[int, ...], rng: np.random.Generator, contrast: float) -> Array:
    """Every plane of cells across axis 0 for itself."""
    layers = np.exp(3.0 * rng.standard_normal(shape[0]))
    return np.broadcast_to(layers.reshape((-1,) + (1,) * (len(shape) - 1)), shape).copy()


def _blobs(shape: tuple[int, ...], rng: np.random.Generator, inside: float) -> Array:
    return np.where(_smooth(shape, rng) > 0.5, inside, 1.0)


def _diagonal(shape: tuple[int, ...], rng: np.random.Generator, contrast: float) -> Array:
    """Staircases of two cells' width in the plane of the last two axes."""
    along = np.add.outer(np.arange(shape[-2]), np.arange(shape[-1]) + rng.integers(11)) % 11
    return np.broadcast_to(np.where(along < 2, contrast, 1.0), shape).copy()


def _crossing(shape: tuple[int, ...], rng: np.random.Generator, contrast: float) -> Array:
    """Straight channels of two cells' width along all axes, at random places."""
    beta = np.ones(shape)
    for _ in range(20):
        along, low = rng.integers(len(shape)), rng.integers(0, shape[0] - 2, len(shape))
        beta[tuple(slice(None) if axis == along else slice(n, n + 2) for axis, n in enumerate(low))] = contrast
    return beta


FIELDS: dict[str, Field] = {
    "uniform": Field(lambda shape, rng, contrast: np.ones(shape), False),
    "smooth log-normal, sigma 4": Field(lambda shape, rng, contrast: np.exp(4.0 * _smooth(shape, rng)), False),
    "white log-normal, sigma 3": Field(_white(3.0), False),
    "white layers, sigma 3": Field(_layered, False),
    "white inclusions": Field(lambda shape, rng, contrast: np.where(rng.random(shape) < 0.2, contrast, 1.0), True),
    "blobs": Field(_blobs, True),
    "insulating blobs": Field(lambda shape, rng, contrast: _blobs(shape, rng, 1.0 / contrast), True),
    "diagonal channels": Field(_diagonal, True),
    "crossing channels": Field(_crossing, True),
}
