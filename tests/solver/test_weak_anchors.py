"""Systems that are nearly singular, graded or scaled to the ends of float64: iterations, attainable accuracy, the best answer."""

import numpy as np
import pytest
import scipy.sparse.linalg as spla

from deepcg import Poisson, solve

EPS = np.finfo(float).eps
N = 24
PATHS = {
    "cg": {},
    "dcd": {"method": "dcd"},
    "cg with a callback": {"callback": lambda x: None},
    "dcd with a callback": {"method": "dcd", "callback": lambda x: None},
}


def held_at_the_bottom(anchor, n=N):
    """Walls all round but for a Robin term on one face, and a flux into the other one: x is about 1 / anchor."""
    shift, b = np.zeros((n, n, n)), np.zeros((n, n, n))
    shift[0], b[-1] = anchor, 1.0
    return Poisson(np.zeros((n, n, n), np.uint8), shift=shift), b


def rounding(A, x, b):
    """What rounding in x and b leaves of b - A x, at most."""
    return EPS * np.linalg.norm(abs(A) @ abs(x.ravel()) + abs(b.ravel()))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("anchor", [1e-5, 1e-6, 1e-7])
def test_a_weak_anchor_costs_no_iterations(anchor, path):
    problem, b = held_at_the_bottom(anchor)
    x, info = solve(problem, b, **PATHS[path])
    assert info == 0 and info.fallbacks == 0 and info.iterations <= 8
    assert np.linalg.norm(b.ravel() - problem.matrix() @ x.ravel()) <= 1.1e-6 * np.linalg.norm(b)
    assert x.mean() == pytest.approx(spla.spsolve(problem.matrix().tocsc(), b.ravel()).mean(), rel=1e-5)


@pytest.mark.parametrize("path", ["cg", "dcd"])
@pytest.mark.parametrize("anchor", [1e-8, 1e-10, 1e-12])
@pytest.mark.parametrize("everywhere", [False, True])
def test_down_to_rounding(anchor, everywhere, path):
    """Converged, or as near as x in float64 can come; and never further away when solved again from there."""
    problem, b = held_at_the_bottom(anchor)
    if everywhere:
        problem = Poisson(np.zeros(b.shape, np.uint8), shift=anchor)
    A = problem.matrix()
    x, info = solve(problem, b, **PATHS[path])
    assert info.reason in ("converged", "attainable accuracy") and info.iterations <= 400
    assert info.residuals[-1] <= max(1e-6 * np.linalg.norm(b), 16 * rounding(A, x, b))
    for _ in range(3):
        before = info.residuals[-1]
        x, info = solve(problem, b, x, **PATHS[path])
        assert info.residuals[-1] <= before * (1 + 1e-9)


def test_a_shift_of_1e_7_and_cells_graded_100_to_1():
    b = 1 + np.random.default_rng(0).standard_normal((64, 64))
    shifted = Poisson(np.zeros((64, 64), np.uint8), shift=1e-7)
    graded = Poisson(
        np.zeros((40, 40), np.uint8),
        spacing=[100 ** np.linspace(0, 1, 40), np.full(40, 1 / 40)],
        boundary=[("wall", "open"), "wall"],
    )
    for problem, rhs in ((shifted, b), (graded, b[:40, :40])):
        for path in PATHS.values():
            _, info = solve(problem, rhs, **path)
            assert info == 0 and info.fallbacks == 0 and info.iterations <= 8


def cut_cells(n):
    """Open fractions down to 1e-8 around a ball, and a bubble 1e5 times lighter than what is around it."""
    weights = []
    for axis in range(2):
        y, x = np.meshgrid(*[np.arange(n + 1.0) if a == axis else np.arange(n) + 0.5 for a in range(2)], indexing="ij")
        density = np.where(np.hypot(y - 0.5 * n, x - 0.82 * n) < 0.1 * n, 1.0, 1e5)
        opening = np.clip(0.5 + np.hypot(y - 0.5 * n - 0.17, x - 0.5 * n - 0.17) - 0.31 * n, 1e-8, 1)
        weights.append(opening / density * 1e5)
    return Poisson(np.zeros((n, n), np.uint8), coefficient=weights, boundary=[("wall", "open"), "wall"])


def test_the_floor_is_judged_by_rows():
    """||A|| ||x|| is large where x is small here: no reason to stop at a residual that is not rounding."""
    problem, b = cut_cells(64), np.random.default_rng(0).standard_normal((64, 64))
    for path in ("cg", "cg with a callback"):
        x, info = solve(problem, b, **PATHS[path])
        assert info == 0
        assert np.linalg.norm(b.ravel() - problem.matrix() @ x.ravel()) <= 1.01e-6 * np.linalg.norm(b)


@pytest.mark.parametrize("model", ["auto", "jacobi", "none"])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_to_solve(model, path):
    """b = 0 with a guess, and a b that is nothing but null space to rounding."""
    guess = np.random.default_rng(0).standard_normal((16, 16))
    for boundary, b in (("open", np.zeros((16, 16))), ("wall", np.zeros((16, 16))), ("wall", np.full((16, 16), 0.1))):
        problem = Poisson(np.zeros((16, 16), np.uint8), boundary=boundary)
        x, info = solve(problem, b, guess, model=model, **PATHS[path])
        assert info == 0 and info.iterations == 0 and not x.any()


def test_a_constant_b_over_many_cells():
    """The rounding of its mean grows with the cells."""
    for shape, boundary in (((1, 572), "periodic"), ((97, 211), "wall"), ((23, 29, 31), "wall")):
        x, info = solve(Poisson(np.zeros(shape, np.uint8), boundary=boundary), np.full(shape, 0.1))
        assert info == 0 and info.iterations == 0 and not x.any()


def test_a_b_that_is_more_than_rounding_is_not_dropped():
    problem, b = Poisson(np.zeros((16, 16), np.uint8)), np.full((16, 16), 0.1)
    b[3, 3] += 1e-13
    x, info = solve(problem, b)
    assert info.iterations > 0 and x.any()


@pytest.mark.parametrize("size", [1e10, 1e50, 1e150, 1e250, 1e300])
@pytest.mark.parametrize("path", PATHS)
def test_a_useless_guess_is_dropped(size, path):
    problem, rng = Poisson(np.zeros((16, 16), np.uint8), boundary="open"), np.random.default_rng(1)
    b, guess = rng.standard_normal((16, 16)), size * rng.standard_normal((16, 16))
    x, info = solve(problem, b, guess, **PATHS[path])
    assert info == 0 and info.iterations <= 10
    assert np.linalg.norm(b - problem.apply(x)) <= 1.01e-6 * np.linalg.norm(b)


SCALES = (1e-300, 1e-160, 1.0, 1e160, 1e300)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("of_a", SCALES)
@pytest.mark.parametrize("as_matrix", [False, True])
def test_scales_of_a_and_b(of_a, path, as_matrix):
    """An answer that is right, or the word that float64 does not reach to it."""
    n = 10
    unscaled = Poisson(np.zeros((n, n), np.uint8), boundary="open")
    b0, faces = np.random.default_rng(2).standard_normal((n, n)), [np.full((n + 1, n), of_a), np.full((n, n + 1), of_a)]
    exact = spla.spsolve(unscaled.matrix().tocsc(), b0.ravel())
    for of_b in SCALES:
        with np.errstate(over="ignore"):
            told = abs(np.log10(of_b) - np.log10(of_a)) < 307
        problem = Poisson(np.zeros((n, n), np.uint8), coefficient=faces, boundary="open")
        options = dict(grid=(n, n), **PATHS[path]) if as_matrix else PATHS[path]
        A, b = (problem.matrix(), (of_b * b0).ravel()) if as_matrix else (problem, of_b * b0)
        try:
            x, info = solve(A, b, **options)
        except ValueError as error:
            assert not told and "range of float64" in str(error)
            continue
        assert np.isfinite(x).all()
        if told:
            assert info == 0
            assert np.allclose(x.ravel() / of_b * of_a, exact, rtol=1e-4, atol=1e-5 * abs(exact).max())
        else:  # below the smallest number
            assert info != 0 and info.reason == "attainable accuracy" and not x.any()
