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
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.cases import Case
from benchmarks.journal import Journal
from benchmarks.peers import Peer
from benchmarks.plans import FRESH, KEPT, Entry, Plan
from benchmarks.workbench import Workbench
from benchmarks.worker_process import PeerFailed

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
                    with Workbench(entry, rtol, self.plan.limit) as bench:
                        _Comparison(self, entry, rtol, wanted, bench).run()
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

    def __init__(self, runner: Runner, entry: Entry, rtol: float, peers: list[Peer], bench: Workbench):
        self._runner, self._entry, self._rtol, self._peers, self._bench = runner, entry, rtol, peers, bench

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
        return peer.settings_for(self._bench.problem, self._entry.cores) != found["settings"]

    def _one(self, peer: Peer, repeat: int) -> dict[str, Any]:
        """A set-up and a solve, or the reason why not."""
        figures = self._about(peer, FRESH, repeat)
        if "outcome" not in figures:
            first = self._done(peer, FRESH, 0) or {}
            try:
                self._warm_up(
                    peer, repeat, (first.get("setup_seconds") or math.inf) + (first.get("solve_seconds") or math.inf)
                )
                answer, x = self._bench.solve(peer, 0, history=repeat == 0)
                figures |= answer | self._bench.judged(peer, 0, x, answer["note"])
                if self._runner.plan.repeats_of(answer["setup_seconds"] + answer["solve_seconds"]) == 0:
                    figures["counts"] = True
            except PeerFailed as failure:
                figures |= self._failed(peer, str(failure))
            if self._bench.large:
                self._bench.close(peer.name)
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
                for number in range(len(self._bench.steps)):
                    answer, x = self._bench.solve(peer, number, keep=keep, warm=mode != FRESH)
                    judged = self._bench.judged(peer, number, x, answer["note"])
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
        problem = self._bench.problem
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
        if repeat > 0 and (not self._bench.has(peer) or last < BRIEF):
            self._bench.solve(peer, 0, rtol=0.5 if self._bench.large else self._rtol)

    def _failed(self, peer: Peer, reason: str) -> dict[str, Any]:
        self._bench.close(peer.name)
        return {"outcome": f"failed: {reason}"}


def _too_large(case: Case) -> str:
    """Why a case does not fit this machine's memory; empty where it does."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = BYTES * case.size**case.dim
    if needed <= 0.8 * there:
        return ""
    return (
        f"not enough memory: {needed / 1e9:.0f} GB are needed to assemble and judge it, {there / 1e9:.0f} GB are there"
    )
