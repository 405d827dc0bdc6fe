"""The runner's end of the line to a worker: start it, give orders, take answers, notice that it died or takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.paths import ROOT
from benchmarks.workers.serving import SOCKET

STARTING = 120.0  # seconds that a process may take to import its library


class PeerFailed(RuntimeError):
    """A peer raised, died or did not answer in time; the message says which, in one line."""


class WorkerProcess:
    """A peer's process, or one per rank, that answers orders.

    Parameters
    ----------
    command : list of str
        Started in the folder above `benchmarks`.
    environment : variables to set; None takes one away
    ranks : how many processes will answer
    """

    def __init__(self, command: list[str], environment: dict[str, str | None], ranks: int = 1):
        self._folder = tempfile.TemporaryDirectory(prefix="deepcg-bench-")
        path = str(Path(self._folder.name) / "line")
        self._printed = open(Path(self._folder.name) / "printed", "w+")  # noqa: SIM115 - lives as long as the process
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment, SOCKET: path}
        self._lines: list[Any] = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(ranks)
            self._process = subprocess.Popen(
                command,
                env={key: value for key, value in variables.items() if value is not None},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that an interrupt reaches the runner alone, which then ends its workers
            )
            try:
                lines = [self._accept(listener, time.monotonic() + STARTING) for _ in range(ranks)]
                self._lines = [line for _, line in sorted(lines, key=lambda pair: pair[0])]
                if sorted(rank for rank, _ in lines) != list(range(ranks)):
                    raise PeerFailed("its processes do not see each other: mpiexec is of another MPI than petsc4py")
            except BaseException:
                self.close()
                raise

    def _accept(self, listener: socket.socket, deadline: float):
        while not select.select([listener], [], [], 0.05)[0]:
            self._check_alive()
            if time.monotonic() > deadline:
                raise PeerFailed(f"did not start within {STARTING:.0f} s")
        connection, _ = listener.accept()
        line = _Line(connection)
        return self._answer(line, deadline)["rank"], line

    def ask(self, order: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to an order, of rank 0 where there are several.

        Raises
        ------
        PeerFailed
            The worker is then of no more use, but for an answer that it raised something.
        """
        deadline = time.monotonic() + seconds
        for line in self._lines:
            line.send(order)
        try:
            answers = [self._answer(line, deadline) for line in self._lines]
        except TimeoutError:
            self.close()
            raise PeerFailed(f"no answer within {seconds:.0f} s") from None
        for answer in answers:
            if "error" in answer:
                raise PeerFailed(answer["error"])
        grown = [answer.get("memory_bytes") for answer in answers]
        if len(answers) > 1 and None not in grown:
            answers[0]["memory_bytes"] = sum(grown)
        return answers[0]

    def _answer(self, line: _Line, deadline: float) -> dict[str, Any]:
        while True:
            text = line.receive(0.5)
            if text:
                return json.loads(text)
            self._check_alive()
            if text == "":  # a closed line; the process says why within a moment
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(5.0)
                self._check_alive()
                raise PeerFailed("its process closed the line")
            if time.monotonic() > deadline:
                raise TimeoutError

    def _check_alive(self) -> None:
        status = self._process.poll()
        if status is None:
            return
        self._printed.flush()
        said = Path(self._printed.name).read_text(errors="replace").strip()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        raise PeerFailed(f"its process ended ({how})" + (f": {said.splitlines()[-1][:300]}" if said else ""))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Ask the process to go, and end it where it does not."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.send({"do": "quit"})
            line.close()
        self._lines = []
        try:
            self._process.wait(2.0 if self.alive else 0.0)
        except subprocess.TimeoutExpired:
            for sent in (signal.SIGTERM, signal.SIGKILL):  # mpiexec takes its ranks with it on the first
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, sent)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(5.0)
                    break
        self._printed.close()
        self._folder.cleanup()


class _Line:
    """A socket that carries lines, read with a time limit."""

    def __init__(self, connection: socket.socket):
        self._socket, self._rest = connection, b""

    def send(self, order: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer that does not come tells
            self._socket.sendall(json.dumps(order).encode() + b"\n")

    def receive(self, seconds: float) -> str | None:
        """A line; "" where the other end is closed, None where nothing whole came in time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                return None
            try:
                got = self._socket.recv(1 << 16)
            except ConnectionResetError:
                got = b""
            if not got:
                return ""
            self._rest += got
        text, _, self._rest = self._rest.partition(b"\n")
        return text.decode()

    def close(self) -> None:
        self._socket.close()
