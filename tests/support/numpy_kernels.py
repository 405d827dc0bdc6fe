"""Kernels as NumPy has them, for sizes that `reference`'s loops are too slow for."""

from __future__ import annotations

import math

import numpy as np

from deepcg import FLUID


def stencil_apply(stencil, x: np.ndarray) -> np.ndarray:
    """A x, cell-shaped: differences across every face, face by face."""
    y = np.zeros(stencil.shape) if stencil.shift is None else stencil.shift * x
    for axis, w in enumerate(stencil.weights):
        outside = [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)]
        padded = np.pad(x, outside, mode="wrap") if stencil.periodic[axis] else np.pad(x, outside)
        y -= np.diff(w * np.diff(padded, axis=axis), axis=axis)
    y[~stencil.fluid] = 0.0
    return y


def scan(cells: np.ndarray, v: np.ndarray) -> tuple[float, float, bool]:
    """As `deepcg.problem.vectors.scan`."""
    largest = float(np.abs(v).max()) if np.isfinite(v).all() else math.nan
    return largest, math.sqrt(float(v @ v)), bool(v[cells.reshape(-1) != FLUID].any())
