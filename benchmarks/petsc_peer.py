"""Solve the system in a folder with PETSc: what `benchmarks.amg_peers` runs as `mpiexec -n CORES python petsc_peer.py FOLDER`.

Needs numpy and petsc4py only, so that any interpreter that has them can run it. Timed between barriers: the set-up (a fresh KSP
each time: KSPSetUp, PCSetUp and the set-up of its blocks) and the solve, each `repeats` times after one that does not count.
The matrix is in PETSc's own format before the clock starts; what a preconditioner converts it to is part of its set-up.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import petsc4py


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    petsc4py.init([sys.argv[0], *(word for option in job["settings"].items() for word in option if word)])
    from petsc4py import PETSc

    comm = PETSc.COMM_WORLD
    A, b = load(folder, PETSc)
    x = b.duplicate()
    setups, solves = [], []
    ksp = None
    for _ in range(job["repeats"] + 1):
        if ksp is not None:
            ksp.destroy()
        ksp = create(A, job, PETSc)
        setups.append(timed(comm, lambda ksp=ksp: set_up(ksp, b, x)))
    for _ in range(job["repeats"] + 1):
        x.set(0.0)
        solves.append(timed(comm, lambda: ksp.solve(b, x)))
    np.save(folder / f"x{comm.rank}.npy", x.getArray())
    if comm.rank == 0:
        result = {
            "setup_seconds": [wall for wall, _ in setups[1:]],
            "solve_seconds": [wall for wall, _ in solves[1:]],
            "setup_cpu_seconds": [cpu for _, cpu in setups[1:]],
            "solve_cpu_seconds": [cpu for _, cpu in solves[1:]],
            "iterations": ksp.getIterationNumber(),
            "converged": ksp.getConvergedReason() > 0,
            "ranks": comm.size,
            "version": "PETSc " + ".".join(map(str, PETSc.Sys.getVersion())),
        }
        (folder / "result.json").write_text(json.dumps(result))
    ksp.destroy()  # before the interpreter takes PETSc down


def load(folder: Path, PETSc):
    """The matrix with its null space and the right-hand side, rows split evenly in the order that they have."""

    def part(name):
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    comm, index = PETSc.COMM_WORLD, PETSc.IntType
    rhs, indptr = part("rhs"), part("indptr")
    b = PETSc.Vec().createMPI(rhs.size, comm=comm)
    first, last = b.getOwnershipRange()
    b.setArray(rhs[first:last])
    entries = slice(indptr[first], indptr[last])
    csr = (
        np.asarray(indptr[first : last + 1] - indptr[first], dtype=index),
        np.asarray(part("indices")[entries], dtype=index),
        np.asarray(part("data")[entries]),
    )
    rows = (last - first, rhs.size)
    A = PETSc.Mat().createAIJ((rows, rows), csr=csr, comm=comm)
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    A.setOption(PETSc.Mat.Option.SYMMETRY_ETERNAL, True)
    if (folder / "null_space.npy").exists():
        A.setNullSpace(null_space(part("null_space"), b, PETSc))
    else:
        A.setOption(PETSc.Mat.Option.SPD, True)
    return A, b


def null_space(labels: np.ndarray, b, PETSc):
    """Constants on each of the components that are numbered from 1; 0 is not in one."""
    count = int(labels.max())
    if count == 1 and labels.min() == 1:
        return PETSc.NullSpace().create(constant=True, comm=PETSc.COMM_WORLD)
    first, last = b.getOwnershipRange()
    vectors = []
    for number in range(1, count + 1):
        v = b.duplicate()
        v.setArray((labels[first:last] == number).astype(float))
        v.normalize()
        vectors.append(v)
    return PETSc.NullSpace().create(vectors=vectors, comm=PETSc.COMM_WORLD)


def create(A, job: dict, PETSc):
    """CG that stops on ||b - A x|| <= rtol ||b||, with the preconditioner that the options name."""
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOperators(A)
    ksp.setType(PETSc.KSP.Type.CG)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=job["rtol"], atol=0.0, divtol=1e30, max_it=job["maxiter"])
    ksp.setFromOptions()
    return ksp


def set_up(ksp, b, x) -> None:
    ksp.setUp()
    ksp.setUpOnBlocks()


def timed(comm, action) -> tuple[float, float]:
    """Seconds from when all ranks begin to when all have finished, and the processor's seconds of this rank."""
    comm.barrier()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    comm.barrier()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
