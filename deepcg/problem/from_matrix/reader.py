"""Reading a Poisson problem out of a matrix: `Poisson.from_matrix`.

A 5- or 7-point M-matrix says by its entries all that the solver needs: the face weights are its off-diagonals, and what
the diagonal has beyond their sum is coupling to fixed values (Dirichlet conditions folded into the diagonal; `open_faces` finds
their place) or the shift. Everything else is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..grid import FLUID, OPEN, SOLID, Array, Grid
from ..stencil import Stencil
from .dirichlet_faces import boundary_words, open_sides, place_excess, touched, with_one_weight
from .kernel import DIAGONAL, UNKNOWN, read_quickly
from .layout import MatrixLayout
from .row_numbering import RowPlaces, place_rows

ROUNDING = 1e-10  # of the diagonal: differences below it are taken for rounding
NEGLIGIBLE = 1e-2  # of that: an entry with a forbidden sign or place counts as 0 below it

FAR = (
    "are coupled but no face neighbours; a 5-point (2-D) or 7-point (3-D) matrix is needed, its rows in C order of the "
    "grid (coordinates= allows any order)"
)
POSITIVE = (
    "are coupled by an off-diagonal entry of the diagonal's sign (positive, in a positive definite matrix); "
    "a Poisson-type matrix has none"
)


@dataclass(frozen=True)
class Couplings:
    """What the rows couple to, as positive weights.

    Attributes
    ----------
    up, down : one array of the cells' shape per axis
        Each cell's coupling to its neighbour on the high and the low side, across the wrap at the grid's ends.
    source : bool array of the cells' shape
        Cells whose row has a coupling.
    """

    up: list[Array]
    down: list[Array]
    source: NDArray[np.bool_]


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
    found = read_quickly(A, places, rounding)
    if found is None:
        grid, stencil, sign, kept, eliminated = read_closely(A, places, rounding)
    else:
        grid, stencil, sign, kinds = found
        kept, eliminated = kinds == UNKNOWN, kinds == DIAGONAL
    layout = MatrixLayout(A, grid.cells, places.cell, sign, kept, eliminated)
    return problem_class.assemble(grid, stencil, layout)


def read_closely(
    A: sp.csr_array, places: RowPlaces, rounding: float
) -> tuple[Grid, Stencil, float, NDArray[np.bool_], NDArray[np.bool_]]:
    """The grid and operator behind A, its sign, which rows are kept and which eliminated; or the reason why not."""
    fluid_row = places.kinds.reshape(-1)[places.of(np.arange(A.shape[0]))] == FLUID
    diagonal = A.diagonal()
    row, column, value = off_diagonals(A)
    sign = find_sign(diagonal, row, fluid_row, places)
    couplings = sort_couplings(row, column, -sign * value, np.abs(diagonal), rounding * NEGLIGIBLE, places)

    has_coupling = couplings.source.reshape(-1)[places.of(np.arange(A.shape[0]))]
    if (wrong := has_coupling & ~fluid_row).any():
        raise ValueError(
            f"cells: {places.name(np.argmax(wrong))} is not FLUID but its row of A has off-diagonal entries; "
            "the rows of cells that are not FLUID must be diagonal only"
        )
    kept = fluid_row & (has_coupling | (diagonal == 0.0))
    if not kept.any():
        kept = fluid_row
    eliminated = ~kept & (diagonal != 0.0)
    stencil = build_stencil(couplings, sign * diagonal, kept, eliminated, rounding, places)
    grid = Grid(
        stencil.cells, places.widths, boundary_words(open_sides(stencil.weights, stencil.periodic), stencil.periodic)
    )
    return grid, with_one_weight(grid, stencil), sign, kept, eliminated


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
    if not (finite := np.isfinite(A.data)).all():
        entry = int(np.argmin(finite))
        row = int(np.searchsorted(A.indptr, entry, side="right")) - 1
        raise ValueError(
            f"A: the entry in row {row}, column {A.indices[entry]} is {A.data[entry]}; finite numbers are needed"
        )
    return A, rounding


def off_diagonals(A: sp.csr_array) -> tuple[NDArray, NDArray, Array]:
    """Rows, columns and values of the nonzero entries off the diagonal."""
    rows = np.repeat(np.arange(A.shape[0], dtype=A.indices.dtype), np.diff(A.indptr))
    keep = (A.indices != rows) & (A.data != 0.0)
    return rows[keep], A.indices[keep], A.data[keep]


def find_sign(diagonal: Array, row: NDArray, fluid_row: NDArray[np.bool_], places: RowPlaces) -> float:
    """-1.0 if A is to be negated, from the diagonal of the rows that have couplings (of all, where none has)."""
    voters = np.zeros(diagonal.size, dtype=bool)
    voters[row] = True
    if not voters.any():
        voters = fluid_row
    negative, positive = voters & (diagonal < 0), voters & (diagonal > 0)
    if negative.any() and positive.any():
        raise ValueError(
            f"A: indefinite: the diagonal is negative in {places.name(np.argmax(negative))} and positive in "
            f"{places.name(np.argmax(positive))}; a positive or a negative (semi-)definite matrix is needed"
        )
    return -1.0 if negative.any() else 1.0


def sort_couplings(
    row: NDArray, column: NDArray, weight: Array, diagonal: Array, negligible: float, places: RowPlaces
) -> Couplings:
    """Put every off-diagonal entry, given as a weight, at the face that it belongs to.

    Parameters
    ----------
    row, column, weight : arrays, one entry each per off-diagonal of A
        weight is minus the entry of the positive (semi-)definite matrix.
    diagonal : array, (n,)
        Magnitudes.
    negligible : float
        Entries at no face, or with a negative weight, count as 0 up to this fraction of their row's diagonal.
    """
    shape = places.kinds.shape
    cell, neighbour = places.of(row), places.of(column)
    offset = neighbour - cell
    placed = np.zeros(offset.size, dtype=bool)
    if (negative := weight < 0.0).any():
        suspects = np.flatnonzero(negative)
        tiny = -weight[suspects] <= negligible * diagonal[row[suspects]]
        wrong_sign = suspects[~tiny]
        placed[suspects[tiny]] = True  # counts as 0
    else:
        wrong_sign = np.empty(0, dtype=np.intp)

    up, down = [], []
    stride = prod(shape)
    for n in shape:
        stride //= n
        sides = []
        for step, last in ((stride, n - 1), (-stride, 0)):
            full = np.zeros(places.kinds.size)
            # from every cell but the last one on this side, and from that one to the other end
            for inside, jump in ((True, step), (False, -(n - 1) * step)):
                if n == 1 or (n == 2 and not inside):
                    continue  # no neighbour, or the neighbour that it has already
                entry = np.flatnonzero((offset == jump) & ~placed)
                entry = entry[((cell[entry] // stride % n) != last) == inside]
                full[cell[entry]] = weight[entry]
                placed[entry] = True
            sides.append(full.reshape(shape))
        up.append(sides[0])
        down.append(sides[1])

    far = np.flatnonzero(~placed)
    far = far[np.abs(weight[far]) > negligible * diagonal[row[far]]]
    if far.size:
        _refuse(far[0], row, column, places, FAR)
    if wrong_sign.size:
        _refuse(wrong_sign[0], row, column, places, POSITIVE)
    source = np.zeros(places.kinds.size, dtype=bool)
    source[cell[placed & ~negative]] = True
    return Couplings(up, down, source.reshape(shape))


def _refuse(entry: int, row: NDArray, column: NDArray, places: RowPlaces, reason: str) -> None:
    other = places.name(column[entry]).replace("row", "column")
    raise ValueError(f"A: {places.name(row[entry])} and {other} {reason}")


def build_stencil(
    couplings: Couplings,
    diagonal: Array,
    kept: NDArray[np.bool_],
    eliminated: NDArray[np.bool_],
    rounding: float,
    places: RowPlaces,
) -> Stencil:
    """The stencil over the kept rows, after the checks of symmetry and diagonal dominance.

    Parameters
    ----------
    diagonal : array, (n,)
        With the sign that makes it >= 0 in the kept rows.
    kept, eliminated : bool array, (n,)
    rounding : float
        Differences up to this fraction of the diagonal are taken for rounding.
    """
    d, gone = places.spread(diagonal), places.spread(eliminated)
    unknown = places.spread(kept)
    weights, periodic = [], []
    for axis, (up, down) in enumerate(zip(couplings.up, couplings.down, strict=True)):
        # at index i everything is about the face on the high side of cell i: its two couplings, its far cell
        back, d_far, gone_far = (np.roll(v, -1, axis) for v in (down, d, gone))
        one_sided = gone | gone_far
        difference = np.where(one_sided, 0.0, np.abs(up - back))
        if (wrong := difference > rounding * np.minimum(np.abs(d), np.abs(d_far))).any():
            _refuse_asymmetry(axis, np.unravel_index(int(np.argmax(wrong)), wrong.shape), up, back, places)
        w = np.where(one_sided, up + back, 0.5 * (up + back))
        outer = np.take(w, [-1], axis)
        weights.append(np.concatenate([outer, w], axis))
        periodic.append(bool(outer.any()))

    off = reduce(np.add, couplings.up + couplings.down)
    excess = np.where(unknown, d - off, 0.0)
    small = np.abs(excess) <= rounding * np.abs(d)
    if (wrong := (excess < 0.0) & ~small).any():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        raise ValueError(
            f"A: not diagonally dominant: in {places.name_cell(index)} the diagonal is {d[index]:.6g}, the "
            f"magnitudes of its off-diagonals sum to {off[index]:.6g}; not a Poisson-type M-matrix (perhaps indefinite)"
        )
    excess[small] = 0.0  # so that singular components stay exactly singular
    shift = excess
    if excess.any():
        shift = place_excess(unknown, places.walls, weights, excess, rounding * np.abs(d), periodic)

    kinds = np.where(unknown, np.uint8(FLUID), places.kinds)
    kinds[gone & (places.kinds == FLUID)] = SOLID
    kinds[touched(weights) & ~unknown] = OPEN
    kinds.setflags(write=False)
    return Stencil(kinds, tuple(weights), shift if shift.any() else None, tuple(periodic))


def _refuse_asymmetry(axis: int, index: tuple, up: Array, back: Array, places: RowPlaces) -> None:
    low = tuple(int(i) for i in index)
    high = low[:axis] + ((low[axis] + 1) % up.shape[axis],) + low[axis + 1 :]
    raise ValueError(
        f"A: not symmetric: {places.name_cell(low)} couples to {places.name_cell(high)} with weight {up[low]:.12g}, "
        f"and that one back with {back[low]:.12g}; a symmetric matrix is needed (one-sided couplings are allowed to "
        "rows that are diagonal only, with a nonzero diagonal)"
    )
