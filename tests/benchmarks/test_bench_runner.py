"""The runner on tiny cases: what is run, what failure looks like, and that a kill loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import deepcg
from benchmarks import plans
from benchmarks.peers.registry import PEERS, Peer
from benchmarks.plans import FRESH, KEPT, WARM, Entry, Plan, peers
from benchmarks.records.journal import Journal, JournalBusy
from benchmarks.records.results import gather, load, median, save
from benchmarks.runner import workbench
from benchmarks.runner.runner import Runner, Wear, key
from benchmarks.systems.cases import Case, sequence
from deepcg.scenes import gallery

ROOT = Path(__file__).parents[2]
BOX = Case("box", 10)


def plan(*entries, repeats=2, limit=60.0):
    return Plan("test", entries, ((60.0, repeats),), limit)


def run(what, path, **options):
    """The finished runs in order, and the gathered results."""
    order = []
    with Journal(path) as journal:
        finished = Runner(what, journal, report=lambda name, told: order.append(name), **options).run()
        return order, gather(journal, what.name), finished


def journaled(path):
    with Journal(path) as journal:
        return list(journal.runs.values())


def fault(way):
    return Peer(f"fault {way}", "fault", "fault", {"way": way})


def test_peers_take_turns_and_every_run_is_kept(tmp_path):
    two = peers("CG", "multigrid")
    order, results, finished = run(plan(Entry(BOX, two, cores=1)), tmp_path / "j.jsonl")
    assert finished and order == [key(BOX.name, 1e-6, 1, peer.name, FRESH, n) for n in range(3) for peer in two]
    for entry in results["entries"]:
        assert entry["converged"] and 0 < entry["true_residual"] <= 1.001e-6
        assert len(entry["setup_seconds"]) == len(entry["solve_seconds"]) == len(entry["solve_cpu_seconds"]) == 2
        assert min(entry["solve_seconds"]) <= median(entry, "solve") <= max(entry["solve_seconds"])
        assert len(entry["residuals"]) == entry["iterations"] + 1 and entry["residuals"][0] == pytest.approx(1.0)
        assert entry["residuals"][-1] <= 1e-6 and entry["memory_bytes"] is not None
    machine = results["sessions"][0]
    assert machine["versions"]["numpy"] == np.__version__ and machine["started"] and "commit" in machine
    assert results["cases"][BOX.name]["unknowns"] == 1000
    assert load(save(tmp_path / "r.json", results)) == json.loads(json.dumps(results))


class SpinningProcess:
    """The clocks of a process whose thread spins until `stop`; `sleep` is all that lets time go by."""

    def __init__(self, stop):
        self.now, self.used, self.stop = 100.0, 0.0, 100.0 + stop

    def sleep(self, seconds):
        self.used += max(0.0, min(seconds, self.stop - self.now))
        self.now += seconds

    def monotonic(self):
        return self.now

    perf_counter = monotonic

    def process_time(self):
        return self.used


@pytest.mark.parametrize(
    ("stop", "waited"),
    [(0.0, workbench.GLANCE), (0.3, 0.3 + workbench.GLANCE), (1e9, 2.0)],
    ids=["idle", "a while", "always"],
)
def test_a_run_waits_for_threads_that_still_spin(stop, waited, monkeypatch):
    process = SpinningProcess(stop)
    monkeypatch.setattr(workbench, "time", process)
    workbench.wait_until_idle()
    assert process.now - 100.0 == pytest.approx(waited, abs=1.001 * workbench.GLANCE)


def test_a_peer_is_told_how_many_threads_it_has():
    assert PEERS["AMGCL SA-PCG"].environment(2)["OPENBLAS_NUM_THREADS"] == "1"


def test_what_is_there_is_not_run_again(tmp_path):
    what = plan(Entry(BOX, peers("CG"), (1e-4, 1e-8), 1))
    first, results, _ = run(what, tmp_path / "j.jsonl")
    again, same, _ = run(what, tmp_path / "j.jsonl")
    assert len(first) == 6 and not again and same["entries"] == results["entries"]


def test_a_long_run_is_made_once_and_counts_unless_its_history_cost_time(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "LONG", 0.0)
    order, results, _ = run(plan(Entry(BOX, peers("CG", "multigrid"), cores=1)), tmp_path / "j.jsonl")
    ran = [(told["peer"], told["repeat"]) for told in journaled(tmp_path / "j.jsonl")]
    assert ran == [("CG", 0), ("multigrid", 0), ("CG", 1)] and len(order) == 3
    for entry in results["entries"]:
        assert len(entry["solve_seconds"]) == 1 and entry["residuals"] and median(entry) < 60.0


def test_a_torn_line_is_run_again_and_spoils_nothing(tmp_path):
    path, what = tmp_path / "j.jsonl", plan(Entry(BOX, peers("CG"), cores=1))
    run(what, path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    again, results, _ = run(what, path)
    assert again == [key(BOX.name, 1e-6, 1, "CG", FRESH, 2)] and len(results["entries"][0]["solve_seconds"]) == 2
    assert len(path.read_text().splitlines()) == len(lines) + 2  # the torn half, a new session, the run


def test_changed_settings_are_run_again(tmp_path):
    def blocks(size):
        return Peer("deflated", "scipy", "deflated", {"block": size, "incomplete_cholesky": False})

    run(plan(Entry(BOX, (blocks(5),), cores=1)), tmp_path / "j.jsonl")
    again, results, _ = run(plan(Entry(BOX, (blocks(3),), cores=1)), tmp_path / "j.jsonl")
    assert len(again) == 3 and results["entries"][0]["settings"]["block"] == 3


def test_runs_of_older_settings_are_not_gathered_with_newer(tmp_path):
    def blocks(size):
        return Peer("deflated", "scipy", "deflated", {"block": size, "incomplete_cholesky": False})

    run(plan(Entry(BOX, (blocks(5),), cores=1), repeats=3), tmp_path / "j.jsonl")
    _, results, _ = run(plan(Entry(BOX, (blocks(3),), cores=1), repeats=1), tmp_path / "j.jsonl")
    (entry,) = results["entries"]
    assert entry["settings"]["block"] == 3 and len(entry["solve_seconds"]) == 1


def test_what_is_forgotten_is_run_again_and_the_rest_is_not(tmp_path):
    what = plan(Entry(BOX, peers("CG", "Jacobi-PCG"), cores=1), repeats=1)
    run(what, tmp_path / "j.jsonl")
    with Journal(tmp_path / "j.jsonl") as journal:
        Runner(what, journal, only="jacobi").forget()
    again, results, _ = run(what, tmp_path / "j.jsonl")
    assert again == [key(BOX.name, 1e-6, 1, "Jacobi-PCG", FRESH, n) for n in (0, 1)] and len(results["entries"]) == 2


def test_a_journal_has_one_writer(tmp_path):
    with Journal(tmp_path / "j.jsonl"), pytest.raises(JournalBusy, match="another run"):
        Journal(tmp_path / "j.jsonl")


def test_only_what_is_asked_for_and_in_time(tmp_path):
    what = plan(Entry(BOX, peers("CG", "Jacobi-PCG"), (1e-4, 1e-6), 1), repeats=1)
    order, _, _ = run(what, tmp_path / "a.jsonl", only="1e-06 | 1 cores | Jac")
    assert order == [key(BOX.name, 1e-6, 1, "Jacobi-PCG", FRESH, n) for n in (0, 1)]
    order, _, _ = run(what, tmp_path / "b.jsonl", only="box*0.0001*CG")
    assert {name.split(" | ")[1] for name in order} == {"0.0001"} and len(order) == 4
    order, _, finished = run(what, tmp_path / "c.jsonl", hours=0.0)
    assert not order and not finished


@pytest.mark.parametrize(
    "way, said",
    [
        ("raise", "failed: ArithmeticError: zero pivot in row 7"),
        ("die", "failed: its process ended (exit status 3)"),
        ("hang", "failed: no answer within 3 s"),
        ("nan", "x is not finite"),
        ("garbage", "true residual "),
        ("claim", "true residual "),
    ],
)
def test_a_failure_is_a_failure_and_ends_nothing_else(tmp_path, way, said):
    limit = 3.0 if way == "hang" else 60.0
    order, results, finished = run(
        plan(Entry(BOX, (fault(way), PEERS["CG"]), cores=1), limit=limit), tmp_path / "j.jsonl"
    )
    broken, good = results["entries"]
    assert finished and good["converged"] and len(good["solve_seconds"]) == 2
    assert not broken["converged"] and broken["outcome"].startswith(said) and median(broken) == float("inf")
    assert sum("fault" in name for name in order) == 1  # not repeated
    if way in ("garbage", "claim"):
        assert broken["true_residual"] > 1e-3
    again, _, _ = run(plan(Entry(BOX, (fault(way), PEERS["CG"]), cores=1), limit=limit), tmp_path / "j.jsonl")
    assert not again  # nor on resuming


def test_what_is_not_installed_is_said_and_tried_again_later(tmp_path):
    here = []
    peer = Peer("late", "scipy", "cg", needs=(lambda: "" if here else "not installed: late; pip install late",))
    what = plan(Entry(BOX, (peer,), cores=1))
    _, results, _ = run(what, tmp_path / "j.jsonl")
    assert results["entries"][0]["outcome"] == "not installed: late; pip install late"
    here.append(True)
    _, results, _ = run(what, tmp_path / "j.jsonl")
    assert results["entries"][0]["converged"]


def test_who_does_not_apply_says_so(tmp_path):
    _, results, _ = run(plan(Entry(Case("sphere", 10), peers("FFT"), cores=1)), tmp_path / "j.jsonl")
    assert "walls or openings" in results["entries"][0]["outcome"]


def test_a_sequence_in_every_mode(tmp_path):
    case = sequence(10, steps=4)
    modes = (FRESH, WARM, KEPT)
    two = peers("Jacobi-PCG", "multigrid")
    order, results, _ = run(plan(Entry(case, two, cores=1, modes=modes)), tmp_path / "j.jsonl")
    assert case.name == "moving sphere 10^3, 4 systems"
    assert order == [key(case.name, 1e-6, 1, peer.name, mode, n) for n in (1, 2) for peer in two for mode in modes]
    for entry in results["entries"]:
        steps = entry["steps"]
        assert entry["converged"] and entry["true_residual"] == max(steps["true_residual"]) <= 1.001e-6
        assert all(len(values) == 4 for values in steps.values()) and entry["iterations"] == sum(steps["iterations"])
        kept = entry["mode"] == KEPT and entry["peer"] != "multigrid"  # which is set up again in memory that stays
        assert 1 <= entry["setups"] <= 4 if kept else entry["setups"] == 4
        assert len(entry["solve_seconds"]) == 2


def test_who_cannot_keep_a_set_up_is_not_asked_to():
    entry = Entry(sequence(10), peers("hypre PFMG-PCG", "multigrid"), modes=(FRESH, WARM, KEPT))
    assert [entry.modes_of(peer) for peer in entry.peers] == [(FRESH, WARM), (FRESH, WARM, KEPT)]


def test_a_worn_out_set_up_is_redone_and_charged(tmp_path, monkeypatch):
    from benchmarks.runner import runner

    step, tried = runner._Comparison._step, []

    def failing(self, peer, number, keep, warm):
        tried.append((number, keep))
        told = step(self, peer, number, keep, warm)
        return told | {"outcome": "true residual 1.0"} if keep and number == 2 else told

    monkeypatch.setattr(runner._Comparison, "_step", failing)
    monkeypatch.setattr(Wear, "out", lambda self, solve: False)
    case = sequence(10, steps=4)
    _, results, _ = run(
        plan(Entry(case, peers("PyAMG SA-PCG"), cores=1, modes=(KEPT,)), repeats=1), tmp_path / "j.jsonl"
    )
    (entry,) = results["entries"]
    assert tried == [(0, False), (1, True), (2, True), (2, False), (3, True)]
    assert entry["converged"] and entry["setups"] == 2 and len(entry["steps"]["iterations"]) == 4


def test_a_kept_set_up_is_renewed_when_it_has_cost_what_it_took():
    def solve(iterations, seconds):
        return {"iterations": iterations, "solve_seconds": seconds, "setup_seconds": 1.0}

    wear = Wear(solve(10, 0.5))
    assert not wear.out(solve(10, 0.5)) and not wear.out(solve(9, 3.0))  # slow, but not for more iterations
    assert not wear.out(solve(20, 1.0)) and wear.out(solve(20, 1.0))  # half of each is wear
    assert not Wear(solve(0, 0.0)).out(solve(0, 0.0))


def test_the_systems_of_a_sequence_move_and_start_from_the_last_solution():
    steps = list(sequence(12, steps=5).systems())
    walls = [step.problem.cells for step in steps]
    assert any((a != b).any() for a, b in zip(walls, walls[1:], strict=False))
    for before, step in zip(steps, steps[1:], strict=False):
        x, _ = deepcg.solve(before.problem, before.b, rtol=1e-8)
        both = before.problem.grid.fluid & step.problem.grid.fluid
        np.testing.assert_allclose(step.x0[both], x[both], atol=1e-6 * np.abs(x).max())
        assert (step.x0[step.problem.grid.fluid & ~both] != 0).all() and not step.x0[~step.problem.grid.fluid].any()


def test_case_names_are_frozen():
    names = [Case("plume", 64), Case("plume", 64, rhs="noise"), Case("bubble", 256, 2), sequence(48)]
    assert [case.name for case in names] == [
        "plume 64^3", "plume 64^3 noise", "bubble 256^2", "moving sphere 48^3, 24 systems",
    ]  # fmt: skip
    noisy, plain = next(Case("plume", 12, rhs="noise").systems()), gallery.scene("plume", 12)
    assert noisy.b[~plain.problem.grid.fluid].any() == 0 and noisy.b[plain.problem.grid.fluid].std() == pytest.approx(
        1, abs=0.1
    )


KILLED = """
from pathlib import Path
from benchmarks.systems.cases import Case
from benchmarks.records.journal import Journal
from benchmarks.plans import Entry, Plan, peers
from benchmarks.runner.runner import Runner
entries = tuple(Entry(Case("box", 10, rhs=rhs), peers("CG", "Jacobi-PCG"), (1e-4, 1e-6, 1e-8), 1) for rhs in ("physical", "noise"))
with Journal(Path({path!r})) as journal:
    Runner(Plan("test", entries, ((60.0, 3),), 60.0), journal).run()
"""


def processes_with(text):
    """Processes of this machine whose environment has the text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def finished_runs(text):
    """The keys of a journal's whole lines."""
    return [json.loads(line)["key"] for line in text.splitlines() if line.startswith('{"key"') and line.endswith("}")]


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path):
    path, mark = tmp_path / "j.jsonl", f"DEEPCG_TEST_MARK={os.getpid()}-{time.time()}"
    command = [sys.executable, "-c", KILLED.format(path=str(path))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), mark.partition("=")[0]: mark.partition("=")[2]}
    everything = 2 * 3 * 2 * 4  # cases, tolerances, peers, runs
    kept = ""
    for target in (7, 20, 33):
        process = subprocess.Popen(command, env=environment, cwd=ROOT)
        while (len(finished_runs(path.read_text())) if path.exists() else 0) < target and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = path.read_text()
        assert process.returncode == -signal.SIGKILL and target <= len(finished_runs(now)) < everything
        assert now.startswith(kept)
        kept = now
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    after = path.read_text()
    assert after.startswith(kept)
    keys = finished_runs(after)
    assert len(keys) == len(set(keys)) == everything  # none twice, none missing
    with Journal(path) as journal:
        results = gather(journal, "test")
    assert len(results["sessions"]) == 4 and {entry["session"] for entry in results["entries"]} <= {0, 1, 2, 3}
    assert all(entry["converged"] and len(entry["solve_seconds"]) == 3 for entry in results["entries"])
    deadline = time.monotonic() + 20.0
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_with(mark)  # the killed runs' workers are gone too


def test_the_roofline_is_measured_with_the_plan(tmp_path, monkeypatch):
    from benchmarks import program

    monkeypatch.setitem(program.ROOFLINES, "test", (12,))
    what = plan(Entry(BOX, peers("multigrid"), cores=1), repeats=1)
    assert program.bench(what, tmp_path) and program.bench(what, tmp_path)
    found = load(tmp_path / "test.json")["roofline"]
    assert [(case["scene"], case["size"], case["threads"]) for case in found] == [
        ("plume", 12, "1"),
        ("bubble", 12, "1"),
    ]
    assert all(
        case["bandwidth"] > 0 and case["roofline"] > 0 and "sweep_bandwidth" in case and case["bytes_per_cell"] > 0
        for case in found
    )
