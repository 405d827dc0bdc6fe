"""Coefficients of large contrast take many iterations; an answer is right or says that it is not (how many: another matter)."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import deepcg
from tests.support.promise import by_solve, right_or_honest

ENDS = ["wall", ("open", "open")]


def line():
    i, j = np.indices((32, 32))
    return np.where((i == j) | (i + 1 == j), 1e6, 1.0)


def channels():
    field = gaussian_filter(np.random.default_rng(3).standard_normal((32, 32)), (1, 8))
    return np.where(field > 0.5 * field.std(), 1e3, 1e-3)


def discs(inside):
    i, j = np.indices((32, 32))
    places = ((8, 8), (8, 24), (24, 8), (24, 24), (16, 16))
    return np.where(sum((i - a) ** 2 + (j - c) ** 2 < 8 for a, c in places) > 0, inside, 1.0)


SCENES = {
    "diagonal fracture 1e6": (line, ENDS),
    "channels 1e6": (channels, ENDS),
    "conducting discs 1e7": (lambda: discs(1e7), "open"),
    "insulating discs 1e-6": (lambda: discs(1e-6), "open"),
}


@pytest.mark.parametrize("name", list(SCENES))
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_contrast(name, method):
    make, boundary = SCENES[name]
    K = make()
    problem = deepcg.Poisson(np.zeros(K.shape, np.uint8), coefficient=K, boundary=boundary)
    b = np.random.default_rng(3).standard_normal(K.size)
    right_or_honest(problem.matrix(), by_solve(problem, b, None, method=method), b)


@pytest.mark.parametrize("contrast", [1e3, 1e6])
def test_independent_resistors(contrast):
    n, rng = 32, np.random.default_rng(0)
    faces = [contrast ** rng.random((n + 1, n)), contrast ** rng.random((n, n + 1))]
    problem = deepcg.Poisson(np.zeros((n, n), np.uint8), coefficient=faces, boundary=[("open", "wall"), "wall"])
    b = rng.standard_normal(n * n)
    right_or_honest(problem.matrix(), by_solve(problem, b, None), b)
