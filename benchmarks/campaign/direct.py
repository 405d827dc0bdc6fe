"""What a direct solver with iterative refinement reaches: SciPy's LU, residuals in extended precision."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from benchmarks.campaign.rows import Extended, Rows, norm

LARGEST = float(np.finfo(np.float64).max)


def best_residual(
    rows: Rows, b: np.ndarray, judged: Callable[[np.ndarray], np.longdouble], steps: int = 6
) -> np.longdouble:
    """The least of what `judged` says of a direct solver's answers, rounded to float64.

    A singular component gets its first diagonal entry doubled, which leaves the answers of a consistent b.
    """
    singular = rows.singular()
    rhs = rows.projected(b, singular)
    scale, size = np.abs(rows.diagonal).max(), norm(rhs)
    best = judged(np.zeros(rows.size))
    if scale == 0 or size == 0:
        return best
    A = scaled(rows, scale, singular)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            factors = spla.splu(A)
    except RuntimeError:  # exactly singular
        return best
    x = np.zeros(rows.size, dtype=Extended)
    for _ in range(steps):
        residual = (rhs - rows.apply(x * (size / scale))) / size
        most = np.abs(residual).max()
        if most == 0:
            break
        step = factors.solve((residual / most).astype(np.float64))
        if not np.isfinite(step).all():
            break
        x = x + most * step
        answer = x * (size / scale)
        if np.abs(answer).max() < LARGEST:
            best = min(best, judged(answer.astype(np.float64)))
    return best


def scaled(rows: Rows, scale: np.longdouble, singular: np.ndarray) -> sp.csc_array:
    """A / scale in float64, regular."""
    n, at = rows.size, np.arange(rows.size)
    diagonal = rows.diagonal / scale
    first = np.unique(rows.component, return_index=True)[1]
    pinned = first[singular]
    diagonal[pinned] = np.where(diagonal[pinned] == 0, 1, 2 * diagonal[pinned])
    values = np.concatenate([-rows.weight / scale, diagonal]).astype(np.float64)
    places = (np.concatenate([rows.row, at]), np.concatenate([rows.column, at]))
    return sp.csc_array(sp.coo_array((values, places), shape=(n, n)))
