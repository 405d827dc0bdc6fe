"""What `deepcg bench` does: run a plan with progress, go on where it was stopped, write JSON, Markdown, pictures and a page."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import plans
from benchmarks.paths import RESULTS, ROOT
from benchmarks.peers.registry import PEERS
from benchmarks.plans import Plan
from benchmarks.records.journal import Journal
from benchmarks.records.record import machine
from benchmarks.records.results import gather, load, save
from benchmarks.report.markdown import figure
from benchmarks.report.report import write
from benchmarks.runner.estimate import estimate
from benchmarks.runner.runner import Runner, comparison

DEFAULT_RTOL = 1e-6
ROOFLINES = {"quick": (64, 128), "full": (64, 128, 256), "scaling": (64, 128, 256)}


class Stopped(Exception):
    """The user or the system asked the run to end."""


def chosen(
    name: str,
    *,
    matrix: Path | None,
    grid: tuple[int, ...] | None,
    rhs: Path | None,
    rtol: float | None,
    cores: int,
    models: tuple[str, ...],
) -> Plan:
    """The plan that the options ask for.

    Raises
    ------
    ValueError, OSError
        Naming the option.
    """
    available = len(os.sched_getaffinity(0))
    if cores > available:
        raise ValueError(f"--cores: {cores} given; this process may use {available}")
    if models and (name != "paper" or matrix is not None):
        raise ValueError("--model: belongs to --plan paper")
    if matrix is not None:
        if grid is None:
            raise ValueError(
                f"--grid: {matrix.name} needs NX,NY or NX,NY,NZ, the numbers of cells of its grid, x first"
            )
        if not matrix.is_file():
            raise FileNotFoundError(f"--matrix: {matrix}: no such file; a .mtx or .npz file is needed")
        return plans.matrix(matrix, grid, rhs, rtol or DEFAULT_RTOL, cores)
    if not (grid is None and rhs is None and rtol is None):
        raise ValueError("--grid, --rhs, --rtol: belong to --matrix")
    if name not in plans.PLANS:
        raise ValueError(f"--plan: {name!r} given; one of {', '.join(plans.PLANS)} is needed")
    plan = plans.paper(models=tuple(map(plans.network_from, models))) if models else plans.PLANS[name]()
    return on_cores(plan, cores)


def on_cores(plan: Plan, cores: int) -> Plan:
    """The plan with so many cores where it has its largest number; nothing on more."""
    most = max(entry.cores for entry in plan.entries)
    entries = [
        replace(entry, cores=cores if entry.cores == most else min(entry.cores, cores)) for entry in plan.entries
    ]
    return replace(plan, entries=tuple(dict.fromkeys(entries)))


def bench(plan: Plan, output: Path, *, only: str = "", hours: float | None = None, fresh: bool = False) -> bool:
    """Run a plan, or what is left of it or can be done in time, and write everything; False where it was interrupted.

    Parameters
    ----------
    output : folder, for NAME.jsonl (the journal), NAME.json, NAME.md, NAME.html and the pictures in NAME/
    only, hours : see `benchmarks.runner.runner.Runner`
    fresh : start over, with what `only` names or with everything

    Raises
    ------
    ValueError
        Where nothing in the plan is named as `only` says.
    """
    for package in ("matplotlib", "tqdm"):
        if importlib.util.find_spec(package) is None:  # said before hours of work, not after
            raise ImportError(f"bench: progress and pictures need {package}: pip install 'deepcg[cli]'")
    with Journal(output / f"{plan.name}.jsonl", fresh and not only) as journal:
        runner = Runner(plan, journal, only, hours)
        if not runner.total():
            example = comparison(
                plan.entries[0].case.name,
                plan.entries[0].rtols[0],
                plan.entries[0].cores,
                plan.entries[0].peers[0].name,
            )
            raise ValueError(
                f"--only: nothing in plan {plan.name} is like {only!r}; a part of names such as {example!r} is needed"
            )
        if fresh:
            runner.forget()
        if journal.runs:
            print(f"{len(journal.runs)} runs are in {journal.path} already; going on (--fresh starts over)")
            _warn_of_another_commit(journal)
        finished = interrupted = False
        try:
            with _Ended():
                finished = _watched(runner)
                if finished and not only:
                    _rooflines(plan, journal)
        except Stopped as stop:
            interrupted = True
            print(f"\n{stop}: what is finished is kept; the same command goes on.")
        if journal.runs:
            _written(plan, journal, output)
    return not interrupted


def _warn_of_another_commit(journal: Journal) -> None:
    now, then = machine()["commit"], {session.get("commit") for session in journal.sessions}
    if then != {now}:
        print(f"Some were run at commit {', '.join(sorted(map(str, then - {now})))}; this is {now}.")


class _Ended:
    """Turns an interrupt or a polite kill into `Stopped`, so that workers are ended and results written."""

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def _stop(self, number: int, frame: Any) -> None:
        raise Stopped("interrupted" if number == signal.SIGINT else "terminated")

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _watched(runner: Runner) -> bool:
    """Run with a bar over the comparisons, and a line for each that is through its first run."""
    from tqdm import tqdm

    total = runner.total()
    started = time.monotonic()
    with tqdm(total=total, unit=" comparisons", disable=None, smoothing=0.05) as bar:
        seen: set[tuple] = set()

        def count(run: dict[str, Any]) -> bool:
            name = (run["case"], run["rtol"], run["cores"], run["peer"], run["mode"])
            if name in seen:
                return False
            seen.add(name)
            bar.update(1)
            return True

        for run in runner.journal.runs.values():
            if "peer" in run:
                count(run)

        def report(key: str, run: dict[str, Any]) -> None:
            bar.set_postfix_str(f"{run['case']}, {run['peer']}"[:48])
            if count(run):
                tqdm.write(_line(run))

        runner.report = report
        finished = runner.run()
    print(f"{'Finished' if finished else 'Out of time'} after {time.monotonic() - started:.0f} s.")
    return finished


def _line(run: dict[str, Any]) -> str:
    label = f"{run['case']}, {run['rtol']:g}, {run['cores']} cores"
    if run["outcome"] != "converged":
        return f"{label:44s} {run['peer']:22s} {run['outcome']}"
    mode = "" if run["mode"] == "fresh" else f" {run['mode']}"
    return (
        f"{label:44s} {run['peer']:22s} set-up {figure(run['setup_seconds']):>7s} s  solve {figure(run['solve_seconds']):>7s} s  "
        f"{run['iterations']:5d} iterations  residual {run['true_residual']:.1e}{mode}"
    )


def _rooflines(plan: Plan, journal: Journal) -> None:
    """The cycle's bytes per second beside a triad's, in a process with the plan's cores."""
    cores = plan.entries[0].cores
    for size in ROOFLINES.get(plan.name, ()):
        for scene in ("plume", "bubble"):
            key = f"roofline | {scene} {size}^3 | {cores} cores"
            if key in journal.runs:
                continue
            code = f"import json; from benchmarks.studies.roofline import one_case; print(json.dumps(one_case({scene!r}, {size}, 5)))"
            environment = {**os.environ, "OMP_NUM_THREADS": str(cores), "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True
            )
            if done.returncode:
                print(f"{key}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")
            else:
                journal.add(key, {"roofline": json.loads(done.stdout.splitlines()[-1])})


def _written(plan: Plan, journal: Journal, output: Path) -> None:
    results = gather(journal, plan.name)
    path = save(output / f"{plan.name}.json", results)
    page = write(results, output / plan.name)
    print(f"Written: {path}\n         {page.with_suffix('.md')}\n         {page}")


def _about(plan: Plan) -> str:
    """How long it takes, by what was measured of it."""
    path = RESULTS / f"{plan.name}.json"
    if not path.exists():
        return ""
    return f" About {sum(estimate(plan, load(path)).values()) / 60:.0f} minutes where results/{path.name} was measured, without what it lacks."


def listed() -> str:
    """The plans and the peers, and what is not here."""
    rows = [f"{name:13s} {(make.__doc__ or '').splitlines()[0]}{_about(make())}" for name, make in plans.PLANS.items()]
    peers = [f"{name:26s} {peer.missing() or 'ready'}" for name, peer in PEERS.items()]
    return "\n".join(["Plans", *rows, "", "Peers", *peers])
