"""KSP deepcg and deepcg.solve on ranks for right-hand sides that no x reaches. For tests/petsc/test_petsc_inconsistent.py."""

import json
import sys

import petsc4py

petsc4py.init(sys.argv)

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from petsc4py import PETSc  # noqa: E402

import deepcg  # noqa: E402
import deepcg.petsc  # noqa: E402
from deepcg.petsc.plugin import _loaded, _projected  # noqa: E402

SHAPE = 20, 16  # rows of cells; slabs of whole layers on each rank


def systems():
    """By name: A, b, and the unit vector along what no x can reach."""
    n = SHAPE[0] * SHAPE[1]
    inactive = deepcg.Poisson(np.zeros(SHAPE, np.uint8), boundary="open").matrix().tolil()
    inactive[5], inactive[:, 5] = 0.0, 0.0
    inactive = sp.csr_array(inactive)
    inactive.eliminate_zeros()
    yield "inactive", inactive, np.full(n, 1e-3), np.eye(n)[5]
    closed = sp.csr_array(deepcg.Poisson(np.zeros(SHAPE, np.uint8)).matrix())
    yield "closed", closed, np.random.default_rng(0).standard_normal(n) + 1.0, np.full(n, 1 / np.sqrt(n))


def spread(A, b):
    da = PETSc.DMDA().create(sizes=SHAPE[::-1], proc_sizes=(1, PETSc.COMM_WORLD.getSize()), dof=1, stencil_width=1)
    mine = da.createGlobalVec().getLocalSize()
    M = PETSc.Mat().createAIJ(((mine, None), (mine, None)), nnz=5)
    first, last = M.getOwnershipRange()
    part = A[first:last]
    M.setValuesCSR(part.indptr, part.indices, part.data)
    M.assemble()
    M.setDM(da)
    v = M.createVecLeft()
    v.setArray(b[first:last])
    return M, v


def by_ksp(A, b, unit, native, inconsistent):
    M, rhs = spread(A, b)
    ksp = PETSc.KSP().create()
    ksp.setOperators(M)
    database = PETSc.Options()
    given = {
        "ksp_type": "deepcg",
        "pc_type": "deepcg",
        "ksp_deepcg_native": native,
        "ksp_deepcg_inconsistent": inconsistent,
    }
    for name, value in given.items():
        database[name] = value
    ksp.setTolerances(rtol=1e-8)
    ksp.setFromOptions()
    x = rhs.duplicate()
    ksp.solve(rhs, x)
    r, inside = rhs.duplicate(), rhs.duplicate()
    M.mult(x, r)
    first, last = M.getOwnershipRange()
    inside.setArray((b - unit * (unit @ b))[first:last])
    r.aypx(-1.0, inside)
    projected = _projected(_loaded[str(deepcg.petsc.register())], ksp)
    return [ksp.getConvergedReason(), ksp.getIterationNumber(), r.norm() / rhs.norm(), projected, abs(unit @ b)]


def by_solve(A, b, unit):
    M, rhs = spread(A, b)
    _, info = deepcg.solve(M, rhs, rtol=1e-8)
    try:
        deepcg.solve(M, rhs, inconsistent="error")
        refused = ""
    except deepcg.InconsistentError as error:
        refused = str(error)
    return [int(info), info.projected, abs(unit @ b), refused]


def main():
    deepcg.petsc.register()
    found = {"ksp": {}, "solve": {}}
    for name, A, b, unit in systems():
        found["solve"][name] = by_solve(A, b, unit)
        for native in ("true", "false"):
            for inconsistent in ("error", "project"):
                found["ksp"][f"{name} {native} {inconsistent}"] = by_ksp(A, b, unit, native, inconsistent)
    PETSc.Sys.Print("JSON " + json.dumps(found))


main()
