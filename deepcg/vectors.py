"""Inner products and updates of the Krylov iterations.

Not BLAS: OpenBLAS keeps its own threads, which spin against those of the kernels and of torch (on two cores an inner
product of 32,768 values was seen to take milliseconds instead of microseconds), and its sums depend on the number of threads. The kernels here
share one OpenMP runtime and sum in a fixed order.
"""

from __future__ import annotations

import math

import numpy as np

from . import native
from .stencil import Array


def _dot(a: Array, b: Array) -> float:
    return float(np.add.reduce(a * b))


def _axpy(alpha: float, x: Array, y: Array) -> None:
    y += alpha * x


dot = _dot if native.dot is None else native.dot
axpy = _axpy if native.axpy is None else native.axpy


def norm2(a: Array) -> float:
    """||a||_2 of a flat float64 vector."""
    return math.sqrt(dot(a, a))
