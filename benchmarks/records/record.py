"""Benchmark records: JSON with the machine, the versions and the raw figures; written whole after every case."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import deepcg
from benchmarks.paths import ROOT
from deepcg.io.files import write_atomically


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, versions, commit."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
        "versions": {
            name: _version(name) for name in ("deepcg", "numpy", "scipy", "torch", "pyamg", "ilupp", "pyamgcl")
        },
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


class Record:
    """A JSON file of cases by name. Cases that are already there are not run again, so that a killed run can go on.

    Parameters
    ----------
    path : the file
    fresh : forget what the file holds
    """

    def __init__(self, path: Path, fresh: bool = False):
        self.path = path
        self.cases: dict[str, Any] = {}
        if path.exists() and not fresh:
            self.cases = json.loads(path.read_text())["cases"]

    def forget(self, beginning: str) -> None:
        """Take out the cases whose names begin so; the file follows with the next case."""
        self.cases = {name: case for name, case in self.cases.items() if not name.startswith(beginning)}

    def run(self, name: str, case: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of `case`, from the file or by running it."""
        if name not in self.cases:
            self.cases[name] = {**case(), "machine": machine()}
            content = json.dumps({"cases": self.cases}, indent=1)
            write_atomically(self.path, content.encode(), overwrite=True)
        return self.cases[name]


def true_residual(problem: deepcg.Poisson, x: np.ndarray, b: np.ndarray) -> float:
    """||b - A x|| / ||b|| from the assembled matrix and the projected b: independent of what the solver computed."""
    rhs = problem.layout.rhs(b)
    problem.components.project(rhs)
    right = problem.layout.residual(rhs)
    unknowns = problem.layout.residual(problem.layout.rhs(x))
    return float(np.linalg.norm(right - assembled(problem) @ unknowns) / np.linalg.norm(right))


@lru_cache(maxsize=1)
def assembled(problem: deepcg.Poisson):
    """The matrix, kept for the problem that was asked for last: all methods on it are judged by the same."""
    return problem.matrix()
