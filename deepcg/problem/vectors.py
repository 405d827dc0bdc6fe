"""Norms of vectors over all cells.

By the kernels, which share one OpenMP runtime and sum in a fixed order; `kernels/src/operator/vectors.hpp` says why not by BLAS.
"""

from __future__ import annotations

import math

from ..native import library as native
from .grid import Array


def norm2(a: Array) -> float:
    """||a||_2 of a flat float64 vector."""
    return math.sqrt(native.dot(a, a))
