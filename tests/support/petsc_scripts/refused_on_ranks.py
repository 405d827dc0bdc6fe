"""Matrices that the plugin refuses on two ranks: what it says; and one that it takes. For tests/petsc/test_petsc_ranks.py."""

import sys

import petsc4py

petsc4py.init(sys.argv)

from petsc4py import PETSc  # noqa: E402

import deepcg.petsc  # noqa: E402


def matrix(entries):
    """The 5-point matrix on 8 x 8 points in two slabs, with some entries (row, column of the natural order) changed."""
    da = PETSc.DMDA().create(sizes=(8, 8), proc_sizes=(1, 2), dof=1, stencil_width=1)
    A = da.createMat()
    A.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
    first, last = A.getOwnershipRange()  # slabs: the natural order is the DMDA's
    for row in range(first, last):
        j, i = divmod(row, 8)
        A.setValue(row, row, 4.5)
        for nj, ni in ((j - 1, i), (j + 1, i), (j, i - 1), (j, i + 1)):
            if 0 <= nj < 8 and 0 <= ni < 8:
                A.setValue(row, 8 * nj + ni, -1.0)
    A.assemble()
    for (row, column), value in entries.items():
        if first <= row < last:
            A.setValue(row, column, value)
    A.assemble()
    return A


def print_refusal(label, A, **options):
    """Every rank gets an error with a text; the first one that says more than that another rank has it is printed."""
    ksp = PETSc.KSP().create()
    ksp.setOperators(A)
    ksp.getPC().setType("deepcg")
    database = PETSc.Options()
    for name, value in options.items():
        database[name] = value
    ksp.setFromOptions()
    for name in options:
        database.delValue(name)
    try:
        ksp.setUp()
    except PETSc.Error as error:
        lines = [line for line in str(error).splitlines() if "this matrix cannot be served" in line]
        PETSc.Sys.syncPrint(f"{label}: {lines[-1] if lines else error}")
    PETSc.Sys.syncFlush()


def uneven():
    """64 rows in parts of 20 and 44: not whole layers of 8."""
    mine = (20, 44)[PETSc.COMM_WORLD.getRank()]
    A = PETSc.Mat().createAIJ(((mine, 64), (mine, 64)), nnz=5)
    for row in range(*A.getOwnershipRange()):
        A.setValue(row, row, 1.0)
    A.assemble()
    return A


def compare(A):
    """Whole layers on each rank: the grid by option is the DMDA's."""
    b = A.createVecLeft()
    b.setRandom()
    answers = []
    for given in ({}, {"pc_deepcg_grid": "8,8"}):
        pc = PETSc.PC().create()
        pc.setOperators(A)
        pc.setType("deepcg")
        for name, value in given.items():
            PETSc.Options()[name] = value
        pc.setFromOptions()
        for name in given:
            PETSc.Options().delValue(name)
        answers.append(b.duplicate())
        pc.apply(b, answers[-1])
    PETSc.Sys.Print(f"slabs: differ by {(answers[0] - answers[1]).norm()}")


def main():
    deepcg.petsc.register()
    print_refusal("one-sided", matrix({(27, 35): -0.5}))
    print_refusal("inside", matrix({(10, 11): -0.5}))
    print_refusal("far", matrix({(3, 60): -0.5, (60, 3): -0.5}))
    print_refusal("parts", uneven(), pc_deepcg_grid="8,8")
    other = uneven()
    other.setDM(PETSc.DMDA().create(sizes=(8, 8), proc_sizes=(1, 2), dof=1, stencil_width=1))
    print_refusal("dealt", other)
    compare(matrix({}))


main()
