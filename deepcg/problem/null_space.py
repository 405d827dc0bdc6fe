"""The null space of the operator: the constants on singular components.

A connected component of the fluid without an OPEN face and without a shift is singular. Right-hand sides are projected onto the range, solutions to zero mean,
component by component.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from ..native import library as native
from .grid import Array
from .stencil import Stencil


class SingularComponents:
    """The singular components of an operator.

    Attributes
    ----------
    count : number of singular components
    total : number of components
    runs : their cells as runs along the last axis: first cell of each; its length and component
    """

    def __init__(self, stencil: Stencil):
        op, count, numbers = native.operator(stencil), ctypes.c_int64(), (ctypes.c_int64 * 2)()
        first, rest = np.empty(0, np.int64), np.empty((0, 2), np.int64)
        native.call("dcg_components", ctypes.byref(op), 0, None, None, ctypes.byref(count), numbers)
        self.count, self.total = numbers
        if self.count:
            first, rest = np.empty(count.value, np.int64), np.empty((count.value, 2), np.int64)
            native.call("dcg_components", ctypes.byref(op), count.value, first, rest, ctypes.byref(count), numbers)
        self.runs: tuple[NDArray, NDArray] = (first, rest)
        self._sizes = np.zeros(self.count, np.int64)
        np.add.at(self._sizes, rest[:, 1], rest[:, 0])

    def project(self, v: Array) -> float:
        """Take the mean of every singular component off v (over all cells, in place).

        Returns
        -------
        The 2-norm of what was removed.
        """
        if not self.count:
            return 0.0
        if not v.flags.c_contiguous or v.dtype != np.float64:
            raise ValueError("v: a C-contiguous float64 array is needed")
        first, rest = self.runs
        removed = ctypes.c_double()
        native.call("dcg_project", first.size, first, rest, self._sizes, self.count, v, ctypes.byref(removed))
        return removed.value
