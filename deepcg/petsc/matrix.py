"""The Poisson problem behind a PETSc matrix, for what runs in Python."""

from __future__ import annotations

import scipy.sparse as sp

from ..problem.poisson import Poisson
from ..solver.solver import as_problem


def read(A, *, grid=None, coordinates=None, rounding=None) -> Poisson:
    """The Poisson problem behind an assembled PETSc matrix on one rank.

    Parameters
    ----------
    A : petsc4py.PETSc.Mat
        Symmetric 5- or 7-point, positive or negative (semi-)definite.
    grid, coordinates, rounding :
        As for a SciPy matrix; without them, the DMDA of the matrix says it.

    Raises
    ------
    ValueError
        The matrix is no such stencil, is spread over ranks, or nothing says on what grid its rows lie.
    """
    if A.getComm().getSize() > 1:
        raise ValueError(
            f"A: spread over {A.getComm().getSize()} ranks; models in Python run on one. The native type serves many: "
            "deepcg.petsc.register(), then -pc_type deepcg"
        )
    if grid is None and coordinates is None:
        grid = shape_of(A.getDM())
        if grid is None:
            raise ValueError(
                "A: nothing says on what grid its rows lie; give grid= or coordinates= (options: -pc_deepcg_grid "
                "NX,NY[,NZ]), or a matrix made by a DMDA"
            )
    if A.getType() not in ("aij", "seqaij"):
        A = A.convert("aij", A.duplicate())
    indptr, indices, data = A.getValuesCSR()
    matrix = sp.csr_array((data, indices, indptr), shape=A.getSize())
    return as_problem(matrix, grid, coordinates, rounding)


def shape_of(dm) -> tuple[int, ...] | None:
    """The cells' shape of a DMDA of two or three dimensions, (z,) y, x; None for anything else."""
    if not dm or dm.getType() != "da":
        return None
    sizes = tuple(int(n) for n in dm.getSizes()[::-1])
    return (1, *sizes) if len(sizes) == 1 else sizes
