"""Matrices that a diagonal scaling makes symmetric, or dominant: solved scaled, judged as they were given."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from tests.support.session import Session


def ghost_points_eliminated(n):
    """The 5-point matrix of a closed box whose unknowns lie on its sides: rows there have one entry twice."""
    T = sp.diags([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], [-1, 0, 1]).tolil()
    T[0, 1] = T[-1, -2] = 2
    weights = np.ones(n)
    weights[[0, -1]] = 0.5
    return sp.csr_array(sp.kronsum(T, T)), np.outer(weights, weights).ravel()


def by_volumes(n, seed):
    """Rows divided by the volumes of their cells, as finite differences on a graded grid are."""
    widths = [np.exp(np.linspace(0, 2, n)), 1 + np.random.default_rng(seed).random(n)]
    problem = deepcg.Poisson(np.zeros((n, n), np.uint8), spacing=widths, boundary=[("open", "wall"), "wall"])
    return sp.csr_array(sp.diags_array(1 / np.outer(*widths).ravel()) @ problem.matrix())


@pytest.mark.parametrize("method", ["cg", "dcd"])
@pytest.mark.parametrize("seed", [None, 3])
def test_rows_divided_by_volumes(method, seed):
    n = 24
    if seed is None:
        A, W = ghost_points_eliminated(n)
        b = np.cos(np.arange(n * n))
        b -= (W @ b) / W.sum()
    else:
        A, b = by_volumes(n, seed), np.random.default_rng(seed).standard_normal(n * n)
    for rtol in (1e-3, 1e-6, 1e-9):
        x, info = deepcg.solve(A, b, grid=(n, n), rtol=rtol, method=method)
        residual = np.linalg.norm(b - A @ x) / np.linalg.norm(b)
        assert int(info) == 0 and residual <= rtol and info.iterations <= 14
        assert info.residuals[-1] == pytest.approx(residual * np.linalg.norm(b), rel=1e-3)
        assert info.residuals[0] == pytest.approx(np.linalg.norm(b), rel=1e-9)


def test_a_guess_and_an_inconsistent_right_hand_side():
    n = 16
    A, W = ghost_points_eliminated(n)
    rng = np.random.default_rng(0)
    b, x0 = rng.standard_normal(n * n), rng.standard_normal(n * n)
    x, info = deepcg.solve(A, b, x0, grid=(n, n))
    taken = (W @ b) / W.sum() / W  # of W b what lies along the constants, as b has it
    assert info.projected > 0.0
    assert np.linalg.norm(b - A @ x) <= 1e-6 * np.linalg.norm(b) + info.projected
    assert info.projected <= 1.01 * np.linalg.norm(taken) * W.max() / W.min()
    again, more = deepcg.solve(A, b, x, grid=(n, n))
    assert more.iterations == 0 and np.allclose(again - again.mean(), x - x.mean(), atol=1e-8)


def test_where_no_scaling_helps_the_message_says_so():
    A = ghost_points_eliminated(8)[0].tolil()
    A[0, 1] = 3.0
    with pytest.raises(
        ValueError, match=r"not symmetric: row 0 .* with weight 2, .* no scaling of its rows makes this one"
    ):
        deepcg.solve(A.tocsr(), np.zeros(64), grid=(8, 8))
    session = Session(scaling=0)
    session.set_grid((8, 8))
    with pytest.raises(ValueError, match="not symmetric"):
        session.set_matrix(ghost_points_eliminated(8)[0])


@pytest.mark.parametrize("n", [20, 60])
def test_scaled_to_unit_diagonal_costs_no_more_than_before(n):
    L = deepcg.Poisson(np.zeros((n, n), np.uint8), boundary="open").matrix()
    S = sp.diags_array(1 / np.sqrt(1 + np.random.default_rng(0).random(n * n)))
    A, b = sp.csr_array(S @ L @ S), np.ones(n * n)
    A = sp.csr_array((A + A.T) / 2)
    x, info = deepcg.solve(A, b, grid=(n, n))
    assert int(info) == 0 and np.linalg.norm(b - A @ x) <= 1e-6 * np.linalg.norm(b)
    assert info.iterations <= 20


def test_preconditioners_of_the_user_see_their_own_rows():
    n = 12
    A = by_volumes(n, 5)
    dense = np.linalg.inv(A.toarray())
    _, info = deepcg.solve(A, np.ones(n * n), grid=(n, n), model=lambda r: dense @ r)
    assert int(info) == 0 and info.iterations <= 2


def test_a_solver_is_updated_from_one_kind_to_the_other():
    n = 12
    symmetric = deepcg.Poisson(np.zeros((n, n), np.uint8), boundary="open")
    solver = deepcg.Solver(symmetric.matrix(), grid=(n, n))
    b = np.random.default_rng(1).standard_normal(n * n)
    for A in (by_volumes(n, 1), symmetric.matrix(), by_volumes(n, 2)):
        solver.update(deepcg.Poisson.from_matrix(A, shape=(n, n)))
        x, info = solver.solve(b)
        assert int(info) == 0 and np.linalg.norm(b - A @ x) <= 1e-6 * np.linalg.norm(b)


def test_what_no_x_can_change_is_taken_off_by_the_rows_scaling():
    A, W = ghost_points_eliminated(7)
    session = Session().grid(7, 7)
    session.matrix(A)
    v = np.random.default_rng(1).standard_normal(49)
    left, count, removed = session.project(v)
    assert count == 1
    assert abs(W @ v) > 0.1 > 1e-13 > abs(W @ left)  # W is the left null vector
    assert removed == pytest.approx(np.linalg.norm(v - left))
    np.testing.assert_allclose(session.project(left)[0], left, rtol=0, atol=1e-14)
