"""Reading a Poisson problem out of a matrix: `Poisson.from_matrix`.

A 5- or 7-point M-matrix says by its entries all that the solver needs: the face weights are its off-diagonals. Its diagonal may exceed their
sum by couplings to fixed values (Dirichlet conditions folded into the diagonal) or by the shift. Everything else is refused with the reason.
The kernels have the rules (`dcg_solver_set_matrix` in `kernels/include/deepcg.h`); here are the checks of what the user gives.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...native import library as native
from ...native.session import Read, Session
from ..grid import Array, Boundary, Grid
from ..stencil import Stencil, uniform_stencil
from .layout import MatrixLayout
from .row_numbering import place_rows


def read_matrix(problem_class, A, *, cells=None, shape=None, coordinates=None, rounding=None):
    """The problem behind a 5- or 7-point matrix; see `Poisson.from_matrix`.

    Parameters
    ----------
    problem_class : type
        `Poisson`, whose `assemble` makes the result.
    A : SciPy sparse matrix or array, (n, n)
        Any format; duplicates are summed and explicit zeros ignored.
    cells : integer array
        Rows run over its FLUID cells, or over all cells; then those of cells that are not FLUID must be diagonal only.
    shape : tuple of int
        Rows run over all cells of a grid of this shape.
    coordinates : (n, 2) or (n, 3) float array
        Cell centres of the rows as (x, y[, z]); cells of the bounding grid without a row are SOLID.
    rounding : float or None
        Relative rounding of A's entries. None: that of its dtype, or of the digits that they were written with (`seen_rounding`).

    Raises
    ------
    ValueError, TypeError
        The message names the argument, what is wrong with it (with an example row) and what would be right.

    Notes
    -----
    A row that is diagonal only with a nonzero diagonal is eliminated: its cell becomes OPEN where other rows couple to
    it, and otherwise keeps its kind or becomes SOLID. If nothing would be left (A is diagonal), the FLUID rows stay,
    as unknowns with a shift. A zero row is a singular component of its own; where `cells` says that it is no unknown,
    b is ignored and x is 0 there. An axis is periodic where a weight joins its two ends; a periodic axis of two
    cells has both faces in one entry, so in one weight.
    """
    A, of_dtype = check_matrix(A)
    session = Session(rounding=of_dtype if rounding is None else check_rounding(rounding), keep_uncoupled=1)
    dim = place_rows(session, A.shape[0], cells, shape, coordinates)
    set_matrix(session, A)
    if rounding is None and of_dtype == 0.0 and falls_short(session) and (seen := seen_rounding(A.data)):
        session.set(rounding=seen)
        set_matrix(session, A)
    read = session.read()
    grid, stencil = view_operator(session, read, dim)
    return problem_class.assemble(grid, stencil, MatrixLayout(A, session, read, grid.shape))


def set_matrix(session: Session, A: sp.csr_array) -> None:
    try:
        session.set_matrix(A)
    except native.ArgumentError as error:
        text = str(error)
        raise ValueError(text if text.startswith("cells: ") else f"A: {text}") from None


def falls_short(session: Session) -> bool:
    """Whether some diagonal is less than its row's couplings, as rounding leaves it where it should be their sum."""
    read = session.read()
    shift = session.array(read.op.shift, ctypes.c_double, *read.op.shape)
    return bool(shift.size and shift.min() < 0.0)


def seen_rounding(values: Array) -> float:
    """The relative rounding of numbers that were written with three to nine digits; 0 where they have more, or tell nothing.

    A sample of the values tells: all have no more digits than that, and most have all of them.
    """
    sample = np.unique(np.abs(values[:: max(1, values.size // 4096)]))
    sample = sample[sample > 0.0]
    if sample.size < 16:
        return 0.0
    exponent = np.floor(np.log10(sample))
    longer = np.ones(sample.size, dtype=bool)  # than the last count of digits
    for digits in range(3, 10):
        unit = 10.0 ** (exponent - (digits - 1))
        shorter = np.abs(np.round(sample / unit) * unit - sample) <= 16 * np.finfo(float).eps * sample
        if shorter.all():
            return 0.5 * 10.0 ** (1 - digits) if longer.mean() > 0.75 else 0.0
        longer = ~shorter
    return 0.0


def check_rounding(rounding: Any) -> float:
    if isinstance(rounding, (int, float, np.number)) and 0.0 <= rounding < 0.1:
        return float(rounding)
    raise ValueError(
        f"rounding: {rounding!r} given; a number from 0 to below 0.1 is needed, 5e-6 of entries with six digits"
    )


def check_matrix(A) -> tuple[sp.csr_array, float]:
    """A as a float64 CSR array in canonical form (the user's own arrays where they are that already) and the relative
    size of its rounding errors."""
    if not sp.issparse(A):
        raise TypeError(f"A: {type(A).__name__} given; a SciPy sparse matrix is needed (scipy.sparse.csr_array(A))")
    if A.dtype.kind not in "fiub":
        raise TypeError(f"A: dtype {A.dtype} given; real numbers are needed")
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A: shape {A.shape} given; a square matrix is needed")
    rounding = float(np.finfo(A.dtype).eps) if A.dtype.kind == "f" and A.dtype.itemsize < 8 else 0.0
    A = sp.csr_array(A, dtype=np.float64)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    if A.indptr.dtype != A.indices.dtype:
        A = sp.csr_array((A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64)), shape=A.shape)
    return A, rounding


def view_operator(session: Session, read: Read, dim: int) -> tuple[Grid, Stencil]:
    """The grid and the stencil that a session has read, over its arrays."""
    op, axes = read.op, (0, 1, 2) if dim == 3 else (0, 2)
    shape = tuple(op.shape[axis] for axis in axes)
    widths = tuple(
        session.array(read.widths[axis], ctypes.c_double, n) if read.widths[axis] else np.ones(n)
        for axis, n in zip(axes, shape, strict=True)
    )
    periodic = tuple(bool(op.periodic >> axis & 1) for axis in axes)
    cells = session.array(op.cells, ctypes.c_uint8, *shape)
    if op.unit > 0.0:
        sides = [tuple(bool(op.open >> 2 * axis + high & 1) for high in (0, 1)) for axis in axes]
        grid = Grid(cells, widths, boundary_words(sides, periodic))
        return grid, uniform_stencil(grid, op.unit)
    faces = [[n + (a == axis) for a, n in zip(axes, shape, strict=True)] for axis in axes]
    weights = tuple(
        session.array(op.weights[axis], ctypes.c_double, *of_axis) if op.weights[axis] else np.zeros(of_axis)
        for axis, of_axis in zip(axes, faces, strict=True)
    )
    sides = [tuple(np.take(w, end, axis).any() for end in (0, -1)) for axis, w in enumerate(weights)]
    shift = session.array(op.shift, ctypes.c_double, *shape) if op.shift else None
    return Grid(cells, widths, boundary_words(sides, periodic)), Stencil(cells, weights, shift, periodic)


def boundary_words(open_sides, periodic) -> Boundary:
    """The boundary in the words of `deepcg.Poisson`; open_sides: a (low, high) pair of bools per axis."""
    return tuple(
        ("periodic", "periodic") if wraps else ("open" if low else "wall", "open" if high else "wall")
        for (low, high), wraps in zip(open_sides, periodic, strict=True)
    )
