"""Reading matrices: what comes back is the operator that was put in, and what is no Poisson matrix is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcg import FLUID, OPEN, SOLID, Poisson, Solver
from deepcg.native import library as native
from tests.support.row_places import place_rows

SHAPES = [(5, 7), (1, 4), (2, 3), (3, 1), (4, 3, 5), (1, 5, 4), (2, 2, 3), (3, 1, 3)]
WORDS = ["wall", "open", "periodic", ("open", "wall"), ("wall", "open")]


pytestmark = pytest.mark.skipif(native.unavailable is not None, reason=f"kernels not built: {native.unavailable}")


@st.composite
def problems(draw):
    """Random problems: cells, boundaries, coefficients, graded spacing, shift."""
    shape = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(2, 2**32)))
    cells = rng.choice(
        [FLUID, SOLID, OPEN], size=shape, p=draw(st.sampled_from([(1, 0, 0), (0.8, 0.2, 0), (0.7, 0.15, 0.15)]))
    )
    cells.flat[rng.integers(cells.size)] = FLUID
    return Poisson(
        cells,
        spacing=[rng.uniform(0.5, 2.0, n) for n in shape] if draw(st.booleans()) else 1.0,
        coefficient=10.0 ** rng.uniform(-2, 2, shape) if draw(st.booleans()) else None,
        shift=rng.uniform(0.0, 1.0, shape) * (rng.random(shape) < 0.5) if draw(st.booleans()) else None,
        boundary=[draw(st.sampled_from(WORDS)) for _ in shape],
    )


def reference_norm(problem, b):
    """The norm that rtol refers to, found by bisection: the initial residual counts as converged from rtol = residual / norm on."""
    residual = Solver(problem, model="none", maxiter=0).solve(b)[1].residuals[0]
    low, high = 0.0, 4.0
    for _ in range(50):
        rtol = 0.5 * (low + high)
        converged = Solver(problem, model="none", maxiter=0, rtol=rtol).solve(b)[1].reason == "converged"
        low, high = (low, rtol) if converged else (rtol, high)
    return residual / high


def laplacian(shape, boundary="wall", **options):
    return Poisson(np.zeros(shape, dtype=np.uint8), boundary=boundary, **options)


def refused(message, A, **grid):
    with pytest.raises(ValueError, match=message):
        Poisson.from_matrix(sp.csr_array(A), **grid)


def reduced_solve(problem, b):
    """Solve through the layout with a dense solve of the stencil's matrix (least squares: it may be singular)."""
    full = problem.layout.rhs(b)
    fluid = problem.grid.fluid.reshape(-1)
    x = np.zeros(full.size)
    x[fluid] = np.linalg.lstsq(problem.stencil.matrix().toarray(), full[fluid], rcond=1e-13)[0]
    return problem.layout.solution(x, b)


def assert_reads_back(problem, A, rng):
    """Stencil and layout together are A: on the kept rows, and, through rhs and solution, on all of them."""
    layout, n = problem.layout, A.shape[0]
    assert (layout.matrix() - A).nnz == 0 or abs(layout.matrix() - A).max() == 0
    x = rng.standard_normal(n)
    b = A @ x
    scale = abs(A).max() * n
    np.testing.assert_allclose(layout.apply(x), b, atol=1e-15 * scale)
    # on the kept rows: stencil times x is what rhs makes of A x
    np.testing.assert_allclose(problem.stencil.apply(layout.guess(x)), layout.rhs(b), rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(layout.solution(layout.guess(x), b), x, rtol=1e-12, atol=1e-12)
    assert layout.size == n
    kept = layout.residual(layout.guess(x))
    assert np.array_equal(kept != 0, ~np.isin(np.arange(n), layout.eliminated))
    assert problem.size == n - layout.eliminated.size
    for axis, w in enumerate(problem.stencil.weights):
        first, last = np.take(w, 0, axis), np.take(w, -1, axis)
        assert w.min() >= 0
        assert problem.stencil.periodic[axis] == problem.grid.is_periodic(axis)
        if problem.grid.is_periodic(axis):
            assert np.array_equal(first, last)
        else:
            assert problem.grid.boundary[axis] == tuple("open" if end.any() else "wall" for end in (first, last))


@settings(max_examples=150, deadline=None)
@given(problems(), st.sampled_from([1.0, -1.0]), st.integers(2, 10**6))
def test_fluid_rows_read_back(problem, sign, seed):
    A = sign * problem.matrix()
    if (problem.stencil.diagonal[problem.grid.fluid] > 0).sum() == 0:
        sign = 1.0  # a zero matrix has none
    read = Poisson.from_matrix(A, cells=problem.cells)
    assert read.layout.of_matrix and read.layout.sign == sign and read.shape == problem.shape
    assert_reads_back(read, A, np.random.default_rng(seed))
    assert read.singular == problem.singular
    if not read.layout.eliminated.size:
        difference = read.stencil.matrix() - problem.stencil.matrix()
        assert abs(difference).max() <= 1e-14 * problem.stencil.norm_bound
        assert read.components.count == problem.components.count


@settings(max_examples=80, deadline=None)
@given(problems(), st.sampled_from([1.0, -1.0]), st.floats(0.5, 3.0), st.integers(2, 10**6))
def test_all_rows_with_identity_rows(problem, sign, pivot, seed):
    """A row for every cell: those outside FLUID are diagonal only, with the sign that they please."""
    fluid = problem.grid.fluid.reshape(-1)
    inject = sp.eye_array(fluid.size, format="csc")[:, fluid]
    A = (sign * inject @ problem.matrix() @ inject.T + sp.diags_array(np.where(fluid, 0.0, pivot))).tocsr()
    read = Poisson.from_matrix(A, cells=problem.cells)
    rng = np.random.default_rng(seed)
    assert_reads_back(read, A, rng)
    assert set(np.flatnonzero(~fluid)) <= set(read.layout.eliminated)
    assert np.array_equal(read.cells[~problem.grid.fluid], problem.cells[~problem.grid.fluid])
    if sign > 0 or sp.triu(A, 1).count_nonzero():  # else: a diagonal matrix of both signs, refused
        assert_reads_back(Poisson.from_matrix(A, shape=problem.shape), A, rng)
    b = rng.standard_normal(problem.shape)
    x = read.layout.solution(np.zeros(fluid.size), b)
    assert x.shape == b.shape
    np.testing.assert_allclose(x.ravel()[~fluid], b.ravel()[~fluid] / pivot)


@settings(max_examples=80, deadline=None)
@given(problems(), st.integers(2, 10**6), st.sampled_from([0.0, 1e-13, 1e-9]))
def test_shuffled_rows_with_coordinates(problem, seed, noise):
    rng = np.random.default_rng(seed)
    widths = [10.0 ** rng.uniform(-1, 1, n) for n in problem.shape]
    axes = [np.cumsum(h) - 0.5 * h + rng.uniform(-5, 5) for h in widths]
    mesh = np.meshgrid(*axes, indexing="ij")
    fluid = problem.grid.fluid
    centres = np.stack([m[fluid] for m in mesh[::-1]], axis=1)
    order = rng.permutation(problem.size)
    A = problem.matrix()[order][:, order]
    centres = centres[order] + noise * rng.uniform(-1, 1, centres.shape)
    read = Poisson.from_matrix(A, coordinates=centres)
    assert_reads_back(read, A, rng)
    box = np.ix_(
        *(np.flatnonzero(fluid.any(axis=tuple(b for b in range(fluid.ndim) if b != a))) for a in range(fluid.ndim))
    )
    assert read.shape == fluid[box].shape
    if not read.layout.eliminated.size:
        assert np.array_equal(read.grid.fluid, fluid[box])


def ex45(n, coefficient, rng):
    """Like PETSc's ex45: boundary rows are diagonal only, while interior rows keep their columns."""
    problem = laplacian(n, spacing=[rng.uniform(0.5, 2, k) for k in n], coefficient=coefficient)
    A = problem.matrix().tolil()
    inner = np.zeros(n, dtype=bool)
    inner[(slice(1, -1),) * len(n)] = True
    for r in np.flatnonzero(~inner):
        d = A[r, r]
        A[r, :] = 0.0
        A[r, r] = d
    return A.tocsr(), inner


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("n", [(5, 6), (4, 5, 6), (3, 3), (3, 7, 3)])
def test_one_sided_couplings_are_eliminated(n, sign):
    rng = np.random.default_rng(7)
    A, inner = ex45(n, rng.uniform(0.1, 10, n), rng)
    A = sign * A
    problem = Poisson.from_matrix(A, shape=n)
    assert_reads_back(problem, A, rng)
    assert np.array_equal(problem.grid.fluid, inner)
    touched = np.zeros(n, dtype=bool)
    for axis in range(len(n)):
        for step in (-1, 1):
            touched |= np.roll(inner, step, axis)
    assert np.array_equal(problem.cells == OPEN, touched & ~inner)
    assert problem.stencil.shift is None  # the coupling to the boundary stays in the weights
    assert not problem.singular
    for b in (rng.standard_normal(n), rng.standard_normal(inner.size)):
        x = reduced_solve(problem, b)
        assert x.shape == b.shape and x.dtype == np.float64
        np.testing.assert_allclose(x.ravel(), np.linalg.solve(A.toarray(), b.ravel()), rtol=1e-10, atol=1e-12)
        assert reference_norm(problem, b) == pytest.approx(np.linalg.norm(b), rel=1e-9)


def test_boundary_rows_of_the_other_sign_do_not_matter():
    """The usual finite-difference assembly: the negative Laplacian inside, identity rows at the boundary."""
    rng = np.random.default_rng(8)
    A, inner = ex45((5, 5), None, rng)
    A = (
        sp.diags_array(np.where(inner.ravel(), -1.0, 0.0)) @ A + sp.diags_array(np.where(inner.ravel(), 0.0, 1.0))
    ).tocsr()
    problem = Poisson.from_matrix(A, shape=(5, 5))
    assert problem.layout.sign == -1.0
    b = rng.standard_normal(25)
    np.testing.assert_allclose(reduced_solve(problem, b), np.linalg.solve(A.toarray(), b), rtol=1e-10)


def test_reference_norm_counts_what_the_projection_left():
    """A closed singular box beside an eliminated row: the norm is that of b without the box's mean."""
    A = sp.block_diag([laplacian((1, 4)).matrix(), sp.csr_array([[2.0]])], format="csr")
    problem = Poisson.from_matrix(A, shape=(1, 5))
    b = np.array([3.0, 1.0, 1.0, 2.0, 5.0])
    expected = np.linalg.norm(np.append(b[:4] - b[:4].mean(), b[4]))
    assert reference_norm(problem, b) == pytest.approx(expected, rel=1e-9)
    assert reduced_solve(problem, b)[4] == 2.5


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_diagonal_matrix(sign):
    d = sign * np.arange(1.0, 7.0)
    problem = Poisson.from_matrix(sp.diags_array(d), shape=(2, 3))
    assert problem.size == 6 and problem.layout.sign == sign and not problem.singular
    b = np.linspace(-1, 1, 6)
    np.testing.assert_allclose(reduced_solve(problem, b), b / d)


def test_zero_rows_are_singular_components():
    A = sp.block_diag([laplacian((1, 3), shift=1.0).matrix(), sp.csr_array((2, 2))], format="csr")
    problem = Poisson.from_matrix(A, shape=(1, 5))
    assert problem.components.count == 2 and problem.size == 5
    problem = Poisson.from_matrix(A, cells=np.array([[0, 0, 0, 0, 1]]))
    assert problem.components.count == 1 and problem.size == 4
    x = problem.layout.solution(problem.layout.rhs(np.array([1.0, 1, 1, 0, np.nan])), np.ones(5))
    assert x[4] == 0.0  # a zero row of a cell that is no unknown: b is ignored there


def test_small_excess_is_rounding():
    """Row sums count as 0 up to the rounding of their own entries: some 1e-15 of the diagonal, in float32 some 1e-7."""
    A = laplacian((4, 5)).matrix()
    noise = sp.diags_array(1e-15 * np.random.default_rng(9).uniform(-1, 1, 20))
    assert Poisson.from_matrix(A + noise, shape=(4, 5)).singular
    for excess in (4e-6, 1e-10, 1e-13):
        shifted = (A + excess * sp.eye_array(20)).tocsr()
        assert not Poisson.from_matrix(shifted, shape=(4, 5)).singular
    assert not Poisson.from_matrix((A + 4e-6 * sp.eye_array(20)).astype(np.float32), shape=(4, 5)).singular
    third = (A / 3).astype(np.float32)
    assert Poisson.from_matrix(third, shape=(4, 5)).singular


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_formats(form, kind):
    A = laplacian((3, 4), "open").matrix()
    problem = Poisson.from_matrix(kind(A).asformat(form), shape=[3, 4])
    assert abs(problem.stencil.matrix() - A).max() == 0
    assert isinstance(problem.matrix(), sp.csr_array) and problem.matrix().dtype == np.float64


def test_duplicates_explicit_zeros_and_integers():
    A = laplacian((3, 4)).matrix().tocoo()
    row, column = np.concatenate([A.row, A.row, [0]]), np.concatenate([A.col, A.col, [11]])
    doubled = sp.csr_array((np.concatenate([A.data, A.data, [0.0]]), (row, column)), shape=(12, 12))
    raw = sp.coo_array((np.concatenate([A.data, A.data, [0.0]]).astype(int), (row, column)), shape=(12, 12))
    for matrix in (doubled, raw):
        problem = Poisson.from_matrix(matrix, shape=(3, 4))
        assert abs(problem.stencil.matrix() - 2 * A).max() == 0


def test_user_matrix_is_not_changed():
    """Duplicates in CSR are summed in a copy."""
    A = sp.csr_array(
        (np.array([3.0, -0.5, -1.5, 2.0, -2.0]), np.array([0, 1, 1, 1, 0]), np.array([0, 3, 5])), shape=(2, 2)
    )
    data, indices = A.data.copy(), A.indices.copy()
    problem = Poisson.from_matrix(A, shape=(1, 2))
    assert problem.stencil.weights[1][0, 1] == 2.0
    assert np.array_equal(A.data, data) and np.array_equal(A.indices, indices)


def test_layout_vectors():
    cells = np.array([[0, 0, 1], [0, 0, 0]])
    A = -Poisson(cells).matrix()
    problem = Poisson.from_matrix(A, cells=cells)
    b = np.arange(5.0)
    full = np.zeros((2, 3))
    full[cells == 0] = b
    full[0, 2] = np.nan  # no row there: ignored
    assert np.array_equal(problem.layout.rhs(full), problem.layout.rhs(b))
    assert np.array_equal(problem.layout.rhs(b), -np.array([0.0, 1, 0, 2, 3, 4]))
    assert np.array_equal(problem.layout.guess(b), np.array([0.0, 1, 0, 2, 3, 4]))
    assert problem.apply(full).shape == (2, 3) and problem.apply(b).shape == (5,)
    assert np.array_equal(problem.apply(full)[cells == 0], A @ b)
    assert problem.layout.rhs(b.astype(int)).dtype == np.float64
    for method in (problem.layout.rhs, problem.layout.guess, problem.apply):
        with pytest.raises(ValueError, match=r"shape \(6,\) given; \(5,\)"):
            method(np.zeros(6))
        with pytest.raises(ValueError, match="NaN"):
            method(np.full(5, np.nan))
        with pytest.raises(TypeError, match="complex"):
            method(b + 1j)
    given = np.ones(5)
    assert problem.layout.rhs(given) is not given and np.array_equal(given, np.ones(5))


# ---------------------------------------------------------------------------------------------------------- refusals


def test_refuses_what_is_no_real_square_sparse_matrix():
    A = laplacian((3, 4)).matrix()
    with pytest.raises(TypeError, match=r"A: ndarray given; a SciPy sparse matrix"):
        Poisson.from_matrix(A.toarray(), shape=(3, 4))
    with pytest.raises(TypeError, match="A: dtype complex128"):
        Poisson.from_matrix(A.astype(complex), shape=(3, 4))
    refused(r"A: shape \(12, 11\) given; a square", A[:, :11], shape=(3, 4))
    A[2, 3] = np.nan
    refused("A: the entry in row 2, column 3 is nan", A, shape=(3, 4))


def test_refuses_grids_that_do_not_fit():
    A = laplacian((3, 4)).matrix()
    cells = np.zeros((3, 4), dtype=int)
    refused("no descriptions of the grid given; exactly one", A)
    refused("cells, shape: 2 descriptions", A, cells=cells, shape=(3, 4))
    refused(r"shape: \(3, 5\) has 15 cells but A has 12 rows", A, shape=(3, 5))
    refused(r"no face neighbours; .* look like those of a grid of shape \(3, 4\)", A, shape=(12,))
    refused("shape: .*positive", A, shape=(-3, -4))
    refused("cells: 20 cells, 20 of them FLUID, given for a matrix of 12 rows", A, cells=np.zeros((4, 5), dtype=int))
    with pytest.raises(TypeError, match=r"shape: .* integers"):
        Poisson.from_matrix(A, shape=(3.0, 4.0))
    refused(r"coordinates: shape \(12, 1\) given; \(12, 2\) or \(12, 3\)", A, coordinates=np.zeros((12, 1)))
    refused("coordinates: contains NaN", A, coordinates=np.full((12, 2), np.nan))
    refused("coordinates: rows 0 and 1 have the same cell centre", A, coordinates=np.zeros((12, 2)))
    with pytest.raises(TypeError, match="coordinates: dtype complex128"):
        Poisson.from_matrix(A, coordinates=np.zeros((12, 2), dtype=complex))
    scattered = np.random.default_rng(3).random((300, 3))
    refused("coordinates: .*300 x 300 x 300 .*rectilinear", sp.eye_array(300), coordinates=scattered)


def test_refuses_far_couplings():
    A = laplacian((3, 4)).matrix().tolil()
    A[0, 5] = A[5, 0] = -1e-3
    refused(
        r"row 0 \(cell \(0, 0\)\) and column 5 \(cell \(1, 1\)\) are coupled but no face neighbours", A, shape=(3, 4)
    )
    refused("no face neighbours", laplacian((4, 3)).matrix(), shape=(3, 4))
    line_end = laplacian((3, 4)).matrix().tolil()
    line_end[3, 4] = line_end[4, 3] = -1.0  # one apart in memory, a line apart on the grid
    refused(r"cell \(0, 3\)\) and column 4 \(cell \(1, 0\)", line_end, shape=(3, 4))
    nine_point = sp.kron(np.diag([1.0] * 3) + 0.1, laplacian((1, 4), "open").matrix())
    refused("no face neighbours", nine_point, shape=(3, 4))


def test_rounding_at_far_places_is_no_coupling():
    """Linear finite elements on right triangles: the couplings across the hypotenuse cancel up to rounding."""
    A = laplacian((3, 4), "open").matrix().tolil()
    A[0, 5] = A[5, 0] = 1e-16
    A[1, 6] = A[6, 1] = -1e-16
    assert abs(Poisson.from_matrix(A, shape=(3, 4)).stencil.matrix() - laplacian((3, 4), "open").matrix()).max() < 1e-14


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_refuses_wrong_signs_and_asymmetry(sign):
    def changed(*entries):
        A = laplacian((3, 4)).matrix().tolil()
        for i, j, value in entries:
            A[i, j] = value
        return sign * A.tocsr()

    refused(r"row 0 .* column 1 .* diagonal's sign", changed((0, 1, 0.5), (1, 0, 0.5)), shape=(3, 4))
    refused(
        r"symmetric: row 0 \(cell \(0, 0\)\) couples to row 1 \(cell \(0, 1\)\) with weight 0.5, and .* back with 1;",
        changed((0, 1, -0.5)),
        shape=(3, 4),
    )
    refused(r"not symmetric: row 5 .* row 9 ", changed((5, 9, 0.0)), shape=(3, 4))
    refused(
        r"indefinite: row 1 .* and row 5 \(cell \(1, 1\)\) couple more strongly", changed((5, 5, 0.2)), shape=(3, 4)
    )
    refused(
        r"indefinite: row 5 \(cell \(1, 1\)\) couples to others and has a zero diagonal",
        changed((5, 5, 0.0)),
        shape=(3, 4),
    )
    refused(r"indefinite: .*negative in row .* and positive in row", changed((5, 5, -4.0)), shape=(3, 4))
    tiny = changed((0, 1, -1.0 - 1e-15))
    assert Poisson.from_matrix(tiny, shape=(3, 4)).singular


def test_a_diagonal_that_falls_short_is_a_negative_shift():
    A = laplacian((3, 4), "open").matrix() - 0.05 * sp.eye_array(12)
    problem = Poisson.from_matrix(A, shape=(3, 4))
    assert not problem.singular
    np.testing.assert_allclose(problem.stencil.matrix().toarray(), A.toarray(), atol=1e-15)
    np.testing.assert_allclose(problem.stencil.shift[problem.cells == FLUID], -0.05, rtol=1e-14)


def test_refuses_asymmetry_across_the_wrap_and_to_a_zero_row():
    A = laplacian((3, 4), "periodic").matrix().tolil()
    A[0, 3] = -0.25
    refused(r"not symmetric: row 3 \(cell \(0, 3\)\) couples to row 0 \(cell \(0, 0\)\)", A, shape=(3, 4))
    refused("not symmetric: row 0 .*couples to row 1", [[1.0, -1.0], [0.0, 0.0]], shape=(1, 2))
    refused("indefinite", np.diag([1.0, -1.0]), shape=(1, 2))


def test_refuses_couplings_in_rows_of_cells_that_are_not_fluid():
    cells = np.zeros((3, 4), dtype=int)
    cells[1, 1] = SOLID
    refused(r"cells: row 5 \(cell \(1, 1\)\) is not FLUID but its row", laplacian((3, 4)).matrix(), cells=cells)


def test_solid_given_for_a_fixed_value_becomes_open():
    cells = np.array([[0, 0, 1]])
    A = np.array([[1.0, -1, 0], [-1, 3, -2], [0, 0, 1]])
    problem = Poisson.from_matrix(sp.csr_array(A), cells=cells)
    assert problem.cells[0, 2] == OPEN and problem.stencil.weights[1][0, 2] == 2.0
    b = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(reduced_solve(problem, b), np.linalg.solve(A, b))


# ------------------------------------------------------------------------------------------------------- coordinates


def places_on_a_line(x):
    """Rows whose centres are x on a line."""
    return place_rows(np.stack([x, np.zeros(len(x))], axis=1))


def test_levels_and_widths():
    noisy = place_rows([[3.0, 0], [1.0, 0], [1.0 + 1e-12, 1], [2.0, 0], [3.0, 1]])
    assert noisy.shape == (2, 3) and np.array_equal(noisy.cell, [2, 0, 3, 1, 5])
    places = places_on_a_line([3.0, 1.0, 2.0])
    assert np.array_equal(places.cell, [2, 0, 1])
    np.testing.assert_allclose(places.widths[1], 1.0)
    np.testing.assert_allclose(places.widths[0], 1.0)  # one level: nothing to measure
    assert places_on_a_line([0.5, 1.5, 2.5]).cell is None  # in order
    np.testing.assert_allclose(places_on_a_line([0.0, 1.0, 3.0]).widths[1], [1.0, 1.5, 2.0])
    graded = places_on_a_line([0.0, 1.0, 1.0 + 2e-4, 2.0])
    assert graded.shape == (1, 4)  # a narrow gap, but more than noise


def test_noise_in_a_plane_of_one_level_is_measured_by_the_whole_extent():
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), 0.5 + 1e-8 * np.array([0.0, 1.0, 0.0, 2.0])
    assert place_rows(np.stack([x, y], axis=1)).shape == (1, 4)


@pytest.mark.parametrize("dim", [2, 3])
def test_coordinates_of_cells_in_any_order(dim):
    """Rows found again on graded axes, each centre with noise, compared with NumPy's own levels."""
    rng = np.random.default_rng(dim)
    axes = [np.cumsum(rng.uniform(0.5, 2.0, n)) for n in (5, 4, 6)[:dim]]  # x, y[, z]
    index = np.argwhere(rng.random([axis.size for axis in axes]) < 0.9)
    index = rng.permutation(index)
    centres = np.stack([axis[i] for axis, i in zip(axes, index.T, strict=True)], axis=1)
    places = place_rows(centres + 1e-9 * rng.uniform(-1, 1, centres.shape))
    assert places.shape == tuple(axis.size for axis in axes[::-1])
    assert np.array_equal(places.cell, np.ravel_multi_index(index.T[::-1], places.shape))


def test_coordinates_in_single_precision():
    """OpenFOAM and VTK files often hold float32 centres."""
    n = (24, 40)
    problem = laplacian(n)
    y, x = np.meshgrid(100 + 0.1 * np.arange(n[0]), 0.1 * np.arange(n[1]), indexing="ij")
    centres = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    read = Poisson.from_matrix(problem.matrix(), coordinates=centres)
    assert read.shape == n
    np.testing.assert_allclose(read.grid.widths[1], 0.1, rtol=1e-4)


def graded_centres(ratio, n, other):
    """Centres (x, y) of n columns whose widths grow geometrically to `ratio` times the first one's, and of `other` rows; in C order."""
    widths = np.geomspace(1.0, ratio, n)
    x, y = np.meshgrid(np.cumsum(widths) - widths / 2, np.arange(other) + 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=1)


@pytest.mark.parametrize("kind", ["exact", "float32", "six digits", "noise"])
@pytest.mark.parametrize("ratio", [1.0, 1e2, 2e4])
def test_graded_coordinates_are_told_apart_by_their_gaps(ratio, kind):
    """A radial grid around a borehole: two centres 1.2 apart in a box of 7e4 are two."""
    n = (4, 30)
    centres = graded_centres(ratio, n[1], n[0])
    rng = np.random.default_rng(0)
    given = {
        "exact": centres,
        "float32": centres.astype(np.float32),
        "six digits": np.array([[float(f"{v:.6g}") for v in row] for row in centres]),
        "noise": centres * (1 + 1e-7 * rng.uniform(-1, 1, centres.shape)),
    }[kind]
    order = rng.permutation(len(centres))
    A = laplacian(n).matrix()[order][:, order]
    read = Poisson.from_matrix(A, coordinates=given[order])
    assert read.shape == n
    assert (read.cells == FLUID).all()
    np.testing.assert_array_equal(read.layout.guess(order.astype(float)), np.arange(len(centres)))


@pytest.mark.parametrize("ratio", [1e6, 1e10])
def test_coordinates_graded_over_any_range(ratio):
    assert place_rows(graded_centres(ratio, 20, 3)).shape == (3, 20)


@pytest.mark.parametrize("thin", [1e-3, 1e-6])
def test_thin_layers_between_thick_ones(thin):
    """Two thin cells side by side, as of a fracture: their gap is small against all others, and no noise."""
    widths = np.array([1.0, 1.0, thin, thin, 1.0, 1.0])
    x, y = np.meshgrid(100.0 + np.cumsum(widths) - widths / 2, np.arange(5.0))
    assert place_rows(np.stack([x.ravel(), y.ravel()], axis=1)).shape == (5, 6)


def test_coordinates_far_from_the_origin():
    """Metres of a map projection, written with eight digits: cells of 5 m at 5,000,000 m."""
    x, y = np.meshgrid(5e6 + 5.0 * np.arange(20), 3e5 + 5.0 * np.arange(10))
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    noisy = centres + 0.1 * np.random.default_rng(1).integers(-1, 2, centres.shape)
    for read in (centres, noisy):
        assert place_rows(read).shape == (10, 20)
        assert place_rows(read).cell is None  # row i is cell i


def test_noise_of_several_sizes_within_levels():
    """Averages over the corners of a mesh: some centres agree to the bit, some to 1e-13, some to 1e-6."""
    rng = np.random.default_rng(2)
    x, y, z = np.meshgrid(np.arange(1.0, 8.0), np.arange(1.0, 6.0), [3.0], indexing="xy")
    centres = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    centres *= 1 + rng.choice([0.0, 1e-13, 1e-9, 1e-6], centres.shape) * rng.uniform(-1, 1, centres.shape)
    assert place_rows(centres).shape == (1, 5, 7)


def test_true_duplicates_are_named():
    centres = graded_centres(2e4, 30, 4)
    centres[71] = centres[64]
    with pytest.raises(ValueError, match=r"coordinates: rows 64 and 71 have the same cell centre, \(.*\); every row"):
        place_rows(centres)
    centres[71] = centres[64] * (1 + 1e-15)
    with pytest.raises(ValueError, match="coordinates: rows 64 and 71 have the same cell centre"):
        place_rows(centres)
