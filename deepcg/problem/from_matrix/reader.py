"""Reading a Poisson problem out of a matrix: `Poisson.from_matrix`.

A 5- or 7-point M-matrix says by its entries all that the solver needs: the face weights are its off-diagonals. Its diagonal may exceed their
sum by couplings to fixed values (Dirichlet conditions folded into the diagonal) or by the shift. Everything else is refused with the reason.
The kernels have the rules (`dcg_matrix_read` in `kernels/include/deepcg.h`); here are the checks of what the user gives.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ...native import library as native
from ..grid import Boundary, Grid
from ..stencil import Stencil, uniform_stencil
from .kernel import DIAGONAL, UNKNOWN, Reading
from .layout import MatrixLayout
from .row_numbering import place_rows

ROUNDING = 1e-10  # of the diagonal: differences below it are taken for rounding
SAME = 1e-14  # relative difference of weights that is rounding: the residual is measured with the operator that is read


def read_matrix(problem_class, A, *, cells=None, shape=None, coordinates=None):
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
    A, rounding = check_matrix(A)
    places = place_rows(A.shape[0], cells, shape, coordinates)
    try:
        reading = Reading(
            A, places.shape, places.cell, rounding=rounding, equality=SAME, cells=places.cells, keep_uncoupled=True
        )
    except native.ArgumentError as error:
        text = str(error)
        raise ValueError(text if text.startswith("cells: ") else f"A: {text}") from None
    grid, stencil = view_operator(reading, places.widths)
    row_kinds = reading.inner_kinds.reshape(-1)
    if places.cell is not None:
        row_kinds = row_kinds[places.cell]
    layout = MatrixLayout(A, grid.cells, places.cell, reading.result.sign, row_kinds == UNKNOWN, row_kinds == DIAGONAL)
    return problem_class.assemble(grid, stencil, layout)


def check_matrix(A) -> tuple[sp.csr_array, float]:
    """A as a float64 CSR array in canonical form (the user's own arrays where they are that already) and the relative
    size of its rounding errors."""
    if not sp.issparse(A):
        raise TypeError(f"A: {type(A).__name__} given; a SciPy sparse matrix is needed (scipy.sparse.csr_array(A))")
    if A.dtype.kind not in "fiub":
        raise TypeError(f"A: dtype {A.dtype} given; real numbers are needed")
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A: shape {A.shape} given; a square matrix is needed")
    rounding = max(ROUNDING, 64 * float(np.finfo(A.dtype).eps)) if A.dtype.kind == "f" else ROUNDING
    A = sp.csr_array(A, dtype=np.float64)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    if A.indptr.dtype != A.indices.dtype:
        A = sp.csr_array((A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64)), shape=A.shape)
    return A, rounding


def view_operator(reading: Reading, widths) -> tuple[Grid, Stencil]:
    """The grid and the stencil that a reading found, over its arrays."""
    result, shape = reading.result, tuple(h.size for h in widths)
    axes = (0, 1, 2) if len(shape) == 3 else (0, 2)
    periodic = tuple(bool(result.periodic >> axis & 1) for axis in axes)
    cells = reading.cells.reshape(shape)
    cells.setflags(write=False)
    if result.unit > 0.0:
        sides = [tuple(bool(result.open >> 2 * axis + high & 1) for high in (0, 1)) for axis in axes]
        grid = Grid(cells, widths, boundary_words(sides, periodic))
        return grid, uniform_stencil(grid, result.unit)
    weights = tuple(
        reading.weights[axis].reshape([n + (a == axis) for a, n in zip(axes, shape, strict=True)]) for axis in axes
    )
    sides = [tuple(np.take(w, end, axis).any() for end in (0, -1)) for axis, w in enumerate(weights)]
    shift = reading.shift.reshape(shape) if result.shifted else None
    return Grid(cells, widths, boundary_words(sides, periodic)), Stencil(cells, weights, shift, periodic)


def boundary_words(open_sides, periodic) -> Boundary:
    """What lies outside each side, as `deepcg.Poisson` says it; open_sides: a (low, high) pair of bools per axis."""
    return tuple(
        ("periodic", "periodic") if wraps else ("open" if low else "wall", "open" if high else "wall")
        for (low, high), wraps in zip(open_sides, periodic, strict=True)
    )
