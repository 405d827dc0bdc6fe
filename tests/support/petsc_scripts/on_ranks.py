"""Solve problems on however many ranks there are; prints JSON. For tests/petsc/test_petsc_ranks.py.

on_ranks.py KIND:SHAPE[,KIND:SHAPE ...]: rows are numbered by a DMDA that cuts the grid as PETSc chooses.
"""

import json
import sys

import numpy as np
import petsc4py

petsc4py.init(sys.argv)

from petsc4py import PETSc  # noqa: E402

import deepcg.petsc  # noqa: E402
from deepcg import OPEN, SOLID, Poisson  # noqa: E402


def problem(kind, shape):
    rng, cells = np.random.default_rng(12), np.zeros(shape, np.uint8)
    beta, boundary, spacing = None, "open", 1.0
    if kind == "walls":
        cells[tuple(slice(n // 4, n // 2) for n in shape)] = SOLID
        cells[(shape[0] * 3 // 4, *[slice(1, None)] * (len(shape) - 1))] = SOLID  # thin
        cells[(0, *[0] * (len(shape) - 1))] = OPEN
        boundary = [("wall", "open")] + ["wall"] * (len(shape) - 1)
    elif kind == "jumps":
        beta = 10.0 ** rng.choice([-1.5, 1.5], shape)
    elif kind == "neumann":
        boundary = "wall"
    elif kind == "periodic":
        boundary = ["periodic"] + ["open"] * (len(shape) - 1)
    elif kind == "stretched":
        spacing = [1.1 ** np.abs(np.arange(n) - n / 2) for n in shape]
    return Poisson(cells, boundary=boundary, coefficient=beta, spacing=spacing)


def spread(problem, da):
    """The matrix over all cells (identity where there is no unknown), a right-hand side, in the DMDA's numbering."""
    fluid = np.flatnonzero(problem.stencil.fluid.ravel())
    inner = problem.matrix().tocoo()
    n = problem.cells.size
    other = np.setdiff1d(np.arange(n), fluid)
    rows = np.concatenate([fluid[inner.row], other]).astype(PETSc.IntType)
    columns = np.concatenate([fluid[inner.col], other]).astype(PETSc.IntType)
    values = np.concatenate([inner.data, np.ones(other.size)])
    ordering = da.getAO()
    A = da.createMat()
    A.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
    if A.getComm().getRank() == 0:
        rows, columns = ordering.app2petsc(rows), ordering.app2petsc(columns)
        for i, j, v in zip(rows, columns, values, strict=True):
            A.setValue(i, j, v)
    else:
        ordering.app2petsc(np.empty(0, PETSc.IntType)), ordering.app2petsc(np.empty(0, PETSc.IntType))
    A.assemble()
    natural = da.createNaturalVec()
    b = da.createGlobalVec()
    rhs = np.random.default_rng(13).standard_normal(n)
    rhs[other] = 0.0
    flat = np.zeros(n)
    flat[:] = rhs
    full = problem.layout.rhs(flat[fluid])
    problem.components.project(full)
    first, last = natural.getOwnershipRange()
    natural.setArray(full.ravel()[first:last])
    da.naturalToGlobal(natural, b)
    return A, b


def solve_by(ksp_type, A, b):
    """Iterations, reason, and the relative residual by PETSc's own product."""
    ksp = PETSc.KSP().create(PETSc.COMM_WORLD)
    ksp.setOperators(A)
    ksp.setType(ksp_type)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.getPC().setType("deepcg")
    ksp.setTolerances(rtol=1e-8)
    ksp.setFromOptions()
    x = b.duplicate()
    ksp.solve(b, x)
    r = b.duplicate()
    A.mult(x, r)
    r.aypx(-1.0, b)
    summary = [ksp.getIterationNumber(), ksp.getConvergedReason(), r.norm() / b.norm()]
    ksp.destroy()
    return summary


def main():
    deepcg.petsc.register()
    solves = {}
    for case in sys.argv[1].split(","):
        kind, sizes = case.split(":")
        shape = tuple(int(n) for n in sizes.split("x"))
        made = problem(kind, shape)
        ends = ["periodic" if p else "none" for p in made.stencil.periodic[::-1]]
        da = PETSc.DMDA().create(sizes=shape[::-1], dof=1, stencil_width=1, boundary_type=ends, comm=PETSc.COMM_WORLD)
        A, b = spread(made, da)
        if kind == "neumann":
            A.setNullSpace(PETSc.NullSpace().create(constant=True, comm=PETSc.COMM_WORLD))
        solves[kind] = {how: solve_by(how, A, b) for how in ("deepcg", "cg")}
        if kind == "open":
            _, info = deepcg.solve(A, b, rtol=1e-8)
            solves["deepcg.solve"] = [info.iterations, int(info), info.residuals[-1] / b.norm()]
    if PETSc.COMM_WORLD.getRank() == 0:
        print("JSON", json.dumps(solves))


main()
