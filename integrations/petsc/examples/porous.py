"""Flow through a porous block with petsc4py: variable coefficients on a DMDA, solved by deepcg's native types, on any number of ranks.

    python porous.py [-n 48] [any PETSC options, -pc_type gamg for example]
    mpiexec -n 4 python porous.py

The same PC may run a model in Python (on one rank): -pc_type python -pc_python_type deepcg.petsc.PC -pc_deepcg_model dcdm -ksp_type deepcg
"""

import sys

import petsc4py

petsc4py.init(sys.argv)

import numpy as np  # noqa: E402
from petsc4py import PETSc  # noqa: E402

import deepcg.petsc  # noqa: E402


def conductivity(x, y, z):
    """Between 0.01 and 1, in layers with lenses."""
    return np.exp(-2.3 * (1 + np.sin(9 * z + 2 * np.sin(5 * x)) * np.cos(4 * y)))


def assemble(da, n):
    """The finite-volume operator with harmonic means at faces, p = 1 below and p = 0 above, walls on the other sides."""
    A, b = da.createMat(), da.createGlobalVec()
    (i0, i1), (j0, j1), (k0, k1) = da.getRanges()
    rhs = b.getArray().reshape(k1 - k0, j1 - j0, i1 - i0)
    centre = lambda i, j, k: conductivity((i + 0.5) / n, (j + 0.5) / n, (k + 0.5) / n)  # noqa: E731
    row, column = PETSc.Mat.Stencil(), PETSc.Mat.Stencil()
    for k in range(k0, k1):
        for j in range(j0, j1):
            for i in range(i0, i1):
                row.index, diagonal, beta = (i, j, k), 0.0, centre(i, j, k)
                for side in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)):
                    there = (i + side[0], j + side[1], k + side[2])
                    if all(0 <= m < n for m in there):
                        weight = 2 / (1 / beta + 1 / centre(*there))
                        column.index = there
                        A.setValueStencil(row, column, -weight)
                    elif side[2]:
                        weight = 2 * beta  # the value lies half a cell away
                        if side[2] < 0:
                            rhs[k - k0, j - j0, i - i0] = weight
                    else:
                        continue
                    diagonal += weight
                A.setValueStencil(row, row, diagonal)
    A.assemble()
    return A, b


def main():
    deepcg.petsc.register()
    n = PETSc.Options().getInt("n", 24)
    da = PETSc.DMDA().create(sizes=(n, n, n), dof=1, stencil_width=1)
    A, b = assemble(da, n)
    ksp = PETSc.KSP().create()
    ksp.setDM(da)
    ksp.setDMActive(False)
    ksp.setOperators(A)
    ksp.setType("cg")
    ksp.getPC().setType("deepcg")
    ksp.setTolerances(rtol=1e-8)
    ksp.setFromOptions()
    p = da.createGlobalVec()
    ksp.solve(b, p)
    r = b.duplicate()
    A.mult(p, r)
    r.aypx(-1.0, b)
    residual = r.norm() / b.norm()
    PETSc.Sys.Print(
        f"{ksp.getType()} + {ksp.getPC().getType()}: {ksp.getIterationNumber()} iterations, relative residual {residual:.1e}, mean {p.sum() / n**3:.6f}"
    )
    ksp.destroy()  # before the interpreter takes PETSc down


main()
