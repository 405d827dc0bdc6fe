"""Connected components of the fluid, and the null space of those that nothing anchors.

A component without an OPEN face and without a shift is singular: its null space is the constants. Right-hand sides
are projected onto the range, solutions to zero mean, component by component.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..native import library as native
from .face_weights import back, front
from .grid import Array
from .stencil import Stencil


class SingularComponents:
    """The singular components of an operator.

    Attributes
    ----------
    count : number of singular components
    total : number of components
    """

    def __init__(self, stencil: Stencil):
        self._runs = None if native.singular_runs is None else native.singular_runs(stencil)
        if self._runs is not None:
            self.count, self.total = self._runs.components, self._runs.all_components
        else:
            self._label(stencil)

    @property
    def runs(self) -> tuple[NDArray, NDArray]:
        """The components' cells as runs along the last axis: first cell of each; its length and component. Needs the kernels."""
        if self._runs is None:
            raise RuntimeError(f"runs of components need the compiled kernels: {native.unavailable}")
        return self._runs.runs

    def _label(self, stencil: Stencil) -> None:
        """The reference, by SciPy's labels."""
        labels, self.total = label_components(stencil)
        anchored = np.zeros(self.total + 1, dtype=bool)
        anchored[0] = True  # label 0: not FLUID
        anchored[labels[_anchor(stencil) > 0]] = True
        self.count = int(np.count_nonzero(~anchored))
        number = np.cumsum(~anchored) - 1
        self._cells = np.flatnonzero(~anchored[labels.ravel()]) if self.count else np.empty(0, dtype=np.intp)
        self._labels = number[labels.ravel()[self._cells]]
        self._sizes = np.bincount(self._labels, minlength=self.count)

    def project(self, v: Array) -> float:
        """Take the mean of every singular component off v (over all cells, in place).

        Returns
        -------
        The 2-norm of what was removed.
        """
        if not self.count:
            return 0.0
        flat = v.reshape(-1)
        if self._runs is not None:
            return self._runs.project(flat)
        values = flat[self._cells]
        means = np.bincount(self._labels, weights=values, minlength=self.count) / self._sizes
        flat[self._cells] = values - means[self._labels]
        return float(np.sqrt(np.sum(self._sizes * means**2)))


def _anchor(stencil: Stencil) -> Array:
    """Each cell's coupling to fixed values: weights of its OPEN faces plus its shift."""
    fluid = stencil.fluid
    anchor = np.zeros(stencil.shape) if stencil.shift is None else stencil.shift.copy()
    for axis, w in enumerate(stencil.weights):
        width = [(1, 1) if a == axis else (0, 0) for a in range(fluid.ndim)]
        inside = np.pad(fluid, width, mode="wrap") if stencil.periodic[axis] else np.pad(fluid, width)
        fixed = np.where(inside[front(axis)] & inside[back(axis)], 0.0, w)
        anchor += fixed[front(axis)] + fixed[back(axis)]
    anchor[~fluid] = 0.0
    return anchor


def label_components(stencil: Stencil) -> tuple[NDArray, int]:
    """Component number of each cell (0 outside FLUID, else from 1) and the number of components."""
    if _has_closed_face(stencil):  # neighbours need not be connected: ask the graph itself
        total, of_unknown = connected_components(stencil.matrix(), directed=False)
        labels = np.zeros(stencil.shape, dtype=np.int32)
        labels[stencil.fluid] = of_unknown + 1
        return labels, total
    labels, total = ndi.label(stencil.fluid)
    pairs = []
    for axis in np.flatnonzero(stencil.periodic):
        first, last = np.take(labels, 0, axis), np.take(labels, -1, axis)
        touching = (first > 0) & (last > 0)
        pairs.append(np.stack([first[touching], last[touching]]))
    if not pairs:
        return labels, total
    a, b = np.concatenate(pairs, axis=1)
    graph = sp.coo_array((np.ones(a.size, dtype=np.int8), (a, b)), shape=(total + 1, total + 1))
    count, merged = connected_components(graph, directed=False)
    renumber = np.empty(count, dtype=np.int32)
    order = merged[0]  # the component of label 0 keeps number 0
    renumber[:] = np.arange(count) + (np.arange(count) < order)
    renumber[order] = 0
    return renumber[merged][labels], count - 1


def _has_closed_face(stencil: Stencil) -> bool:
    """Whether some face between two FLUID cells has weight 0 (or an underflowed one)."""
    fluid = stencil.fluid
    for axis, w in enumerate(stencil.weights):
        inner = (slice(None),) * axis + (slice(1, -1),)
        if ((w[inner] == 0) & fluid[front(axis)] & fluid[back(axis)]).any():
            return True
        if stencil.periodic[axis] and fluid.shape[axis] > 1:
            wrapped = np.take(fluid, 0, axis) & np.take(fluid, -1, axis)
            if (wrapped & (np.take(w, 0, axis) == 0)).any():
                return True
    return False
