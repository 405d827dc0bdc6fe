"""Inner products of vectors over all cells, and what a solver must know of one.

By the kernels, which share one OpenMP runtime and sum in a fixed order; `kernels/src/operator/vectors.hpp` says why not by BLAS.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..native import library as native
from .grid import Array


class Scan(NamedTuple):
    """What a solver must know of a vector over all cells.

    Attributes
    ----------
    largest : magnitude; NaN where a value is not finite
    norm : ||v||_2
    outside : whether some value is not 0 outside FLUID
    """

    largest: float
    norm: float
    outside: bool


def scan(cells: np.ndarray, v: Array) -> Scan:
    """Largest magnitude, norm and values outside FLUID of a flat float64 vector over all cells, in one pass."""
    return Scan(*native.scan(cells, v))


def largest(v: Array) -> float:
    """The largest magnitude in v."""
    return max(float(v.max()), -float(v.min()))


def norm2(a: Array) -> float:
    """||a||_2 of a flat float64 vector."""
    return math.sqrt(native.dot(a, a))
