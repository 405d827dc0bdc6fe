"""Systems on several ranks: a batch of them under mpiexec, judged by rank 0.

mpiexec -n 2 python -m benchmarks.campaign.ranks SEED NUMBER ...
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from benchmarks.campaign import judge, petsc_way, systems
from benchmarks.paths import ROOT
from benchmarks.peers.mpi import ENVIRONMENT

BATCH = 40
MARK = "VERDICT "


def verdicts(seed: int, numbers: list[int], patience: float) -> Iterator[dict[str, Any]]:
    """Of these systems, in batches; where one ends or hangs, the rest goes on without it."""
    waiting = list(numbers)
    while waiting:
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        done, ended = run(seed, batch, patience)
        yield from done
        left = batch[len(done) :]
        if left:
            yield {"number": left[0], "way": "on 2 ranks", "tags": {}, **ended}
            waiting = left[1:] + waiting


def run(seed: int, numbers: Iterable[int], patience: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The verdicts of a batch as far as it came, and how it ended."""
    command = [
        "mpiexec",
        "-n",
        str(systems.RANKS),
        sys.executable,
        "-m",
        "benchmarks.campaign.ranks",
        str(seed),
        *map(str, numbers),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, timeout=patience)
        output, ended = done.stdout, {"kind": "crash", "told": f"ended with {done.returncode}: {done.stderr[-300:]}"}
    except subprocess.TimeoutExpired as late:
        output, ended = (late.stdout or b"").decode(), {"kind": "hang", "told": f"no answer after {patience:g} s"}
    return [json.loads(line[len(MARK) :]) for line in output.splitlines() if line.startswith(MARK)], ended


def main() -> None:
    """One rank of a batch."""
    warnings.simplefilter("ignore", RuntimeWarning)
    PETSc = petsc_way.module()
    comm = PETSc.COMM_WORLD
    for number in map(int, sys.argv[2:]):
        started, system = time.perf_counter(), systems.draw(int(sys.argv[1]), number)
        try:
            claim = petsc_way.solve(system, comm)
            verdict = judge.judge(system, claim) if comm.getRank() == 0 else None
        except ValueError as error:
            verdict = judge.Verdict("refused", str(error))
        if comm.getRank() == 0 and verdict is not None:
            seconds = round(time.perf_counter() - started, 4)
            told = {"number": number, **verdict.as_dict(), "way": system.way, "tags": system.tags, "seconds": seconds}
            print(MARK + json.dumps(told, default=plain), flush=True)


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    main()
