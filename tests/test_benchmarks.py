"""The benchmark programs on tiny cases, and README's figures against the JSON."""

import json

import numpy as np
import pytest

from benchmarks import demo, iterations, learning, peers, tables, timing
from benchmarks.record import Record, true_residual
from deepcg import Poisson, gallery


def test_a_record_runs_a_case_once(tmp_path):
    calls = []

    def case():
        calls.append(1)
        return {"value": 3}

    path = tmp_path / "r.json"
    assert Record(path).run("a", case)["value"] == 3
    again = Record(path).run("a", case)
    assert again["value"] == 3 and len(calls) == 1
    assert again["machine"]["cores"] >= 1 and again["machine"]["versions"]["numpy"] == np.__version__
    Record(path, fresh=True).run("a", case)
    assert len(calls) == 2


@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.parametrize("scene", ["sphere", "cavity"])
def test_peers_meet_the_one_stopping_rule(name, scene):
    pytest.importorskip({"IC": "ilupp", "Py": "pyamg"}.get(name[:2], "numpy"))
    if name == "DCDM network":
        pytest.importorskip("torch")
    case = gallery.scene(scene, 17)
    x, figures = peers.solve_with(name, case.problem, case.rhs, 1e-6)
    assert figures["converged"] and figures["true_residual"] <= 1e-6
    assert figures["true_residual"] == true_residual(case.problem, x, case.rhs)
    assert len(figures["residuals"]) == figures["iterations"] + 1


def test_the_true_residual_is_not_the_solvers():
    problem = Poisson(np.zeros((6, 5), dtype=np.uint8), boundary="open")
    b = np.ones(problem.shape)
    assert true_residual(problem, np.zeros(problem.shape), b) == 1.0


def test_demo_prints_its_table_and_writes_its_files(tmp_path, monkeypatch, capsys):
    for package in ("torch", "igl", "meshio", "pyevtk", "ilupp", "pyamg", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.setattr("sys.argv", ["demo", "--size", "24", "--output", str(tmp_path)])
    demo.main()
    printed = capsys.readouterr().out
    assert all(method in printed for method in demo.METHODS)
    written = json.loads((tmp_path / "demo.json").read_text())["cases"]
    assert all(case["true_residual"] <= 1e-4 for case in written.values())
    assert {p.name for p in tmp_path.iterdir()} == {"demo.json", "convergence.png", "slices.png", "bunny.vtr"}


def test_readme_says_what_the_json_says():
    text = tables.README.read_text()
    assert tables.filled(text) == text


def test_a_changed_figure_is_noticed():
    text = tables.README.read_text()
    assert tables.filled(text.replace("| CG |", "| CG | 1", 1)) == text


def test_alternating_repeats_are_all_kept():
    case = gallery.scene("plume", 16)
    models = {"multigrid": lambda problem: "multigrid", "jacobi": lambda problem: "jacobi"}
    figures = timing.alternate(case.problem, case.rhs, models, 1e-6, 3, timing.remake(case.problem))
    for found in figures.values():
        assert len(found["raw_setup_seconds"]) == len(found["raw_solve_seconds"]) == 3
        assert found["converged"] and found["true_residual"] <= 1e-6
        assert found["solve_seconds"] == sorted(found["raw_solve_seconds"])[1]


def test_a_remade_problem_is_the_same():
    for name in ("plume", "bubble", "stretched"):
        problem = gallery.scene(name, 12).problem
        again = timing.remake(problem)()
        assert again is not problem
        assert (again.matrix() - problem.matrix()).nnz == 0


def test_the_classical_opponent_is_the_best_of_the_search():
    def case(a, b):
        times = {"learned": 0.1, "V2 omega 1": a, "V2 omega 1.2": b}
        return {"variants": {label: {"solve_seconds": value} for label, value in times.items()}}

    assert learning.tuned([case(1.0, 2.0), case(1.0, 0.6)]) == "V2 omega 1"
    assert learning.tuned([case(1.0, 2.0), case(1.0, 0.4)]) == "V2 omega 1.2"


def test_every_case_of_the_iterations_is_run_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(iterations, "MODELS", ("multigrid",))
    record = Record(tmp_path / "iterations.json")
    iterations.run_scene(record, "porous", 12, 2, 1)
    assert len(record.cases) == 4
    for found in record.cases.values():
        assert found["models"]["multigrid"]["true_residual"] <= found["rtol"]
    monkeypatch.setattr(gallery, "scene", None)  # nothing is made again
    iterations.run_scene(Record(tmp_path / "iterations.json"), "porous", 12, 2, 1)
