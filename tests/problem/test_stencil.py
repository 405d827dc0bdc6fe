"""The stencil operator: the contract's formula, its matrix, its product, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from deepcg import FLUID, OPEN, SOLID, Poisson
from tests.support import reference

SEEDS = range(100, 160)
EPS = np.finfo(float).eps


@pytest.mark.parametrize("seed", SEEDS)
def test_matrix_is_the_formula(seed):
    arguments = reference.random_arguments(seed)
    problem = Poisson(**arguments)
    A, expected = problem.matrix(), reference.matrix(**arguments)
    assert A.format == "csr"
    assert A.has_canonical_format
    np.testing.assert_allclose(A.toarray(), expected, rtol=20 * EPS, atol=0.0)
    assert not (A - A.T).toarray().any()  # to the bit
    np.testing.assert_allclose(problem.stencil.diagonal[problem.cells == FLUID], expected.diagonal(), rtol=20 * EPS)
    eigenvalues = scipy.linalg.eigvalsh(expected)
    assert eigenvalues[0] >= -1e-13 * max(eigenvalues[-1], 1.0)
    assert problem.stencil.norm_bound >= eigenvalues[-1] * (1 - 1e-12)
    if problem.stencil.unit is None:  # else: that of a cell with all its faces
        assert problem.stencil.norm_bound <= 2 * expected.diagonal().max() * (1 + 1e-12)


@pytest.mark.parametrize("seed", SEEDS[:30])
def test_product_is_the_matrix(seed):
    arguments = reference.random_arguments(seed)
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    x = np.random.default_rng([seed, 7]).standard_normal(problem.size)
    tolerance = 50 * EPS * np.linalg.norm(A, 2) * np.linalg.norm(x)
    flat = problem.apply(x)
    assert flat.shape == x.shape
    np.testing.assert_allclose(flat, A @ x, rtol=0, atol=tolerance)
    shaped = np.full(problem.shape, 1e30)  # what stands outside FLUID is not looked at
    shaped[problem.cells == FLUID] = x
    y = problem.apply(shaped)
    assert y.shape == problem.shape
    np.testing.assert_array_equal(y[problem.cells == FLUID], flat)
    assert not y[problem.cells != FLUID].any()


@pytest.mark.parametrize("name", [name for name in reference.CASES if reference.CASES[name].get("shift") is None])
def test_difference_form_is_exact_on_constants(name):
    """A constant on a singular component gives zero to the bit, whatever the weights: nothing is left to rounding."""
    problem = Poisson(**reference.CASES[name])
    null = reference.null_space(reference.matrix(**reference.CASES[name])) != 0
    values = np.random.default_rng(31).uniform(-1e8, 1e8, null.shape[1])
    assert not problem.apply(null @ values).any()


def test_unit_spacing_gives_unit_weights():
    problem = Poisson(np.zeros((3, 4, 5), dtype=np.uint8), boundary="open")
    assert all((w == 1.0).all() for w in problem.stencil.weights)
    assert (problem.stencil.diagonal == 6.0).all()


def test_formula_by_hand():
    """FLUID of width 1 and beta 2 beside OPEN of width 3 and beta 6, two cells deep in y of width 4."""
    problem = Poisson([[FLUID, OPEN]], spacing=([4.0], [1.0, 3.0]), coefficient=np.array([[2.0, 6.0]]))
    beta = (1 + 3) / (1 / 2 + 3 / 6)
    assert problem.matrix().toarray() == pytest.approx(np.array([[beta * 4.0 / 2.0]]))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_an_open_cell_without_a_coefficient_takes_the_fluid_cells(value):
    problem = Poisson([[OPEN, FLUID]], coefficient=np.array([[value, 5.0]]))
    assert problem.matrix().toarray() == [[5.0]]


def test_periodic_axis_of_two_cells_joins_them_twice():
    A = Poisson(np.zeros((1, 2), dtype=np.uint8), boundary=["wall", "periodic"]).matrix().toarray()
    np.testing.assert_array_equal(A, [[2.0, -2.0], [-2.0, 2.0]])


def test_no_flow_between_two_open_cells_or_through_walls():
    cells = [[OPEN, OPEN, SOLID, FLUID, SOLID, OPEN]]
    problem = Poisson(cells)
    assert problem.matrix().toarray() == [[0.0]]
    assert problem.stencil.inverse_diagonal.tolist() == [[0, 0, 0, 1, 0, 0]]


def test_out_is_filled_and_returned():
    stencil = Poisson(np.zeros((5, 3), dtype=np.uint8), boundary="open").stencil
    x = np.random.default_rng(5).standard_normal((5, 3))
    out = np.full((5, 3), np.nan)
    assert stencil.apply(x, out) is out
    np.testing.assert_array_equal(out, stencil.apply(x))
