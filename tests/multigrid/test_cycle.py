"""The multilevel network through its kernels: symmetric, positive, fast to converge, the same whatever the threads."""

import dataclasses

import numpy as np
import pytest

import deepcg
from deepcg import Poisson
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.native import library as native
from deepcg.scenes import gallery
from tests.support import reference
from tests.support.cycles import random_parameters, residual_like

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SCENES = [(name, dim) for dim in (2, 3) for name in gallery.names(dim)]
SIZES = {2: 45, 3: 22}


@pytest.mark.parametrize(
    "parameters", [Parameters.classical(), random_parameters(11), random_parameters(12, (1, 2, 3))]
)
@pytest.mark.parametrize(("name", "dim"), SCENES)
def test_symmetric_and_positive(name, dim, parameters):
    problem = gallery.scene(name, SIZES[dim], dim).problem
    M = MultilevelCycle(problem, parameters)
    v, w = residual_like(problem, 5), residual_like(problem, 6)
    Mv, Mw = M(v), M(w)
    assert v @ Mv > 0 and w @ Mw > 0
    assert abs(v @ Mw - w @ Mv) < 2e-5 * np.sqrt((v @ Mv) * (w @ Mw))


@pytest.mark.parametrize("kind", ["physical", "noise"])
@pytest.mark.parametrize(("name", "dim"), SCENES)
def test_iterations_do_not_grow_with_size(name, dim, kind):
    counts = []
    for size in (SIZES[dim], 2 * SIZES[dim]):
        scene = gallery.scene(name, size, dim)
        b = scene.rhs if kind == "physical" else np.random.default_rng(9).standard_normal(scene.rhs.shape)
        x, info = deepcg.solve(scene.problem, b, model="multigrid", rtol=1e-6)
        assert info == 0 and info.fallbacks == 0
        problem = scene.problem
        right = problem.layout.rhs(b)
        problem.components.project(right)
        left = problem.matrix() @ problem.layout.residual(x.reshape(-1))
        right = problem.layout.residual(right)
        assert np.linalg.norm(right - left) <= 1.001e-6 * np.linalg.norm(right)
        counts.append(info.iterations)
    assert counts[1] <= (15 if name == "inclusions" else 11)  # single conducting cells are the hardest there are
    assert counts[1] <= counts[0] + 2


@pytest.mark.parametrize("seed", range(40))
def test_random_problems(seed):
    problem = Poisson(**reference.random_arguments(seed))
    b = residual_like(problem, seed).reshape(problem.shape)
    _, info = deepcg.solve(problem, b, model=MultilevelCycle(problem, Parameters.classical(), threads=1 + seed % 3))
    assert info == 0 and info.iterations <= 20


@pytest.mark.parametrize(("name", "dim"), [("porous", 2), ("baffles", 3), ("bubble", 3), ("cavity", 3)])
def test_the_same_for_any_number_of_threads(name, dim):
    """One application sums nothing across threads: it is the same to the bit."""
    problem = gallery.scene(name, 33, dim).problem
    v = residual_like(problem, 3)
    one = MultilevelCycle(problem, Parameters.classical(), threads=1)(v)
    for threads in (2, 3, 5):
        np.testing.assert_array_equal(MultilevelCycle(problem, Parameters.classical(), threads=threads)(v), one)


ROUGH = {"coefficient": 10.0 ** np.random.default_rng(21).uniform(-1, 1, (300, 260))}
SHARED = {  # what threads could take for their own
    "columns of one row, some threads have none": (Poisson(np.zeros((7, 10), np.uint8), boundary="periodic"), 300),
    "columns of one row, merged at any place": (Poisson(np.zeros((300, 260), np.uint8), **ROUGH), 3),
    "rows in whole packs, the next one's ghost beside": (
        Poisson(np.zeros((54, 36, 30), np.uint8), boundary="periodic"),
        5,
    ),
    "the same with an odd number of columns": (
        Poisson(np.zeros((54, 36, 29), np.uint8), boundary=["open", "open", "periodic"]),
        5,
    ),
}


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("what", SHARED)
def test_threads_keep_to_their_own(what, threads):
    """Applications as by one thread and solves that repeat, to the bit, as often as it took to see threads in each other's way."""
    problem, often = SHARED[what]
    v = residual_like(problem, 5)
    one = MultilevelCycle(problem, Parameters.classical(), threads=1)(v)
    cycle = MultilevelCycle(problem, Parameters.classical(), threads=threads)
    for method in ("cg", "dcd"):
        solver = deepcg.Solver(problem, model=cycle, method=method, rtol=1e-8)
        first, expected = solver.solve(v.reshape(problem.shape))
        for _ in range(often):
            np.testing.assert_array_equal(cycle(v), one)
            x, info = solver.solve(v.reshape(problem.shape))
            np.testing.assert_array_equal(x, first)
            assert info.residuals == expected.residuals


def test_a_solve_repeats_to_the_bit():
    scene = gallery.scene("plume", 40)
    first, _ = deepcg.solve(scene.problem, scene.rhs, model="multigrid")
    second, _ = deepcg.solve(scene.problem, scene.rhs, model="multigrid")
    np.testing.assert_array_equal(first, second)


def test_update_serves_other_cells_coefficients_and_shapes():
    first = gallery.scene("plume", 24).problem
    M = MultilevelCycle(first, Parameters.classical())
    for other in (gallery.scene("porous", 24), gallery.scene("bubble", 17), gallery.scene("baffles", 30, 2)):
        M.update(other.problem)
        v = residual_like(other.problem, 4)
        np.testing.assert_array_equal(M(v), MultilevelCycle(other.problem, Parameters.classical())(v))
    M.update(first)
    v = residual_like(first, 8)
    np.testing.assert_array_equal(M(v), MultilevelCycle(first, Parameters.classical())(v))


def test_solver_update_is_a_fresh_solve():
    cells = np.zeros((20, 21, 22), dtype=np.uint8)
    solver = deepcg.Solver(Poisson(cells, boundary="open"), model="multigrid")
    cells = cells.copy()
    cells[5:9, 5:9, 5:9] = deepcg.SOLID
    solver.update(cells=cells)
    b = np.random.default_rng(3).standard_normal(cells.shape)
    x, info = solver.solve(b)
    y, _ = deepcg.solve(Poisson(cells, boundary="open"), b, model="multigrid")
    assert info == 0
    np.testing.assert_array_equal(x, y)


def test_a_wall_divides_coarse_cells_into_several_unknowns():
    problem = gallery.scene("baffles", 32).problem
    levels = MultilevelCycle(problem, Parameters.classical()).levels
    assert levels[0].secondary == 0 and max(level.secondary for level in levels) > 0


def test_thin_cells_are_merged_first():
    cells = np.zeros((16, 16), dtype=np.uint8)
    levels = MultilevelCycle(Poisson(cells, spacing=[0.1, 1.0], boundary="open"), Parameters.classical()).levels
    assert levels[1].shape == (8, 1, 16)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_scale_of_operator_and_right_hand_side_does_not_matter(scale):
    cells = np.zeros((12, 13, 14), dtype=np.uint8)
    beta = scale * np.exp(np.random.default_rng(2).standard_normal(cells.shape))
    b = np.random.default_rng(4).standard_normal(cells.shape)
    counts = {
        deepcg.solve(Poisson(cells, coefficient=beta, boundary="open"), b / scale, model="multigrid")[1].iterations
    }
    counts.add(
        deepcg.solve(Poisson(cells, coefficient=beta / scale, boundary="open"), b, model="multigrid")[1].iterations
    )
    assert len(counts) == 1


def test_attainable_accuracy_is_reached():
    scene = gallery.scene("plume", 32)
    _, info = deepcg.solve(scene.problem, scene.rhs, model="multigrid", rtol=1e-15)
    assert info.reason in ("converged", "attainable accuracy")
    assert info.residuals[-1] < 1e-12 * info.residuals[0]


def test_memory_is_what_the_ledger_says():
    """48 bytes a cell with constant coefficients, 80 with variable ones, besides b, x and the operator's own arrays."""
    constant = MultilevelCycle(gallery.scene("plume", 96).problem, Parameters.classical())
    assert constant.memory < 40 * 96**3  # r, 8 bytes a cell, is the solver's
    variable = MultilevelCycle(gallery.scene("bubble", 96).problem, Parameters.classical())
    assert variable.memory < 72 * 96**3


def test_weights_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match="omega"):
        Parameters.classical(2, 1.5)
    with pytest.raises(ValueError, match="sweeps"):
        Parameters.classical((2, 5))
    with pytest.raises(ValueError, match="relaxation_table"):
        dataclasses.replace(Parameters.classical(), relaxation_table=np.full(16, 1.3))


def test_vectors_of_another_kind_are_refused():
    problem = gallery.scene("box", 10).problem
    M = MultilevelCycle(problem, Parameters.classical())
    with pytest.raises(ValueError, match="r: a C-contiguous float64"):
        M(np.zeros(10))
    with pytest.raises(ValueError, match="r: a C-contiguous float64"):
        M(np.zeros(1000, dtype=np.float32))


@pytest.mark.parametrize("window", [0, 1, 3, None])
@pytest.mark.parametrize(("name", "dim"), [("plume", 3), ("porous", 2), ("bubble", 2), ("bubble", 3), ("cavity", 3)])
def test_conjugate_directions_take_as_many_iterations_as_conjugate_gradients(name, dim, window):
    """With a symmetric preconditioner a window of 1 is conjugate gradients, and a wider one no loss even to 1e-9."""
    scene = gallery.scene(name, SIZES[dim], dim)
    counts = {}
    for method in ("cg", "dcd"):
        x, info = deepcg.solve(scene.problem, scene.rhs, model="multigrid", method=method, window=window, rtol=1e-9)
        assert info == 0, info
        assert info.fallbacks == 0
        fluid = scene.problem.cells == deepcg.FLUID
        b = scene.rhs[fluid] - (scene.rhs[fluid].mean() if name == "cavity" else 0.0)  # the one singular scene here
        assert np.linalg.norm(b - scene.problem.matrix() @ x[fluid]) <= 1.01e-9 * np.linalg.norm(b)
        counts[method] = info.iterations
    if window == 0:  # steepest descent along M r
        assert counts["cg"] <= counts["dcd"] <= 3 * counts["cg"]
    else:
        assert abs(counts["dcd"] - counts["cg"]) <= 1, counts


def test_a_negative_window_is_refused():
    problem = gallery.scene("box", 12).problem
    r = residual_like(problem, 3)
    with pytest.raises(native.KernelError, match="window"):
        MultilevelCycle(problem, Parameters.classical()).native_directions(np.zeros_like(r), r, 0.0, 3, -1)


def test_memory_of_ended_solvers_serves_the_next_ones():
    """Blocks that are used again, for levels of another kind and after they went back to the system, leave no trace in results."""
    problems = [gallery.scene(name, 96).problem for name in ("plume", "bubble")]
    first = []
    for round_ in range(3):
        for number, problem in enumerate(problems):
            z = MultilevelCycle(problem, Parameters.classical(), threads=2)(residual_like(problem, 4))
            if round_ == 0:
                first.append(z)
            np.testing.assert_array_equal(z, first[number])
        if round_ == 1:
            deepcg.release_memory()
