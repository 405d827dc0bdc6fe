"""Matrices as other codes write them: rounded, with scaled rows, reaction terms, inactive cells, boreholes' graded grids."""

import inspect
import io

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import deepcg
from tests.support.promise import PATHS, box, by_ksp, by_solve, held, insulated, residual


def written(A, digits):
    """A through a MatrixMarket file with so many digits."""
    file = io.BytesIO()
    scipy.io.mmwrite(file, A, precision=digits)
    file.seek(0)
    return sp.csr_array(scipy.io.mmread(file))


@pytest.mark.parametrize("digits", [4, 5, 6, 7])
@pytest.mark.parametrize("path", ["solve", "dcd", "callback", "Solver"])
def test_a_file_with_few_digits(path, digits):
    n, rng = 30, np.random.default_rng(0)
    K = np.exp(2 * rng.standard_normal((n, n)))
    problem = deepcg.Poisson(np.zeros((n, n), np.uint8), coefficient=K, boundary=[("open", "wall"), "wall"])
    A, b = written(problem.matrix(), digits), np.ones(n * n)
    held(A, PATHS[path](A, b, (n, n)), b)


def test_an_anchor_above_the_rounding_is_kept():
    n = 24
    A = written(sp.csr_array(box(n, n) * np.pi + 1e-2 * sp.eye_array(n * n)), 6)
    b = 1 + np.random.default_rng(0).standard_normal(n * n)
    answer = held(A, by_solve(A, b, (n, n)), b)
    assert answer.projected == 0.0


def test_rounding_can_be_said():
    assert "rounding" in inspect.signature(deepcg.solve).parameters
    assert "rounding" in inspect.signature(deepcg.Poisson.from_matrix).parameters


def vertex_centred(n=24):
    """Second differences with ghost points eliminated: symmetric after a diagonal scaling."""
    T = sp.lil_array(sp.diags_array([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]))
    T[0, 1] = T[n - 1, n - 2] = 2
    A = sp.csr_array(sp.kronsum(T, T))
    w = np.ones(n)
    w[[0, -1]] = 0.5
    W = np.outer(w, w).ravel()
    b = np.cos(np.arange(n * n))
    return A, b - (W @ b) / W.sum(), (n, n)


@pytest.mark.parametrize("path", ["solve", "dcd", "callback", "Solver"])
def test_rows_that_a_diagonal_scaling_makes_symmetric(path):
    A, b, shape = vertex_centred()
    held(A, PATHS[path](A, b, shape), b)


@pytest.mark.parametrize("path", ["solve", "dcd", "callback", "Solver"])
def test_rows_scaled_by_volumes(path):
    n = 20
    volumes = np.geomspace(1, 100, n * n)
    A = sp.csr_array(sp.diags_array(1 / volumes) @ (box(n, n) + sp.eye_array(n * n)))
    b = np.random.default_rng(5).standard_normal(n * n)
    held(A, PATHS[path](A, b, (n, n)), b)


def test_where_no_scaling_helps_the_message_names_entries():
    A = sp.lil_array(box(8, 8) + sp.eye_array(64))
    A[9, 10] = -0.5  # around the cycle of four cells the products of weights differ
    with pytest.raises(ValueError, match="row 9"):
        deepcg.solve(sp.csr_array(A), np.ones(64), grid=(8, 8))


def open_box(n):
    return sp.csr_array(sp.kronsum(insulated(n), insulated(n)) + sp.diags_array(sides(n)))


def sides(n):
    """One for every open face of a cell of an open square."""
    line = np.zeros(n)
    line[[0, -1]] = 1.0
    return np.add.outer(line, line).ravel()


@pytest.mark.parametrize("path", ["solve", "dcd", "callback", "Solver", "KSP"])
def test_a_reaction_term_that_leaves_a_definite(path):
    A, b = sp.csr_array(open_box(20) - 0.02 * sp.eye_array(400)), np.ones(400)
    held(A, PATHS[path](A, b, (20, 20)), b)


@pytest.mark.parametrize("path", ["solve", "dcd", "callback", "Solver", "KSP"])
def test_a_matrix_scaled_on_both_sides(path):
    d = 1 / np.sqrt(1 + np.random.default_rng(0).random(400))
    A = sp.csr_array(sp.diags_array(d) @ open_box(20) @ sp.diags_array(d))
    A, b = sp.csr_array((A + A.T) / 2), np.ones(400)
    held(A, PATHS[path](A, b, (20, 20)), b)


@pytest.mark.parametrize("kept", ["eliminated", "one-sided"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_rows_that_are_diagonal_only_in_a_matrix_scaled_on_both_sides(scale, kept):
    """Their values are those of A as it was given, and so is what other rows have of them."""
    rng = np.random.default_rng(3)
    fixed = rng.random(400) < 0.05
    inside = sp.diags_array(np.where(fixed, 0.0, 1.0))
    L = open_box(20)
    L = sp.csr_array(inside @ L + sp.diags_array(np.where(fixed, 4.0, 0.0)))
    if kept == "eliminated":
        L = sp.csr_array(L @ inside + sp.diags_array(np.where(fixed, 4.0, 0.0)))
    L.eliminate_zeros()
    d = 10 ** rng.uniform(-1, 1, 400)
    A, b = sp.csr_array(scale * (sp.diags_array(d) @ L @ sp.diags_array(d))), rng.standard_normal(400)
    held(A, by_solve(A, b, (20, 20)), b)


def test_an_indefinite_matrix_is_found_out():
    A, b = sp.csr_array(open_box(20) - 0.5 * sp.eye_array(400)), np.ones(400)
    try:
        x, info = deepcg.solve(A, b, grid=(20, 20))
    except ValueError:
        return
    assert int(info) != 0 or residual(A, x, b) <= 1.01e-6


def inactive(n=20, cell=5):
    A = sp.lil_array(open_box(n))
    A[[cell], :] = 0
    A[:, [cell]] = 0
    A = sp.csr_array(A)
    A.eliminate_zeros()
    return A


def test_an_empty_row_with_a_source():
    """No x changes that row: it is taken off b, and `info.projected` says so."""
    A, b = inactive(), np.full(400, 1e-3)
    x, info = deepcg.solve(A, b, grid=(20, 20), rtol=1e-8)
    assert info.projected == pytest.approx(1e-3)
    assert int(info) == 0
    rest = np.delete(np.arange(400), 5)
    assert residual(A[rest][:, rest], x[rest], b[rest]) <= 1.01e-8


def test_an_empty_row_with_a_source_in_petsc():
    """Taken off there too, or refused; but it comes to an end."""
    A, b = inactive(), np.full(400, 1e-3)
    from tests.support.petsc_systems import petsc

    try:
        answer = by_ksp(A, b, (20, 20), 1e-8, ksp_max_it="2000")
    except petsc().Error as error:
        assert "row" in str(error)
        return
    rest = np.delete(np.arange(400), 5)
    assert answer.iterations < 100
    assert residual(A[rest][:, rest], answer.x[rest], b[rest]) <= 1.01e-8 or not answer.converged


def borehole():
    """Radial cells from 1 to 20,000 wide, with their centres."""
    h = np.geomspace(1, 2e4, 30)
    centres = np.cumsum(h) - h / 2
    g = 1 / np.diff(centres)
    d = np.concatenate([[2.0], g]) + np.concatenate([g, [0.0]])
    A = sp.csr_array(sp.kron(sp.diags_array([d, -g, -g], offsets=[0, 1, -1]), sp.eye_array(4)))
    return A, np.stack([np.repeat(centres, 4), np.tile(np.arange(4) * 1.0, 30)], axis=1)


def test_coordinates_graded_over_1e4():
    A, points = borehole()
    b = np.ones(120)
    order = np.random.default_rng(2).permutation(120)
    held(A, by_solve(A, b, (30, 4)), b)
    held(A, by_solve(A, b, None, coordinates=points), b)
    mixed = sp.csr_array(A[order][:, order])
    held(mixed, by_solve(mixed, b, None, coordinates=points[order]), b)
