"""`deepcg bench`: a run from the command line, resumed, on a user's matrix; what it answers to nonsense."""

import json

import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner

import deepcg
from benchmarks import plans
from benchmarks.plans import Entry, Plan, peers
from benchmarks.records.journal import Journal
from benchmarks.records.results import load, save
from benchmarks.systems.cases import Case
from deepcg import cli
from deepcg.cli import bench as cli_bench
from deepcg.scenes import gallery
from tests.support.results import made, slowed

pytest.importorskip("matplotlib")


def bench(*arguments):
    return CliRunner().invoke(cli.main, ["bench", *map(str, arguments)])


@pytest.fixture
def small(monkeypatch):
    """A plan of two peers in place of `tiny`."""
    entry = Entry(Case("sphere", 10), peers("CG", "multigrid"), (1e-6,), 1)
    monkeypatch.setitem(plans.PLANS, "tiny", lambda: Plan("tiny", (entry,), ((60.0, 2),), 60.0))


def test_a_plan_is_run_written_and_resumed(tmp_path, small):
    first = bench("--plan", "tiny", "--output", tmp_path, "--only", "CG")
    assert first.exit_code == 0, first.output
    assert {e["peer"] for e in load(tmp_path / "tiny.json")["entries"]} == {"CG"}
    before = (tmp_path / "tiny.jsonl").read_text()
    second = bench("--plan", "tiny", "--output", tmp_path)
    assert second.exit_code == 0 and "3 runs are in" in second.output and "multigrid" in second.output
    assert (tmp_path / "tiny.jsonl").read_text().startswith(before)
    results = load(tmp_path / "tiny.json")
    assert {e["peer"]: e["converged"] for e in results["entries"]} == {"CG": True, "multigrid": True}
    assert (tmp_path / "tiny.html").read_text().startswith("<!doctype html>") and (tmp_path / "tiny.md").exists()
    third = bench("--plan", "tiny", "--output", tmp_path, "--fresh", "--only", "cg", "--hours", 0)
    assert third.exit_code == 0 and "Out of time" in third.output
    assert {e["peer"] for e in load(tmp_path / "tiny.json")["entries"]} == {"multigrid"}  # the rest is as it was
    assert bench("--plan", "tiny", "--output", tmp_path, "--fresh", "--hours", 0).exit_code == 0
    assert "key" not in (tmp_path / "tiny.jsonl").read_text()


def test_a_second_run_is_refused_in_one_line(tmp_path, small):
    with Journal(tmp_path / "tiny.jsonl"):
        answer = bench("--plan", "tiny", "--output", tmp_path)
    assert answer.exit_code == 2 and "another run is writing it" in answer.output
    assert isinstance(answer.exception, SystemExit)  # and no traceback


def test_a_users_own_matrix(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "ON_CPU", ("CG", "FFT", "IC(0)-PCG", "multigrid", "multilevel network"))
    monkeypatch.setattr(plans, "GPU", ())
    problem = gallery.scene("box", 9, 2).problem
    scipy.io.mmwrite(tmp_path / "A.mtx", -problem.matrix())  # negative definite, as OpenFOAM has it
    np.save(tmp_path / "b.npy", np.random.default_rng(2).standard_normal(81))
    options = ("--grid", "9,9", "--rhs", tmp_path / "b.npy", "--rtol", 1e-8, "--cores", 1, "--output", tmp_path / "out")
    done = bench("--matrix", tmp_path / "A.mtx", *options)
    assert done.exit_code == 0, done.output
    results = load(tmp_path / "out" / "matrix-A.json")
    (case,) = results["cases"]
    assert case.startswith("A.mtx (") and case.endswith(" on 9x9") and results["cases"][case]["unknowns"] == 81
    for entry in results["entries"]:
        # a matrix has its open sides on the diagonal, which transforms do not do; ilupp may not be installed
        assert entry["converged"] or entry["peer"] in ("FFT", "IC(0)-PCG"), entry
        assert entry["true_residual"] is None or entry["true_residual"] <= 1.001e-8
    scipy.io.mmwrite(tmp_path / "A.mtx", -2 * problem.matrix())  # another system of the same name is another system
    assert bench("--matrix", tmp_path / "A.mtx", *options, "--only", "CG").exit_code == 0
    assert len(load(tmp_path / "out" / "matrix-A.json")["cases"]) == 2


def test_nonsense_is_answered_in_a_line(tmp_path):
    (tmp_path / "A.mtx").write_text("%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 2.0\n")
    for arguments, said in (
        (["--plan", "everything"], "--plan: 'everything' given; one of quick, full"),
        (["--matrix", tmp_path / "A.mtx"], "--grid: A.mtx needs NX,NY"),
        (["--matrix", tmp_path / "B.mtx", "--grid", "2,2"], "no such file"),
        (["--grid", "2,2"], "belong to --matrix"),
        (["--rtol", "1e-8"], "belong to --matrix"),
        (["--cores", "4096"], "--cores: 4096 given; this process may use"),
        (["--plan", "tiny", "--only", "BommerAMG"], "--only: nothing in plan tiny is like 'BommerAMG'"),
        (["--model", "a=b"], "--model: belongs to --plan paper"),
        (["--plan", "paper", "--model", "a=b"], "NAME=FILE"),
        (["--compare", tmp_path / "A.mtx", tmp_path / "A.mtx"], "no JSON"),
    ):
        answer = bench("--output", tmp_path / "out", *arguments)
        assert answer.exit_code == 2 and said in answer.output and "Traceback" not in answer.output, answer.output


def test_results_are_compared(tmp_path):
    old = made()
    paths = [save(tmp_path / "a.json", old), save(tmp_path / "b.json", slowed(old, "multigrid", 2.0))]
    assert bench("--compare", *paths).exit_code == 1 and bench("--compare", paths[0], paths[0]).exit_code == 0


def test_plans_and_peers_are_listed():
    listed = bench("--list")
    assert listed.exit_code == 0
    for name in (*plans.PLANS, "hypre PFMG-PCG", "AMGX-PCG, GPU"):
        assert name in listed.output


def test_an_installed_package_without_the_checkout_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(cli_bench, "__file__", str(tmp_path / "site-packages" / "deepcg" / "cli" / "bench.py"))
    answer = bench("--list")
    assert answer.exit_code == 2 and "checkout" in answer.output


def test_a_network_of_the_users_joins_the_paper(tmp_path):
    from deepcg.io.model_file import shipped

    peer = plans.network_from(f"mine={shipped()['dcdm-3d']}")
    assert peer.name == "mine" and all(peer in entry.peers for entry in plans.paper(models=(peer,)).entries[:4])
    assert json.dumps(peer.settings_for(deepcg.Poisson(np.zeros((4, 4), dtype=np.uint8)), 1))
