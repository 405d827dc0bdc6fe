"""Inner products and updates of the Krylov iterations.

Not BLAS: OpenBLAS keeps its own threads, which spin against those of the kernels and of torch (on two cores an inner
product of 32,768 values was seen to take milliseconds instead of microseconds), and its sums depend on the number of threads. The kernels here
share one OpenMP runtime and sum in a fixed order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..native import library as native
from .grid import FLUID, Array


def _dot(a: Array, b: Array) -> float:
    return float(np.add.reduce(a * b))


def _axpy(alpha: float, x: Array, y: Array) -> None:
    y += alpha * x


def _look(cells: np.ndarray, v: Array) -> tuple[float, float, bool]:
    return largest(v) if np.isfinite(v).all() else math.nan, norm2(v), bool(v[cells.reshape(-1) != FLUID].any())


dot = _dot if native.dot is None else native.dot
axpy = _axpy if native.axpy is None else native.axpy
_one_pass = _look if native.look is None else native.look


class Look(NamedTuple):
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


def look(cells: np.ndarray, v: Array) -> Look:
    """Look at a flat float64 vector over all cells, in one pass where the kernels are built."""
    return Look(*_one_pass(cells, v))


def largest(v: Array) -> float:
    """The largest magnitude in v."""
    return max(float(v.max()), -float(v.min()))


def norm2(a: Array) -> float:
    """||a||_2 of a flat float64 vector."""
    return math.sqrt(dot(a, a))
