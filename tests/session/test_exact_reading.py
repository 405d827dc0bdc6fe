"""The matrix that was given is the matrix that is solved: residuals are those of its entries as they are."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import deepcg


def laplacian(*shape):
    return deepcg.Poisson(np.zeros(shape, np.uint8)).matrix()


def relative_residual(A, b, x):
    A, x = A.astype(np.longdouble).tocoo(), np.asarray(x, np.longdouble)
    product = np.zeros(x.size, np.longdouble)
    np.add.at(product, A.row, A.data * x[A.col])
    return float(np.linalg.norm(b - product) / np.linalg.norm(b))


def convection(kind):
    """An aluminium slab in still air: k = 200 W/mK, cells of 1e-4 m, h = 10 W/m^2K on the bottom face."""
    shape, k, dx, h = (20, 12, 12), 200.0, 1e-4, 10.0
    face = np.zeros(shape)
    face[0] = h * dx * dx
    A = (k * dx * laplacian(*shape) + sp.diags_array(face.ravel())).tocsr().astype(kind)
    b = np.zeros(shape)
    b[-1] = 1e-4
    return A, b.ravel(), shape


@pytest.mark.parametrize(("kind", "mean"), [(np.float32, None), (np.float64, 1000.0475)])
def test_weak_convection_anchors_the_temperature(kind, mean):
    A, b, shape = convection(kind)
    x, info = deepcg.solve(A, b, grid=shape)
    direct = spla.spsolve(A.astype(float).tocsc(), b)
    assert int(info) == 0 and info.projected == 0.0
    assert relative_residual(A, b, x) <= 1e-6
    assert x.mean() == pytest.approx(direct.mean(), rel=1e-4)
    if mean:
        assert x.mean() == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_heat_steps_keep_their_mass_term(kind):
    b = 300 + np.random.default_rng(0).standard_normal(32 * 32)
    for step in (1e3, 1e5):
        A = (sp.eye_array(32 * 32) + step * laplacian(32, 32)).tocsr().astype(kind)
        x, info = deepcg.solve(A, b, grid=(32, 32))
        assert int(info) == 0 and relative_residual(A, b, x) <= 1.01e-6
        assert x.mean() == pytest.approx(b.mean(), rel=1e-6)


def test_a_step_too_long_for_double_precision_says_so():
    """eps |A| |x| is above the tolerance: no x in double precision has the residual that was asked for."""
    b = 300 + np.random.default_rng(0).standard_normal(32 * 32)
    A = (sp.eye_array(32 * 32) + 1e10 * laplacian(32, 32)).tocsr()
    x, info = deepcg.solve(A, b, grid=(32, 32))
    assert x.mean() == pytest.approx(b.mean(), rel=1e-4)
    assert (int(info) == 0) == (relative_residual(A, b, x) <= 1e-6)


@pytest.mark.parametrize("penalty", [1e8, 1e10, 1e12, 1e16])
@pytest.mark.parametrize("place", [(8, 8), (0, 5), (0, 0)])
def test_a_penalty_row_gives_its_reaction(penalty, place):
    A, k = laplacian(16, 16).tolil(), place[0] * 16 + place[1]
    A[k, k] += penalty
    A, b = A.tocsr(), np.full(256, 1e-2)
    x, info = deepcg.solve(A, b, grid=(16, 16))
    assert int(info) == 0 and relative_residual(A, b, x) <= 1e-6
    assert penalty * x[k] == pytest.approx(2.56, rel=1e-5)


def test_matrices_that_are_not_dominant_are_solved():
    """A reaction term that keeps A definite, and a Laplacian scaled to S L S (symmetric M-matrices)."""
    n = 20
    L, b = deepcg.Poisson(np.zeros((n, n), np.uint8), boundary="open").matrix(), np.ones(n * n)
    S = sp.diags_array(1 / np.sqrt(1 + np.random.default_rng(0).random(n * n)))
    for A in (L - 0.02 * sp.eye_array(n * n), S @ L @ S):
        A = sp.csr_array((A + A.T) / 2)
        x, info = deepcg.solve(A, b, grid=(n, n))
        assert int(info) == 0 and relative_residual(A, b, x) <= 1e-6


def test_the_judge_keeps_what_the_stencil_cannot_hold():
    """Couplings that differ by rounding, and entries off the stencil, down to the tolerance asked for."""
    rng = np.random.default_rng(3)
    A = laplacian(24, 24).tocoo() + 1e-3 * sp.eye_array(24 * 24)
    A = sp.csr_array((A.data * (1 + 1e-11 * rng.uniform(-1, 1, A.nnz)), A.indices, A.indptr), A.shape)
    A = (A + sp.coo_array(([1e-13, 1e-13], ([0, 50], [50, 0])), A.shape)).tocsr()
    b = rng.standard_normal(24 * 24)
    x, info = deepcg.solve(A, b, grid=(24, 24), rtol=1e-11)
    assert int(info) == 0 and relative_residual(A, b, x) <= 1.01e-11


def test_singular_to_the_rounding_of_single_precision():
    """Row sums of some 1e-8 of the diagonal: x has zero mean, and what b - A x keeps along the constants is reported."""
    A = (laplacian(40, 30) / 3).astype(np.float32)
    b = np.random.default_rng(1).standard_normal(1200)
    x, info = deepcg.solve(A, b, grid=(40, 30))
    residual = relative_residual(A, b, x) * np.linalg.norm(b)
    assert int(info) == 0 and info.projected >= abs(b.sum()) / np.sqrt(b.size) * 0.999
    assert residual <= np.hypot(1e-6 * np.linalg.norm(b), info.projected)
    assert abs(x.mean()) <= 1e-12 * abs(x).max()


def written(A, digits):
    """A as a file of the trade has it."""
    return sp.csr_array(([float(f"{v:.{digits - 1}e}") for v in A.data], A.indices, A.indptr), A.shape)


@pytest.mark.parametrize("digits", [4, 5, 6, 7])
@pytest.mark.parametrize("boundary", ["wall", [("open", "wall"), "wall"]])
def test_files_with_few_digits(digits, boundary):
    """What rounding of the entries explains is accepted, anchors are kept, and the file's A is judged."""
    rng = np.random.default_rng(0)
    exact = deepcg.Poisson(
        np.zeros((30, 30), np.uint8), coefficient=np.exp(2 * rng.standard_normal((30, 30))), boundary=boundary
    )
    A = written(exact.matrix(), digits)
    b = rng.standard_normal(900)
    x, info = deepcg.solve(A, b, grid=(30, 30))
    residual = relative_residual(A, b, x) * np.linalg.norm(b)
    problem = deepcg.Poisson.from_matrix(A, shape=(30, 30))
    assert problem.singular == (boundary == "wall")
    assert int(info) == 0 and residual <= 1.01 * np.hypot(1e-6 * np.linalg.norm(b), info.projected)
    if boundary != "wall":
        assert info.projected == 0.0


def test_an_anchor_above_the_digits_is_kept_and_below_it_is_not_told_apart():
    A = deepcg.Poisson(
        np.zeros((20, 20), np.uint8), coefficient=np.exp(np.random.default_rng(1).standard_normal((20, 20)))
    ).matrix()
    for anchor, singular in ((1e-3, False), (1e-8, True)):
        rounded = written((A + anchor * sp.eye_array(400)).tocsr(), 6)
        assert deepcg.Poisson.from_matrix(rounded, shape=(20, 20)).singular == singular
    assert not deepcg.Poisson.from_matrix(A + 1e-8 * sp.eye_array(400), shape=(20, 20)).singular
    assert deepcg.Poisson.from_matrix(A + 1e-8 * sp.eye_array(400), shape=(20, 20), rounding=1e-6).singular
    for wrong in (-1.0, 0.5, "few"):
        with pytest.raises(ValueError, match="rounding: "):
            deepcg.solve(A, np.ones(400), grid=(20, 20), rounding=wrong)
