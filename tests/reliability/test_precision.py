"""The compiled iterations keep what float64 keeps: nearly singular systems, graded cells, thin films, contrasts; and they stop where nothing is left."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import deepcg
from tests.support.promise import PATHS, box, by_callback, by_solve, held, residual

MOST = 8
"""Iterations of the nearly singular boxes, in every path: what the same cycle takes under float64 CG, and two more."""


def robin(n, size):
    """A cube with a weak Robin condition on its bottom, and a source on its top."""
    shift, b = np.zeros((n, n, n)), np.zeros((n, n, n))
    shift[0], b[-1] = size, 1.0
    return shift, b


@pytest.mark.parametrize("size", [1e-5, 1e-6, 1e-7])
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_a_weak_robin_condition_costs_no_iterations(method, size):
    shift, b = robin(16, size)
    problem = deepcg.Poisson(np.zeros(b.shape, np.uint8), shift=shift)
    x, info = deepcg.solve(problem, b, method=method, rtol=max(1e-6, 1e-14 / size))  # what float64 numbers x leave
    assert int(info) == 0 and info.iterations <= MOST and info.fallbacks == 0, repr(info)
    A = sp.csr_array(box(16, 16, 16) + sp.diags_array(shift.ravel()))
    assert residual(A, x, b) <= 1e-5  # A's rounded diagonal is another matrix than the cells


MANY = 200
"""Iterations below 1e-8 of the diagonal, which a cycle in float32 cannot tell from nothing."""


@pytest.mark.parametrize("size", [1e-9, 1e-10, 1e-12])
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_weaker_ones_are_right(method, size):
    shift, b = robin(16, size)
    problem = deepcg.Poisson(np.zeros(b.shape, np.uint8), shift=shift)
    x, info = deepcg.solve(problem, b, method=method, rtol=1e-13 / size)  # what float64 numbers x leave
    assert int(info) == 0 and info.iterations <= MANY, repr(info)
    assert x.mean() == pytest.approx(1 / size, rel=2e-13 / size)


@pytest.mark.parametrize("path", ["KSP", "KSP, not native", "PC", "solve", "Solver"])
def test_the_same_as_a_matrix(path):
    shift, b = robin(16, 1e-6)
    A = sp.csr_array(box(16, 16, 16) + sp.diags_array(shift.ravel()))
    answer = held(A, PATHS[path](A, b, b.shape), b)
    assert answer.iterations <= MOST and answer.fallbacks == 0, answer.text
    assert answer.x.mean() == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize(
    "problem",
    [
        lambda: deepcg.Poisson(np.zeros((64, 64), np.uint8), shift=1e-7),
        lambda: deepcg.Poisson(
            np.zeros((40, 40), np.uint8),
            spacing=[100 ** np.linspace(0, 1, 40), np.full(40, 1 / 40)],
            boundary=[("wall", "open"), "wall"],
        ),
        lambda: deepcg.Poisson(np.zeros((40, 40), np.uint8), spacing=[1.0, 1e-3], boundary=[("wall", "open"), "wall"]),
    ],
    ids=["nearly singular", "graded 100:1", "thin film"],
)
def test_the_compiled_iteration_takes_what_the_called_back_one_takes(problem):
    problem = problem()
    b = 1 + np.random.default_rng(0).standard_normal(problem.shape)
    compiled, called = by_solve(problem, b, None), by_callback(problem, b, None)
    assert compiled.converged and called.converged
    assert compiled.iterations <= called.iterations + 2 and compiled.fallbacks == 0, compiled.text


def bubble(n=96):
    """Cut cells around a ball with open fractions down to 1e-8, a light bubble above it, densities 1e5:1."""
    faces = []
    for axis in range(2):
        points = [np.arange(n + 1.0) if a == axis else np.arange(n) + 0.5 for a in range(2)]
        y, x = np.meshgrid(*points, indexing="ij")
        density = np.where(np.hypot(y - 0.5 * n, x - 0.82 * n) < 0.1 * n, 1.0, 1e5)
        opening = np.clip(0.5 + np.hypot(y - 0.5 * n - 0.17, x - 0.5 * n - 0.17) - 0.31 * n, 1e-8, 1)
        faces.append(opening / density * 1e5)
    return deepcg.Poisson(np.zeros((n, n), np.uint8), coefficient=faces, boundary=[("wall", "open"), "wall"])


def test_what_is_attainable_is_reached():
    """A direct solver reaches 2e-10 here; the floor is no excuse at 1e-6."""
    problem = bubble()
    b = np.random.default_rng(0).standard_normal(problem.size)
    A = problem.matrix()
    assert residual(A, spla.spsolve(sp.csc_array(A), b), b) < 1e-8
    held(A, by_callback(problem, b, None), b)
    held(A, by_solve(problem, b, None), b)


def test_solving_again_from_the_answer_makes_nothing_worse():
    problem = bubble(48)
    b = np.random.default_rng(0).standard_normal(problem.size)
    A, x, before = problem.matrix(), np.zeros(problem.size), np.inf
    for _ in range(4):
        x, _ = deepcg.solve(problem, b, x, rtol=1e-9)
        now = residual(A, x, b)
        assert now <= 2 * before
        before = now


def test_a_constant_in_a_closed_box_is_nothing_to_solve():
    problem = deepcg.Poisson(np.zeros((32, 32), np.uint8))
    x, info = deepcg.solve(problem, np.full((32, 32), 0.1))
    assert int(info) == 0 and info.iterations <= 1, repr(info)
    assert info.projected == pytest.approx(3.2)
    assert np.abs(x).max() <= 1e-12
