"""Several right-hand sides in one call: columns as results, one set-up, a report that is 0 only where all converged."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import Poisson, SolveInfo, SolveInfos, Solver, solve
from tests.support import reference


def columns_of(problem, count=3, seed=5):
    return np.random.default_rng(seed).standard_normal((problem.size, count))


@pytest.mark.parametrize("case", ["pockets 2-D", "open box 2-D", "mixed 3-D", "shift makes definite"])
@pytest.mark.parametrize("model", ["auto", "jacobi"])
def test_columns_are_solved_as_each_alone(case, model):
    arguments = reference.CASES[case]
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    b, kept = columns_of(problem), columns_of(problem)
    null = reference.null_space(A)
    x, info = solve(problem, b, model=model, rtol=1e-9)
    assert x.shape == b.shape
    assert x.dtype == np.float64
    assert info == 0
    for j in range(3):
        f = b[:, j] - null @ (null.T @ b[:, j])
        assert np.linalg.norm(f - A @ x[:, j]) <= 1.001e-9 * np.linalg.norm(f)
        alone, report = solve(problem, b[:, j], model=model, rtol=1e-9)
        np.testing.assert_array_equal(x[:, j], alone)
        assert info[j].residuals == report.residuals
    np.testing.assert_array_equal(b, kept)
    cells = np.full((*problem.shape, 3), np.nan)  # what stands outside FLUID is not looked at
    cells[problem.grid.fluid] = b
    y, again = solve(problem, cells, model=model, rtol=1e-9)
    np.testing.assert_array_equal(y[problem.grid.fluid], x)
    assert not y[~problem.grid.fluid].any()
    assert again == 0
    np.testing.assert_array_equal(problem.apply(x)[:, 1], problem.apply(x[:, 1]))


@pytest.mark.parametrize("sign", [1, -1])
def test_columns_of_a_matrix(sign):
    problem = Poisson(np.zeros((4, 5, 6), np.uint8), boundary="open")
    A, b = sp.csr_array(sign * problem.matrix()), columns_of(problem)
    x, info = solve(A, b, grid=problem.shape)
    assert info == 0
    assert (np.linalg.norm(b - A @ x, axis=0) <= 1e-6 * np.linalg.norm(b, axis=0)).all()
    for given in (np.asfortranarray(b), b.astype(np.float32), b.tolist(), b[:, :1]):
        y, _ = solve(A, given, grid=problem.shape)
        assert type(y) is np.ndarray
        assert np.abs(y - x[:, : y.shape[1]]).max() <= 1e-5


def test_the_set_up_is_done_once(monkeypatch):
    built = []
    monkeypatch.setattr(
        "deepcg.solver.solver.build", lambda *given, made=deepcg.solver.solver.build: built.append(1) or made(*given)
    )
    problem = Poisson(np.zeros((8, 8), np.uint8), boundary="open")
    info = solve(problem, columns_of(problem, 4))[1]
    assert built == [1]
    assert info.setup_seconds == info[0].setup_seconds


def test_what_has_the_cells_shape_is_one_right_hand_side():
    cells = np.zeros((6, 4), np.uint8)
    cells[:, 1:] = deepcg.SOLID  # six unknowns: (6, 4) could be four columns
    problem = Poisson(cells, boundary="open")
    info = solve(problem, np.ones((6, 4)))[1]
    assert type(info) is SolveInfo
    assert len(solve(problem, np.ones((6, 3)))[1]) == 3


def test_guesses_are_columns_or_one_for_all():
    problem = Poisson(np.zeros((7, 9), np.uint8), boundary="open")
    b = columns_of(problem)
    x, _ = solve(problem, b, rtol=1e-12)
    _, info = solve(problem, b, x)
    assert [one.iterations for one in info] == [0, 0, 0]
    _, info = solve(problem, b, x[:, 1])
    assert [one.iterations > 0 for one in info] == [True, False, True]
    with pytest.raises(ValueError, match=r"x0: shape \(63, 2\).*as many columns, or one guess for all"):
        solve(problem, b, x[:, :2])


def test_the_report_is_0_only_where_all_converged():
    problem = Poisson(np.zeros((9, 9), np.uint8), boundary="open")
    b = columns_of(problem)
    exact, _ = solve(problem, b, rtol=1e-12)
    x0 = np.where([True, False, True], exact, 0.0)
    _, info = solve(problem, b, x0, maxiter=1, model="jacobi")
    assert (int(info), bool(info), info == 0, info.failed) == (1, True, False, [1])
    assert [int(one) for one in info] == [0, 1, 0]
    assert info[1].reason == info.reason == "maximum number of iterations"
    assert info.iterations == 1
    assert str(info).startswith("1 of 3 right-hand sides did not converge")
    assert "column 1: maximum number of iterations" in str(info)
    assert len(str(info).splitlines()) == 2
    copied = pickle.loads(pickle.dumps(info))
    assert (type(copied), copied, list(copied)) == (SolveInfos, info, list(info))
    assert copied[1].residuals == info[1].residuals
    good = solve(problem, b)[1]
    assert not good
    assert (good == 0, len(good), good.failed, good.reason) == (True, 3, [], "converged")
    assert len(str(good).splitlines()) == 1


def test_a_report_with_a_breakdown_is_negative():
    def report(value, iterations):
        info = SolveInfo(value)
        info.iterations, info.reason = iterations, "x"
        return info

    assert int(SolveInfos.of([report(0, 1), report(7, 7), report(-1, 2)])) == -1
    assert int(SolveInfos.of([report(0, 1), report(7, 7), report(3, 3)])) == 7


def test_no_columns_at_all():
    problem = Poisson(np.zeros((4, 4), np.uint8), boundary="open")
    x, info = solve(problem, np.empty((16, 0)))
    assert x.shape == (16, 0)
    assert (info, len(info), info.iterations, info.projected) == (0, 0, 0, 0)
    assert "no right-hand sides" in str(info)


def test_a_callback_sees_each_column():
    problem = Poisson(np.zeros((6, 6), np.uint8), boundary="open")
    seen = []
    x, info = Solver(problem).solve(columns_of(problem, 2), callback=seen.append)
    assert {v.shape for v in seen} == {(36,)}
    assert len(seen) == info.iterations
    np.testing.assert_array_equal(seen[info[0].iterations - 1], x[:, 0])
    np.testing.assert_array_equal(seen[-1], x[:, 1])


def test_what_is_taken_off_adds_up():
    problem = Poisson(np.zeros((5, 5), np.uint8))
    b = np.random.default_rng(0).standard_normal((25, 2)) + [0.0, 2.0]
    info = solve(problem, b)[1]
    assert info.projected == pytest.approx(5 * np.linalg.norm(b.mean(axis=0)))
    with pytest.raises(deepcg.InconsistentError, match=r"b, column 0: .* lies outside the range"):
        solve(problem, b, inconsistent="error")


def test_wrong_columns_are_named():
    problem = Poisson(np.zeros((4, 4), np.uint8), boundary="open")
    b = columns_of(problem)
    b[3, 2] = np.nan
    with pytest.raises(ValueError, match="b, column 2: contains NaN"):
        solve(problem, b)
    with pytest.raises(ValueError, match=r"b: shape \(15, 3\)"):
        solve(problem, b[1:])
    with pytest.raises(TypeError, match=r"b: a sparse array given; .*b\.toarray\(\)"):
        solve(problem, sp.csr_array(np.ones((16, 2))))
