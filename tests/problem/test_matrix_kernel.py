"""The kernels' reading of matrices: the operator that it finds is the matrix; compared with `Poisson.from_matrix`."""

import ctypes

import numpy as np
import pytest
import scipy.sparse as sp

from deepcg import FLUID, OPEN, SOLID, Poisson
from deepcg.native import library as native
from tests.support.matrix_kernel import DIAGONAL, UNKNOWN, Reading
from tests.support.reference import random_arguments

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason=f"kernels not built: {native.unavailable}")


class Matrix(Reading):
    """A matrix over the cells of `shape` (or over the cells numbered in `cell`) as the kernel reads it."""

    def __init__(self, A, shape, cell=None, index=np.int32, **known):
        A = sp.csr_array(A, dtype=float, copy=True)
        A.indptr, A.indices = A.indptr.astype(index), A.indices.astype(index)
        super().__init__(A, shape, cell, **known)

    def apply(self, x):
        """The operator that was read, times x."""
        op = native.Operator(shape=self.shape, cells=self.cells.ctypes.data, periodic=self.result.periodic)
        y = np.empty_like(x)
        if self.result.unit > 0:
            op.unit, op.open = self.result.unit, self.result.open
        else:
            op.shift = self.shift.ctypes.data
            for axis, n in enumerate(self.shape):
                op.weights[axis] = self.weights[axis].ctypes.data if n > 1 else None
        native.call("dcg_apply", ctypes.byref(op), x, y, 1)
        return y


def check(reading, A, cell):
    """The operator that was read is sign * A on the rows that are unknowns."""
    rng = np.random.default_rng(7)
    x = np.where(reading.cells == FLUID, rng.standard_normal(reading.shape), 0.0)
    fluid = (reading.cells.reshape(-1) == FLUID)[cell]
    expected = reading.result.sign * (A @ x.reshape(-1)[cell])
    y = reading.apply(x).reshape(-1)[cell]
    assert np.abs(y - expected)[fluid].max(initial=0.0) <= 1e-9 * np.abs(A.data).max(initial=1.0) * np.abs(x).max()
    assert fluid.sum() == reading.result.unknowns


@pytest.mark.parametrize("seed", range(300, 380))
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_what_is_found_is_the_matrix(seed, index):
    arguments = random_arguments(seed)
    problem = Poisson(**arguments)
    A = problem.matrix() * (-1.0 if seed % 2 else 1.0)
    cell = np.flatnonzero(problem.cells.reshape(-1) == FLUID).astype(np.int64)
    check(Matrix(A, problem.shape, cell, index), A, cell)


@pytest.mark.parametrize("seed", range(400, 420))
def test_a_problem_from_the_matrix_has_the_same_operator(seed):
    problem = Poisson(**random_arguments(seed))
    A, fluid = problem.matrix(), problem.cells == FLUID
    cell = np.flatnonzero(fluid.reshape(-1)).astype(np.int64)
    kernel, read = Matrix(A, problem.shape, cell), Poisson.from_matrix(A, cells=np.where(fluid, FLUID, SOLID))
    x = np.random.default_rng(seed).standard_normal(problem.shape)
    x[(read.cells != FLUID) | (kernel.cells.reshape(problem.shape) != FLUID)] = 0.0
    both = (read.cells == FLUID) & (kernel.cells.reshape(problem.shape) == FLUID)
    a, b = read.stencil.apply(x), kernel.apply(np.ascontiguousarray(x.reshape(kernel.shape))).reshape(problem.shape)
    assert np.abs(a - b)[both].max(initial=0.0) <= 1e-9 * max(problem.stencil.norm_bound, 1e-30) * np.abs(x).max()


@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 6)])
@pytest.mark.parametrize("boundary", ["wall", "open", "periodic", ("wall", "open"), ("open", "wall")])
def test_boxes_with_equal_faces_need_no_weights(shape, boundary):
    problem = Poisson(np.zeros(shape, np.uint8), boundary=[boundary] * len(shape))
    result = Matrix(problem.matrix(), shape).result
    axes = (0, 1, 2) if len(shape) == 3 else (0, 2)
    sides = sum(problem.stencil.open_sides[n][s] << (2 * a + s) for n, a in enumerate(axes) for s in (0, 1))
    assert result.unit == 1.0
    assert result.open == sides
    assert result.periodic == sum(problem.stencil.periodic[n] << a for n, a in enumerate(axes))


def test_open_cells_and_walls_inside_are_told_apart():
    cells = np.zeros((9, 11), np.uint8)
    cells[3:5, 3:6], cells[6, 8] = SOLID, OPEN
    problem = Poisson(cells, boundary=[("wall", "open"), "wall"])
    fluid = np.flatnonzero(cells.reshape(-1) == FLUID).astype(np.int64)
    reading = Matrix(problem.matrix(), cells.shape, fluid)
    assert reading.result.unit == 1.0
    outer = reading.cells.reshape(cells.shape)
    assert (outer[cells == OPEN] == OPEN).all()
    assert (outer[3:5, 3:6] == SOLID).all()


def test_one_weight_is_found_where_rows_leave_doubt():
    """A wall from side to side: its upper end shows only at cells that lack two neighbours, and the general reading shares by class."""
    cells = np.zeros((3, 7), np.uint8)
    cells[:, 3] = SOLID
    problem = Poisson(cells, boundary=[("open", "wall"), "wall"])
    fluid = np.flatnonzero(cells.reshape(-1) == FLUID).astype(np.int64)
    reading = Matrix(problem.matrix(), cells.shape, fluid)
    assert reading.result.unit == 1.0 and reading.result.open == 1 and not reading.result.shifted
    assert np.array_equal(reading.cells.reshape(cells.shape), cells)
    check(reading, problem.matrix(), fluid)


def test_cells_that_are_known_are_believed():
    """An excess beside a known wall is shift; a known OPEN cell without a coupling keeps its kind, behind faces of weight 0."""
    cells = np.zeros((4, 6), np.uint8)
    cells[1, 2], cells[2, 4] = SOLID, OPEN
    A = Poisson(np.where(cells == FLUID, FLUID, SOLID)).matrix()
    excess = np.zeros(cells.shape)
    excess[1, 1] = 0.5
    fluid = np.flatnonzero(cells.reshape(-1) == FLUID).astype(np.int64)
    B = sp.csr_array(A + sp.diags_array(excess.reshape(-1)[fluid]))
    known = Matrix(B, cells.shape, fluid, cells=cells)
    assert known.result.shifted and known.shift[1, 0, 1] == 0.5
    assert np.array_equal(known.cells.reshape(cells.shape), cells)
    check(known, B, fluid)
    read = Matrix(B, cells.shape, fluid)
    assert not read.result.shifted and read.cells[1, 0, 2] == OPEN
    check(read, B, fluid)


def test_rows_without_couplings_are_kept_where_that_is_asked_for():
    A = sp.block_diag([Poisson(np.zeros((1, 3), np.uint8)).matrix(), np.zeros((1, 1)), [[2.0]]], format="csr")
    kept = Matrix(A, (1, 5), keep_uncoupled=True)
    assert kept.result.unknowns == 4 and kept.result.empty == 0 and kept.result.diagonal == 1
    assert Matrix(A, (1, 5)).result.empty == 1
    walls = np.array([[0, 0, 0, 1, 1]], np.uint8)
    assert Matrix(A, (1, 5), cells=walls, keep_uncoupled=True).result.empty == 1
    D = sp.diags_array(-np.arange(1.0, 6.0))
    diagonal = Matrix(D, (1, 5), keep_uncoupled=True)
    assert diagonal.result.unknowns == 5 and diagonal.result.sign == -1.0
    check(diagonal, sp.csr_array(D), np.arange(5))
    assert Matrix(D, (1, 5)).result.unknowns == 0


def test_a_term_that_all_cells_have_stays_shift():
    problem = Poisson(np.zeros((6, 7, 8), np.uint8), boundary="open", shift=0.25)
    reading = Matrix(problem.matrix(), problem.shape)
    assert reading.result.shifted and reading.result.unit == 0.0
    assert np.allclose(reading.shift, 0.25)
    for axis, w in enumerate(reading.weights):
        assert np.allclose(w, problem.stencil.weights[axis])


def test_values_at_half_distance_become_faces_of_twice_the_weight():
    """Dirichlet values on the sides of a cell-centred grid: 2 w on the diagonal for each side."""
    n, m = 6, 9
    problem = Poisson(np.zeros((n, m), np.uint8))
    double = np.zeros((n, m))
    double[0] += 2.0
    A = sp.csr_array(problem.matrix() + sp.diags_array(double.ravel()))
    reading = Matrix(A, (n, m))
    assert not reading.result.shifted
    assert np.allclose(reading.weights[0][0], 2.0)
    check(reading, A, np.arange(n * m))


@pytest.mark.parametrize("one_sided", [False, True])
def test_identity_rows_are_no_unknowns(one_sided):
    """As PETSc's ex45 has them: rows of boundary cells are diagonal only; others may keep their columns."""
    shape = (6, 7, 8)
    A = Poisson(np.zeros(shape, np.uint8), boundary="open").matrix().tolil()
    inside = np.zeros(shape, bool)
    inside[1:-1, 1:-1, 1:-1] = True
    for row in np.flatnonzero(~inside.reshape(-1)):
        A[row, :] = 0.0
        if not one_sided:
            A[:, [row]] = 0.0
        A[row, row] = 3.0
    A = sp.csr_array(A)
    A.eliminate_zeros()
    reading = Matrix(A, shape)
    assert reading.result.diagonal == (~inside).sum()
    assert reading.result.dropped == (2 * (4 * 5 + 5 * 6 + 4 * 6) if one_sided else 0)
    assert reading.result.unit == 1.0
    kinds = reading.kinds[1:-1, 1:-1, 1:-1]
    assert (kinds[inside] == UNKNOWN).all() and (kinds[~inside] == DIAGONAL).all()
    check(reading, A, np.arange(A.shape[0]))


def tampered(**entries):
    A = Poisson(np.zeros((4, 5), np.uint8), boundary="open").matrix().tolil()
    for (i, j), value in entries["put"].items():
        A[i, j] = value
    return sp.csr_array(A)


@pytest.mark.parametrize(
    ("put", "text"),
    [
        (
            {(3, 17): -0.5, (17, 3): -0.5},
            r"row 3 \(cell \(0, 3\)\) and column 17 \(cell \(3, 2\)\) are coupled but no face neighbours",
        ),
        (
            {(6, 7): -0.5},
            r"not symmetric: row 6 \(cell \(1, 1\)\) couples to row 7 \(cell \(1, 2\)\) with weight 0.5, and that one back with 1;",
        ),
        (
            {(6, 7): 0.5, (7, 6): 0.5},
            r"row 6 .* and column 7 .* are coupled by an off-diagonal entry of the diagonal's sign",
        ),
        ({(8, 8): 0.0}, r"indefinite: row 8 \(cell \(1, 3\)\) couples to others and has a zero diagonal"),
        ({(8, 8): np.nan}, "the entry in row 8, column 8 is nan; finite numbers are needed"),
        (
            {(8, 8): -4.0},
            r"indefinite: the diagonal is negative in row 8 \(cell \(1, 3\)\) and positive in row 0 \(cell \(0, 0\)\)",
        ),
    ],
)
def test_other_matrices_are_refused_with_the_row(put, text):
    with pytest.raises(native.KernelError, match=text):
        Matrix(tampered(put=put), (4, 5))


def test_couplings_in_a_row_of_a_wall_are_refused():
    cells = np.zeros((4, 5), np.uint8)
    cells[1, 3] = SOLID
    with pytest.raises(native.KernelError, match=r"^cells: row 8 \(cell \(1, 3\)\) is not FLUID but its row"):
        Matrix(tampered(put={}), (4, 5), cells=cells)


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(native.KernelError, match="rows: one for every cell"):
        Matrix(tampered(put={}), (4, 6))


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("shape", [(5, 6, 21), (9, 40), (3, 4, 9), (2, 30)])
def test_a_matrix_of_the_same_columns_is_read_by_its_values(shape, index):
    """A body that moves: the columns stay, as explicit zeros, and what is read is what a first reading finds."""
    rng = np.random.default_rng(17)
    box = Poisson(np.zeros(shape, np.uint8), boundary=[("wall", "open"), *(len(shape) - 1) * ["wall"]])
    columns = sp.csr_array(box.matrix())
    reading = None
    for fraction in (0.0, 0.05, 0.3, 0.0):
        A = columns.copy()
        solid = rng.random(A.shape[0]) < fraction
        body = Poisson(
            np.where(solid.reshape(shape), SOLID, FLUID), boundary=[("wall", "open"), *(len(shape) - 1) * ["wall"]]
        )
        scale = np.zeros(A.shape)
        scale[np.ix_(~solid, ~solid)] = body.matrix().toarray()
        scale[solid, solid] = 2.0
        rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
        A.data[:] = scale[rows, A.indices]
        if reading is None:
            reading = Matrix(A, shape, index=index)
        else:
            reading.A.data[:] = A.data
            reading.read(same_columns=True)
        fresh = Matrix(A, shape, index=index)
        assert (reading.kinds == fresh.kinds).all() and (reading.cells == fresh.cells).all()
        assert bytes(reading.result) == bytes(fresh.result)
        check(reading, A, np.arange(A.shape[0]))


@pytest.mark.parametrize("shape", [(4, 5, 30), (7, 40)])
def test_one_other_entry_anywhere_is_seen(shape):
    """Whole groups of rows are compared at a glance: none may hide a weight, a column or a diagonal that is different."""
    problem = Poisson(np.zeros(shape, np.uint8), boundary="open")
    plain = sp.csr_array(problem.matrix())
    n = plain.shape[0]
    for row in range(n):
        A = plain.copy()
        A[row, row] += 0.5
        reading = Matrix(A, shape)
        assert reading.result.unit == 0.0 and reading.result.unknowns == n
        check(reading, A, np.arange(n))
        if row + 1 < n and plain[row, row + 1] != 0.0:
            A = plain.copy()
            A[row, row + 1] = A[row + 1, row] = -0.5
            A[row, row] -= 0.5
            A[row + 1, row + 1] -= 0.5
            check(Matrix(A, shape), A, np.arange(n))
