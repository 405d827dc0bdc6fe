"""The gallery's rough scenes: conduction through random media whose coefficients differ by up to a given contrast.

A pressure drop of 1 across axis 0 drives a flow between two open sides; the other sides are walls. What is thin is a cell or two
thin at every resolution, as an unresolved fracture is; everything else is relative to the box.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

from ..problem.face_weights import back, front
from ..problem.grid import FLUID, SOLID, Array
from .canvas import Canvas, Draft, box_around, fill_ball, registered

CONTRAST = 1e6
SLIVER = 0.1  # open fraction of a face below which it counts as a sliver


@registered(2, 3, contrast=CONTRAST)
def fractures(canvas: Canvas) -> Draft:
    """Thin fractures, most of them oblique, that conduct better than the matrix around them by the contrast."""
    rng, beta = canvas.rng(), np.ones(canvas.shape)
    thickness = max(1, canvas.size // 64)
    for number in range(24 if canvas.dim == 2 else 18):
        centre, reach = rng.uniform(0.0, 1.0, canvas.dim), rng.uniform(0.2, 0.5)
        normal = rng.standard_normal(canvas.dim)
        if number % 3 == 0:
            normal = np.where(abs(normal) == abs(normal).max(), normal, 0.0)
        _fill_plate(beta, centre, normal / np.linalg.norm(normal), reach, thickness, canvas.contrast)
    return _conduction(canvas, beta)


@registered(2, 3, contrast=CONTRAST)
def inclusions(canvas: Canvas) -> Draft:
    """Balls and single cells that conduct better than the matrix around them by the contrast.

    The first and the last layer of cells are matrix: an inclusion that touches an open side would make up all of b.
    """
    rng = canvas.rng()
    beta = np.where(rng.random(canvas.shape) < 0.1, canvas.contrast, 1.0)
    count, radius = (40, (0.02, 0.06)) if canvas.dim == 2 else (80, (0.04, 0.09))
    for _ in range(count):
        fill_ball(beta, rng.uniform(0.0, 1.0, canvas.dim), rng.uniform(*radius), canvas.contrast)
    beta[[0, -1]] = 1.0
    return _conduction(canvas, beta)


@registered(2, 3, contrast=CONTRAST)
def lognormal(canvas: Canvas) -> Draft:
    """A log-normal medium of exponential covariance; the contrast is that of the values two sigma above and below the median.

    The contrast is exp(4 sigma), sigma the standard deviation of log beta: 1e6 is a sigma of 3.45.
    """
    sigma = math.log(canvas.contrast) / 4.0
    return _conduction(canvas, np.exp(sigma * gaussian_field(canvas.shape, canvas.rng(), length=0.05 * canvas.size)))


@registered(2, 3, contrast=CONTRAST)
def layers(canvas: Canvas) -> Draft:
    """Layers of random conductivity, across the flow in the lower half of the box and oblique in the upper one."""
    rng, x = canvas.rng(), canvas.x
    direction = np.array([1.0, *rng.uniform(0.5, 1.0, canvas.dim - 1)])
    direction /= np.linalg.norm(direction)
    oblique = sum(d * s for d, s in zip(direction, x, strict=True))
    along = np.where(x[0] < 0.5, x[0], 1.0 + oblique)  # 1 apart: no layer goes on in the other half
    tops = np.cumsum(rng.uniform(0.5, 1.5, 160) / 48.0)
    log_beta = rng.uniform(0.0, math.log(canvas.contrast), tops.size)
    return _conduction(canvas, np.exp(log_beta[np.searchsorted(tops, along)]))


@registered(2, 3, contrast=CONTRAST)
def cutcells(canvas: Canvas) -> Draft:
    """Flow between balls that cut the cells; the open fractions of cut faces go down to 1 / contrast.

    Fractions above a tenth are those of the balls. Slivers below it, of which a grid of this size has few, are spread evenly in
    their logarithm down to 1 / contrast.
    """
    distance = _distance_from_balls(canvas)
    fractions = []
    for axis in range(canvas.dim):
        corners = [distance]  # of every face across `axis`
        for other in range(canvas.dim):
            if other != axis:
                corners = [values[half(other)] for values in corners for half in (front, back)]
        # Exact in 2-D, where the distance is linear along a face; with four corners an estimate that is 0 and 1 where it must be.
        stacked = np.stack(corners)
        fraction = np.maximum(stacked, 0.0).sum(axis=0) / abs(stacked).sum(axis=0)
        fractions.append(_spread_slivers(fraction, canvas.contrast))
    openness = sum(f[half(axis)] for axis, f in enumerate(fractions) for half in (front, back))
    cells = np.where(openness > 0.0, np.uint8(FLUID), np.uint8(SOLID))
    return Draft(cells, None, {"coefficient": fractions, "boundary": canvas.ends()})


def gaussian_field(shape: tuple[int, ...], rng: np.random.Generator, length: float) -> Array:
    """A Gaussian random field of mean 0 and variance 1 over a periodic box: white noise for length 0, else of exponential covariance.

    Parameters
    ----------
    length : correlation length in cells
    """
    modes = scipy.fft.rfftn(rng.standard_normal(shape))
    k = [scipy.fft.fftfreq(n) for n in shape[:-1]] + [scipy.fft.rfftfreq(shape[-1])]
    k2 = sum(s * s for s in np.ix_(*k))
    # The covariance exp(-r / length) has the spectrum (1 + (2 pi k length)^2)^(-(d + 1) / 2); amplitudes are its root.
    modes *= (1.0 + (2.0 * np.pi * length) ** 2 * k2) ** (-0.25 * (len(shape) + 1))
    modes[(0,) * len(shape)] = 0.0
    field = scipy.fft.irfftn(modes, s=shape)
    return field / field.std()


def _conduction(canvas: Canvas, beta: Array) -> Draft:
    return Draft(canvas.fluid(), None, {"coefficient": beta, "boundary": canvas.ends()})


def _fill_plate(beta: Array, centre: Array, normal: Array, reach: float, thickness: int, value: float) -> None:
    """Set the cells of a round plate, in 2-D a line: an oblique one is a staircase whose cells share faces.

    A plate whose thickness is the sum of |normal| in cells is the thinnest that no path of face neighbours slips through
    (Andres, Acharya and Sibata, "Discrete analytical hyperplanes", 1997).
    """
    n = beta.shape[0]
    around = box_around(centre, reach, n)
    offset = [(s + 0.5) / n - c for s, c in zip(np.ogrid[around], centre, strict=True)]
    height = sum(d * s for d, s in zip(normal, offset, strict=True))
    inside = (abs(height) * n <= 0.5 * thickness * abs(normal).sum()) & (sum(s * s for s in offset) <= reach**2)
    beta[around][inside] = value


def _distance_from_balls(canvas: Canvas) -> Array:
    """The distance of the grid's corners from the nearest ball, in cells, negative inside; far away it is cut off."""
    rng, n, margin = canvas.rng(), canvas.size, 2.0 * canvas.dim
    distance = np.full((n + 1,) * canvas.dim, margin)
    count, radius = (16, (0.06, 0.12)) if canvas.dim == 2 else (30, (0.1, 0.16))
    for _ in range(count):
        centre, r = rng.uniform(0.0, 1.0, canvas.dim), rng.uniform(*radius)
        around = box_around(centre, r + margin / n, n + 1)
        x = np.ogrid[around]
        to_centre = np.sqrt(sum((s - n * c) ** 2 for s, c in zip(x, centre, strict=True)))
        distance[around] = np.minimum(distance[around], to_centre - n * r)
    return distance


def _spread_slivers(fraction: Array, contrast: float) -> Array:
    """Open fractions from 0 to `SLIVER` spread over 1 / contrast to `SLIVER`, evenly in their logarithm; 0 stays 0."""
    least = min(1.0 / contrast, SLIVER)
    spread = SLIVER * (least / SLIVER) ** (1.0 - fraction / SLIVER)
    return np.where((fraction > 0.0) & (fraction < SLIVER), spread, fraction)
