"""Random coefficients of every rough kind, for training and for searches; no field is one of the gallery's.

Contrasts are drawn between 10 and 1e8, evenly in their logarithm, so that a function of local ratios meets all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shape = tuple[int, ...]


def smooth(rng: np.random.Generator, shape: Shape, length: float) -> Floats:
    """A Gaussian field of variance one, correlated over `length` cells."""
    field = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), length, mode="wrap")
    return field / field.std()


def _contrast(rng: np.random.Generator) -> float:
    return 10.0 ** rng.uniform(1.0, 8.0)


def _length(rng: np.random.Generator) -> float:
    return float(rng.choice([0.7, 1.0, 1.5, 2.0, 3.0]))


def lognormal_white(rng: np.random.Generator, shape: Shape) -> Floats:
    return np.exp(rng.uniform(1.0, 4.0) * rng.standard_normal(shape))


def lognormal_smooth(rng: np.random.Generator, shape: Shape) -> Floats:
    return np.exp(rng.uniform(1.0, 5.0) * smooth(rng, shape, _length(rng)))


def inclusions(rng: np.random.Generator, shape: Shape) -> Floats:
    """Single cells, from a tenth of all up to half."""
    return np.where(rng.random(shape) < rng.uniform(0.1, 0.5), _contrast(rng), 1.0)


def stiff_blobs(rng: np.random.Generator, shape: Shape) -> Floats:
    return np.where(smooth(rng, shape, _length(rng)) > rng.uniform(-0.5, 1.0), _contrast(rng), 1.0)


def soft_blobs(rng: np.random.Generator, shape: Shape) -> Floats:
    return 1.0 / stiff_blobs(rng, shape)


def oblique_channels(rng: np.random.Generator, shape: Shape) -> Floats:
    at = np.indices(shape)
    a, b = rng.permutation(len(shape))[:2]
    phase = at[a] + rng.choice([-1, 1]) * rng.integers(1, 3) * at[b]
    return np.where(phase % rng.integers(5, 13) < rng.integers(1, 4), _contrast(rng), 1.0)


def layers(rng: np.random.Generator, shape: Shape) -> Floats:
    axis = rng.integers(len(shape))
    along = [n if a == axis else 1 for a, n in enumerate(shape)]
    return np.exp(rng.uniform(1.0, 3.0) * rng.standard_normal(along)) * np.ones(shape)


def crossing_channels(rng: np.random.Generator, shape: Shape) -> Floats:
    k, contrast = np.ones(shape), _contrast(rng)
    for _ in range(rng.integers(2, 12)):
        channel = [slice(p, p + rng.integers(1, 3)) for p in rng.integers(0, np.array(shape) - 1)]
        channel[rng.integers(len(shape))] = slice(None)
        k[tuple(channel)] = contrast
    return k


def inclusions_in_lognormal(rng: np.random.Generator, shape: Shape) -> Floats:
    stiff = np.where(rng.random(shape) < rng.uniform(0.05, 0.3), _contrast(rng), 1.0)
    return stiff * np.exp(rng.uniform(0.0, 2.0) * smooth(rng, shape, _length(rng)))


KINDS: dict[str, Callable[[np.random.Generator, Shape], Floats]] = {
    kind.__name__: kind
    for kind in (
        lognormal_white, lognormal_smooth, inclusions, stiff_blobs, soft_blobs, oblique_channels, layers, crossing_channels,
        inclusions_in_lognormal,
    )
}  # fmt: skip
