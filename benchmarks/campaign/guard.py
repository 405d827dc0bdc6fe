"""A process beside the campaign's that solves and judges system by system: a crash or a hang costs that system only."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from multiprocessing.connection import Connection
from typing import Any

PATIENCE = 300.0
"""Seconds after which a system counts as one that hangs: hundreds of times what the slowest takes on a quiet machine."""


class Guard:
    """Systems go in by seed and number, verdicts come out.

    Parameters
    ----------
    patience : seconds that a system may take
    """

    def __init__(self, patience: float = PATIENCE):
        self.patience = patience
        self._process: Any = None
        self._pipe: Connection | None = None

    def verdict(self, seed: int, number: int) -> dict[str, Any]:
        """The verdict and the tags of one system, with the seconds that it took."""
        if self._process is None:
            self._start()
        assert self._pipe is not None
        started = time.monotonic()
        try:
            self._pipe.send((seed, number))
            if self._pipe.poll(self.patience):
                return self._pipe.recv()
            kind, told = "hang", f"no answer after {self.patience:g} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            kind, told = "crash", f"the process ended with {self._process.exitcode}"
        self.close()
        return {"number": number, "kind": kind, "told": told, "tags": {}, "seconds": time.monotonic() - started}

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            assert self._pipe is not None
            self._pipe.close()
            self._process = self._pipe = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        self._process.start()
        theirs.close()
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def serve(pipe: Connection) -> None:
    """Answer until the other end is gone."""
    warnings.simplefilter("ignore", RuntimeWarning)
    while True:
        try:
            seed, number = pipe.recv()
        except EOFError:
            return
        pipe.send(one(seed, number))


def one(seed: int, number: int) -> dict[str, Any]:
    """A system drawn, solved and judged in this process."""
    from benchmarks.campaign import judge, systems, ways

    started = time.perf_counter()
    system = systems.draw(seed, number)
    try:
        verdict = judge.judge(system, ways.solve(system))
    except (ValueError, TypeError, MemoryError) as error:
        verdict = judge.Verdict("refused", f"{type(error).__name__}: {error}")
    except Exception as error:
        verdict = judge.Verdict("exception", f"{type(error).__name__}: {error}")
    return {
        "number": number, **verdict.as_dict(), "way": system.way, "tags": system.tags, "seconds": round(time.perf_counter() - started, 4),
    }  # fmt: skip


if __name__ == "__main__":
    for word in sys.argv[2:]:
        print(one(int(sys.argv[1]), int(word)))
