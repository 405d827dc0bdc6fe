"""b = 0, warm starts, and matrices and right-hand sides at the ends of float64's range."""

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from tests.support.promise import ALLOWED, box, by_solve, held, residual

OPEN = {"boundary": "open"}


@pytest.mark.parametrize("method", ["cg", "dcd"])
@pytest.mark.parametrize("model", ["auto", "jacobi", "none"])
def test_nothing_on_the_right_is_nothing_at_once(method, model):
    problem = deepcg.Poisson(np.zeros((24, 24, 24), np.uint8), boundary="open")
    x0 = np.random.default_rng(0).standard_normal(problem.shape)
    x, info = deepcg.solve(problem, np.zeros(problem.shape), x0, method=method, model=model)
    assert int(info) == 0 and info.iterations == 0 and not x.any(), repr(info)


def test_nothing_on_the_right_of_a_closed_box():
    """A constant is an answer there too."""
    problem = deepcg.Poisson(np.zeros((24, 24), np.uint8))
    x, info = deepcg.solve(problem, np.zeros(problem.shape), np.random.default_rng(0).standard_normal(problem.shape))
    assert int(info) == 0 and info.iterations == 0 and np.ptp(x) == 0


SCALES = [1e-300, 1e-200, 1e-160, 1e-30, 1e30, 1e160, 1e200, 1e300]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_any_scale_of_b(scale, method):
    problem = deepcg.Poisson(np.zeros((20, 20), np.uint8), **OPEN)
    b = scale * np.random.default_rng(0).standard_normal(400)
    held(problem.matrix(), by_solve(problem, b, None, method=method), b)


@pytest.mark.parametrize("scale", SCALES)
def test_any_scale_of_the_matrix(scale):
    A = sp.csr_array(scale * (box(20, 20) + 0.1 * sp.eye_array(400)))
    b = np.random.default_rng(0).standard_normal(400)
    if scale < 1e-290:  # x would be past what float64 holds for b of order 1
        b *= 1e-20
    held(A, by_solve(A, b, (20, 20)), b)


@pytest.mark.parametrize("scale", SCALES)
def test_any_scale_of_the_coefficient(scale):
    b = np.random.default_rng(0).standard_normal(400) * min(scale, 1e300)
    K = scale * np.exp(np.random.default_rng(1).standard_normal((20, 20)))
    problem = deepcg.Poisson(np.zeros((20, 20), np.uint8), coefficient=K, **OPEN)
    weights = problem.matrix() * (1 / scale if scale > 1e-300 else 1e300)
    unscaled = deepcg.Poisson(np.zeros((20, 20), np.uint8), coefficient=K / scale, **OPEN).matrix()
    assert np.abs((weights - unscaled).data).max() <= 1e-13
    held(problem.matrix(), by_solve(problem, b, None), b)


@pytest.mark.parametrize("size", [1e8, 1e30, 1e150, 1e300])
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_a_hopeless_guess(size, method):
    """It is no worse than none: the answer is right, or says that it is not."""
    problem = deepcg.Poisson(np.zeros((16, 16), np.uint8), **OPEN)
    rng = np.random.default_rng(0)
    b, x0 = rng.standard_normal(256), size * rng.standard_normal(256)
    x, info = deepcg.solve(problem, b, x0, method=method)
    assert np.isfinite(x).all()
    assert int(info) != 0 or residual(problem.matrix(), x, b) <= ALLOWED * 1e-6


@pytest.mark.parametrize("atol", [5e-324, 1e-310, 1e-200])
def test_an_atol_that_is_denormal(atol):
    problem = deepcg.Poisson(np.zeros((16, 16), np.uint8), **OPEN)
    b = 1e-190 * np.random.default_rng(0).standard_normal(256)
    x, info = deepcg.solve(problem, b, rtol=0.0, atol=atol)
    true = residual(problem.matrix(), x, b) * float(np.linalg.norm(b * 1e190)) * 1e-190
    assert int(info) != 0 or true <= ALLOWED * atol


@pytest.mark.parametrize("size", [1e-300, 1e-55, 1e55, 1e300])
def test_the_preconditioner_serves_numbers_beyond_single_precision(size):
    problem = deepcg.Poisson(np.zeros((9, 7), np.uint8), boundary="open")
    M, r = deepcg.preconditioner(problem), np.random.default_rng(0).standard_normal(63)
    z = M @ r
    np.testing.assert_allclose((M @ (size * r)) / size, z, rtol=0, atol=1e-5 * np.abs(z).max())
