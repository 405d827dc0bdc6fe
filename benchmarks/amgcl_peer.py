"""Solve the system in a folder with AMGCL: what `benchmarks.amg_peers` runs as `OMP_NUM_THREADS=CORES python amgcl_peer.py FOLDER`.

Timed: the set-up (`pyamgcl.amg` and `pyamgcl.solver`, built anew each time) and the solve, each `repeats` times after one that does
not count.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pyamgcl
import scipy.sparse as sp

SHIFT = 1e-10  # of the diagonal, for the hierarchy of a singular matrix: its coarsest level is factorised


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    rhs, indptr, indices, data = (np.load(folder / f"{name}.npy") for name in ("rhs", "indptr", "indices", "data"))
    A = sp.csr_matrix((data, indices, indptr))
    scale = np.linalg.norm(rhs)  # AMGCL takes a right-hand side of small norm for zero
    rhs /= scale
    singular = (folder / "null_space.npy").exists()
    regular = A + SHIFT * A.diagonal().max() * sp.identity(A.shape[0], format="csr") if singular else A
    system = (A, rhs) if singular else (rhs,)  # CG's matrix is the singular one
    krylov = {"type": "cg", "tol": job["rtol"], "maxiter": job["maxiter"]}

    setups, solves = [], []
    for _ in range(job["repeats"] + 1):
        solver, seconds = timed(lambda: pyamgcl.solver(pyamgcl.amg(regular, job["settings"]), krylov))
        setups.append(seconds)
    for _ in range(job["repeats"] + 1):
        x, seconds = timed(lambda: solver(*system))
        solves.append(seconds)
    np.save(folder / "x0.npy", scale * x)
    result = {
        "setup_seconds": [wall for wall, _ in setups[1:]],
        "solve_seconds": [wall for wall, _ in solves[1:]],
        "setup_cpu_seconds": [cpu for _, cpu in setups[1:]],
        "solve_cpu_seconds": [cpu for _, cpu in solves[1:]],
        "iterations": solver.iters,
        "converged": bool(solver.error <= job["rtol"]),
        "version": "pyamgcl " + metadata.version("pyamgcl"),
    }
    (folder / "result.json").write_text(json.dumps(result))


def timed(action):
    """What the action returns, its seconds, and the processor's seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main()
