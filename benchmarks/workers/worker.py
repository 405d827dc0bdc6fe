"""A peer in a process of its own: `python -m benchmarks.workers.worker METHOD`, started by `benchmarks.workers.worker_process`.

Counting threads, measuring memory and surviving a crash all need a process; the peers of PETSc have `benchmarks.workers.petsc_worker`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workers.methods import Loaded, Method, method
from benchmarks.workers.serving import Clock, Memory, measured, serve


class Worker:
    """Holds a method and the system that it was given last."""

    def __init__(self, method: Method):
        self._method = method
        self._system: Loaded | None = None

    def handle(self, order: dict[str, Any]) -> dict[str, Any]:
        """Answer one order, see `load` and `run`."""
        return {"load": self.load, "run": self.run}[order["do"]](order)

    def load(self, order: dict[str, Any]) -> dict[str, Any]:
        """Read the system in `order["folder"]`; not timed."""
        self._system = None
        self._system = Loaded(Path(order["folder"]))
        self._method.load(self._system)
        return {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Set up (or with `keep` adopt the new matrix) and solve; x goes to the file `order["x"]`."""
        system, history = self._system, [] if order["history"] else None
        if system is None:
            raise RuntimeError("no system is loaded")
        if not order["keep"]:
            self._method.drop()
        memory = Memory()
        with Clock() as setup:
            (self._method.adopt if order["keep"] else self._method.set_up)(system)
        with Clock() as solve:
            x, iterations, note = self._method.solve(
                system, bool(order["warm"]), order["rtol"], order["maxiter"], history
            )
        np.save(order["x"], x)
        told = measured(setup, solve, memory, iterations, history, note, self._method.version)
        return told | {"set_up": not order["keep"] or self._method.adopting_sets_up}


if __name__ == "__main__":
    serve(Worker(method(sys.argv[1])).handle)
