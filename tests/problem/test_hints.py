"""What is said to those who typed something else first: shapes, boolean cells, triangles."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import Poisson, Solver, solve
from deepcg.problem.from_matrix.hints import suggest_shape

SHAPES = [(6, 9), (2, 2), (9, 2), (2, 9), (4, 5, 6), (2, 2, 2), (2, 7, 3), (7, 2, 9)]


def laplacian(*shape, **arguments):
    return Poisson(np.zeros(shape, np.uint8), **{"boundary": "open", **arguments}).matrix()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shape_is_told_by_the_columns(shape):
    assert suggest_shape(laplacian(*shape)) == shape
    assert suggest_shape(sp.coo_array(-laplacian(*shape))) == shape


def test_where_the_columns_tell_no_shape():
    assert suggest_shape(laplacian(1, 7)) == (7,)
    for A in (
        sp.eye_array(6),
        sp.csr_array((4, 4)),
        laplacian(6, 9) @ laplacian(6, 9),
        sp.random_array((50, 50), density=0.1, rng=0),
    ):
        assert suggest_shape(A) is None


@pytest.mark.parametrize("grid", [None, (54,), 54, (9, 6), (6, 8), (3, 18), (2, 3, 9), np.array([9, 6])])
def test_a_wrong_grid_is_answered_by_the_one_that_fits(grid):
    with pytest.raises(ValueError, match=r"look like those of a grid of shape \(6, 9\), which is nx = 9, ny = 6"):
        solve(laplacian(6, 9), np.ones(54), grid=grid)


def test_grids_in_other_words():
    A, b = laplacian(6, 9), np.ones(54)
    expected = solve(A, b, grid=(6, 9))[0]
    for grid in ([6, 9], np.array([6, 9]), (np.int64(6), np.int32(9)), np.zeros((6, 9), np.uint8)):
        np.testing.assert_array_equal(solve(A, b, grid=grid)[0], expected)
    line = laplacian(1, 10, boundary=["wall", "open"])
    for grid in ((10,), 10, (1, 10)):
        x, info = solve(line, np.ones(10), grid=grid)
        assert info == 0
        assert np.linalg.norm(1 - line @ x) <= 1e-6 * np.sqrt(10)
    with pytest.raises(ValueError, match=r"line of cells, of shape \(1, 10\)"):
        solve(line, np.ones(10), grid=(2, 5))
    np.testing.assert_array_equal(deepcg.preconditioner(A, "jacobi", grid=(6, 9)) @ b, b / 4)


def test_names_of_arguments_are_those_that_were_typed():
    A, b = laplacian(6, 9), np.ones(54)
    for grid, says in (
        ((6.0, 9), "grid: (6.0, 9.0) given; integers"),
        ("6,9", "grid: dtype <U3 given"),
        (np.zeros((6, 8), np.uint8), "grid: 48 cells, 48 of them FLUID"),
        ((6, 8), "grid: (6, 8) has 48 cells but A has 54 rows"),
    ):
        with pytest.raises((ValueError, TypeError), match=re.escape(says)):
            solve(A, b, grid=grid)
    with pytest.raises(ValueError, match=r"shape: \(6, 8\) has 48 cells .*\(6, 9\)"):
        Poisson.from_matrix(A, shape=(6, 8))
    with pytest.raises(ValueError, match="grid: not given; a matrix needs grid="):
        Solver(A)


@pytest.mark.parametrize("wrong", [np.ones((6, 9), bool), np.zeros((6, 9), bool), [[True, False], [False, False]]])
def test_boolean_cells_are_refused_saying_which_way_round(wrong):
    n = np.size(wrong)
    A = laplacian(*np.shape(wrong))
    for make, name in (
        (lambda: Poisson(wrong), "cells"),
        (lambda: Poisson.from_matrix(A, cells=wrong), "cells"),
        (lambda: solve(A, np.ones(n), grid=wrong), "grid"),
        (lambda: Solver(Poisson(np.zeros(np.shape(wrong), int))).update(cells=wrong), "cells"),
    ):
        with pytest.raises(
            TypeError, match=rf"{name}: a boolean array .*np\.where\(cells, deepcg\.SOLID, deepcg\.FLUID\)"
        ):
            make()


def test_other_cells_that_are_typed_first():
    with pytest.raises(TypeError, match=r"dtype float64 .*cells\.astype\(np\.uint8\)"):
        Poisson(np.zeros((6, 9)))
    for shape in ((64, 32), [8, 8, 8]):
        with pytest.raises(ValueError, match=r"looks like a shape; np\.zeros\(\(.*\), dtype=np\.uint8\)"):
            Poisson(shape)
    with pytest.raises(ValueError, match=r"'dirichlet' given; 'wall' \(Neumann\), 'open' \(Dirichlet\)"):
        Poisson(np.zeros((6, 9), int), boundary="dirichlet")


def test_one_triangle_of_a_symmetric_matrix():
    A, b = laplacian(6, 9), np.ones(54)
    for part, word, other in ((sp.tril(A), "lower", "tril(A, -1)"), (sp.triu(A), "upper", "triu(A, 1)")):
        with pytest.raises(ValueError, match=re.escape(f"in the {word} triangle")) as caught:
            solve(part, b, grid=(6, 9))
        assert f"A + scipy.sparse.{other}.T" in str(caught.value)
        whole = part + (sp.tril(part, -1) if word == "lower" else sp.triu(part, 1)).T
        assert solve(whole, b, grid=(6, 9))[1] == 0
    with pytest.raises(ValueError, match="not symmetric") as caught:
        one_sided = A.tolil()
        one_sided[20, 21] = -3.0
        one_sided[30, 39] = -2.0
        solve(sp.csr_array(one_sided), b, grid=(6, 9))
    assert "triangle" not in str(caught.value)
