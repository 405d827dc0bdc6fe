"""`deepcg.solve` and `deepcg.Solver`: every case with every solver, the residual recomputed with a matrix of our own."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import FLUID, SOLID, InconsistentError, Poisson, Solver, solve
from tests.support import reference


@pytest.fixture(scope="session")
def random_network(tmp_path_factory):
    """Model files of untrained networks, 2-D and 3-D: directions without any sense."""
    torch = pytest.importorskip("torch")
    from deepcg.dcdm.file import save_network
    from deepcg.dcdm.network import DCDM

    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for dim in (2, 3):
        torch.manual_seed(71 + dim)
        paths[dim] = save_network(folder / f"random-{dim}d.safetensors", DCDM(dim, (2, 2, 2), 4), "random", {})
    return paths


def pyamg_operator(problem):
    pyamg = pytest.importorskip("pyamg")
    with np.errstate(all="ignore"):
        return pyamg.ruge_stuben_solver(sp.csr_matrix(problem.matrix())).aspreconditioner()


SOLVERS = {
    "auto": {},
    "cg none": {"model": "none", "method": "cg"},
    "cg jacobi": {"model": "jacobi", "method": "cg"},
    "dcd none 0": {"model": "none", "method": "dcd", "window": 0},
    "dcd jacobi 1": {"model": "jacobi", "method": "dcd", "window": 1},
    "dcd jacobi 2": {"model": "jacobi", "method": "dcd"},
    "dcd jacobi 5": {"model": "jacobi", "method": "dcd", "window": 5},
    "dcd jacobi all": {"model": "jacobi", "method": "dcd", "window": None},
    "function": {"model": lambda r: r},
    "pyamg": {"model": pyamg_operator},
    "network": {"model": "random network"},
}


def options_of(solver, problem, request):
    options = dict(SOLVERS[solver])
    if options.get("model") is pyamg_operator:
        options["model"] = pyamg_operator(problem)
    elif options.get("model") == "random network":
        options["model"] = request.getfixturevalue("random_network")[problem.ndim]
    return options


def projected(A, b):
    null = reference.null_space(A)
    return b - null @ (null.T @ b)


@pytest.mark.filterwarnings("error::RuntimeWarning:deepcg")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", reference.CASES)
def test_every_case_with_every_solver(case, solver, request):
    arguments = reference.CASES[case]
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    options, rng, fluid = options_of(solver, problem, request), np.random.default_rng(73), problem.cells == FLUID
    for b in (rng.standard_normal(len(A)), A @ rng.standard_normal(len(A))):  # inconsistent, and consistent
        kept = b.copy()
        x, info = solve(problem, b, rtol=1e-9, **options)
        f = projected(A, b)
        assert info == 0, str(info)
        assert x.dtype == np.float64
        assert x.shape == b.shape
        assert np.linalg.norm(f - A @ x) <= 1.001e-9 * np.linalg.norm(f)
        assert np.linalg.norm(reference.null_space(A).T @ x) <= 1e-12 * np.linalg.norm(x)  # zero mean
        assert info.projected == pytest.approx(np.linalg.norm(b - f), rel=1e-9, abs=1e-12 * np.linalg.norm(b))
        assert info.residuals[0] == pytest.approx(np.linalg.norm(f), rel=1e-12)
        assert info.residuals[-1] <= 1e-9 * info.residuals[0]
        assert len(info.residuals) == info.iterations + 1
        np.testing.assert_array_equal(b, kept)

        shaped = np.full(problem.shape, np.nan)  # what stands outside FLUID is not looked at
        shaped[fluid] = b
        y, again = solve(problem, shaped, rtol=1e-9, **options)
        np.testing.assert_array_equal(y[fluid], x)  # same answer, to the bit
        assert not y[~fluid].any()
        assert again.residuals == info.residuals


@pytest.mark.parametrize("solver", ["cg none", "cg jacobi", "dcd jacobi 2", "pyamg", "network"])
@pytest.mark.parametrize("case", ["pockets 2-D", "open box 2-D", "mixed 3-D", "shift makes definite"])
def test_initial_guess(case, solver, request):
    arguments = reference.CASES[case]
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    options, rng = options_of(solver, problem, request), np.random.default_rng(79)
    exact = projected(A, rng.standard_normal(len(A)))
    b = A @ exact
    x0 = exact + 5.0  # the means of singular components are taken off, so this is exact there
    if not problem.singular:
        x0 = exact.copy()
    kept = x0.copy()
    x, info = solve(problem, b, x0, **options)
    assert (info, info.iterations, info.fallbacks) == (0, 0, 0)
    np.testing.assert_allclose(x, exact, rtol=0, atol=1e-12)
    rough, info = solve(problem, b, exact + 1e-3 * rng.standard_normal(len(A)), rtol=1e-8, **options)
    assert info == 0
    assert np.linalg.norm(b - A @ rough) <= 1.001e-8 * np.linalg.norm(b)
    np.testing.assert_array_equal(x0, kept)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", ["pockets 2-D", "open box 3-D", "single unknown"])
def test_zero_right_hand_side(case, solver, request):
    problem = Poisson(**reference.CASES[case])
    for b in (np.zeros(problem.shape), np.zeros(problem.size)):
        x, info = solve(problem, b, **options_of(solver, problem, request))
        assert (info, info.iterations) == (0, 0)
        assert not x.any()
        assert "\n" not in str(info)


@pytest.mark.parametrize("model", ["none", "jacobi"])
def test_singular_with_nothing_but_a_constant(model):
    """b = 1 on walls all round is all null space: nothing is left, and x = 0 is the answer."""
    problem = Poisson(np.zeros((7, 9), dtype=np.uint8))
    x, info = solve(problem, np.full(problem.shape, 0.1), model=model)
    assert info == 0
    assert info.projected == pytest.approx(0.1 * np.sqrt(63))
    assert abs(x).max() <= 1e-14


@pytest.mark.parametrize("solver", ["cg none", "cg jacobi", "dcd jacobi 2", "pyamg", "network"])
@pytest.mark.parametrize("case", ["open box 2-D", "graded, varying coefficient", "walls 3-D", "single unknown"])
@pytest.mark.parametrize("rtol", [0.0, 1e-30])
def test_attainable_accuracy_is_reported(case, solver, rtol, request):
    arguments = reference.CASES[case]
    problem, A = Poisson(**arguments), reference.matrix(**arguments)
    b = projected(A, np.random.default_rng(83).standard_normal(len(A)))
    x, info = solve(problem, b, rtol=rtol, maxiter=5000, **options_of(solver, problem, request))
    residual = np.linalg.norm(b - A @ x)
    assert residual <= 40 * np.finfo(float).eps * np.linalg.norm(A, 2) * np.linalg.norm(x)
    assert info.reason == "attainable accuracy" or (info == 0 and info.residuals[-1] <= rtol * np.linalg.norm(b))
    assert info > 0 or info.reason == "converged"
    assert info.iterations < 2000


@pytest.mark.parametrize("solver", ["cg none", "cg jacobi", "dcd jacobi 2", "pyamg", "network"])
@pytest.mark.parametrize("maxiter", [0, 1, 2])
def test_maxiter_is_kept(solver, maxiter, request):
    problem = Poisson(**reference.CASES["mixed 3-D"])
    b, seen = np.random.default_rng(89).standard_normal(problem.shape), []
    _, info = solve(
        problem, b, rtol=1e-13, maxiter=maxiter, callback=seen.append, **options_of(solver, problem, request)
    )
    assert (int(info), info.iterations) == (max(1, maxiter), maxiter)
    assert info.reason == "maximum number of iterations"
    assert len(seen) == maxiter
    assert all(now.shape == problem.shape for now in seen)


@pytest.mark.parametrize("shaped", [True, False])
def test_callback_gets_copies_laid_out_like_b(shaped):
    problem = Poisson(**reference.CASES["pockets 2-D"])
    b, seen = np.random.default_rng(97).standard_normal(problem.shape if shaped else problem.size), []
    x, info = solve(problem, b, model="jacobi", callback=seen.append)
    assert len(seen) == info.iterations
    assert {now.shape for now in seen} == {b.shape}
    assert not np.array_equal(seen[0], seen[-1])  # they are not all one array
    np.testing.assert_allclose(seen[-1], x, atol=1e-12)
    for now in seen:
        now[:] = np.nan  # writing to what the callback got hurts nobody
    assert np.isfinite(x).all()


def test_a_callback_may_solve_with_the_same_solver():
    problem = Poisson(**reference.CASES["pockets 2-D"])
    solver, b = Solver(problem, model="jacobi"), np.random.default_rng(96).standard_normal((2, *problem.shape))
    alone, inner = [solver.solve(v) for v in b], []
    x, info = solver.solve(b[0], callback=lambda now: inner.append(solver.solve(b[1])))
    assert np.array_equal(x, alone[0][0]) and info.residuals == alone[0][1].residuals
    assert len(inner) == info.iterations and all(np.array_equal(y, alone[1][0]) for y, _ in inner)


@pytest.mark.parametrize("shape", [(9, 7), (300, 331)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_b_counts_where_there_is_an_unknown(shape, bad):
    """Elsewhere it may hold anything, and is left as it is."""
    cells = np.zeros(shape, dtype=np.uint8)
    cells[-1, -1] = SOLID
    problem = Poisson(cells, boundary="open")
    b = np.random.default_rng(101).standard_normal(shape)
    b[-1, -1] = 0.0
    expected, _ = solve(problem, b)
    b[-1, -1] = bad
    given = b.copy()
    x, _ = solve(problem, b)
    assert np.array_equal(x, expected) and np.array_equal(b, given, equal_nan=True)
    b[shape[0] // 2, 3] = bad
    for arguments in ((b,), (np.ones(shape), b)):
        with pytest.raises(ValueError, match="^b: contains NaN" if len(arguments) == 1 else "^x0: contains NaN"):
            solve(problem, *arguments)


def test_cg_and_dcd_with_window_1_have_the_same_iterates():
    problem = Poisson(**reference.CASES["graded, varying coefficient"])
    b, runs = np.random.default_rng(103).standard_normal(problem.size), {}
    for method in ("cg", "dcd"):
        runs[method] = []
        solve(problem, b, model="jacobi", method=method, window=1, maxiter=20, callback=runs[method].append, rtol=0.0)
    np.testing.assert_allclose(runs["cg"], runs["dcd"], rtol=1e-8, atol=1e-10 * abs(runs["cg"][-1]).max())


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.int8, bool, list])
def test_any_real_right_hand_side_is_accepted(kind):
    problem = Poisson(**reference.CASES["open box 2-D"])
    whole = np.random.default_rng(107).integers(0, 2, problem.shape)
    b = whole.tolist() if kind is list else whole.astype(kind)
    expected, _ = solve(problem, whole.astype(float), model="jacobi")
    x, info = solve(problem, b, model="jacobi")
    assert (info, x.dtype) == (0, np.float64)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("order", ["strided", "fortran"])
def test_memory_layout_of_b_does_not_matter(order):
    problem = Poisson(**reference.CASES["open box 3-D"])
    b = np.random.default_rng(109).standard_normal(problem.shape)
    other = np.asfortranarray(b) if order == "fortran" else np.repeat(b, 2, axis=1)[:, ::2]
    assert not other.flags.c_contiguous
    np.testing.assert_array_equal(solve(problem, other, model="jacobi")[0], solve(problem, b, model="jacobi")[0])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160, 1e-20, 1e20, 1e160, 1e200, 1e300])
@pytest.mark.parametrize("solver", ["cg jacobi", "dcd jacobi 2"])
def test_any_scale_of_b(scale, solver):
    """x is proportional to b: squares that over- or underflow must not pass for convergence, nor for a breakdown."""
    problem = Poisson(**reference.CASES["open box 2-D"])
    b = np.random.default_rng(113).uniform(-1, 1, problem.shape)
    expected, _ = solve(problem, b, **SOLVERS[solver])
    x, info = solve(problem, scale * b, **SOLVERS[solver])
    assert info == 0, str(info)
    np.testing.assert_allclose(x / scale, expected, rtol=0, atol=1e-6 * abs(expected).max())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_any_scale_of_the_problem(scale):
    problem = Poisson(np.zeros((8, 9), dtype=np.uint8), coefficient=np.full((8, 9), scale), boundary="open")
    b = np.random.default_rng(127).standard_normal(problem.shape)
    x, info = solve(problem, b, rtol=1e-10, model="jacobi")
    assert info == 0
    assert np.linalg.norm(b - problem.apply(x)) <= 1.001e-10 * np.linalg.norm(b)


@pytest.mark.parametrize(("rtol", "atol", "target"), [(1e-3, 0.0, 1e-3), (1e-12, 1e-2, 1e-2), (1e-2, 1e-9, 1e-2)])
def test_the_larger_tolerance_counts(rtol, atol, target):
    problem = Poisson(**reference.CASES["open box 2-D"])
    b = np.random.default_rng(131).standard_normal(problem.shape)
    b /= np.linalg.norm(b)
    _, info = solve(problem, b, rtol=rtol, atol=atol, model="jacobi")
    assert info == 0
    assert info.residuals[-1] <= target < info.residuals[-2]


def test_info_is_an_int_and_one_line():
    problem = Poisson(**reference.CASES["pockets 2-D"])
    _, info = solve(problem, np.random.default_rng(137).standard_normal(problem.shape), model="jacobi")
    assert isinstance(info, int)
    assert info == 0
    assert not info
    for text in (str(info), f"{info}", repr(info)):
        assert "\n" not in text
        assert "converged: jacobi with cg" in text
        assert "taken off an inconsistent b" in text
    assert info.setup_seconds >= 0
    assert info.solve_seconds > 0
    assert copy.copy(info).reason == info.reason


def test_solving_twice_gives_the_same_bits():
    problem = Poisson(**reference.CASES["mixed 3-D"])
    b = np.random.default_rng(139).standard_normal(problem.shape)
    solver = Solver(problem, model="jacobi", method="dcd")
    (x, one), (y, two) = solver.solve(b), solver.solve(b)
    np.testing.assert_array_equal(x, y)
    assert one.residuals == two.residuals
    assert not np.shares_memory(x, y)


CHANGES = {
    "cells": {"cells": np.where(np.arange(72).reshape(9, 8) % 11 == 3, 1, 0)},
    "coefficient": {"coefficient": 10.0 ** np.random.default_rng(149).uniform(-1, 1, (9, 8))},
    "shift": {"shift": 0.7},
}


@pytest.mark.parametrize("model", ["none", "jacobi", "network"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("whole", [False, True])
def test_update_is_a_new_solver(change, model, whole, request):
    arguments = reference.CASES["graded, varying coefficient"]
    model = request.getfixturevalue("random_network")[2] if model == "network" else model
    solver = Solver(Poisson(**arguments), model=model, rtol=1e-10)
    changed = {**arguments, **CHANGES[change]}
    if whole:
        solver.update(Poisson(**changed))
    else:
        solver.update(**CHANGES[change])
    b, A = np.random.default_rng(151).standard_normal(9 * 8).reshape(9, 8), reference.matrix(**changed)
    x, info = solver.solve(b)
    fresh, other = solve(Poisson(**changed), b, model=model, rtol=1e-10)
    np.testing.assert_array_equal(x, fresh)
    assert info.residuals == other.residuals
    f = b[np.asarray(changed["cells"]) == FLUID]
    assert np.linalg.norm(f - A @ x[np.asarray(changed["cells"]) == FLUID]) <= 1.001e-10 * np.linalg.norm(f)


def test_inconsistent_error():
    problem = Poisson(np.zeros((5, 6), dtype=np.uint8))
    b = np.random.default_rng(157).standard_normal(problem.shape)
    with pytest.raises(InconsistentError, match=r"b: .* outside the range .* 1 component"):
        solve(problem, b, model="jacobi", inconsistent="error")
    _, info = solve(problem, b - b.mean(), model="jacobi", inconsistent="error")
    assert (info, info.projected) == (0, 0.0)


PROBLEM = Poisson(np.zeros((4, 5), dtype=np.uint8), boundary="open")
B = np.ones((4, 5))
MATRIX = PROBLEM.matrix()

REFUSED = [
    (ValueError, r"b: shape \(5, 4\) given", {"b": np.ones((5, 4))}),
    (ValueError, r"b: shape \(19,\) given", {"b": np.ones(19)}),
    (ValueError, "b: contains NaN", {"b": np.where(np.eye(4, 5) > 0, np.nan, 1.0)}),
    (ValueError, "b: contains NaN or infinity", {"b": np.full(20, np.inf)}),
    (TypeError, "b: dtype complex128", {"b": B * 1j}),
    (TypeError, "b: dtype <U1", {"b": np.full((4, 5), "b")}),
    (TypeError, "b: dtype object", {"b": None}),
    (ValueError, r"x0: shape \(3,\) given", {"x0": np.ones(3)}),
    (ValueError, "x0: contains NaN", {"x0": np.full((4, 5), np.nan)}),
    (TypeError, "x0: dtype complex128", {"x0": B * 1j}),
    (ValueError, "rtol: -1e-06 given", {"rtol": -1e-6}),
    (ValueError, "rtol: nan given", {"rtol": np.nan}),
    ((ValueError, TypeError), "rtol: 'tight' given", {"rtol": "tight"}),
    ((ValueError, TypeError), "rtol: None given", {"rtol": None}),
    (ValueError, "atol: -1 given", {"atol": -1}),
    (ValueError, "atol: inf given", {"atol": np.inf}),
    (ValueError, "maxiter: -1 given", {"maxiter": -1}),
    (ValueError, "maxiter: 2.5 given", {"maxiter": 2.5}),
    (ValueError, "window: -1 given", {"window": -1}),
    (ValueError, "method: 'gmres' given", {"method": "gmres"}),
    (ValueError, "device: 'tpu' given", {"device": "tpu"}),
    (ValueError, "inconsistent: 'ignore' given", {"inconsistent": "ignore"}),
    (deepcg.ModelFileError, "model: 'resnet' is neither a shipped name", {"model": "resnet"}),
    (TypeError, "model: int given", {"model": 3}),
    (TypeError, "model: NoneType given", {"model": None}),
    (ValueError, r"model: an operator of shape \(3, 3\) given; \(20, 20\)", {"model": sp.eye_array(3)}),
    (ValueError, "grid, coordinates: a Poisson problem has its own grid", {"grid": (4, 5)}),
    (ValueError, "shape|grid", {"A": MATRIX, "grid": (3, 3)}),
    ((TypeError, ValueError), "A", {"A": "laplace"}),
]


@pytest.mark.parametrize(("error", "message", "changed"), REFUSED, ids=range(len(REFUSED)))
def test_bad_calls_are_refused(error, message, changed):
    with pytest.raises(error, match=message):
        solve(**{"A": PROBLEM, "b": B, "model": "jacobi", **changed})


def test_update_refuses_both_a_problem_and_its_parts():
    with pytest.raises(ValueError, match="update: give a problem, or its changed parts"):
        Solver(PROBLEM, model="jacobi").update(PROBLEM, shift=1.0)


def test_network_refusals(random_network):
    for arguments, message in (
        (
            {"A": PROBLEM, "b": B, "method": "cg", "model": random_network[2]},
            "method: 'cg' needs a linear preconditioner",
        ),
        ({"A": PROBLEM, "b": B, "model": random_network[3]}, "random is for 3-D problems; this one is 2-D"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(**arguments)


def test_a_failed_update_leaves_the_solver_as_it_was(random_network):
    solver = Solver(PROBLEM, model=random_network[2])
    before = solver.solve(B)[0]
    with pytest.raises(ValueError, match="is for 2-D problems; this one is 3-D"):
        solver.update(Poisson(np.zeros((3, 3, 3), dtype=np.uint8), boundary="open"))
    np.testing.assert_array_equal(solver.solve(B)[0], before)


def test_a_matrix_is_solved_in_its_own_layout():
    for sign in (1, -1):
        b = np.random.default_rng(163).standard_normal(20)
        x, info = solve(sign * MATRIX, b, grid=(4, 5), rtol=1e-10, model="jacobi")
        assert info == 0
        assert np.linalg.norm(b - sign * MATRIX @ x) <= 1.001e-10 * np.linalg.norm(b)


def test_b_is_not_changed_and_the_solution_is_not_b():
    """b is read in place where it can be."""
    for singular in (True, False):
        problem = Poisson(np.zeros((9, 14), dtype=np.uint8), boundary="wall" if singular else "open")
        b = np.random.default_rng(113).standard_normal(problem.shape)
        kept = b.copy()
        solver = Solver(problem, model="multigrid", rtol=1e-9)
        first, _ = solver.solve(b)
        second, _ = solver.solve(b)
        assert np.array_equal(b, kept)
        assert np.array_equal(first, second)
        first[:] = np.nan
        assert np.isfinite(second).all() and np.array_equal(b, kept)
        b.setflags(write=False)
        third, _ = solver.solve(b)
        assert np.array_equal(second, third) and third.flags.writeable


@pytest.mark.parametrize("model", ["multigrid", "dcdm"])
def test_threads_may_share_a_solver(model):
    if model == "dcdm":
        pytest.importorskip("torch")
    problem = Poisson(np.zeros((24, 20, 18), dtype=np.uint8), boundary="open")
    rng = np.random.default_rng(61)
    sides = rng.standard_normal((8, *problem.shape))
    solver = Solver(problem, model=model, rtol=1e-5)
    alone = [solver.solve(b) for b in sides]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(solver.solve, sides))
    for (x, info), (y, other) in zip(alone, together, strict=True):
        assert info == other == 0 and info.iterations == other.iterations
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12 * np.abs(x).max())
