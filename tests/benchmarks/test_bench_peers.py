"""The peers on tiny systems: every one meets the one stopping rule; singular components, pockets, direct solutions, deflation."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse.linalg as spla

import deepcg
from benchmarks.paths import RESULTS
from benchmarks.peers import installed
from benchmarks.peers.registry import (
    AMG,
    GPU,
    MULTIGRID_TUNED,
    ON_CPU,
    PEERS,
    STRICT,
    in_precision,
    is_rough,
    tuned_multigrid,
    with_window,
)
from benchmarks.plans import FRESH, KEPT, PAPER_SCENES, PLANS, Entry, Plan, paper, peers
from benchmarks.records.journal import Journal
from benchmarks.records.record import true_residual
from benchmarks.records.results import gather, load
from benchmarks.runner.runner import Runner
from benchmarks.studies import search
from benchmarks.systems.cases import Case
from benchmarks.systems.fields import FIELDS
from benchmarks.systems.system import POCKET, System, ingredients, made_of
from benchmarks.workers import scipy_methods
from benchmarks.workers.fft_method import Direct, without_direct
from benchmarks.workers.gpu_methods import TorchCG
from benchmarks.workers.methods import Loaded
from deepcg.scenes import gallery

two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")


def entries(folder, *asked, repeats=1):
    with Journal(Path(folder) / "j.jsonl") as journal:
        Runner(Plan("test", asked, ((60.0, repeats),), 120.0), journal).run()
        return gather(journal, "test")["entries"]


@pytest.mark.parametrize("scene, cores", [("box", 1), ("cavity", 1), pytest.param("porous", 2, marks=two_cores)])
def test_every_peer_meets_the_stopping_rule(tmp_path, scene, cores):
    asked = [name for name in ON_CPU if name != "DCDM network" or scene == "box"]
    found = entries(tmp_path, Entry(Case(scene, 17), peers(*asked), (1e-6,), cores))
    assert [entry["peer"] for entry in found] == asked
    for entry in found:
        peer = PEERS[entry["peer"]]
        if lacking := peer.missing():
            assert entry["outcome"] == lacking
        elif entry["unfit"]:
            assert entry["peer"] == "FFT" and scene == "porous"
        else:
            assert entry["converged"], entry
            assert entry["true_residual"] <= 1.001e-6 and entry["iterations"] >= 1
            assert entry["version"] and entry["settings"] is not None and entry["memory_bytes"] is not None
            assert entry["residuals"] is None or len(entry["residuals"]) <= entry["iterations"] + 1
            assert entry["iterations"] <= 60 or peer.kind in ("cg", "jacobi"), entry["peer"]


def test_tight_tolerances_are_met_by_the_residual_that_is_evaluated(tmp_path):
    asked = peers(*ON_CPU, without=("DCDM network", "CG"))
    for entry in entries(tmp_path, Entry(Case("bubble", 12, 2), asked, (1e-10,), 1)):
        if PEERS[entry["peer"]].missing() or entry["unfit"]:
            continue
        assert entry["converged"] or entry["peer"].startswith("multi"), (
            entry
        )  # deepcg may stop at the attainable accuracy
        assert entry["true_residual"] <= 3e-10


def test_a_kept_set_up_serves_the_next_matrix(tmp_path):
    kept = peers("Jacobi-PCG", "deflated PCG", "PyAMG SA-PCG", "AMGCL SA-PCG", "PETSc GAMG-PCG", "multilevel network")
    case = Case("sphere", 12, steps=3)
    for entry in entries(tmp_path, Entry(case, kept, (1e-6,), 1, (FRESH, KEPT))):
        if not PEERS[entry["peer"]].missing():
            assert entry["converged"], entry
            assert entry["setups"] == 3 if entry["mode"] == FRESH else entry["setups"] <= 3


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


class Given(Case):
    """A case with a system of the test's."""

    def __init__(self, make):
        super().__init__(make.__name__)
        object.__setattr__(self, "_make", make)

    def systems(self):
        from benchmarks.systems.cases import Step

        problem = self._make()
        yield Step(problem, np.random.default_rng(5).standard_normal(problem.size))  # flat, and not in the range


@pytest.mark.parametrize("make", [two_boxes, two_large_boxes])
def test_singular_components(tmp_path, make):
    asked = peers(*ON_CPU, without=("DCDM network",))
    for entry in entries(tmp_path, Entry(Given(make), asked, (1e-6,), 1)):
        if entry["peer"] == "hypre PFMG-PCG":  # its coarsest matrix is singular, and it says nothing: we do
            assert entry["converged"] or entry["outcome"] in (PEERS[entry["peer"]].missing(), "true residual 1.0e+00")
        elif not PEERS[entry["peer"]].missing() and not entry["unfit"]:
            assert entry["converged"] and entry["true_residual"] <= 1.001e-6, entry


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


@pytest.mark.parametrize("every_cell", [False, True])
@pytest.mark.parametrize("name", ["porous", "dam_break", "cavity", "boxes"])
def test_the_residual_is_that_of_the_assembled_problem(tmp_path, name, every_cell):
    problem = two_boxes() if name == "boxes" else gallery.scene(name, 14).problem
    rng = np.random.default_rng(31)
    b, x = rng.standard_normal(problem.size), rng.standard_normal(problem.size)
    system = System(problem, b, every_cell)
    before = system.residual(system.guess(x))
    assert before == pytest.approx(true_residual(problem, x, b), rel=1e-12)
    loaded = Loaded(system.write(tmp_path / "s", x))
    assert np.linalg.norm(loaded.residual(loaded.x0)) / np.linalg.norm(loaded.rhs) == pytest.approx(before, rel=1e-12)
    assert system.residual(system.guess(x)) == before  # now from the disk
    assert true_residual(problem, system.solution(system.guess(x)), b) == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("scene", ["bubble", "stretched", "dam_break"])
def test_a_problem_is_made_again_from_its_ingredients(scene):
    problem = gallery.scene(scene, 12).problem
    again = made_of(ingredients(problem))
    assert again is not problem and (again.matrix() != problem.matrix()).nnz == 0
    A = -problem.matrix()
    read = deepcg.Poisson.from_matrix(A, cells=problem.cells) if scene == "dam_break" else None
    if read is not None:
        assert (made_of(ingredients(read) | {"shape": None, "cells": problem.cells}).matrix() != A).nnz == 0


KINDS = ["wall", "open", ("wall", "open"), ("open", "wall")]


@pytest.mark.parametrize("last", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_the_direct_solver_is_exact(tmp_path, first, last):
    other = [kind for kind in (first, last) if isinstance(kind, tuple)]
    problem = deepcg.Poisson(
        np.zeros((9, 8, 7), dtype=np.uint8), spacing=[0.5, 1.5, 0.7], boundary=[first, "open", last]
    )
    if len(other) == 2:
        assert "two kinds" in without_direct(problem)
        return
    b = np.random.default_rng(4).standard_normal(problem.size)
    system, direct = System(problem, b), Direct()
    loaded = Loaded(system.write(tmp_path / "s"))
    direct.load(loaded)
    direct.set_up(loaded)
    x, iterations, _ = direct.solve(loaded, False, 1e-12, 1, None)
    assert system.residual(x) < 1e-12 and iterations == 1
    np.testing.assert_allclose(x, spla.spsolve(problem.matrix().tocsc(), b), rtol=1e-9, atol=1e-11)


def test_the_direct_solver_of_a_closed_box_and_of_the_plane(tmp_path):
    for number, problem in enumerate((gallery.scene("cavity", 9).problem, gallery.scene("box", 12, 2).problem)):
        system, direct = System(problem, np.random.default_rng(6).standard_normal(problem.size)), Direct()
        loaded = Loaded(system.write(tmp_path / str(number)))
        direct.load(loaded)
        direct.set_up(loaded)
        assert system.residual(direct.solve(loaded, False, 1e-12, 1, None)[0]) < 1e-12
    for scene, said in (("sphere", "inside"), ("bubble", "vary")):
        assert said in without_direct(gallery.scene(scene, 12).problem)


@pytest.mark.parametrize("name", ["plume", "cavity", "porous"])
def test_deflation_leaves_the_subdomains_nothing(tmp_path, name):
    case = gallery.scene(name, 16)
    system, deflated = System(case.problem, case.rhs), scipy_methods.Deflated(block=4, incomplete_cholesky=False)
    loaded, plain = Loaded(system.write(tmp_path / "s")), scipy_methods.Jacobi()
    deflated.set_up(loaded)
    plain.set_up(loaded)
    history = []
    x, iterations, _ = deflated.solve(loaded, False, 1e-8, 500, history)
    assert system.residual(x) <= 1e-8 and len(history) == iterations + 1
    assert np.abs(deflated._Z.T @ loaded.residual(x)).max() < 1e-8 * np.linalg.norm(loaded.rhs)
    assert iterations < 0.7 * plain.solve(loaded, False, 1e-8, 500, None)[1]


def test_a_solver_that_believes_itself_is_sent_back(tmp_path):
    class Boaster(scipy_methods.CG):
        def iterate(self, system, r, rtol, maxiter, history):
            return super().iterate(system, r, max(rtol, 1e-3), maxiter, history)

    case = gallery.scene("sphere", 10)
    system, boaster = System(case.problem, case.rhs), Boaster()
    loaded = Loaded(system.write(tmp_path / "s"))
    boaster.set_up(loaded)
    x, _, note = boaster.solve(loaded, False, 1e-6, 500, None)
    assert system.residual(x) <= 1e-6 and "2 passes" in note


def test_cg_in_torch_is_cg(tmp_path):
    pytest.importorskip("torch")
    case = gallery.scene("sphere", 10)
    loaded = Loaded(System(case.problem, case.rhs).write(tmp_path / "s"))
    ours, theirs = TorchCG("cpu"), scipy_methods.Jacobi()
    for method in (ours, theirs):
        method.load(loaded)
        method.set_up(loaded)
    (x, a, _), (y, b, _) = (method.solve(loaded, False, 1e-8, 500, []) for method in (ours, theirs))
    assert abs(a - b) <= 1 and np.linalg.norm(loaded.residual(x)) <= 1e-8 * np.linalg.norm(loaded.rhs)
    np.testing.assert_allclose(x, y, atol=1e-6 * np.abs(y).max())


def test_the_networks_variants_solve_too(tmp_path):
    pytest.importorskip("torch")
    asked = (with_window(2), with_window(None), in_precision("float64"), in_precision("bfloat16"))
    found = entries(tmp_path, Entry(Case("box", 16), asked, (1e-4,), 1))
    assert all(entry["converged"] for entry in found)
    assert len({json.dumps(entry["settings"]) for entry in found}) == 4


def test_what_is_not_installed_is_said_with_how_to_get_it(monkeypatch):
    installed.petsc_python.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    for name, peer in PEERS.items():
        if peer.needs:
            assert "not installed" in peer.missing(), name
    assert "make bench-peers" in PEERS["PETSc GAMG-PCG"].missing()
    assert "no package registry" in installed.without("pyamgx")


def test_gpu_peers_say_why_they_cannot_run():
    for name in GPU:
        assert PEERS[name].missing() or os.path.exists("/dev/nvidiactl")


def test_the_network_of_one_size_joins_the_paper_where_its_file_is(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.peers.registry.ROOT", tmp_path)
    strict = PEERS[STRICT]
    file = tmp_path / strict.settings_for(None, 1)["model"]
    assert strict.missing() and "deepcg train --dim 3 --stage 32:" in strict.missing()
    file.parent.mkdir(parents=True)
    file.touch()
    assert strict.missing() == installed.without("torch")
    asked = [entry.peers for entry in paper((16,)).entries]
    assert all(strict in among for among in asked[: len(PAPER_SCENES)]) and STRICT not in ON_CPU


def test_tuned_settings_follow_the_size():
    def at(size):
        return tuned_multigrid(deepcg.Poisson(np.zeros((size, 4, 4), dtype=np.uint8), boundary="open"))

    small, large = (
        {"sweeps": list(sweeps), "omega": omega} for sweeps, omega in map(MULTIGRID_TUNED.get, [(3, 64), (3, 128)])
    )
    assert at(48) == at(64) == small and at(200) == large


def test_rough_systems_get_settings_of_their_own():
    def settings(name, problem):
        return PEERS[name].settings_for(problem, 2)

    mild = [gallery.scene(name, 16).problem for name in ("box", "porous", "bubble", "stretched")]
    rough = [gallery.scene(name, 16, contrast=1e4).problem for name in gallery.names(3, rough=True)]
    assert [is_rough(problem) for problem in mild] == [False] * 4
    assert {name: is_rough(p) for name, p in zip(gallery.names(3, rough=True), rough, strict=True)} == {
        "fractures": True, "inclusions": True, "lognormal": True, "layers": True, "cutcells": True,
    }  # fmt: skip
    for name in ("PETSc GAMG-PCG", "hypre BoomerAMG-PCG"):
        assert settings(name, mild[2]) == settings(name, mild[0]) != settings(name, rough[0])


@pytest.mark.parametrize("name", PLANS)
def test_plans_name_every_comparison_once(name):
    plan = PLANS[name]()
    seen = [
        (entry.case.name, rtol, entry.cores, peer.name, mode)
        for entry in plan.entries for rtol in entry.rtols for peer in entry.peers for mode in entry.modes
    ]  # fmt: skip
    assert seen and plan.name == name.removesuffix("-core")  # a part that shares the journal of the whole
    if name != "full":  # which contains the others
        assert len(seen) == len(set(seen))


def test_the_quick_suite_has_every_kind_of_case_and_every_peer():
    entries = PLANS["quick"]().entries
    cases = [entry.case for entry in entries]
    assert {case.scene for case in cases} >= {"plume", "dam_break", "porous", "bunny", "cavity", "bubble", "stretched"}
    assert {case.dim for case in cases} == {2, 3} and {case.rhs for case in cases} == {"physical", "noise"}
    assert {rtol for entry in entries for rtol in entry.rtols} == {1e-4, 1e-6, 1e-10}
    assert {entry.cores for entry in entries} == {1, 2} and max(case.steps for case in cases) >= 20
    assert {peer.name for entry in entries for peer in entry.peers} == set(ON_CPU)


def test_the_contrast_plan_begins_with_its_core_and_asks_everybody_on_every_case():
    core, whole = PLANS["contrast-core"](), PLANS["contrast"]()
    assert whole.entries[: len(core.entries)] == core.entries and len(core.entries) == 7
    asked = {}
    for entry in whole.entries:
        asked.setdefault(entry.case.name, set()).update(peer.name for peer in entry.peers)
    rivals = {*AMG, "hypre PFMG-PCG", "multigrid", "multilevel network"}
    assert all(names == rivals for names in asked.values())
    cases = {entry.case for entry in whole.entries}
    for size, dim in ((64, 2), (256, 2), (64, 3), (128, 3)):
        found = {case.scene for case in cases if (case.size, case.dim) == (size, dim)}
        assert found == {*FIELDS, *gallery.names(dim, rough=True)}


@pytest.mark.parametrize(
    "family, size, cores",
    [
        ("GAMG", 48, 1), ("BoomerAMG", 48, 1), ("PyAMG SA", 32, 1), ("PyAMG RS", 32, 1), ("ICC", 32, 1), ("PFMG", 32, 1),
        ("AMGCL", 64, 2), ("GAMG", 64, 2), ("BoomerAMG", 64, 2), ("PFMG", 64, 2),
    ],
)  # fmt: skip
def test_peers_have_the_settings_that_the_search_ranks_first(family, size, cores, capsys):
    check_first_of_the_search(family, size, cores, PLAIN, capsys)


@pytest.mark.parametrize("family", ["GAMG", "BoomerAMG"])
def test_on_rough_systems_too(family, capsys):
    check_first_of_the_search(family, 32, 1, gallery.scene("fractures", 16).problem, capsys)


PLAIN = deepcg.Poisson(np.zeros((4, 4, 4), dtype=np.uint8), boundary="open")


def check_first_of_the_search(family, size, cores, problem, capsys):
    name, make = search.FAMILIES[family]
    ranked = search.ranking(family, size, cores, load(RESULTS / "search.json"), is_rough(problem))
    chosen = PEERS[name].settings_for(problem, cores)
    seconds = {label: several for several, *_, label in ranked}
    ours = [seconds[label] for label, settings in make().items() if settings == chosen]
    assert len(ours) == 1 and ours[0] <= 1.1 * ranked[0][0]  # a tenth is noise
    assert ranked[0][-1] in capsys.readouterr().out
