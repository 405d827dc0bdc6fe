"""Runs a plan: peers in turn, repeat after repeat, every finished run written down at once.

    with Journal(path) as journal:
        Runner(plan, journal).run()

One rule for all. b, x0 and the stopping rule are the same; x is read back and its residual computed from the assembled matrix, and only
that decides whether a peer has converged. The first run of a peer on a case warms it up: its times do not count, and it keeps the
residual history, which may cost time. After it the peers alternate, so that whatever else the machine does meets all of them.
While others have their turn a process goes cold: its caches are others', and its idle memory may be taken away. That is no part of a time loop, so every
brief run follows an uncounted one of the same peer; in longer ones it would not show.
"""

from __future__ import annotations

import fnmatch
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, Step
from benchmarks.journal import Journal
from benchmarks.peers import MAX_ITERATIONS, Peer
from benchmarks.plans import FRESH, KEPT, Entry, Plan
from benchmarks.system import System
from benchmarks.worker_process import PeerFailed, WorkerProcess

SLACK = 1.001  # on the tolerance, for the rounding between two ways to evaluate a residual
LARGE = 4_000_000  # unknowns above which no two peers are in memory at once
LOADING = 600.0  # seconds that a peer may take to read a system
BYTES = 300  # per cell, that judging a system takes: its matrix, and what assembling it needs
BRIEF = 1.0  # seconds; runs below are preceded by one that does not count
WORN = 1.5  # a kept set-up is made anew when iterations grow by this factor

Report = Callable[[str, dict[str, Any]], None]


def key(case: str, rtol: float, cores: int, peer: str, mode: str, repeat: int) -> str:
    """The name of a run in the journal."""
    return " | ".join([case, f"{rtol:g}", f"{cores} cores", peer, mode, f"run {repeat}"])


class Runner:
    """A plan at work.

    Parameters
    ----------
    plan : Plan
    journal : Journal
        What it holds is not run again, unless a peer's settings have changed since.
    only : str
        Part of the name "case | rtol | cores | peer", or a pattern with * and ?: nothing else is run.
    hours : float or None
        No run begins after so long.
    report : called with the key and the figures of every finished run
    """

    def __init__(
        self, plan: Plan, journal: Journal, only: str = "", hours: float | None = None, report: Report = lambda *_: None
    ):
        self.plan, self.journal, self.report, self._only = plan, journal, report, only
        self._deadline = None if hours is None else time.monotonic() + 3600.0 * hours
        self.stopped = False

    def total(self) -> int:
        """How many runs are planned at least: a first one and a repeat for each peer."""
        return sum(1 for _ in self._planned())

    def _planned(self) -> Iterator[tuple[Entry, float, Peer, str]]:
        for entry in self.plan.entries:
            for rtol in entry.rtols:
                for peer in entry.peers:
                    if self._wanted(entry, rtol, peer):
                        yield from ((entry, rtol, peer, mode) for mode in entry.modes)

    def _wanted(self, entry: Entry, rtol: float, peer: Peer) -> bool:
        name = " | ".join([entry.case.name, f"{rtol:g}", f"{entry.cores} cores", peer.name])
        return self._only in name or fnmatch.fnmatch(name, self._only)

    def run(self) -> bool:
        """Do what is left. Returns whether the plan is finished."""
        for entry in self.plan.entries:
            for rtol in entry.rtols:
                wanted = [peer for peer in entry.peers if self._wanted(entry, rtol, peer)]
                if wanted and not self.stopped:
                    with _Comparison(self, entry, rtol, wanted) as comparison:
                        comparison.run()
        return not self.stopped

    def out_of_time(self) -> bool:
        self.stopped = self.stopped or (self._deadline is not None and time.monotonic() > self._deadline)
        return self.stopped

    def finish(self, name: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Write a finished run down and tell who watches."""
        told = self.journal.add(name, figures)
        self.report(name, told)
        return told


class _Comparison:
    """Peers on one case, at one tolerance."""

    def __init__(self, runner: Runner, entry: Entry, rtol: float, peers: list[Peer]):
        self._runner, self._entry, self._rtol, self._peers = runner, entry, rtol, peers
        self._scratch = tempfile.TemporaryDirectory(prefix="deepcg-bench-")
        self._folder = Path(self._scratch.name)
        self._workers: dict[str, WorkerProcess] = {}
        self._steps: list[Step] = []
        self._written: dict[tuple[int, bool], tuple[System, Path]] = {}
        self._loaded: dict[str, int] = {}

    def __enter__(self) -> _Comparison:
        return self

    def __exit__(self, *error) -> None:
        for name in list(self._workers):
            self._close(name)
        self._scratch.cleanup()

    # ---- what there is to do ----

    def run(self) -> None:
        if self._entry.case.steps > 1:
            self._run_sequences()
        else:
            self._run_in_turn()

    def _run_in_turn(self) -> None:
        """A first run of every peer, then repeats in alternation, as many as its speed allows."""
        repeats = {}
        for peer in self._peers:
            first = self._done(peer, FRESH, 0)
            if first is None:
                if self._runner.out_of_time():
                    return
                first = self._one(peer, 0)
            if first["outcome"] == "converged":
                repeats[peer.name] = self._runner.plan.repeats_of(first["setup_seconds"] + first["solve_seconds"])
        for repeat in range(1, max(repeats.values(), default=0) + 1):
            for peer in self._peers:
                if repeat <= repeats.get(peer.name, 0) and self._done(peer, FRESH, repeat) is None:
                    if self._runner.out_of_time():
                        return
                    self._one(peer, repeat)

    def _run_sequences(self) -> None:
        for repeat in range(1, self._runner.plan.sequence_repeats + 1):
            for peer in self._peers:
                for mode in self._entry.modes:
                    if self._done(peer, mode, repeat) is None:
                        if self._runner.out_of_time():
                            return
                        self._through(peer, mode, repeat)

    def _key(self, peer: Peer, mode: str, repeat: int) -> str:
        return key(self._entry.case.name, self._rtol, self._entry.cores, peer.name, mode, repeat)

    def _done(self, peer: Peer, mode: str, repeat: int) -> dict[str, Any] | None:
        """What the journal holds, if it is still what would be run, and if what was lacking is still lacking."""
        found = self._runner.journal.runs.get(self._key(peer, mode, repeat))
        if found is None:
            return None
        if found.get("lacking", False):  # it is told again, or run, whatever the reason now is
            return found if found["outcome"] == (peer.missing() or _too_large(self._entry.case)) else None
        if "settings" in found and self._settings_may_differ(peer, found):
            return None
        return found

    def _settings_may_differ(self, peer: Peer, found: dict[str, Any]) -> bool:
        if not callable(peer.settings):
            return dict(peer.settings) != found["settings"]
        if not self._steps:  # made only where something is to be run or compared
            self._make_steps()
        return peer.settings_for(self._steps[0].problem, self._entry.cores) != found["settings"]

    # ---- one run ----

    def _one(self, peer: Peer, repeat: int) -> dict[str, Any]:
        """A set-up and a solve, or the reason why not."""
        figures = self._about(peer, FRESH, repeat)
        if "outcome" not in figures:
            first = self._done(peer, FRESH, 0) or {}
            try:
                self._warm_up(
                    peer, repeat, (first.get("setup_seconds") or math.inf) + (first.get("solve_seconds") or math.inf)
                )
                answer, x = self._solve(peer, 0, history=repeat == 0)
                figures |= answer | self._judged(peer, 0, x, answer["note"])
                if self._runner.plan.repeats_of(answer["setup_seconds"] + answer["solve_seconds"]) == 0:
                    figures["counts"] = True
            except PeerFailed as failure:
                figures |= self._failed(peer, str(failure))
            if self._large():
                self._close(peer.name)
        return self._runner.finish(self._key(peer, FRESH, repeat), figures)

    def _through(self, peer: Peer, mode: str, repeat: int) -> dict[str, Any]:
        """A whole sequence, one system after another."""
        figures = self._about(peer, mode, repeat)
        if "outcome" not in figures:
            steps: dict[str, list] = {
                name: [] for name in ("setup_seconds", "solve_seconds", "iterations", "true_residual")
            }
            keep, best, setups, memory = False, 0, 0, []
            try:
                self._warm_up(peer, repeat)
                for number in range(len(self._steps)):
                    answer, x = self._solve(peer, number, keep=keep, warm=mode != FRESH)
                    judged = self._judged(peer, number, x, answer["note"])
                    if judged["outcome"] != "converged":
                        raise PeerFailed(f"system {number + 1}: {judged['outcome']}")
                    for name, values in steps.items():
                        values.append(judged[name] if name in judged else answer[name])
                    memory.append(answer["memory_bytes"])
                    if not keep:
                        best, setups = answer["iterations"], setups + 1
                    keep = mode == KEPT and answer["iterations"] <= WORN * best + 1
                figures |= {name: sum(values) for name, values in steps.items()}
                figures |= {"true_residual": max(steps["true_residual"]), "steps": steps, "setups": setups}
                figures |= {"outcome": "converged", "version": answer["version"], "note": answer["note"]}
                figures["memory_bytes"] = None if None in memory else max(memory)
            except PeerFailed as failure:
                figures |= self._failed(peer, str(failure))
        return self._runner.finish(self._key(peer, mode, repeat), figures)

    def _about(self, peer: Peer, mode: str, repeat: int) -> dict[str, Any]:
        """What is known before the run; with an outcome where there is nothing to run."""
        told: dict[str, Any] = {
            "case": self._entry.case.name, "rtol": self._rtol, "cores": self._entry.cores, "peer": peer.name, "mode": mode,
            "repeat": repeat, "serial": peer.serial, "source": peer.source,
        }  # fmt: skip
        if lacking := peer.missing():
            return told | {"outcome": lacking, "lacking": True}
        if lacking := _too_large(self._entry.case):
            return told | {"outcome": lacking, "lacking": True}
        if not self._steps:
            self._make_steps()
        problem = self._steps[0].problem
        told |= {"settings": peer.settings_for(problem, self._entry.cores), "facts": self._entry.case.facts(problem)}
        if unfit := peer.unfit(problem):
            told |= {"outcome": unfit, "unfit": True}
        return told

    def _warm_up(self, peer: Peer, repeat: int, last: float = math.inf) -> None:
        """A run that is not written down, where times would count and the process is new or, after others' turns, has gone cold.

        Parameters
        ----------
        last : seconds that a run of the peer's took; of one that is not BRIEF the warming is no part that counts
        """
        if repeat > 0 and (peer.name not in self._workers or last < BRIEF):
            self._solve(peer, 0, rtol=0.5 if self._large() else self._rtol)

    def _solve(
        self,
        peer: Peer,
        number: int,
        *,
        keep: bool = False,
        warm: bool = False,
        history: bool = False,
        rtol: float = 0.0,
    ) -> tuple[dict[str, Any], np.ndarray]:
        """The worker's figures, and x as it lays it out."""
        worker = self._worker(peer)
        if self._loaded.get(peer.name) != number:
            _, folder = self._system(number, peer.every_cell)
            worker.ask({"do": "load", "folder": str(folder)}, LOADING)
            self._loaded[peer.name] = number
        target = self._folder / "x.npy"
        for old in self._folder.glob("x.npy*"):
            old.unlink()
        order = {"do": "run", "keep": keep, "warm": warm, "history": history, "x": str(target)}
        order |= {"rtol": rtol or self._rtol, "maxiter": MAX_ITERATIONS}
        answer = worker.ask(order, self._runner.plan.limit)
        if peer.family == "petsc":
            x = np.zeros(self._system(number, peer.every_cell)[0].rhs.size)
            for part in self._folder.glob("x.npy.*.npz"):
                with np.load(part) as told:
                    x[told["rows"]] = told["x"]
        else:
            x = np.load(target)
        return answer, x

    def _judged(self, peer: Peer, number: int, x: np.ndarray, note: str) -> dict[str, Any]:
        """The residual of x, by the assembled matrix, and what follows from it."""
        if not np.isfinite(x).all():
            return {"true_residual": None, "outcome": "x is not finite"}
        system, _ = self._system(number, peer.every_cell)
        residual = system.residual(x if peer.of_rows else system.guess(x))
        if residual <= SLACK * self._rtol:
            return {"true_residual": residual, "outcome": "converged"}
        return {"true_residual": residual, "outcome": f"true residual {residual:.1e}" + (f" ({note})" if note else "")}

    def _failed(self, peer: Peer, reason: str) -> dict[str, Any]:
        self._close(peer.name)
        return {"outcome": f"failed: {reason}"}

    # ---- systems and workers ----

    def _make_steps(self) -> None:
        self._steps = list(self._entry.case.systems())

    def _system(self, number: int, every_cell: bool) -> tuple[System, Path]:
        """The system of a step, written down once; in a sequence all have a row for every cell."""
        every_cell = every_cell or len(self._steps) > 1
        if (number, every_cell) not in self._written:
            step = self._steps[number]
            system = System(step.problem, step.b, every_cell)
            self._written[number, every_cell] = system, system.write(self._folder / f"{number}-{every_cell}", step.x0)
        return self._written[number, every_cell]

    def _worker(self, peer: Peer) -> WorkerProcess:
        if peer.name not in self._workers:
            if self._large():
                for name in list(self._workers):
                    self._close(name)
            cores = self._entry.cores
            settings = peer.settings_for(self._steps[0].problem, cores)
            self._workers[peer.name] = WorkerProcess(
                peer.command(settings, cores), peer.environment(cores), peer.ranks(cores)
            )
        return self._workers[peer.name]

    def _large(self) -> bool:
        return bool(self._steps) and self._steps[0].problem.size > LARGE

    def _close(self, name: str) -> None:
        self._loaded.pop(name, None)
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.close()


def _too_large(case: Case) -> str:
    """Why a case does not fit this machine's memory; empty where it does."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = BYTES * case.size**case.dim
    if needed <= 0.8 * there:
        return ""
    return (
        f"not enough memory: {needed / 1e9:.0f} GB are needed to assemble and judge it, {there / 1e9:.0f} GB are there"
    )
