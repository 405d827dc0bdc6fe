"""The benchmark programs on tiny cases, and README's figures against the JSON."""

import json

import numpy as np
import pytest

from benchmarks import demo, peers, tables
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
