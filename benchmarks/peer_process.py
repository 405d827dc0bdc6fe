"""A linear system handed to a solver in a process of its own, and its answer taken back.

MPI ranks and OpenMP threads are counted when a process starts, and a library built for one interpreter need not exist for
another: so the peers of `amg_peers` run as scripts. A folder holds the system as .npy files and `job.json`; the script adds
`result.json` and the solution in consecutive parts, `x0.npy`, `x1.npy`, ...
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

import deepcg

POCKET = 1000  # unknowns; a singular component that is smaller is made regular
TIME_LIMIT = 3600.0  # seconds


class System:
    """A x = rhs over the FLUID cells in C order, as a general solver takes it; rhs is projected onto the range of A.

    In a singular component of fewer than `POCKET` unknowns one diagonal entry is doubled (set to 1 where it is 0): the sum of the
    component's equations then says that this unknown is zero, so what solves the new equations solves the old ones. A scene with
    obstacles has dozens of such pockets, and a vector in the null space for each would slow a peer down for nothing.
    Larger components stay singular.

    Attributes
    ----------
    matrix : CSR, 32-bit indices
    matrix_seconds : what its assembly took
    rhs : float64, (n,)
    null_space : int32, (n,), or None
        The number of the singular component that an unknown is in, from 1; 0 for none. None where A is regular.

    Raises
    ------
    ValueError
        Where b is zero once it is projected.
    """

    def __init__(self, problem: deepcg.Poisson, b: np.ndarray):
        self._problem, self._b = problem, b
        self._fluid = problem.stencil.fluid
        self.rhs = self._projected(problem.layout.rhs(b))
        if not self.rhs.any():
            raise ValueError(
                "b: zero once projected onto the range of A; a right-hand side that leaves something to solve is needed"
            )
        started = time.perf_counter()
        A = sp.csr_matrix(problem.stencil.matrix())
        self.matrix_seconds = time.perf_counter() - started
        labels = self._singular_components(A)
        numbers, first, sizes = np.unique(labels, return_index=True, return_counts=True)
        self.matrix = _pinned(A, first[(numbers > 0) & (sizes < POCKET)])
        large = numbers[(numbers > 0) & (sizes >= POCKET)]
        place = np.minimum(np.searchsorted(large, labels), max(large.size - 1, 0))
        self.null_space = np.where(large[place] == labels, place + 1, 0).astype(np.int32) if large.size else None

    def _projected(self, v: np.ndarray) -> np.ndarray:
        self._problem.components.project(v)
        return v.reshape(self._fluid.shape)[self._fluid]

    def _singular_components(self, A: sp.csr_matrix) -> np.ndarray:
        """The number of the singular component that each unknown is in, from 1; 0 for none."""
        constant_left = self._projected(np.where(self._fluid, 1.0, 0.0))  # none in a singular component
        _, labels = connected_components(A, directed=False)
        return np.where(constant_left < 0.5, labels + 1, 0)

    def write(self, folder: Path) -> None:
        """The system as .npy files, for the scripts."""
        A = self.matrix
        arrays = {"rhs": self.rhs, "data": A.data, "indices": A.indices, "indptr": A.indptr}
        if self.null_space is not None:
            arrays["null_space"] = self.null_space
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)

    def solution(self, x: np.ndarray) -> np.ndarray:
        """x over the unknowns, laid out as b is, of zero mean in singular components."""
        full = np.zeros(self._fluid.shape)
        full[self._fluid] = x
        self._problem.components.project(full)
        return self._problem.layout.solution(full.reshape(-1), self._b)


def _pinned(A: sp.csr_matrix, rows: np.ndarray) -> sp.csr_matrix:
    if rows.size:
        diagonal = A.diagonal()[rows]
        extra = np.where(diagonal > 0, diagonal, 1.0)
        A = sp.csr_matrix(A + sp.csr_matrix((extra, (rows, rows)), shape=A.shape))
    A.indices, A.indptr = A.indices.astype(np.int32, copy=False), A.indptr.astype(np.int32, copy=False)
    return A


def run(name: str, command: list[str], environment: dict[str, str], system: System, job: dict) -> dict:
    """Run `command` with a folder that holds the system and the job as its last argument.

    Parameters
    ----------
    name : the peer's, for messages
    environment : variables to set; None takes one away

    Returns
    -------
    dict : what the script wrote, and `x`, laid out as b is

    Raises
    ------
    RuntimeError
        With the last of what the script printed.
    """
    variables = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="deepcg-peer-") as path:
        folder = Path(path)
        system.write(folder)
        (folder / "job.json").write_text(json.dumps(job))
        process = subprocess.Popen(
            [*command, path], env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            printed, _ = process.communicate(timeout=TIME_LIMIT)
        except BaseException as error:
            process.terminate()  # not kill: mpiexec takes its ranks with it
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"{name}: no answer within {TIME_LIMIT:.0f} s") from None
            raise
        if process.returncode or not (folder / "result.json").exists():
            raise RuntimeError(f"{name}: its process failed ({process.returncode})\n{printed[-2000:]}")
        result = json.loads((folder / "result.json").read_text())
        parts = [np.load(folder / f"x{part}.npy") for part in range(len(list(folder.glob("x*.npy"))))]
        return {**result, "x": system.solution(np.concatenate(parts))}
