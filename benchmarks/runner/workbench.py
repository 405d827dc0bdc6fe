"""Where the peers of a comparison work: the case's systems on disk, a process for each peer, and the judgement of what comes back."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import deepcg
from benchmarks.peers.registry import MAX_ITERATIONS, Peer
from benchmarks.plans import Entry
from benchmarks.systems.cases import Step
from benchmarks.systems.system import System
from benchmarks.workers.worker_process import WorkerProcess

SLACK = 1.001  # on the tolerance, for the rounding between two ways to evaluate a residual
LARGE = 4_000_000  # unknowns above which no two peers are in memory at once
LOADING = 600.0  # seconds that a peer may take to read a system
GLANCE = 0.005  # seconds for which `wait_until_idle` watches the processor's clock
IDLE = 0.2  # share of a core below which a process does nothing to speak of


class Workbench:
    """The systems of an entry's case and the processes that solve them, made when they are first asked for.

    Parameters
    ----------
    entry : Entry
    rtol : float
    limit : seconds that a run may take
    """

    def __init__(self, entry: Entry, rtol: float, limit: float):
        self._entry, self._rtol, self._limit = entry, rtol, limit
        self._scratch = tempfile.TemporaryDirectory(prefix="deepcg-bench-")
        self._folder = Path(self._scratch.name)
        self._workers: dict[str, WorkerProcess] = {}
        self._made: list[Step] = []
        self._written: dict[tuple[int, bool], tuple[System, Path]] = {}
        self._loaded: dict[str, int] = {}

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *error) -> None:
        for name in list(self._workers):
            self.close(name)
        self._scratch.cleanup()

    @property
    def steps(self) -> list[Step]:
        if not self._made:
            self._made = list(self._entry.case.systems())
        return self._made

    @property
    def problem(self) -> deepcg.Poisson:
        """Of the first system: settings follow from it, and facts are told of it."""
        return self.steps[0].problem

    @property
    def large(self) -> bool:
        return self.problem.size > LARGE

    def has(self, peer: Peer) -> bool:
        """Whether the peer's process is there already."""
        return peer.name in self._workers

    def solve(
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
        wait_until_idle()
        answer = worker.ask(order, self._limit)
        if peer.family == "petsc":
            x = np.zeros(self._system(number, peer.every_cell)[0].rhs.size)
            for part in self._folder.glob("x.npy.*.npz"):
                with np.load(part) as told:
                    x[told["rows"]] = told["x"]
        else:
            x = np.load(target)
        return answer, x

    def judged(self, peer: Peer, number: int, x: np.ndarray, note: str) -> dict[str, Any]:
        """The residual of x, by the assembled matrix, and what follows from it."""
        if not np.isfinite(x).all():
            return {"true_residual": None, "outcome": "x is not finite"}
        system, _ = self._system(number, peer.every_cell)
        residual = system.residual(x if peer.of_rows else system.guess(x))
        if residual <= SLACK * self._rtol:
            return {"true_residual": residual, "outcome": "converged"}
        return {"true_residual": residual, "outcome": f"true residual {residual:.1e}" + (f" ({note})" if note else "")}

    def _system(self, number: int, every_cell: bool) -> tuple[System, Path]:
        """The system of a step, written down once; in a sequence all have a row for every cell."""
        every_cell = every_cell or len(self.steps) > 1
        if (number, every_cell) not in self._written:
            step = self.steps[number]
            system = System(step.problem, step.b, every_cell)
            self._written[number, every_cell] = system, system.write(self._folder / f"{number}-{every_cell}", step.x0)
        return self._written[number, every_cell]

    def _worker(self, peer: Peer) -> WorkerProcess:
        if peer.name not in self._workers:
            if self.large:
                for name in list(self._workers):
                    self.close(name)
            cores = self._entry.cores
            settings = peer.settings_for(self.problem, cores)
            self._workers[peer.name] = WorkerProcess(
                peer.command(settings, cores), peer.environment(cores), peer.ranks(cores)
            )
        return self._workers[peer.name]

    def close(self, name: str) -> None:
        self._loaded.pop(name, None)
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.close()


def wait_until_idle(limit: float = 2.0) -> None:
    """Wait until no thread of this process is running, `limit` seconds at most.

    Threads of numerical libraries go on spinning after the call that used them, OpenBLAS' for a tenth of a second: a peer timed meanwhile
    would share its cores with them.
    """
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(GLANCE)
        if time.process_time() - used < IDLE * (time.perf_counter() - wall):
            return
