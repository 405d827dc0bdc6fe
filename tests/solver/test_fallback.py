"""What goes on where a model fails: in `deepcg.solve`, `Solver` and the command; by whom, how long, and what a report says of it."""

import itertools

import numpy as np
import pytest

import deepcg
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.preconditioners import algebraic
from deepcg.preconditioners.registry import build
from deepcg.solver import fallback
from deepcg.solver.fallback import CHOICES
from tests.support import weak_model
from tests.support.promise import by_solve

AMG = algebraic.named()
needs_amg = pytest.mark.skipif(not AMG, reason="neither PyAMG nor AMGCL is installed")
RNG = np.random.default_rng(11)
SHAPE = (40, 36)
BOX = deepcg.Poisson(np.zeros(SHAPE, np.uint8), boundary="open")
B = RNG.standard_normal(SHAPE)
SPOILT = 10.0 ** RNG.uniform(-2, 2, BOX.size)


class Poor:
    """Linear, symmetric, positive definite, as it says, and of little use."""

    name, linear, spd = "poor", True, True

    def __call__(self, r):
        return SPOILT[: r.size] * r

    def update(self, problem):
        pass


class Broken(Poor):
    name = "broken"

    def __call__(self, r):
        return np.full_like(r, np.nan)


def weak(problem):
    return MultilevelCycle(problem, weak_model.parameters(), "weak")


def judge(problem, x, info, b=B, rtol=1e-6):
    assert int(info) == 0, str(info)
    r = np.asarray(b - problem.apply(x)).reshape(-1)
    assert np.linalg.norm(r) <= 1.001 * rtol * np.linalg.norm(b)
    assert info.fallbacks >= sum(n for _, n in info.steps)


@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_a_poor_preconditioner_costs_no_more_than_plain_conjugate_gradients_twice(method):
    plain = by_solve(BOX, B.ravel(), None, model="none")
    x, info = deepcg.solve(BOX, B, model=Poor(), method=method)
    judge(BOX, x, info)
    assert info.iterations <= 2 * plain.iterations
    assert info.fallback == "multigrid" and [name for name, _ in info.steps] == ["multigrid"]
    assert f"{info.fallbacks} of the iterations by fallback (multigrid {info.steps[0][1]}" in str(info)


@pytest.mark.parametrize("callback", [None, lambda x: None])
def test_a_network_of_no_use_is_left_for_the_classical_cycle(callback):
    box = deepcg.Poisson(np.zeros((64, 64), np.uint8), boundary="open")
    b = RNG.standard_normal(box.shape)
    _, classical = deepcg.solve(box, b, model="multigrid")
    x, info = deepcg.solve(box, b, model=weak(box), callback=callback)
    judge(box, x, info, b)
    assert info.steps == (("multigrid", info.steps[0][1]),) and info.steps[0][1] <= classical.iterations + 1
    assert info.model == "weak" and info.condition is None


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("auto", ("multigrid",)),
        ("multigrid", ("multigrid",)),
        pytest.param("amg", (AMG,), marks=needs_amg),
        ("jacobi", ("jacobi",)),
        ("none", ()),
    ],
)
def test_the_option_says_who_goes_on(asked, names):
    x, info = deepcg.solve(BOX, B, model=Broken(), fallback=asked)
    assert tuple(name for name, _ in info.steps) == names
    if asked == "none":
        assert int(info) > 0 and info.reason.startswith("stalled") and np.isfinite(x).all()
    else:
        judge(BOX, x, info)


@needs_amg
def test_algebraic_multigrid_comes_after_a_classical_cycle_that_fails(monkeypatch):
    """The classical cycle itself, spoilt after a few applications."""
    calls, cycle = itertools.count(), build(BOX, "multigrid")

    class Failing(MultilevelCycle):
        native_cg = None

        def __call__(self, r):
            return cycle(r) if next(calls) < 2 else np.full_like(r, np.nan)

    made = Failing(BOX, Parameters.classical(), "multigrid")
    x, info = deepcg.solve(BOX, B, model=made, rtol=1e-10)
    judge(BOX, x, info, rtol=1e-10)
    assert [name for name, _ in info.steps] == [AMG] and info.steps[0][1] <= 25


@pytest.mark.parametrize("model", ["none", "jacobi"])
def test_whoever_asks_for_plain_conjugate_gradients_gets_them(model):
    large = deepcg.Poisson(np.zeros((96, 96), np.uint8), boundary="open")
    b = RNG.standard_normal(large.shape)
    x, info = deepcg.solve(large, b, model=model, rtol=1e-8)
    judge(large, x, info, b, rtol=1e-8)
    assert info.iterations > 200 and info.steps == () and info.fallback == ""


def pockets():
    """Walls all round, a wall across, a cell on its own: three singular components, one of which is a single cell."""
    cells = np.zeros((24, 20), np.uint8)
    cells[:, 9] = deepcg.SOLID
    cells[4:7, 4:7] = deepcg.SOLID
    cells[5, 5] = deepcg.FLUID
    return deepcg.Poisson(cells)


@needs_amg
@pytest.mark.parametrize("kind", ["box", "pockets", "periodic", "matrix", "negative"])
def test_algebraic_multigrid_serves_singular_systems(kind):
    problem = pockets()
    if kind == "box":
        problem = deepcg.Poisson(np.zeros((24, 20), np.uint8))
    elif kind == "periodic":
        problem = deepcg.Poisson(np.zeros((24, 20), np.uint8), boundary="periodic")
    b = problem.layout.rhs(RNG.standard_normal(problem.size))
    problem.components.project(b)
    b = b.reshape(problem.shape)
    if kind in ("matrix", "negative"):
        sign = 1.0 if kind == "matrix" else -1.0
        b = sign * b[problem.stencil.fluid]
        problem = deepcg.Poisson.from_matrix(sign * problem.matrix(), cells=problem.cells)
    x, info = deepcg.solve(problem, b, model=Broken(), fallback="amg", rtol=1e-9)
    judge(problem, x, info, b, rtol=1e-9)
    assert info.steps == ((AMG, info.steps[0][1]),) and info.steps[0][1] <= 25
    mean = problem.layout.guess(x)
    assert problem.components.project(mean) <= 1e-12 * np.linalg.norm(mean)


@needs_amg
def test_rows_that_are_diagonal_only_stay_as_they_are():
    A = BOX.matrix().tolil()
    A[7, :], A[7, 7] = 0.0, 5.0
    A = A.tocsr()
    b = RNG.standard_normal(BOX.size)
    x, info = deepcg.solve(A, b, grid=SHAPE, model=Broken(), fallback="amg")
    assert int(info) == 0 and info.fallback == AMG
    assert np.linalg.norm(b - A @ x) <= 1.001e-6 * np.linalg.norm(b)


@needs_amg
def test_it_is_set_up_when_it_is_needed_and_once_for_a_problem(monkeypatch):
    made = []

    class Counted(fallback.AlgebraicMultigrid):
        def __init__(self, problem):
            made.append(problem)
            super().__init__(problem)

    monkeypatch.setattr(fallback, "AlgebraicMultigrid", Counted)
    fine = deepcg.Solver(BOX)
    fine.solve(B)
    assert not made
    solver = deepcg.Solver(BOX, model=Broken(), fallback="amg")
    first, second = solver.solve(B), solver.solve(B)
    assert made == [BOX] and np.array_equal(first[0], second[0])
    other = deepcg.Poisson(np.zeros(SHAPE, np.uint8), boundary=["open", "wall"])
    solver.update(other)
    x, info = solver.solve(B)
    judge(other, x, info)
    assert made == [BOX, other]


@needs_amg
def test_one_that_cannot_be_set_up_is_said_and_passed_over(monkeypatch):
    def fails(problem):
        raise MemoryError("levels")

    monkeypatch.setattr(fallback, "AlgebraicMultigrid", fails)
    solver = deepcg.Solver(BOX, model=Broken(), fallback="amg")
    with pytest.warns(RuntimeWarning, match=r"could not be set up \(MemoryError: levels\); the solve goes on without"):
        x, info = solver.solve(B)
    judge(BOX, x, info)
    assert [name for name, _ in info.steps] == ["jacobi"]


def test_where_no_package_is_installed(monkeypatch):
    monkeypatch.setattr(algebraic, "MODULES", {"PyAMG": "no_such_module"})
    with pytest.raises(ValueError, match=r"fallback: 'amg' given; .*pip install"):
        deepcg.Solver(BOX, fallback="amg")
    with pytest.raises(ImportError, match="pip install"):
        deepcg.solve(BOX, B, model="amg")
    x, info = deepcg.solve(BOX, B, model=Broken())
    judge(BOX, x, info)
    assert info.fallback == "multigrid"


@pytest.mark.parametrize("package", algebraic.MODULES)
def test_every_package_that_is_installed_takes_few_iterations_at_high_contrast(package, monkeypatch):
    pytest.importorskip(algebraic.MODULES[package])
    monkeypatch.setattr(algebraic, "MODULES", {package: algebraic.MODULES[package]})
    rng = np.random.default_rng(0)
    K = np.where(rng.random((20, 20, 20)) < 0.2, 1e6, 1.0)
    problem = deepcg.Poisson(np.zeros(K.shape, np.uint8), coefficient=K, boundary=[("open", "open"), "wall", "wall"])
    b = rng.standard_normal(K.shape)
    x, info = deepcg.solve(problem, b, model="amg")
    judge(problem, x, info, b)
    assert info.iterations <= 15 and info.fallbacks == 0 and info.model == f"amg ({package})"


@pytest.mark.parametrize("asked", ["gamg", None, 1])
def test_other_words_are_refused(asked):
    with pytest.raises(ValueError, match=r"fallback: .* given; one of .*'amg', 'jacobi', 'none'"):
        deepcg.Solver(BOX, fallback=asked)


def test_several_right_hand_sides_add_up():
    b = RNG.standard_normal((BOX.size, 3))
    _, infos = deepcg.solve(BOX, b, model=Broken())
    assert not infos
    assert infos.steps == (("multigrid", sum(dict(one.steps)["multigrid"] for one in infos)),)
    assert f"by fallback (multigrid {infos.steps[0][1]}" in str(infos)


def test_a_copy_keeps_the_option():
    import copy

    made = copy.deepcopy(deepcg.Solver(BOX, model="jacobi", fallback="multigrid"))
    assert made.__getstate__()["fallback"] == "multigrid"


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "amg" or AMG])
def test_the_command_takes_it(choice, capsys):
    cli = pytest.importorskip("deepcg.cli")
    assert cli.main(["solve", "sphere", "--dim", "2", "--size", "16", "--fallback", choice], standalone_mode=False) in (
        0,
        None,
    )
    assert "converged" in capsys.readouterr().out
