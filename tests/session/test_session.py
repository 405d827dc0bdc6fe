"""A solver session: matrices of every kind in, solutions that the matrix itself judges out; what is refused."""

import ctypes

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import FLUID, SOLID, Poisson
from deepcg.native import library as native
from deepcg.native.callbacks import Callbacks, vector
from deepcg.native.session import Observer, Preconditioner, Step
from tests.support.c_header import mismatch, parse
from tests.support.reference import CASES
from tests.support.session import Csr, Result, Session

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

RTOL = 1e-8


def over_all_cells(problem, diagonal):
    """The matrix with rows that are diagonal only where there is no unknown."""
    fluid = (problem.cells == FLUID).ravel()
    spread = sp.csr_array(
        (np.ones(fluid.sum()), (np.flatnonzero(fluid), np.arange(fluid.sum()))), (fluid.size, fluid.sum())
    )
    return sp.csr_array(spread @ problem.matrix() @ spread.T + sp.diags_array(np.where(fluid, 0.0, diagonal)))


def box(*shape, **arguments):
    return Poisson(np.zeros(shape, np.uint8), **arguments)


def test_the_structures_are_the_headers():
    header = parse(native.LIBRARY.parent.parent / "kernels" / "include" / "deepcg.h")
    for kind, name in ((Csr, "dcg_csr"), (Step, "dcg_step"), (Result, "dcg_result")):
        fields = dict(kind._fields_)
        assert list(fields) == list(header.structs[name])
        assert not any(mismatch(fields[field], header.structs[name][field], {"dcg_step": Step}) for field in fields)


def judge(A, x, b, result, slack=1.1):
    assert result.reason == 0 and result.text == b"converged", result.text
    assert np.linalg.norm(b - A @ x) <= slack * RTOL * np.linalg.norm(b)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_every_kind_of_problem_is_solved(name, sign, index):
    """Spread over all cells, with rows that are diagonal only, of either sign."""
    problem = Poisson(**CASES[name])
    A = sign * over_all_cells(problem, 3.0)
    b = A @ np.random.default_rng(11).standard_normal(A.shape[0])
    x, result = Session(rtol=RTOL).grid(*problem.shape).matrix(A, index).solve(b)
    judge(A, x, b, result)
    assert result.iterations <= 40
    assert result.residuals[result.iterations] <= RTOL * np.linalg.norm(b)


def test_the_iterations_are_those_of_the_package():
    problem = box(12, 13, 14, boundary="open")
    b = np.random.default_rng(1).standard_normal(problem.size)
    _, info = deepcg.solve(problem, b, rtol=RTOL)
    x, result = Session(rtol=RTOL).grid(12, 13, 14).matrix(problem.matrix()).solve(b)
    judge(problem.matrix(), x, b, result)
    assert result.iterations == info.iterations
    assert np.allclose(result.residuals[: info.iterations + 1], info.residuals, rtol=1e-6)


@pytest.mark.parametrize("every", [True, False])
def test_cells_say_where_the_rows_are(every):
    """Rows of the FLUID cells alone, or of all cells."""
    rng = np.random.default_rng(4)
    cells = np.where(rng.random((9, 8, 10)) < 0.25, SOLID, FLUID).astype(np.uint8)
    problem = Poisson(cells, boundary="open")
    A = over_all_cells(problem, 1.0) if every else problem.matrix()
    b = A @ rng.standard_normal(A.shape[0])
    x, result = Session(rtol=RTOL).grid(*cells.shape, cells=cells).matrix(A).solve(b)
    judge(A, x, b, result)


@pytest.mark.parametrize("dim", [2, 3])
def test_coordinates_in_any_order(dim):
    rng = np.random.default_rng(5)
    cells = np.where(rng.random((11, 9, 10)[:dim]) < 0.2, SOLID, FLUID).astype(np.uint8)
    problem = Poisson(cells, boundary="open")
    centres = np.argwhere(cells == FLUID)[:, ::-1] * 0.37
    order = rng.permutation(problem.size)
    A = problem.matrix()[order][:, order]
    b = rng.standard_normal(problem.size)
    x, result = Session(rtol=RTOL).coordinates(centres[order]).matrix(A).solve(b)
    judge(A, x, b, result)
    assert result.iterations < 20


@pytest.mark.parametrize("n", [1, 2, 17])
def test_one_dimension(n):
    A = sp.diags_array([np.full(n, 2.0), np.full(n - 1, -1.0), np.full(n - 1, -1.0)], offsets=[0, 1, -1]).tocsr()
    x, result = Session(rtol=RTOL).grid(n).matrix(A).solve(np.ones(n))
    judge(A, x, np.ones(n), result)


def test_new_values_in_the_same_pattern():
    rng, shape = np.random.default_rng(6), (10, 9, 11)
    session = Session(rtol=RTOL).grid(*shape)
    b = rng.standard_normal(990)
    for step in range(4):
        uniform = step == 2
        A = box(*shape, boundary="open", coefficient=None if uniform else 10.0 ** rng.uniform(-1, 1, shape)).matrix()
        x, result = session.matrix(A, same_pattern=step > 0).solve(b)
        judge(A, x, b, result)
        assert ("all faces" in session.view()) == uniform


def test_another_pattern_on_the_same_grid():
    """Walls that move."""
    rng, session = np.random.default_rng(7), Session(rtol=RTOL).grid(16, 18)
    for _ in range(3):
        cells = np.where(rng.random((16, 18)) < 0.2, SOLID, FLUID).astype(np.uint8)
        A = over_all_cells(Poisson(cells, boundary="open"), 2.0)
        b = A @ rng.standard_normal(A.shape[0])
        x, result = session.matrix(A).solve(b)
        judge(A, x, b, result)


@pytest.mark.parametrize("by", ["grid", "cells", "coordinates"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_no_x_can_change_is_taken_off(by, sign):
    """The means of two closed boxes of three, and a row that is zero; compared with the left null vectors of the matrix."""
    cells = np.zeros((6, 11), np.uint8)
    cells[:, [3, 7]] = SOLID
    coefficient = np.where(np.arange(11) < 7, 1.0, 2.5) * np.ones((6, 1))
    problem = Poisson(cells, coefficient=coefficient, boundary=["wall", ("wall", "open")])
    fluid = cells.reshape(-1) == FLUID
    A, session, order = sign * problem.matrix(), Session(), np.arange(problem.size)
    if by == "grid":
        A = sp.csr_array(sp.eye_array(66, format="csc")[:, fluid] @ A @ sp.eye_array(66, format="csc")[:, fluid].T)
        session.grid(6, 11)
    elif by == "cells":
        session.grid(6, 11, cells=cells)
    else:
        order = np.random.default_rng(1).permutation(problem.size)
        A = A[order][:, order]
        session.coordinates(np.argwhere(cells == FLUID)[order][:, ::-1])
    session.matrix(sp.csr_array(A))
    v = np.random.default_rng(2).standard_normal(A.shape[0])
    vectors, values, _ = np.linalg.svd(A.toarray())
    null = vectors[:, values < 1e-10]
    left, count, removed = session.project(v)
    assert count == null.shape[1] == (14 if by == "grid" else 2)
    np.testing.assert_allclose(left, v - null @ (null.T @ v), rtol=0, atol=1e-13)
    assert removed == pytest.approx(np.linalg.norm(null.T @ v))
    assert session.project(left)[2] <= 1e-13
    session.set(model="multigrid").call("set_up")
    zero = 12 if by == "grid" else 0
    kind = "positive" if sign > 0 else "negative"
    assert f"{zero} rows zero, {kind} semi-definite, singular on 2 component(s);" in session.view()


def test_a_regular_matrix_is_called_definite():
    session = Session().grid(4, 5).matrix(box(4, 5, boundary="open").matrix())
    session.call("set_up")
    assert "0 rows zero, positive definite;" in session.view()
    v = np.arange(20.0)
    left, count, removed = session.project(v)
    assert (count, removed) == (0, 0.0)
    np.testing.assert_array_equal(left, v)


def test_a_guess_saves_iterations():
    problem, rng = box(12, 12, 12, boundary="open"), np.random.default_rng(8)
    A, exact = problem.matrix(), rng.standard_normal(1728)
    session = Session(rtol=RTOL).grid(12, 12, 12).matrix(A)
    _, cold = session.solve(A @ exact)
    x, warm = session.solve(A @ exact, exact + 1e-6 * rng.standard_normal(1728))
    judge(A, x, A @ exact, warm)
    assert warm.iterations < cold.iterations


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_singular_matrix(sign):
    """Two components, each with its own null space."""
    cells = np.zeros((12, 14), np.uint8)
    cells[5] = SOLID
    problem = Poisson(cells)
    A, rng = sign * problem.matrix(), np.random.default_rng(9)
    session = Session(rtol=RTOL).grid(12, 14, cells=cells).matrix(A)
    b = A @ rng.standard_normal(problem.size)
    x, result = session.solve(b)
    judge(A, x, b, result)
    assert result.projected == 0.0
    for part in (x[:70], x[70:]):
        assert abs(part.mean()) <= 1e-12 * np.abs(part).max()
    off = b + np.repeat([1.0, 2.0], [70, 84])
    x, result = session.solve(off)
    assert result.reason == 0 and np.linalg.norm(b - A @ x) <= 1.1 * RTOL * np.linalg.norm(b)
    assert result.projected == pytest.approx(np.sqrt(70 * 1.0 + 84 * 4.0))
    with pytest.raises(ValueError, match=r"b: .* lies outside the range of the operator"):
        session.set(inconsistent="error").solve(off)


@pytest.mark.parametrize("diagonal", [2.5, 0.0])
def test_rows_that_are_no_unknowns(diagonal):
    """Diagonal only: solved on their own, with what other rows have of them. Zero: left out."""
    rng, shape = np.random.default_rng(10), (7, 8, 9)
    cells = np.where(rng.random(shape) < 0.2, SOLID, FLUID).astype(np.uint8)
    A = over_all_cells(Poisson(cells, boundary="open"), diagonal)
    alone = (cells != FLUID).ravel()
    b = rng.standard_normal(A.shape[0])
    x, result = Session(rtol=RTOL).grid(*shape).matrix(A).solve(b, rng.standard_normal(b.size))
    assert np.allclose(x[alone], b[alone] / diagonal if diagonal else 0.0, rtol=1e-15, atol=0)
    judge(A, x, np.where(alone & (diagonal == 0.0), 0.0, b), result)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_sided_couplings_to_rows_that_are_diagonal_only(sign):
    """As PETSc's ex45 puts in boundary values: the matrix as it stands is not symmetric."""
    shape, rng = (9, 10, 11), np.random.default_rng(4)
    A = box(*shape, boundary="open").matrix().tolil()
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1, 1:-1] = False
    for row in np.flatnonzero(edge):
        A[row, :] = 0.0
        A[row, row] = 2.5
    A, b = sign * sp.csr_array(A), rng.standard_normal(990)
    x, result = Session(rtol=RTOL).grid(*shape).matrix(A).solve(b)
    judge(A, x, b, result)


def test_a_diagonal_matrix():
    d = np.arange(1.0, 31.0)
    session = Session().grid(5, 6).matrix(sp.diags_array(d).tocsr())
    x, result = session.solve(np.ones(30))
    assert np.array_equal(x, 1 / d) and result.iterations == 0 and result.reason == 0
    assert np.array_equal(session.apply(np.ones(30)), 1 / d)


@pytest.mark.parametrize("magnitude", [1e-200, 1e200])
def test_numbers_whose_squares_have_no_floating_point(magnitude):
    problem = box(9, 9, 9, boundary="open")
    A, b = problem.matrix(), np.random.default_rng(12).standard_normal(729)
    x, result = Session(rtol=RTOL).grid(9, 9, 9).matrix(A).solve(magnitude * b)
    judge(A, x / magnitude, b, result)


@pytest.mark.parametrize("model", ["auto", "multigrid", "multilevel-3d"])
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_models_and_methods(model, method):
    problem = box(
        14, 12, 13, boundary="open", coefficient=np.exp(np.random.default_rng(2).standard_normal((14, 12, 13)))
    )
    A, b = problem.matrix(), np.random.default_rng(3).standard_normal(problem.size)
    session = Session(rtol=RTOL, model=model, method=method, window=4).grid(14, 12, 13).matrix(A)
    x, result = session.solve(b)
    judge(A, x, b, result)
    assert result.iterations < 25
    name = "multigrid" if model == "multigrid" else "multilevel-3d"
    assert f"model: {name}" in session.view()


@pytest.mark.parametrize("model", ["jacobi", "none"])
@pytest.mark.parametrize("method", ["cg", "dcd"])
@pytest.mark.parametrize("coefficient", [False, True])
def test_simple_preconditioners(model, method, coefficient):
    rng, shape = np.random.default_rng(4), (7, 8, 9)
    cells = np.where(rng.random(shape) < 0.2, SOLID, FLUID).astype(np.uint8)
    beta = np.exp(rng.standard_normal(shape)) if coefficient else None
    problem = Poisson(cells, boundary=["open", "periodic", "wall"], coefficient=beta)
    A, b = over_all_cells(problem, 2.0), rng.standard_normal(cells.size)
    session = Session(rtol=RTOL, model=model, method=method).grid(*shape).matrix(A)
    x, result = session.solve(b)
    judge(A, x, b, result)
    expected = np.where((cells == FLUID).ravel(), b if model == "none" else b / A.diagonal(), b / 2.0)
    assert np.allclose(session.apply(b), expected, rtol=1e-14)
    assert f"model: {model}" in session.view()


def test_where_single_precision_forbids_more_jacobi_takes_over():
    """Parameters of a range that float32 has not: the compiled iteration gives up, and the answer is reached all the same."""
    shape = (8, 9, 10)
    beta = 10.0 ** np.random.default_rng(6).uniform(-22, 22, shape)
    A = box(*shape, boundary="open", coefficient=beta).matrix()
    b = A @ np.random.default_rng(7).standard_normal(720)
    x, result = Session(rtol=1e-6).grid(*shape).matrix(A).solve(b)
    assert result.reason in (0, 1) and np.isfinite(x).all()
    assert np.linalg.norm(b - A @ x) <= 1e-5 * np.linalg.norm(b)


def test_another_model_for_the_same_matrix():
    problem = box(15, 16, boundary="open")
    r = np.random.default_rng(6).standard_normal(240)
    session = Session().grid(15, 16).matrix(problem.matrix())
    for model in ("auto", "multigrid"):
        expected = deepcg.preconditioner(problem, model=model) @ r
        assert np.allclose(session.set(model=model).apply(r), expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_an_operator_instead_of_a_matrix():
    problem = box(8, 9, 10, boundary="open", coefficient=np.random.default_rng(5).uniform(1, 9, (8, 9, 10)))
    b = np.random.default_rng(6).standard_normal(720)
    session = Session(rtol=RTOL).operator(native.operator(problem.stencil))
    x, result = session.solve(b)
    judge(problem.matrix(), x, b, result)


def test_the_limit_of_iterations_is_a_result():
    problem = box(12, 12, 12, boundary="open")
    b = np.random.default_rng(7).standard_normal(1728)
    session = Session(rtol=1e-12, maxiter=2).grid(12, 12, 12).matrix(problem.matrix())
    _, result = session.solve(b)
    assert result.reason == 2 and result.text == b"maximum number of iterations" and result.iterations == 2
    _, result = session.set(maxiter=0).solve(b)
    assert result.reason == 2 and result.iterations == 0 and result.residuals[0] == pytest.approx(np.linalg.norm(b))


def test_the_application_is_symmetric_with_the_matrixs_sign():
    problem, rng = box(6, 7, 8, boundary="open"), np.random.default_rng(8)
    session = Session().grid(6, 7, 8).matrix(-problem.matrix())
    r, s = rng.standard_normal((2, problem.size))
    assert session.apply(r) @ s == pytest.approx(session.apply(s) @ r, rel=1e-5)
    assert session.apply(r) @ r < 0


@pytest.mark.parametrize("scale", [1.0, -1e180])
def test_an_observer_sees_rows_and_may_stop(scale):
    """A matrix with a row that is diagonal only; also where the session solves in other magnitudes."""
    A = scale * over_all_cells(Poisson(np.pad(np.zeros((6, 6), np.uint8), 1, constant_values=SOLID), shift=0.1), 2.0)
    b = scale * np.random.default_rng(12).standard_normal(64)
    seen, calls, observer = [], Callbacks(), Observer()

    def observe(iteration, norm, x, stop):
        seen.append((iteration, norm, vector(x, 64).copy()))
        stop[0] = iteration == 3

    calls.serve(observer, "observe", observe)
    session = Session(rtol=1e-12, model="jacobi").grid(8, 8).matrix(A)
    session.call("set_observer", ctypes.byref(observer))
    with calls.kept():
        x, result = session.solve(b)
    assert result.reason == 4 and [n for n, *_ in seen] == [0, 1, 2, 3]
    assert np.allclose(seen[-1][2], x, rtol=1e-12) and np.allclose(x[0], b[0] / (2.0 * scale))
    for (_, norm, now), residual in zip(seen, result.residuals, strict=False):
        assert norm == residual == pytest.approx(scaled_norm(b - A @ now), rel=1e-6)


def scaled_norm(v):
    """||v||_2 where squares overflow."""
    size = np.abs(v).max()
    return size * np.linalg.norm(v / size)


def test_sessions_share_a_matrix_until_one_gets_another():
    rng, b = np.random.default_rng(13), np.arange(20.0)
    first, second = Session(rtol=RTOL).grid(4, 5).matrix(A45), Session(rtol=RTOL)
    second.share(first)
    other = box(4, 5, boundary="open", coefficient=rng.uniform(1, 2, (4, 5))).matrix()
    first.matrix(other)
    for session, A in ((first, other), (second, A45)):
        x, result = session.solve(b)
        judge(A, x, b, result)
    del first
    x, result = second.solve(b)
    judge(A45, x, b, result)


def test_a_preconditioner_of_the_callers_own():
    """Over cells, in the sign that is positive definite; its error ends the solve."""
    A, b, calls, own = -2.0 * A45, np.arange(20.0), Callbacks(), Preconditioner(trusted=1)
    calls.serve(own, "apply", lambda r, z: vector(z, 20).__setitem__(slice(None), vector(r, 20) / 8.0))
    session = Session(rtol=RTOL).grid(4, 5).matrix(A)
    session.serve(own, None)
    with calls.kept():
        x, result = session.solve(b)
        judge(A, x, b, result)
        np.testing.assert_allclose(session.apply(b), -b / 8.0)
    assert "model: the caller's own" in session.view()
    failing = Callbacks()
    failing.serve(own, "apply", lambda r, z: 1 / 0)
    session.serve(own, None)
    with pytest.raises(ZeroDivisionError), failing.kept():
        session.solve(b)


def far():
    A = box(4, 5, boundary="open").matrix().tolil()
    A[3, 17] = A[17, 3] = -0.5
    return sp.csr_array(A)


def beyond():
    """A column that no row has."""
    return sp.csr_array(sp.hstack([A45, sp.csr_array(([-1.0], ([4], [3])), (20, 4))]))


A45 = box(4, 5, boundary="open").matrix()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: Session(modle="auto"), 'name: there is no option "modle"; one of model, models, method'),
        (lambda: Session(rtol="small"), 'rtol: "small" given; a finite number >= 0 is needed'),
        (lambda: Session(rtol="-1"), "a finite number >= 0 is needed"),
        (lambda: Session(maxiter="2.5"), 'maxiter: "2.5" given; an integer >= 0, or default is needed'),
        (lambda: Session(window="-1"), 'window: "-1" given; an integer >= 0, or all is needed'),
        (lambda: Session(method="gmres"), 'method: "gmres" given; auto, cg or dcd is needed'),
        (lambda: Session().matrix(A45), "grid: nothing says on what grid the rows lie"),
        (lambda: Session().grid(4, 0), "shape: every size must be at least 1"),
        (lambda: Session().grid(4, 4).matrix(A45), "rows: 20 given for a grid of 4 x 4 cells; a row for every cell is needed"),
        (lambda: Session().grid(4, 4, cells=np.eye(4)).matrix(A45), "4 x 4 cells, 12 of them FLUID; a row for every cell or for every FLUID"),
        (lambda: Session().grid(4, 5, cells=np.full(20, 7)), r"cells: 0 \(FLUID\), 1 \(SOLID\) and 2 \(OPEN\) are needed"),
        (lambda: Session().coordinates(np.zeros((20, 2))), "have the same cell centre"),
        (lambda: Session().coordinates(np.eye(3)[:, :2]).matrix(A45), "rows: 20 given for 3 coordinates"),
        (lambda: Session().grid(4, 5).matrix(far()), r"row 3 \(cell \(0, 3\)\) and column 17 .* are coupled but no face neighbours"),
        (lambda: Session().coordinates(np.argwhere(np.ones((4, 5)))).matrix(beyond()), "has an entry in column 23; a number from 0 to below 20"),
        (lambda: Session().grid(4, 5).matrix(beyond()), r"column: row 4 \(cell \(0, 4\)\) has an entry in column 23"),
        (lambda: Session().solve(np.ones(20)), "solver: it has no matrix yet"),
        (lambda: Session().grid(4, 5).matrix(A45).solve(np.full(20, np.nan)), "b: contains NaN or infinity"),
        (lambda: Session(model="nothing").grid(4, 5).matrix(A45).solve(np.ones(20)), "model: nothing: neither a file nor a shipped model"),
        (lambda: Session(model="multilevel-3d").grid(4, 5).matrix(A45).solve(np.ones(20)), "a model for 3-D grids and this one is 2-D"),
        (lambda: Session(model="dcdm").grid(4, 5).matrix(A45).solve(np.ones(20)), "model: it runs in Python only"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused_with_what_would_be_right(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()


def test_a_refused_matrix_leaves_a_session_that_serves_the_next_one():
    session, b = Session(rtol=RTOL).grid(4, 5), np.ones(20)
    session.matrix(A45)
    with pytest.raises(ValueError, match="no face neighbours"):
        session.matrix(far())
    with pytest.raises(ValueError, match="no matrix yet"):
        session.solve(b)
    x, result = session.matrix(A45).solve(b)
    judge(A45, x, b, result)
