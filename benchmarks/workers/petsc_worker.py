"""PETSc's peers, in one process per MPI rank: `mpiexec -n CORES python -m benchmarks.workers.petsc_worker JSON`.

Needs numpy and petsc4py only, so that any interpreter that has them can run it. Timed between barriers: the set-up (a fresh KSP:
KSPSetUp, PCSetUp and the set-up of its blocks) and the solve. The matrix is in PETSc's own format before the clock starts; what a
preconditioner converts it to is part of its set-up, but for hypre's structured solver, whose matrix is made once when loading.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import petsc4py

from benchmarks.workers.serving import Clock, Memory, measured, serve

PASSES = 6  # as in `benchmarks.workers.methods`


class Worker:
    """CG with a preconditioner by PETSc's options.

    Parameters
    ----------
    PETSc : the module
    structured : bool
        The preconditioner is hypre's for grids: it gets the matrix as a stencil over all cells.
    """

    def __init__(self, PETSc: Any, structured: bool):
        self._petsc, self._structured = PETSc, structured
        self._comm = PETSc.COMM_WORLD
        self._ksp: Any = None
        self._made: list[Any] = []

    def handle(self, order: dict[str, Any]) -> dict[str, Any]:
        return {"load": self.load, "run": self.run}[order["do"]](order)

    def load(self, order: dict[str, Any]) -> dict[str, Any]:
        """The matrix with its null space, the right-hand side and the initial guess, rows split evenly in the order that they have."""
        kept, self._made = self._made, []
        self._folder = Path(order["folder"])
        if self._structured:
            self._A, self._P, self._rows = self._stencil_matrix()
        else:
            self._A = self._P = self._assembled()
            first, last = self._A.getOwnershipRange()
            self._rows = np.arange(first, last)
        self._b = self._vector("rhs")
        self._x0 = self._vector("x0") if (self._folder / "x0.npy").exists() else None
        self._extra = self._pins() if (self._folder / "pinned.npy").exists() else None
        self._x, self._r, self._e = (self._keep(self._b.duplicate()) for _ in range(3))
        if self._ksp is not None:
            self._ksp.setOperators(self._A, self._P)
        for thing in kept:
            thing.destroy()
        return {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        if not order["keep"] and self._ksp is not None:
            self._ksp.destroy()
            self._ksp = None
        memory = Memory()
        with Clock(self._comm.barrier) as setup:
            self._set_up(bool(order["keep"]))
        with Clock(self._comm.barrier) as solve:
            iterations, passes, residuals = self._solve(order)
        np.savez(f"{order['x']}.{self._comm.rank}.npz", rows=self._rows, x=self._x.getArray())
        note = f"{passes} passes, as its residual was not the true one" if passes > 1 else ""
        version = "PETSc " + ".".join(map(str, self._petsc.Sys.getVersion()))
        kept = residuals if order["history"] else None
        return {**measured(setup, solve, memory, iterations, kept, note, version), "set_up": not order["keep"]}

    def _set_up(self, keep: bool) -> None:
        PETSc = self._petsc
        if self._ksp is None:
            ksp = PETSc.KSP().create(self._comm)
            ksp.setOperators(self._A, self._P)
            ksp.setType(PETSc.KSP.Type.CG)
            ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
            ksp.setFromOptions()
            self._ksp = ksp
        self._ksp.getPC().setReusePreconditioner(keep)
        self._ksp.setUp()
        self._ksp.setUpOnBlocks()

    def _solve(self, order: dict[str, Any]) -> tuple[int, int, list[float]]:
        """CG on the correction, until the true residual is small enough."""
        b, x, r, e, ksp = self._b, self._x, self._r, self._e, self._ksp
        norm = b.norm()
        if order["warm"]:
            self._x0.copy(x)
            self._residual()
        else:
            x.set(0.0)
            b.copy(r)
        left, iterations, passes = r.norm() / norm, 0, 0
        residuals = [left]
        while not left <= order["rtol"] and iterations < order["maxiter"] and passes < PASSES:
            rtol = min(0.999 * order["rtol"] / left, 0.9)
            ksp.setTolerances(rtol=rtol, atol=0.0, divtol=1e30, max_it=order["maxiter"] - iterations)
            if order["history"]:
                ksp.setConvergenceHistory(length=order["maxiter"] + 1, reset=True)
            e.set(0.0)
            ksp.solve(r, e)
            if order["history"]:
                residuals += [float(value) / norm for value in ksp.getConvergenceHistory()[1:]]
            x.axpy(1.0, e)
            self._residual()
            left, iterations, passes = r.norm() / norm, iterations + ksp.getIterationNumber(), passes + 1
            if ksp.getConvergedReason() < -3 or not math.isfinite(left):  # broke down: another pass would too
                break
        return iterations, passes, residuals

    def _residual(self) -> None:
        """r = b - A x of the problem's own equations, without what was pinned."""
        self._A.mult(self._x, self._r)
        self._r.aypx(-1.0, self._b)
        if self._extra is not None:
            self._e.pointwiseMult(self._extra, self._x)
            self._r.axpy(1.0, self._e)

    def _keep(self, thing: Any) -> Any:
        self._made.append(thing)
        return thing

    def _part(self, name: str) -> np.ndarray:
        return np.load(self._folder / f"{name}.npy", mmap_mode="r")

    def _vector(self, name: str):
        vector = self._keep(self._A.createVecLeft())
        vector.setArray(np.ascontiguousarray(self._part(name)[self._rows]))
        return vector

    def _pins(self):
        """How much larger the diagonal is than the problem's."""
        extra = np.zeros(self._part("rhs").size)
        extra[self._part("pinned")] = self._part("extra")
        vector = self._keep(self._A.createVecLeft())
        vector.setArray(extra[self._rows])
        return vector

    def _assembled(self):
        PETSc, index = self._petsc, self._petsc.IntType
        indptr, n = self._part("indptr"), self._part("rhs").size
        layout = PETSc.Vec().createMPI(n, comm=self._comm)
        first, last = layout.getOwnershipRange()
        layout.destroy()
        entries = slice(int(indptr[first]), int(indptr[last]))
        csr = (
            np.asarray(indptr[first : last + 1] - indptr[first], dtype=index),
            np.asarray(self._part("indices")[entries], dtype=index),
            np.asarray(self._part("data")[entries]),
        )
        A = self._keep(PETSc.Mat().createAIJ(((last - first, n), (last - first, n)), csr=csr, comm=self._comm))
        self._tell(A, np.arange(first, last))
        return A

    def _tell(self, A: Any, rows: np.ndarray) -> None:
        """What A is: symmetric, and definite or with constants on each singular component in its null space."""
        PETSc = self._petsc
        A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        A.setOption(PETSc.Mat.Option.SYMMETRY_ETERNAL, True)
        if not (self._folder / "null_space.npy").exists():
            A.setOption(PETSc.Mat.Option.SPD, True)
            return
        labels = np.asarray(self._part("null_space"))
        vectors = []
        for number in range(1, int(labels.max()) + 1):
            v = A.createVecLeft()
            v.setArray((labels[rows] == number).astype(float))
            v.normalize()
            vectors.append(v)
        whole = len(vectors) == 1 and labels.min() == 1
        null = PETSc.NullSpace().create(constant=whole, vectors=[] if whole else vectors, comm=self._comm)
        A.setNullSpace(null)

    def _stencil_matrix(self):
        """A over all cells in the grid's own numbering: assembled for the products, as hypre's stencil for the preconditioner."""
        PETSc = self._petsc
        shape = [int(n) for n in self._part("shape")]
        da = PETSc.DMDA().create(
            dim=3, sizes=shape[::-1], dof=1, stencil_width=1, stencil_type=PETSc.DMDA.StencilType.STAR, comm=self._comm
        )
        self._keep(da)
        (x0, x1), (y0, y1), (z0, z1) = da.getRanges()
        cells = np.arange(math.prod(shape)).reshape(shape)
        rows = cells[z0:z1, y0:y1, x0:x1].reshape(-1)
        indptr, indices, data = self._part("indptr"), self._part("indices"), self._part("data")
        counts = np.diff(indptr)[rows]
        entries = (
            np.repeat(indptr[rows], counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        )
        columns, values = np.asarray(indices[entries]), np.asarray(data[entries])
        starts = np.concatenate([[0], np.cumsum(counts)])

        def filled(kind: str):
            # cells of this rank and one layer around it, as PETSc numbers them
            (gx0, gx1), (gy0, gy1), (gz0, gz1) = da.getGhostRanges()
            ghosts = np.full(cells.size, -1)
            local = cells[gz0:gz1, gy0:gy1, gx0:gx1].reshape(-1)
            ghosts[local] = np.arange(local.size)
            da.setMatType(kind)
            matrix = self._keep(da.createMat())
            if kind == PETSc.Mat.Type.AIJ:
                matrix.setOption(PETSc.Mat.Option.NEW_NONZERO_LOCATION_ERR, False)
                order = da.getAO()
                mine, theirs = (
                    order.app2petsc(rows.astype(PETSc.IntType)),
                    order.app2petsc(columns.astype(PETSc.IntType)),
                )
                matrix.setValuesIJV(starts.astype(PETSc.IntType), theirs, values, rowmap=mine)
            else:
                mine, theirs = ghosts[rows].astype(PETSc.IntType), ghosts[columns].astype(PETSc.IntType)
                matrix.setValuesLocalIJV(starts.astype(PETSc.IntType), theirs, values, rowmap=mine)
            matrix.assemble()
            return matrix

        A, P = filled(PETSc.Mat.Type.AIJ), filled(PETSc.Mat.Type.HYPRESTRUCT)
        self._tell(A, rows)
        return A, P, rows


def main() -> None:
    told = json.loads(sys.argv[1])
    petsc4py.init([sys.argv[0], *(word for option in told["settings"].items() for word in option if word)])
    from petsc4py import PETSc

    worker = Worker(PETSc, told["kind"] == "structured")
    serve(worker.handle, PETSc.COMM_WORLD.rank)


if __name__ == "__main__":
    main()
