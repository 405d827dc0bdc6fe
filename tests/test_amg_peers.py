"""The algebraic-multigrid peers on tiny systems: the residual recomputed, singular components, what is said when one is not there."""

import json
import os

import numpy as np
import pytest

import deepcg
from benchmarks import amg_peers
from benchmarks.amg_peers import AMG_PEERS, NotInstalled, missing
from benchmarks.peer_process import POCKET, System, run
from benchmarks.record import true_residual
from deepcg import gallery

RTOL = 1e-6
two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")


def peer(name):
    if lacking := missing(name):
        pytest.skip(lacking)
    return AMG_PEERS[name]


def two_boxes():
    """Two closed boxes, one a pocket, and a third that is open: one null vector, one pinned unknown."""
    cells = np.full((24, 14, 14), deepcg.SOLID, dtype=np.uint8)
    cells[1:12, 1:13, 1:13] = deepcg.FLUID
    cells[13:15, 1:3, 1] = deepcg.FLUID
    cells[16:23, 1:13, 1:13] = deepcg.FLUID
    cells[22, 1:13, 1:13] = deepcg.OPEN
    return deepcg.Poisson(cells)


def two_large_boxes():
    cells = np.zeros((23, 12, 13), dtype=np.uint8)
    cells[11] = deepcg.SOLID
    return deepcg.Poisson(cells)


def check(problem, b, figures, repeats):
    assert figures["x"].shape == b.shape
    assert figures["converged"] and true_residual(problem, figures["x"], b) <= RTOL * (1 + 1e-6)
    for key in ("setup_seconds", "solve_seconds", "setup_cpu_seconds", "solve_cpu_seconds"):
        assert len(figures[key]) == repeats and all(seconds > 0 for seconds in figures[key])
    assert 1 <= figures["iterations"] < 60
    mean_removed = problem.layout.rhs(figures["x"])
    assert problem.components.project(mean_removed) <= 1e-9 * np.linalg.norm(mean_removed)
    rest = {key: value for key, value in figures.items() if key != "x"}
    assert json.loads(json.dumps(rest)) == rest


@pytest.mark.parametrize("name", AMG_PEERS)
@pytest.mark.parametrize(
    "scene, cores",
    [
        ("bubble", 1),
        ("cavity", 1),
        pytest.param("porous", 2, marks=two_cores),
        pytest.param("cavity", 2, marks=two_cores),
    ],
)
def test_a_peer_meets_the_stopping_rule(name, scene, cores):
    solve, case = peer(name), gallery.scene(scene, 17)
    figures = solve(case.problem, case.rhs, RTOL, cores, 2)
    assert figures["method"] == name and figures["cores"] == cores
    check(case.problem, case.rhs, figures, 2)


@pytest.mark.parametrize("name", AMG_PEERS)
@pytest.mark.parametrize("make", [two_boxes, two_large_boxes])
def test_singular_components(name, make):
    solve, problem = peer(name), make()
    b = np.random.default_rng(5).standard_normal(problem.size)  # flat, and not in the range
    check(problem, b, solve(problem, b, RTOL, 1, 1), 1)


def test_pockets_are_pinned_and_large_components_stay_singular():
    problem = two_boxes()
    system = System(problem, np.random.default_rng(8).standard_normal(problem.shape))
    A = problem.matrix()
    changed = system.matrix - A
    changed.eliminate_zeros()
    assert changed.nnz == 1 and changed.diagonal().max() == A.diagonal()[changed.diagonal() > 0]
    assert np.count_nonzero(system.null_space == 1) == 11 * 12 * 12 >= POCKET and system.null_space.max() == 1
    null = (system.null_space == 1).astype(float)
    assert np.abs(system.matrix @ null).max() == 0 and abs(system.rhs @ null) < 1e-10
    assert System(two_large_boxes(), np.arange(22 * 12 * 13)).null_space.max() == 2


def test_a_cell_without_neighbours_is_solved_for():
    cells = np.full((3, 5), deepcg.SOLID, dtype=np.uint8)
    cells[1, 1], cells[1, 3] = deepcg.FLUID, deepcg.FLUID
    cells[0, 3] = deepcg.OPEN
    system = System(deepcg.Poisson(cells), np.array([3.0, 2.0]))
    assert system.null_space is None and system.rhs.tolist() == [0.0, 2.0]
    assert system.matrix.toarray().tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_regular_matrix_is_handed_over_as_it_is():
    case = gallery.scene("plume", 9)
    system = System(case.problem, case.rhs)
    assert system.null_space is None and (system.matrix != case.problem.matrix()).nnz == 0
    np.testing.assert_array_equal(system.solution(system.rhs), case.rhs)


@pytest.mark.parametrize("name", AMG_PEERS)
def test_arguments_are_checked_before_anything_runs(name, monkeypatch):
    solve, case = peer(name), gallery.scene("box", 8)
    monkeypatch.setattr(amg_peers, "run", lambda *arguments: pytest.fail("ran"))
    with pytest.raises(ValueError, match="rtol"):
        solve(case.problem, case.rhs, 0.0, 1, 1)
    with pytest.raises(ValueError, match="cores"):
        solve(case.problem, case.rhs, RTOL, 0, 1)
    with pytest.raises(ValueError, match="repeats"):
        solve(case.problem, case.rhs, RTOL, 1, 0)
    with pytest.raises(ValueError, match="b: zero"):
        solve(case.problem, np.zeros(case.problem.shape), RTOL, 1, 1)
    with pytest.raises(ValueError, match=r"name.*AMGCL"):
        missing("multigrid")


def test_what_is_not_installed_is_said_with_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    case = gallery.scene("box", 8)
    for name, solve in AMG_PEERS.items():
        assert "not installed" in missing(name) and "make bench-peers" in missing(name)
        with pytest.raises(NotInstalled, match=r"not installed.*make bench-peers"):
            solve(case.problem, case.rhs, RTOL, 1, 1)


def test_a_process_that_fails_is_quoted():
    case = gallery.scene("box", 8)
    with pytest.raises(RuntimeError, match=r"some peer.*failed \(3\)\nno luck"):
        run("some peer", ["sh", "-c", "echo no luck; exit 3"], {}, System(case.problem, case.rhs), {})
