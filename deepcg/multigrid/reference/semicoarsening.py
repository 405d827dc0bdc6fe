"""Semicoarsening: which layers of cells pair up on the way to a coarser level, by axis, and first where the grid is fine.

Only the couplings count: widths are estimated from face weights, so that a matrix without a grid's description coarsens like
the grid it came from, and an anisotropic operator along its strong axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ROOM = 1.42  # a pair may be this much wider than the level's target width: graded grids coarsen where they are fine
SHARE = 0.8  # a level with more of the finer level's cells than this would not be worth its sweeps
SAMPLE = 16  # cells per axis, at most, that the widths are estimated from


def estimate_widths(faces: Floats) -> list[Floats]:
    """Widths of the cells relative to each other, from the weights between FLUID cells alone.

    Parameters
    ----------
    faces : (3, nz, ny, nx)
        Weight of each cell's face to its higher neighbour, 0 where there is none.

    Notes
    -----

    On a tensor grid of d axes an unknown's log weights, less their mean over the axes, are -2 log h_a + (2 / d) sum of log
    h_b. They are averaged over each layer, so that jumps of the coefficient, the same along every axis, do not count.
    """
    shape = faces.shape[1:]
    widths = [np.ones(n) for n in shape]
    axes = [a for a in range(3) if shape[a] > 1]
    if len(axes) < 2:
        return widths
    d = len(axes)
    logs = []
    for a in axes:
        high = faces[a]
        low = np.roll(high, 1, a)
        with np.errstate(divide="ignore"):
            logs.append(0.5 * (np.log(np.where(high > 0, high, low)) + np.log(np.where(low > 0, low, high))))
    complete = np.all(np.isfinite(logs), axis=0).reshape(shape)
    mean = sum(np.where(complete, value, 0.0) for value in logs) / d
    for a, value in zip(axes, logs, strict=True):
        sample = tuple(slice(None, None, 1 if b == a else max(1, n // SAMPLE)) for b, n in enumerate(shape))
        others = tuple(b for b in range(3) if b != a)
        total = np.where(complete, value - mean, 0.0)[sample].sum(others)
        count = complete[sample].sum(others)
        known = np.flatnonzero(count)
        if not known.size:
            continue
        layers = total[known] / count[known]
        latest = np.maximum(np.searchsorted(known, np.arange(count.size), side="right") - 1, 0)
        average = layers.mean()
        widths[a] = np.exp((layers[latest] - average) / (2.0 / d - 2.0) - 0.5 * average)
    return widths


def semicoarsen(widths: list[Floats], target: float) -> tuple[tuple[Ints, Ints, Ints], tuple[Ints, Ints, Ints], float]:
    """Which neighbouring layers pair up: those that are together no wider than a target width (with some room).

    The target doubles until enough layers pair up.

    Returns
    -------
    parent, side : per axis, see `Coarsening`
    target : the next level's
    """
    while True:
        target *= 2.0
        plans = [_plan_axis(h, ROOM * target) for h in widths]
        cells = np.prod([parent[-1] + 1.0 for parent, _ in plans])
        if cells <= SHARE * np.prod([float(h.size) for h in widths]):
            (pz, sz), (py, sy), (px, sx) = plans
            return (pz, py, px), (sz, sy, sx), target


def _plan_axis(h: Floats, widest: float) -> tuple[Ints, Ints]:
    parent, side = np.zeros(h.size, dtype=np.int64), np.zeros(h.size, dtype=np.int64)
    i = coarse = 0
    while i < h.size:
        pair = i + 1 < h.size and h[i] + h[i + 1] <= widest
        parent[i : i + 1 + pair] = coarse
        if pair:
            side[i], side[i + 1] = -1, 1
        i, coarse = i + 1 + pair, coarse + 1
    return parent, side
