"""The benchmarks' smaller programs on tiny cases, and README's figures against the JSON."""

import json
import re

import numpy as np
import pytest

from benchmarks.paths import RESULTS
from benchmarks.peers.registry import MULTIGRID_TUNED
from benchmarks.plans import OMEGAS, PLANS, SWEEPS, Entry, Plan, peers, variants
from benchmarks.records import learned
from benchmarks.records.record import Record, true_residual
from benchmarks.records.results import load
from benchmarks.report import tables
from benchmarks.runner.estimate import START, estimate
from benchmarks.studies import demo
from benchmarks.systems.cases import Case
from deepcg import Poisson


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
    written = load(tmp_path / "demo.json")["entries"]
    assert [entry["peer"] for entry in written] == list(demo.METHODS)
    for entry in written:
        assert entry["converged"] and entry["true_residual"] <= 1.001e-6
        assert f"{entry['peer']:18s} {entry['setup_seconds'][0]:9.3f}" in printed
    assert {p.name for p in tmp_path.iterdir()} == {"demo.json", "convergence.png", "slices.png", "bunny.vtr"}


@pytest.mark.parametrize("document", tables.DOCUMENTS, ids=lambda path: path.name)
def test_documents_say_what_the_json_says(document):
    assert tables.filled(document) == document.read_text()


@pytest.mark.parametrize("document", [tables.README, tables.DOCS / "measurements.md"], ids=lambda path: path.name)
def test_no_measured_figure_is_typed_by_hand(document):
    """Outside the blocks that JSON fills, and the code, the prose has no number with a unit of time, size or comparison."""
    text = document.read_text()
    for name in tables.DOCUMENTS[document]:
        first, last = tables.BLOCK.format(name, "\n").split("\n\n\n")
        text = text[: text.index(first)] + text[text.index(last) + len(last) :]
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    unit = r"(s|ms|seconds|minutes|hours|%|times|x|iterations|bytes|[kMG]B|GB/s)\b"
    assert not re.findall(rf"\b\d[\d.,]*\s*{unit}", text)


def test_every_block_stands_in_one_document_and_every_picture_in_one():
    assert sorted(name for names in tables.DOCUMENTS.values() for name in names) == sorted(tables.BLOCKS)
    text = tables.README.read_text() + (tables.DOCS / "measurements.md").read_text()
    for name in tables.PICTURES:
        assert (
            text.count(f"images/{name}.png)") == 1 and (tables.DOCS / "images" / f"{name}.png").stat().st_size > 10_000
        )


def test_pictures_show_what_the_json_says():
    pytest.importorskip("matplotlib")
    for name, picture in tables.PICTURES.items():
        drawing = picture()
        assert drawing is not None and any(axes.lines for axes in drawing.axes), name


def test_a_changed_figure_is_noticed(tmp_path, monkeypatch):
    text = tables.README.read_text()
    changed = tmp_path / "README.md"
    changed.write_text(text.replace("| CG ¹ |", "| CG ¹ | 1", 1))
    monkeypatch.setitem(tables.DOCUMENTS, changed, tables.DOCUMENTS[tables.README])
    assert tables.filled(changed) == text != changed.read_text()


def test_committed_results_are_of_the_format_and_name_their_machine():
    for path in RESULTS.glob("*.json"):
        if path.name in ("roofline.json", "gpu.json", "petsc.json"):
            assert all(case["machine"]["processor"] for case in json.loads(path.read_text())["cases"].values())
            continue
        if path.name == "campaign.json":
            record = json.loads(path.read_text())
            assert record["failures"] == [] and all(session["processor"] for session in record["sessions"])
            continue
        if path.name in ("contrast_ceiling.json", "contrast_learning.json"):  # counts, which no machine decides
            assert "seconds" not in path.read_text()
            continue
        results = load(path)
        for entry in results["entries"]:
            assert results["sessions"][entry["session"]]["processor"] and entry["case"] in results["cases"]


def entry(seconds):
    return {"solve_seconds": [seconds], "setup_seconds": [0.0], "converged": True}


def test_the_classical_opponent_is_the_best_of_the_search():
    def case(a, b):
        times = {learned.LEARNED: 0.1, "V2 omega 1": a, "V2 omega 1.2": b}
        return {name: entry(value) for name, value in times.items()}

    assert learned.ranked([case(1.0, 2.0), case(1.0, 0.6)])[0] == "V2 omega 1"
    assert learned.ranked([case(1.0, 2.0), case(1.0, 0.4)])[0] == "V2 omega 1.2"


def test_training_pays_where_it_saves_and_never_where_it_does_not():
    def group(classical, own):
        pair = learned.Comparison("bunny 64^3", entry(classical), entry(own))
        return learned.AtSize(64, 3, ["V2 omega 1"], [pair])

    assert group(0.3, 0.2).solves_to_pay(50.0) == pytest.approx(500.0)
    assert group(0.2, 0.3).solves_to_pay(50.0) is None
    assert group(0.3, 0.2).ratio(outside=True) == pytest.approx(1.5) and group(0.3, 0.2).ratio(outside=False) is None


def test_the_tuned_multigrid_is_the_searchs():
    names = {peer.name for peer in variants()}
    for group in learned.compared(load(RESULTS / "finals.json")):
        sweeps, omega = MULTIGRID_TUNED[group.dim, group.size]
        assert sweeps in SWEEPS and omega in OMEGAS
        assert group.best == f"V{''.join(map(str, sweeps))} omega {omega:g}" in names


def test_the_quick_suite_fits_its_ten_minutes_by_the_recorded_times():
    told = estimate(PLANS["quick"](), load(RESULTS / "quick.json"))
    assert len(told) == 14 and sum(told.values()) < 540.0  # the rest is for the roofline and the report


def test_an_estimate_counts_every_run():
    peer, absent = peers("multigrid", "CG")
    plan = Plan("test", (Entry(Case("plume", 64), (peer, absent), cores=1),), ((0.5, 3), (2.0, 2)), 60.0)
    recorded = {"case": "plume 64^3", "rtol": 1e-6, "cores": 1, "peer": "multigrid", "mode": "fresh"}

    def of(seconds):
        return sum(estimate(plan, {"entries": [recorded | entry(seconds)]}).values()) - 2 * START

    assert of(0.1) == pytest.approx(0.1 * (1 + 3 * 2))  # each repeat after one that does not count
    assert [of(1.5), of(30.0), of(1000.0)] == pytest.approx([1.5 * (1 + 2), 60.0, 1000.0])
