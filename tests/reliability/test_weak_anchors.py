"""What holds a system in place may be tiny beside its couplings: convection on a face, a time step's mass, a leak, a penalty's neighbours."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import deepcg
from tests.support.promise import IN_PYTHON, PATHS, box, by_solve, held, residual, right_or_honest


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def slab():
    """An aluminium slab in still air: 200 W/mK, 10 W/m2K on its bottom, heat into its top; the mean temperature is 1000.05."""
    shape, k, dx, h = (20, 12, 12), 200.0, 1e-4, 10.0
    face, b = np.zeros(shape), np.zeros(shape)
    face[0], b[-1] = h * dx * dx, 1e-4
    return sp.csr_array(k * dx * box(*shape) + sp.diags_array(face.ravel())), b.ravel(), shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("path", list(PATHS))
def test_convection_from_one_face_of_a_slab(path, dtype):
    A, b, shape = slab()
    A = A.astype(dtype)
    if dtype == np.float32 and ("KSP" in path or path == "PC"):
        pytest.skip("PETSc's matrices are float64")
    answer = held(A, PATHS[path](A, b, shape), b)
    exact = spla.spsolve(sp.csc_array(A, dtype=np.float64), b)
    assert answer.x.mean() == pytest.approx(exact.mean(), rel=1e-4)
    if dtype == np.float64:
        assert answer.x.mean() == pytest.approx(1000.05, rel=1e-4)


@pytest.mark.parametrize("path", IN_PYTHON)
def test_an_implicit_heat_step_in_float32(path):
    shape = (16, 16)
    A = sp.csr_array(box(*shape) + 3e-5 * sp.eye_array(256)).astype(np.float32)
    b = 1 + np.random.default_rng(0).standard_normal(256)
    answer = held(A, PATHS[path](A, b, shape), b)
    assert answer.projected == 0.0
    assert answer.x.mean() == pytest.approx(spla.spsolve(sp.csc_array(A, dtype=np.float64), b).mean(), rel=1e-4)


@pytest.mark.parametrize("dt, dtype", [(1e5, np.float32), (1e10, np.float64)])
@pytest.mark.parametrize("path", IN_PYTHON)
def test_a_long_time_step(path, dt, dtype):
    """The couplings' rounding makes up part of the anchor: whatever the matrix is, it is that one that is solved."""
    n = 32
    b = 300 + np.random.default_rng(0).standard_normal(n * n)
    A = sp.csr_array(sp.eye_array(n * n) + dt * box(n, n)).astype(dtype)
    answer = PATHS[path](A, b, (n, n))
    assert answer.projected == 0.0
    if dtype == np.float32:
        held(A, answer, b)
    else:  # float64 numbers x cannot have a residual as small as was asked for
        exact = spla.spsolve(sp.csc_array(A), b)
        assert not answer.converged
        assert residual(A, answer.x, b) <= 10 * residual(A, exact, b)


@pytest.mark.parametrize("penalty", [1e8, 1e10, 1e12, 1e16])
@pytest.mark.parametrize("path", list(PATHS))
def test_a_value_held_by_a_penalty(path, penalty):
    """The reaction in the held node is all that flows in: 2.56."""
    n = 16
    k = 8 * n + 8
    held_there = np.zeros(n * n)
    held_there[k] = penalty
    A, b = sp.csr_array(box(n, n) + sp.diags_array(held_there)), np.full(n * n, 1e-2)
    answer = PATHS[path](A, b, (n, n))
    if path == "PC" and penalty > 1e10:
        right_or_honest(
            A, answer, b
        )  # PETSc's CG gives up where the residual grows by 1e4, as it does in that row at first
        return
    held(A, answer, b)
    assert penalty * answer.x[k] == pytest.approx(2.56, rel=1e-3)


@pytest.mark.parametrize("resistance", [1e8, 1e11, 1e13])
@pytest.mark.parametrize("path", IN_PYTHON)
def test_a_cell_behind_a_large_resistance(path, resistance):
    """A cell that touches the rest by one weak face only, and a source in it."""
    n = 12
    w = np.array([1.0] * (n - 2) + [1 / resistance])
    main = np.concatenate([[2.0], np.zeros(n - 1)])
    main[:-1] += w
    main[1:] += w
    main[0] -= 1.0
    main[0] += 1.0  # an open face beside the first cell
    A = sp.csr_array(sp.diags_array([main, -w, -w], offsets=[0, 1, -1]))
    b = np.zeros(n)
    b[-1] = 1.0
    answer = held(A, PATHS[path](A, b, (1, n)), b)
    assert answer.x[-1] == pytest.approx(spla.spsolve(sp.csc_array(A), b)[-1], rel=1e-4)


@pytest.mark.parametrize("anchor", [1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("path", IN_PYTHON)
def test_anchors_down_to_1e_12_of_the_diagonal(path, anchor):
    shape = (24, 24)
    A = sp.csr_array(box(*shape) + anchor * sp.eye_array(576))
    b = 1 + np.random.default_rng(1).standard_normal(576)
    x = held(A, PATHS[path](A, b, shape, 1e-3), b, 1e-3).x
    assert x.mean() == pytest.approx(b.mean() / anchor, rel=1e-2)


def test_the_same_anchor_through_cells():
    for anchor in (1e-6, 1e-9, 1e-12):
        problem = deepcg.Poisson(np.zeros((24, 24), np.uint8), shift=anchor)
        b = 1 + np.random.default_rng(1).standard_normal(576)
        answer = by_solve(problem, b, None, 1e-3)
        assert answer.converged
        A = sp.csr_array(box(24, 24) + anchor * sp.eye_array(576))
        assert residual(A, answer.x, b) <= 1.1e-3 + 1e-15 / anchor  # the shift's sum with the couplings is rounded in A
