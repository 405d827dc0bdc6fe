"""Runs a plan: peers in turn, repeat after repeat, every finished run written down at once.

    with Journal(path) as journal:
        Runner(plan, journal).run()

One rule for all. b, x0 and the stopping rule are the same; x is read back and its residual computed from the assembled matrix, and only
that decides whether a peer has converged. The first run of a peer on a case warms it up: its times do not count, and it keeps the
residual history, which may cost time; where it costs none and the run was long, it counts and is the only one. After it the peers alternate,
so that whatever else the machine does meets all of them.
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

from benchmarks.peers.registry import Peer
from benchmarks.plans import FRESH, KEPT, Entry, Plan
from benchmarks.records.journal import Journal
from benchmarks.runner.workbench import Workbench
from benchmarks.systems.cases import Case
from benchmarks.workers.worker_process import PeerFailed

BYTES = 300  # per cell, that judging a system takes: its matrix, and what assembling it needs
BRIEF = 1.0  # seconds; runs below are preceded by one that does not count
UNTOUCHED = ("deepcg", "petsc", "fft")  # families whose residual history is a by-product

Report = Callable[[str, dict[str, Any]], None]


def key(case: str, rtol: float, cores: int, peer: str, mode: str, repeat: int) -> str:
    """The name of a run in the journal."""
    return " | ".join([comparison(case, rtol, cores, peer), mode, f"run {repeat}"])


def comparison(case: str, rtol: float, cores: int, peer: str) -> str:
    """The name that `only` looks at."""
    return " | ".join([case, f"{rtol:g}", f"{cores} cores", peer])


class Runner:
    """A plan at work.

    Parameters
    ----------
    plan : Plan
    journal : Journal
        What it holds is not run again, unless a peer's settings have changed since.
    only : str
        Part of the name "case | rtol | cores | peer", or a pattern with * and ?, in letters of either case: nothing else is run.
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
                        yield from ((entry, rtol, peer, mode) for mode in entry.modes_of(peer))

    def forget(self) -> None:
        """Run what is wanted again, whatever the journal holds of it."""
        about = {name: run for name, run in self.journal.runs.items() if "peer" in run}
        self.journal.forget(
            name
            for name, run in about.items()
            if self._matches(comparison(run["case"], run["rtol"], run["cores"], run["peer"]))
        )

    def _wanted(self, entry: Entry, rtol: float, peer: Peer) -> bool:
        return self._matches(comparison(entry.case.name, rtol, entry.cores, peer.name))

    def _matches(self, name: str) -> bool:
        name, pattern = name.lower(), self._only.lower()
        return pattern in name or fnmatch.fnmatchcase(name, pattern)

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
        """A first run of everybody, then repeats in alternation, as many as the speed of the first allows.

        Of a single system the first is number 0 and only warms up; of a sequence it counts.
        """
        first, go = (1, self._through) if self._entry.case.steps > 1 else (0, self._one)
        turns = [(peer, mode) for peer in self._peers for mode in self._entry.modes_of(peer)]
        last: dict[tuple[str, str], int] = {}
        repeat = first
        while repeat <= max(last.values(), default=first):
            for peer, mode in turns:
                if repeat > last.get((peer.name, mode), first):
                    continue
                told = self._done(peer, mode, repeat)
                if told is None:
                    if self._runner.out_of_time():
                        return
                    told = go(peer, mode, repeat)
                if repeat == first and told["outcome"] == "converged":
                    last[peer.name, mode] = self._repeats(peer, told["setup_seconds"] + told["solve_seconds"])
            repeat += 1

    def _repeats(self, peer: Peer, seconds: float) -> int:
        """How often after a first run of so many seconds, which cannot count where keeping the history cost some of them."""
        count = self._runner.plan.repeats_of(seconds)
        return count if peer.family in UNTOUCHED else max(count, 1)

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

    def _one(self, peer: Peer, mode: str, repeat: int) -> dict[str, Any]:
        """A set-up and a solve, or the reason why not."""
        figures = self._about(peer, mode, repeat)
        if "outcome" not in figures:
            first = self._done(peer, mode, 0) or {}
            try:
                self._warm_up(
                    peer, repeat, (first.get("setup_seconds") or math.inf) + (first.get("solve_seconds") or math.inf)
                )
                answer, x = self._bench.solve(peer, 0, history=repeat == 0)
                figures |= answer | self._bench.judged(peer, 0, x, answer["note"])
                figures["counts"] = self._repeats(peer, answer["setup_seconds"] + answer["solve_seconds"]) == 0
            except PeerFailed as failure:
                figures |= self._failed(peer, str(failure))
            if self._bench.large:
                self._bench.close(peer.name)
        return self._runner.finish(self._key(peer, mode, repeat), figures)

    def _through(self, peer: Peer, mode: str, repeat: int) -> dict[str, Any]:
        """A whole sequence, one system after another."""
        figures = self._about(peer, mode, repeat)
        if "outcome" not in figures:
            steps: dict[str, list] = {
                name: [] for name in ("setup_seconds", "solve_seconds", "iterations", "true_residual")
            }
            keep, setups, memory, wear = False, 0, [], Wear()
            try:
                self._warm_up(peer, repeat)
                for number in range(len(self._bench.steps)):
                    told = self._step(peer, number, keep, warm=mode != FRESH)
                    spent = [told]
                    if keep and told["outcome"] != "converged":  # what is kept no longer serves: the attempt is charged
                        keep, told = False, self._step(peer, number, False, warm=mode != FRESH)
                        spent.append(told)
                    if told["outcome"] != "converged":
                        raise PeerFailed(f"system {number + 1}: {told['outcome']}")
                    for name, values in steps.items():
                        values.append(told[name] if name == "true_residual" else sum(part[name] for part in spent))
                    memory.append(told["memory_bytes"])
                    setups += sum(part["set_up"] for part in spent)
                    wear = wear if keep else Wear(told)
                    keep = mode == KEPT and not wear.out(told)
                figures |= {name: sum(values) for name, values in steps.items()}
                figures |= {"true_residual": max(steps["true_residual"]), "steps": steps, "setups": setups}
                figures |= {"outcome": "converged", "version": told["version"], "note": told["note"]}
                figures["memory_bytes"] = None if None in memory else max(memory)
            except PeerFailed as failure:
                figures |= self._failed(peer, str(failure))
        return self._runner.finish(self._key(peer, mode, repeat), figures)

    def _step(self, peer: Peer, number: int, keep: bool, warm: bool) -> dict[str, Any]:
        """One system of a sequence, solved and judged."""
        answer, x = self._bench.solve(peer, number, keep=keep, warm=warm)
        return answer | self._bench.judged(peer, number, x, answer["note"])

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


class Wear:
    """When a kept set-up is made anew: once the iterations that it costs beyond those it began with have taken as long as it took itself.

    It is the rule of rent or buy (Karlin, Manasse, Rudolph and Sleator, "Competitive snoopy caching", Algorithmica 3, 1988), so that a costly
    set-up is kept long and a cheap one is not. Iterations count, not seconds alone: the machine's noise is no wear.

    Parameters
    ----------
    first : figures of the solve that the set-up was made for
    """

    def __init__(self, first: dict[str, Any] | None = None):
        self._price, self._iterations = (first["setup_seconds"], first["iterations"]) if first else (0.0, 0)
        self._spent = 0.0

    def out(self, solve: dict[str, Any]) -> bool:
        """Whether it is worn out, after one more solve."""
        more = max(solve["iterations"] - self._iterations, 0)
        self._spent += solve["solve_seconds"] * more / max(solve["iterations"], 1)
        return self._spent >= self._price


def _too_large(case: Case) -> str:
    """Why a case does not fit this machine's memory; empty where it does."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = BYTES * case.size**case.dim
    if needed <= 0.8 * there:
        return ""
    return (
        f"not enough memory: {needed / 1e9:.0f} GB are needed to assemble and judge it, {there / 1e9:.0f} GB are there"
    )
