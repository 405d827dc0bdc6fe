"""The rows of a `deepcg.Poisson` from its arguments, by the formulas of its docstring in extended precision. Nothing here is deepcg's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.campaign.rows import Extended, Rows

FLUID, SOLID, OPEN = 0, 1, 2
OUTSIDE = {"wall": SOLID, "open": OPEN}


def assemble(cells: np.ndarray, spacing: Sequence, coefficient: Any, shift: Any, boundary: Sequence) -> Rows:
    """Rows over the FLUID cells in C order.

    Parameters
    ----------
    cells : integer array
    spacing : one array of widths per axis
    coefficient : None, an array of the cells' shape, or a list of one face array per axis
    shift : None, a number or an array
    boundary : one (low, high) pair of words per axis
    """
    shape = cells.shape
    widths = [np.asarray(h, dtype=Extended) for h in spacing]
    number = np.full(shape, -1)
    number[cells == FLUID] = np.arange(np.count_nonzero(cells == FLUID))
    count = int(number.max()) + 1
    none = np.zeros(0, dtype=np.int64)
    rows, columns, weights = [none], [none], [none.astype(Extended)]
    own = np.zeros(count, dtype=Extended)
    anchored = np.zeros(count, bool)
    for axis in range(cells.ndim):
        for low, high, weight in faces(cells, widths, coefficient, boundary[axis], axis, number):
            inner = (low >= 0) & (high >= 0)
            rows += [low[inner], high[inner]]
            columns += [high[inner], low[inner]]
            weights += [weight[inner]] * 2
            for side, other in ((low, high), (high, low)):
                fixed = (side >= 0) & (other == -OPEN)
                np.add.at(own, side[fixed], weight[fixed])
                anchored[side[fixed]] = True
    if shift is not None:
        added = np.broadcast_to(np.asarray(shift, dtype=Extended), shape)[cells == FLUID]
        own, anchored = own + added, anchored | (added > 0)
    return Rows(np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), own, anchored)


def faces(cells, widths, coefficient, words, axis, number):
    """Yields (low, high, weight) of the faces with a weight across one axis, in one piece.

    low and high are the unknowns' numbers on either side, -OPEN where x is fixed.
    """
    n = cells.shape[axis]
    periodic = words[0] == "periodic"
    if periodic and n == 1:
        return
    face = np.arange(n if periodic else n + 1)
    below, above = (face - 1) % n, face % n
    if not periodic:
        below, above = np.clip(face - 1, 0, n - 1), np.clip(face, 0, n - 1)
    low, high = np.take(cells, below, axis).copy(), np.take(cells, above, axis).copy()
    low_number, high_number = np.take(number, below, axis).copy(), np.take(number, above, axis).copy()
    if not periodic:
        for kind, numbers, at, word in ((low, low_number, 0, words[0]), (high, high_number, -1, words[1])):
            layer = (slice(None),) * axis + (at,)
            kind[layer], numbers[layer] = OUTSIDE[word], -1
    area = np.ones((1,) * cells.ndim, dtype=Extended)
    for other, h in enumerate(widths):
        if other != axis:
            area = area * along(h, other, cells.ndim)
    half_low, half_high = (along(widths[axis][side] / 2, axis, cells.ndim) for side in (below, above))
    if coefficient is None:
        weight = area / (half_low + half_high)
    elif isinstance(coefficient, list):
        beta = np.take(np.asarray(coefficient[axis], dtype=Extended), face, axis)
        weight = beta * area / (half_low + half_high)
    else:
        beta = np.asarray(coefficient, dtype=Extended)
        a, b = np.take(beta, below, axis), np.take(beta, above, axis)
        a, b = np.where(usable(a, low), a, 0), np.where(usable(b, high), b, 0)
        a, b = np.where(a > 0, a, b), np.where(b > 0, b, a)  # a cell without a coefficient takes the other's
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where((a > 0) & (b > 0), area / (half_low / a + half_high / b), 0)
    weight = np.broadcast_to(weight, low.shape)
    low_number, high_number = (
        np.where(kind == OPEN, -OPEN, numbers) for kind, numbers in ((low, low_number), (high, high_number))
    )
    joined = (low != SOLID) & (high != SOLID) & ((low == FLUID) | (high == FLUID)) & (weight > 0)
    yield low_number[joined], high_number[joined], weight[joined]


def usable(beta: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Where a coefficient counts; an outer layer has the kind of the word and the coefficient of the cell inside."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(beta) & (beta > 0) & (kind != SOLID)


def along(values: np.ndarray, axis: int, dim: int) -> np.ndarray:
    return values.reshape([-1 if a == axis else 1 for a in range(dim)])
