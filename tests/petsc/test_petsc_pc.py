"""The PETSc plugin's preconditioner: the grid's sources, what is read from the matrix, options."""

import numpy as np
import pytest
import scipy.sparse as sp

from deepcg import FLUID, OPEN, SOLID, Poisson, preconditioner
from tests.support.petsc_systems import (
    RTOL,
    apply,
    box,
    dense,
    dmda,
    matrix,
    options,
    petsc,
    relative_residual,
    run,
    scene,
    solve,
    solver,
    vector,
    view,
)
from tests.support.reference import CASES


def over_all_cells(problem, diagonal=1.0):
    """The matrix with identity rows where there is no unknown."""
    fluid = (problem.cells == FLUID).ravel()
    spread = sp.csr_array(
        (np.ones(fluid.sum()), (np.flatnonzero(fluid), np.arange(fluid.sum()))), (fluid.size, fluid.sum())
    )
    return sp.csr_array(spread @ problem.matrix() @ spread.T + sp.diags_array(np.where(fluid, 0.0, diagonal)))


def centres(problem):
    """(x, y[, z]) of the FLUID cells, as rows."""
    return np.argwhere(problem.cells == FLUID)[:, ::-1].astype(float)


# ---- sources of the grid --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(19, 23), (9, 10, 11)])
def test_the_grid_comes_from_a_dmda_an_option_or_coordinates(shape):
    problem = box(*shape, boundary="open")
    A, n = problem.matrix(), int(np.prod(shape))
    r = np.random.default_rng(3).standard_normal(n)
    expected = preconditioner(problem) @ r
    sizes = ",".join(map(str, shape[::-1]))
    from_dmda = solver(A, shape).getPC()
    from_option = solver(A, pc_deepcg_grid=sizes).getPC()
    composed = matrix(A)
    coordinates = vector((centres(problem) * 0.37).ravel())
    coordinates.setBlockSize(len(shape))
    composed.compose("coordinates", coordinates)
    from_composed = solver(composed).getPC()
    PETSc = petsc()
    from_call = PETSc.PC().create(PETSc.COMM_SELF)
    from_call.setOperators(matrix(A))
    from_call.setType("deepcg")
    from_call.setCoordinates(centres(problem) * 0.37)
    from_call.setUp()
    for pc in (from_dmda, from_option, from_composed, from_call):
        assert np.allclose(apply(pc, r), expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_a_matrix_made_by_a_dmda_knows_its_grid():
    da = dmda((7, 8, 9))
    A = da.createMat()
    values = box(7, 8, 9, boundary="open").matrix()
    A.setValuesCSR(values.indptr.astype(np.int32), values.indices.astype(np.int32), values.data)
    A.assemble()
    assert "from DMDA" in view(solver(A))


def test_coordinates_may_come_in_any_order_and_leave_cells_out():
    problem, b = scene("sphere", 12, 3)
    A, order = problem.matrix(), np.random.default_rng(5).permutation(b.size)
    shuffled = matrix(A[order][:, order])
    coordinates = vector(centres(problem)[order].ravel())
    coordinates.setBlockSize(3)
    shuffled.compose("coordinates", coordinates)
    x, iterations, reason = solve(shuffled, b[order])
    assert reason > 0 and iterations < 20
    assert relative_residual(A[order][:, order], x, b[order]) <= RTOL


# ---- what is read from the matrix ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_every_kind_of_problem_is_solved(name, sign):
    """Spread over all cells with identity rows, of either sign; the answer judged by the assembled matrix."""
    problem = Poisson(**CASES[name])
    A = sign * over_all_cells(problem, 3.0)
    rng = np.random.default_rng(11)
    fluid = (problem.cells == FLUID).ravel()
    b = A @ np.where(fluid, rng.standard_normal(A.shape[0]), rng.standard_normal(A.shape[0]))
    shape = problem.shape
    for ksp_type in ("deepcg", "cg"):
        x, iterations, reason = solve(A, b, shape, ksp_type=ksp_type, rtol=RTOL)
        assert reason > 0, (name, ksp_type, reason)
        assert relative_residual(A, x, b) <= 1.1 * RTOL
        assert iterations <= 40


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 6)])
@pytest.mark.parametrize("boundary", ["open", "wall", "periodic"])
def test_it_is_symmetric_and_definite_with_the_matrixs_sign(shape, boundary):
    problem = box(*shape, boundary=boundary)
    for sign in (1.0, -1.0):
        M = sign * dense(solver(sign * problem.matrix(), shape).getPC(), int(np.prod(shape)))
        assert np.abs(M - M.T).max() <= 1e-5 * np.abs(M).max()
        values = np.linalg.eigvalsh((M + M.T) / 2)
        assert values[0] > 0 or (boundary != "open" and values[0] > -1e-5 * values[-1])


@pytest.mark.parametrize("diagonal", [3.0, 0.0])
@pytest.mark.parametrize("coefficient", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rows_without_couplings_are_solved_on_their_own(diagonal, coefficient, sign):
    """Vectors of rows go to the kernels as they are: what they hold in such rows must not get into the others."""
    rng = np.random.default_rng(11)
    shape = (5, 6, 9)
    cells = np.where(rng.random(shape) < 0.2, SOLID, FLUID).astype(np.uint8)
    problem = Poisson(cells, boundary="open", **({"coefficient": rng.uniform(1, 9, shape)} if coefficient else {}))
    A = sign * over_all_cells(problem, diagonal)
    alone = (cells != FLUID).ravel()
    M = dense(solver(A, shape).getPC(), A.shape[0])
    assert np.abs(M - M.T).max() <= 1e-5 * np.abs(M).max()
    assert (np.diag(M)[alone] == (sign / diagonal if diagonal else 0.0)).all()
    M[alone, alone] = 0.0
    assert not M[alone].any() and not M[:, alone].any()
    everywhere = A @ rng.standard_normal(A.shape[0])
    for b in (everywhere, np.where(alone, 0.0, everywhere)):
        for guess in (None, rng.standard_normal(b.size)):
            for ksp_type in ("deepcg", "cg"):
                x, _, reason = solve(A, b, shape, x0=guess, ksp_type=ksp_type, rtol=RTOL)
                assert reason > 0
                assert relative_residual(A, x, b) <= 1.1 * RTOL


def test_one_sided_couplings_to_diagonal_rows_are_dropped():
    """As in PETSc's ex45: not symmetric as it stands, and conjugate gradients serve it all the same."""
    shape, rng = (9, 10, 11), np.random.default_rng(4)
    A = box(*shape, boundary="open").matrix().tolil()
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1, 1:-1] = False
    for row in np.flatnonzero(edge):
        A[row, :] = 0.0
        A[row, row] = 2.5
    A = sp.csr_array(A)
    b, x0 = rng.standard_normal(A.shape[0]), rng.standard_normal(A.shape[0])
    for ksp_type in ("deepcg", "cg", "fgmres"):
        for guess in (None, x0):
            x, iterations, reason = solve(A, b, shape, guess, ksp_type=ksp_type)
            assert reason > 0 and iterations < 15
            assert relative_residual(A, x, b) <= 1.1 * RTOL


def test_a_single_application_needs_no_guess():
    """-ksp_type preonly refuses a nonzero guess; with rows that are diagonal only none may be made for it."""
    problem = box(8, 9, boundary=[("wall", "open"), "wall"])
    cells = problem.cells.copy()
    cells[3:5, 4:6] = 1
    problem = Poisson(cells, boundary=[("wall", "open"), "wall"])
    A, b = over_all_cells(problem, 2.0), np.random.default_rng(7).standard_normal(72)
    x, iterations, _ = solve(A, b, (8, 9), ksp_type="preonly", ksp_norm_type="none")
    assert iterations == 1
    assert np.linalg.norm(b - A @ x) < 0.7 * np.linalg.norm(b)
    assert np.allclose(x.reshape(8, 9)[3:5, 4:6], b.reshape(8, 9)[3:5, 4:6] / 2.0)


def test_options_that_change_count():
    """Another model after the first set-up: nothing of the old one is kept, though the matrix's pattern is the same."""
    problem = box(12, 13, boundary="open")
    A, r = matrix(problem.matrix()), np.random.default_rng(8).standard_normal(156)
    ksp = solver(A, (12, 13))
    pc = ksp.getPC()
    apply(pc, r)
    with options(pc_deepcg_model="multigrid"):
        pc.setFromOptions()
    A.scale(2.0)
    ksp.setOperators(A)
    ksp.setUp()
    expected = 0.5 * (preconditioner(problem, model="multigrid") @ r)
    assert np.allclose(apply(pc, r), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_a_diagonal_matrix_is_solved_at_once():
    d = np.arange(1.0, 31.0)
    x, iterations, _ = solve(sp.diags_array(d).tocsr(), np.ones(30), (5, 6))
    assert np.allclose(x, 1 / d) and iterations <= 1


@pytest.mark.parametrize("n", [1, 2, 17])
def test_one_dimensional_grids(n):
    A = sp.diags_array([np.full(n, 2.0), np.full(n - 1, -1.0), np.full(n - 1, -1.0)], offsets=[0, 1, -1]).tocsr()
    x, _, reason = solve(A, np.ones(n), pc_deepcg_grid=str(n))
    assert reason > 0 and relative_residual(A, x, np.ones(n)) <= RTOL


def test_other_matrix_types_are_converted():
    problem = box(8, 9, boundary="open")
    A = matrix(problem.matrix())
    A.setOption(petsc().Mat.Option.SYMMETRIC, True)
    b = np.random.default_rng(1).standard_normal(72)
    for kind in ("seqsbaij", "seqbaij", "dense"):
        x, iterations, reason = solve(A.convert(kind, petsc().Mat()), b, (8, 9))
        assert reason > 0 and iterations < 12 and relative_residual(problem.matrix(), x, b) <= RTOL


def test_null_spaces_are_honoured():
    shape = (9, 8, 10)
    problem, PETSc = box(*shape), petsc()
    A = matrix(problem.matrix())
    A.setNullSpace(PETSc.NullSpace().create(constant=True, comm=PETSc.COMM_SELF))
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    rng = np.random.default_rng(9)
    pc = solver(A, shape).getPC()
    r, s = rng.standard_normal((2, 720))
    assert abs(apply(pc, r).sum()) <= 1e-10 * np.abs(apply(pc, r)).sum()
    assert apply(pc, r) @ s == pytest.approx(apply(pc, s) @ r, rel=1e-5)
    b = rng.standard_normal(720)
    for ksp_type in ("deepcg", "cg"):
        x, iterations, reason = solve(A, b, shape, ksp_type=ksp_type)
        assert reason > 0 and iterations < 15
        assert relative_residual(problem.matrix(), x, b - b.mean()) <= 1.1 * RTOL
        assert abs(x.mean()) <= 1e-12 * np.abs(x).max()


def test_open_cells_inside():
    cells = np.zeros((14, 15), np.uint8)
    cells[6, 7:9] = OPEN
    problem = Poisson(cells)
    A = over_all_cells(problem)
    b = np.random.default_rng(3).standard_normal(210)
    x, iterations, _ = solve(A, b, (14, 15))
    assert iterations < 15 and relative_residual(A, x, b) <= RTOL
    assert "weights: all faces 1." in view(solver(A, (14, 15)))


def paired(first):
    """Six cells in a ring, coupled in pairs from this one on: as many entries in every row, whichever it is."""
    A = 1.5 * np.eye(6)
    for i in range(first, first + 6, 2):
        A[i % 6, (i + 1) % 6] = A[(i + 1) % 6, i % 6] = -1.0
    return sp.csr_array(A)


@pytest.mark.parametrize("way", ["a new matrix", "the same matrix, with the pattern of both"])
def test_columns_that_change_where_their_numbers_do_not(way):
    """The plugin trusts the last matrix's columns only where PETSc says that the nonzeros are where they were."""
    b = np.arange(1.0, 7)
    first, second = paired(0), paired(1)
    given = matrix(first)
    ksp = solver(given, pc_deepcg_grid="6,1", rtol=1e-12)
    np.testing.assert_allclose(run(ksp, b), np.linalg.solve(first.toarray(), b))
    if way == "a new matrix":
        ksp.setOperators(matrix(second))
    else:
        given.setOption(petsc().Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
        given.zeroEntries()
        for i, j in zip(*second.nonzero(), strict=True):
            given.setValue(i, j, second[i, j])
        given.assemble()
    np.testing.assert_allclose(run(ksp, b), np.linalg.solve(second.toarray(), b))
