"""A x judged: rows as differences and row sums, evaluated in extended precision. Nothing here is deepcg's.

    (A x)_i = own_i x_i + sum over j of w_ij (x_i - x_j)

Every difference of float64 numbers is exact in 64 bits of mantissa or nearly so; `own`, the row's sum, is rounded once. A weak anchor therefore
keeps its relative precision, however large the couplings beside it are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

EPSILON = float(np.finfo(np.float64).eps)
Extended = np.longdouble


@dataclass
class Rows:
    """A matrix as couplings w_ij = -a_ij and row sums.

    Attributes
    ----------
    row, column : int arrays
    weight : longdouble array
    own : longdouble array, one per row
    anchored : bool array, one per row
        The row's sum is not zero by its definition, however small it came out.
    """

    row: np.ndarray
    column: np.ndarray
    weight: np.ndarray
    own: np.ndarray
    anchored: np.ndarray

    @classmethod
    def of_matrix(cls, A: sp.csr_array) -> Rows:
        """Of a matrix as it was given; float32 entries are float64 numbers too."""
        A = sp.csr_array(A, dtype=np.float64, copy=True)
        A.sum_duplicates()
        data, starts = A.data.tolist(), A.indptr.tolist()
        own = np.array([math.fsum(data[i:j]) for i, j in zip(starts[:-1], starts[1:], strict=True)])
        A = A.tocoo()
        apart = (A.row != A.col) & (A.data != 0)
        return cls(A.row[apart], A.col[apart], -A.data[apart].astype(Extended), own.astype(Extended), own != 0)

    @property
    def size(self) -> int:
        return self.own.size

    @cached_property
    def diagonal(self) -> np.ndarray:
        """Of A, in longdouble."""
        total = self.own.copy()
        np.add.at(total, self.row, self.weight)
        return total

    def apply(self, x: np.ndarray) -> np.ndarray:
        """A x in longdouble."""
        x = np.asarray(x, dtype=Extended)
        total = self.own * x
        np.add.at(total, self.row, self.weight * (x[self.row] - x[self.column]))
        return total

    def scale_of(self, x: np.ndarray) -> np.ndarray:
        """|A| |x|, row by row."""
        x = np.abs(np.asarray(x, dtype=Extended))
        total = np.abs(self.diagonal) * x
        np.add.at(total, self.row, np.abs(self.weight) * x[self.column])
        return total

    def matrix(self) -> sp.csr_array:
        """A in float64, each entry rounded once."""
        n, at = self.size, np.arange(self.size)
        rows, columns = np.concatenate([self.row, at]), np.concatenate([self.column, at])
        values = np.concatenate([-self.weight, self.diagonal]).astype(np.float64)
        made = sp.csr_array(sp.coo_array((values, (rows, columns)), shape=(n, n)))
        made.sum_duplicates()
        return made

    @cached_property
    def symmetric(self) -> bool:
        A = self.matrix()
        return (A != A.T).nnz == 0

    @cached_property
    def component(self) -> np.ndarray:
        """The connected component of every row."""
        joined = np.ones(self.row.size, bool)
        graph = sp.coo_array((joined, (self.row, self.column)), shape=(self.size, self.size))
        return connected_components(graph, directed=False)[1]

    def singular(self, digits: float = 0.0) -> np.ndarray:
        """Which components have row sums that are zero: exactly, or to so many times the rounding of float64 entries."""
        count = int(self.component.max()) + 1
        if digits:
            size = np.abs(self.diagonal)
            np.add.at(size, self.row, np.abs(self.weight))
            anchored = np.abs(self.own) > digits * EPSILON * size
        else:
            anchored = self.anchored
        return np.bincount(self.component, anchored, count) == 0

    def projected(self, b: np.ndarray, singular: np.ndarray) -> np.ndarray:
        """b without its mean over every singular component, in longdouble."""
        b, component = np.array(b, dtype=Extended), self.component
        total = np.zeros(singular.size, dtype=Extended)
        np.add.at(total, component, b)
        return b - np.where(singular, total / np.bincount(component), 0)[component]


def norm(v: np.ndarray) -> np.longdouble:
    """The 2-norm in longdouble, which neither overflows nor underflows for any float64 numbers."""
    v = np.asarray(v, dtype=Extended)
    return np.sqrt(np.sum(v * v))
