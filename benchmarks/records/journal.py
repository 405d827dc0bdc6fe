"""The journal of a run: one line of JSON per finished piece of work, on the disk before the next one begins.

A line is a session (machine, versions, commit), a run (its key and figures, and the session it belongs to) or keys that are forgotten. A run
that is killed loses the piece that was going on and nothing else; the next session reads what is there. The last line for a key counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.records.record import machine


class JournalBusy(OSError):
    """Another process writes this journal."""


class Journal:
    """Figures by key, appended to a file.

    Parameters
    ----------
    path : ends in .jsonl
    fresh : forget what the file holds

    Attributes
    ----------
    runs : dict from keys to figures
    sessions : list of machines, as `benchmarks.records.record.machine` tells them
    """

    def __init__(self, path: Path, fresh: bool = False):
        self.path = path
        self.runs: dict[str, dict[str, Any]] = {}
        self.sessions: list[dict[str, Any]] = []
        self._announced = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+")  # noqa: SIM115 - held, with its lock, until `close`
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise JournalBusy(f"{path}: another run is writing it; wait for it, or give another --output") from None
        if fresh:
            self._file.truncate(0)
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        text = self._file.read()
        for line in text.split("\n"):
            with contextlib.suppress(ValueError):  # the last line of a killed run may be torn
                self._take(json.loads(line))
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def _take(self, told: dict[str, Any]) -> None:
        if "session" in told:
            self.sessions.append(told["session"])
        elif "forgotten" in told:
            for key in told["forgotten"]:
                self.runs.pop(key, None)
        elif "key" in told:
            self.runs.pop(told["key"], None)  # so that the newest stands last
            self.runs[told["key"]] = told["figures"]

    def forget(self, keys: Iterable[str]) -> None:
        """As if these had not been run; the file keeps their lines, and one that takes them back."""
        keys = list(keys)
        if keys:
            self._append({"forgotten": keys})

    def add(self, key: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Write a finished run down."""
        if not self._announced:
            self._announced = True
            self._append({"session": machine()})
        figures = {**figures, "session": len(self.sessions) - 1}
        self._append({"key": key, "figures": figures})
        return figures

    def _append(self, told: dict[str, Any]) -> None:
        self._file.write(json.dumps(told) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take(told)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error) -> None:
        self.close()
