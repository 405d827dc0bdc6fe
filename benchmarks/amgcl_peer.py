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
        started = time.perf_counter()
        hierarchy = pyamgcl.amg(regular, job["settings"])
        solver = pyamgcl.solver(hierarchy, krylov)
        setups.append(time.perf_counter() - started)
    for _ in range(job["repeats"] + 1):
        started = time.perf_counter()
        x = solver(*system)
        solves.append(time.perf_counter() - started)
    np.save(folder / "x0.npy", scale * x)
    result = {
        "setup_seconds": setups[1:],
        "solve_seconds": solves[1:],
        "iterations": solver.iters,
        "converged": bool(solver.error <= job["rtol"]),
        "version": "pyamgcl " + metadata.version("pyamgcl"),
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
