"""Solve with a network of no use on however many ranks there are; prints JSON. For tests/petsc/test_petsc_fallback.py.

fallback.py MODEL KIND: "open", "closed" (singular) or "negative". Further options are PETSc's.
"""

import json
import sys

import numpy as np
import petsc4py

petsc4py.init(sys.argv)

from petsc4py import PETSc  # noqa: E402

import deepcg.petsc  # noqa: E402
from deepcg import Poisson  # noqa: E402

SHAPE = (64, 64)


def spread(A, da):
    """The matrix in the DMDA's numbering."""
    made, coo, ordering = da.createMat(), A.tocoo(), da.getAO()
    rows, columns = (ordering.app2petsc(v.astype(PETSc.IntType)) for v in (coo.row, coo.col))
    first, last = made.getOwnershipRange()
    for i, j, value in zip(rows, columns, coo.data, strict=True):
        if first <= i < last:
            made.setValue(i, j, value)
    made.assemble()
    return made


def main():
    deepcg.petsc.register()
    model, kind = sys.argv[1:3]
    A = Poisson(np.zeros(SHAPE, np.uint8), boundary="wall" if kind == "closed" else "open").matrix()
    da = PETSc.DMDA().create(sizes=SHAPE[::-1], dof=1, stencil_width=1, comm=PETSc.COMM_WORLD)
    matrix = spread(-A if kind == "negative" else A, da)
    ksp = PETSc.KSP().create(PETSc.COMM_WORLD)
    ksp.setOperators(matrix)
    ksp.setType("deepcg")
    ksp.getPC().setType("deepcg")
    PETSc.Options()["pc_deepcg_model"] = model
    ksp.setTolerances(rtol=1e-8, max_it=1000)
    ksp.setFromOptions()
    exact, b, x = (da.createGlobalVec() for _ in range(3))
    first, last = exact.getOwnershipRange()
    values = np.random.default_rng(2).standard_normal(exact.getSize())
    exact.setArray(values[first:last])
    matrix.mult(exact, b)
    ksp.solve(b, x)
    r = b.duplicate()
    matrix.mult(x, r)
    r.aypx(-1.0, b)
    told = [ksp.getIterationNumber(), ksp.getConvergedReason(), r.norm() / b.norm()]
    _, info = deepcg.solve(matrix, b, rtol=1e-8, model=model)
    if PETSc.COMM_WORLD.getRank() == 0:
        print("JSON", json.dumps({"solve": told, "deepcg.solve": [int(info), info.fallbacks, info.steps]}))
    ksp.destroy()


main()
