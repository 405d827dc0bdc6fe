"""Random right-hand sides, initial guesses and tolerances for judged rows, with a word for each choice."""

from __future__ import annotations

import numpy as np

from benchmarks.campaign.grids import Tags, exponent, pick
from benchmarks.campaign.rows import Rows, norm

LARGEST = 1e305
"""Of the entries: their norm is a float64 number still."""


def right_hand_side(
    rng: np.random.Generator, tags: Tags, rows: Rows, wide: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """b over the rows, and an x that solves it to rounding where one is known; wide: some are scaled by powers of ten."""
    n, at = rows.size, np.arange(rows.size)
    kind = pick(
        rng, random=4, ones=1, tenth=1, smooth=1, one_entry=1, known=3, zero=0.7, large_mean=1, tiny_part=0.7,
        consistent=2, nearly_consistent=0.7, many_sizes=0.5,
    )  # fmt: skip
    known = None
    b = rng.standard_normal(n)
    if kind == "ones":
        b = np.ones(n)
    elif kind == "tenth":
        b = np.full(n, 0.1)
    elif kind == "smooth":
        b = np.cos(at * np.pi * rng.integers(1, 4) / n)
    elif kind == "one entry":
        b = np.zeros(n)
        b[rng.integers(n)] = 1.0
    elif kind == "known":
        known = rng.standard_normal(n) + rng.choice([0.0, 1.0, 1e3])
        b = rows.apply(known).astype(np.float64)
    elif kind == "zero":
        b, known = np.zeros(n), np.zeros(n)
    elif kind == "large mean":
        b += exponent(rng, 0, 12)
    elif kind == "tiny part":
        b = np.where(rng.random(n) < 0.5, 1e-300 if wide else 1e-100, b)
    elif kind in ("consistent", "nearly consistent"):
        b = rows.projected(b, rows.singular()).astype(np.float64)
        if kind == "nearly consistent":
            b += np.abs(b).max() * exponent(rng, -16, -10)
    elif kind == "many sizes":
        b *= 10 ** rng.uniform(-150 if wide else -100, 0, n)
    tags["b"] = kind
    if wide and rng.random() < 0.2:
        power = float(rng.uniform(-300, 300))
        most = float(np.abs(b).max()) or 1.0
        if most * 10**power > LARGEST:
            power = float(np.log10(LARGEST / most))
        b, known = b * 10**power, None if known is None else known * 10**power
        tags["b scale"] = round(power)
    return b, known


def guess(
    rng: np.random.Generator, tags: Tags, n: int, known: np.ndarray | None, wide: bool = True
) -> np.ndarray | None:
    kind = pick(rng, none=6, random=1, good=2, exact=0.5, constant=0.7, large=0.7, huge=0.4)
    if kind in ("good", "exact") and (known is None or not np.isfinite(known).all()):
        kind = "none"
    tags["x0"] = kind
    if kind == "none":
        return None
    if kind == "good":
        return known * (1 + 1e-4 * rng.standard_normal(n))
    if kind == "exact":
        return known
    if kind == "constant":
        return np.full(n, exponent(rng, -6, 6))
    sizes = {"random": (0, 0), "large": (2, 12), "huge": (12, 300 if wide else 100)}
    return rng.standard_normal(n) * exponent(rng, *sizes[kind])


def tolerances(rng: np.random.Generator, tags: Tags, b: np.ndarray) -> tuple[float, float]:
    """rtol and atol."""
    size = float(min(norm(b), LARGEST))
    kind = pick(rng, default=2, relative=5, tight=2, absolute=1, both=0.7, coarse=0.7, denormal=0.2)
    tags["tolerance"] = kind
    if kind == "default":
        return 1e-6, 0.0
    if kind == "absolute":
        return 0.0, size * exponent(rng, -12, -2)
    if kind == "both":
        return exponent(rng, -10, -2), size * exponent(rng, -10, -2)
    if kind == "denormal":
        return 1e-6, 5e-324
    low, high = {"relative": (-10, -3), "tight": (-15.5, -10), "coarse": (-2, -0.5)}[kind]
    return exponent(rng, low, high), 0.0
