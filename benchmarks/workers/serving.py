"""The worker's end of the line: orders in, measured answers out. Needs nothing but numpy, so that any interpreter can run it.

A worker is a process that holds one peer. It connects to the socket that the runner listens on and answers each order, a line of
JSON, by one: `load` a system's folder, `run` one set-up and solve, `quit`. What a peer raises is an answer too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOCKET = "DEEPCG_BENCH_SOCKET"


def serve(handle: Callable[[dict[str, Any]], dict[str, Any]], rank: int = 0) -> None:
    """Answer orders until one says quit or the runner is gone.

    Parameters
    ----------
    handle : order -> answer
    rank : of an MPI peer's process
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(os.environ[SOCKET])
        stream = line.makefile("rw")
        _send(stream, {"rank": rank})
        for text in stream:
            order = json.loads(text)
            if order["do"] == "quit":
                return
            try:
                answer = handle(order)
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"[:500]}
            _send(stream, answer)


def _send(stream, answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


class Clock:
    """Seconds of the wall and of the processor (all threads) between entering and leaving.

    Parameters
    ----------
    barrier : called at both ends, for peers of several processes
    """

    def __init__(self, barrier: Callable[[], Any] = lambda: None):
        self._barrier = barrier

    def __enter__(self) -> Clock:
        self._barrier()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error) -> None:
        if error[0] is None:
            self._barrier()
        self.seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu


class Memory:
    """By how many bytes the process grew, at its largest, since this was made; None where the system does not tell.

    Freed memory that the allocator keeps would hide growth, so it is given back first.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        try:
            Path("/proc/self/clear_refs").write_text("5")  # forgets the largest size so far
            self._before = _status("VmRSS")
        except OSError:
            self._before = None

    @property
    def growth(self) -> int | None:
        return None if self._before is None else max(0, _status("VmHWM") - self._before)


def measured(
    setup: Clock, solve: Clock, memory: Memory, iterations: int, residuals: list[float] | None, note: str, version: str
) -> dict[str, Any]:
    """The answer to a run, the same of every worker; `residuals` are relative, or None where no history was asked for."""
    return {
        "setup_seconds": setup.seconds,
        "solve_seconds": solve.seconds,
        "setup_cpu_seconds": setup.cpu_seconds,
        "solve_cpu_seconds": solve.cpu_seconds,
        "memory_bytes": memory.growth,
        "iterations": iterations,
        "residuals": None if residuals is None else [float(f"{value:.4g}") for value in residuals],
        "note": note,
        "version": version,
    }


def _status(field: str) -> int:
    """Bytes, from the kernel's account of this process."""
    for text in Path("/proc/self/status").read_text().splitlines():
        if text.startswith(field + ":"):
            return 1024 * int(text.split()[1])
    raise OSError(f"/proc/self/status: no {field}")
