"""Where the rows of a matrix that was read lie: enough to read another one, or a copy, alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import Array


@dataclass(frozen=True)
class RowPlaces:
    """What told the places of the rows, and what was told with them.

    Attributes
    ----------
    shape : the grid's
    cells : the kinds that were given, or None
    cell : the flat index of each row's cell where rows were placed by coordinates; None: there is a row for every cell, in C order
    widths : the cells', one array per axis
    dtype : the matrix's
    rounding : as it was given
    """

    shape: tuple[int, ...]
    cells: NDArray[np.uint8] | None
    cell: NDArray[np.int64] | None
    widths: tuple[Array, ...]
    dtype: np.dtype
    rounding: float | None

    @classmethod
    def of(cls, problem: Any, cells: NDArray[np.uint8] | None, dtype: np.dtype, rounding: float | None) -> RowPlaces:
        cell = problem.layout.cell if cells is None else None
        return cls(problem.shape, cells, cell, problem.grid.widths, dtype, rounding)

    def read(self, problem_class: Any, A: Any, rounding: float | None) -> Any:
        """The problem of another matrix whose rows lie there, of any entries."""
        if self.cells is not None:
            return problem_class.from_matrix(A, cells=self.cells, rounding=rounding)
        if self.cell is None:
            problem = problem_class.from_matrix(A, shape=self.shape, rounding=rounding)
        else:
            indices = np.stack(
                np.unravel_index(self.cell, self.shape)[::-1], axis=1
            )  # every level along an axis has a row
            problem = problem_class.from_matrix(A, coordinates=indices, rounding=rounding)
        problem.grid = replace(problem.grid, widths=self.widths)
        return problem


def read_again(problem_class: Any, places: RowPlaces, A: Any) -> Any:
    """A problem from what its `__reduce_ex__` keeps."""
    return places.read(problem_class, A.astype(places.dtype), places.rounding)
