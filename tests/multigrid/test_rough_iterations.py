"""Rates as numbers: iterations on rough coefficients, whatever the contrast, and how they grow with the grid."""

import numpy as np
import pytest

import deepcg
from deepcg.native import library as native
from deepcg.training.rough_fields import smooth
from tests.support.promise import by_solve, right_or_honest

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")


def channels(rng, shape, contrast):
    at = np.indices(shape)
    return np.where((at[-1] + at[-2]) % 11 < 2, contrast, 1.0)


def layers(rng, shape, contrast):
    along = rng.standard_normal((shape[0],) + (1,) * (len(shape) - 1))
    return contrast ** (0.2 * along) * np.ones(shape)


KINDS = {
    "white inclusions": lambda rng, shape, contrast: np.where(rng.random(shape) < 0.2, contrast, 1.0),
    "stiff blobs": lambda rng, shape, contrast: np.where(smooth(rng, shape, 2.0) > 0.5, contrast, 1.0),
    "soft blobs": lambda rng, shape, contrast: np.where(smooth(rng, shape, 2.0) > 0.5, 1.0 / contrast, 1.0),
    "oblique channels": channels,
    "layers": layers,
    "smooth log-normal": lambda rng, shape, contrast: contrast ** (0.2 * smooth(rng, shape, 2.0)),
}


def iterations(kind, shape, contrast):
    beta = KINDS[kind](np.random.default_rng([17, *shape]), shape, contrast)
    problem = deepcg.Poisson(
        np.zeros(shape, np.uint8), coefficient=beta, boundary=["open"] + ["wall"] * (len(shape) - 1)
    )
    b = np.random.default_rng(5).standard_normal(beta.size)
    x, info = deepcg.solve(problem, b, model="multigrid", method="cg", rtol=1e-6)
    assert info == 0 and info.fallbacks == 0
    assert np.linalg.norm(b - problem.matrix() @ x) <= 1.001e-6 * np.linalg.norm(b)
    return info.iterations


@pytest.mark.parametrize("contrast", [1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("kind", KINDS)
def test_in_two_dimensions(kind, contrast):
    counts = [iterations(kind, (n, n), contrast) for n in (48, 96, 192)]
    assert max(counts) <= 13, counts
    assert counts[2] <= counts[1] + 2


@pytest.mark.parametrize("contrast", [1e2, 1e5, 1e8])
@pytest.mark.parametrize("kind", KINDS)
def test_in_three_dimensions(kind, contrast):
    most = 18 if kind == "white inclusions" else 13
    assert iterations(kind, (40, 40, 40), contrast) <= most


@pytest.mark.parametrize("contrast", [1e10, 1e12])
@pytest.mark.parametrize("kind", ["white inclusions", "stiff blobs", "oblique channels"])
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_beyond_single_precision_it_is_right_or_says_so(kind, contrast, method):
    shape = (40, 40)
    beta = KINDS[kind](np.random.default_rng(3), shape, contrast)
    problem = deepcg.Poisson(np.zeros(shape, np.uint8), coefficient=beta, boundary=["open", "wall"])
    b = np.random.default_rng(4).standard_normal(beta.size)
    right_or_honest(problem.matrix(), by_solve(problem, b, None, method=method), b)


@pytest.mark.parametrize("boundary", [["periodic", "periodic"], ["wall", "wall"], [("open", "wall"), "periodic"]])
def test_singular_and_periodic(boundary):
    shape = (45, 51)
    beta = np.where(np.random.default_rng(9).random(shape) < 0.2, 1e6, 1.0)
    problem = deepcg.Poisson(np.zeros(shape, np.uint8), coefficient=beta, boundary=boundary)
    b = np.random.default_rng(4).standard_normal(shape)
    if problem.components.count:
        b -= b.mean()
    x, info = deepcg.solve(problem, b, model="multigrid", method="cg")
    assert info == 0 and info.fallbacks == 0 and info.iterations <= 14
    assert np.linalg.norm(b.ravel() - problem.matrix() @ x.ravel()) <= 1.01e-6 * np.linalg.norm(b)
