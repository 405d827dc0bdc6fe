"""A direct solver for boxes: cosine and sine transforms in all axes but one, tridiagonal systems along that one.

The physical limit of what can be had: O(n log n) and no iteration, where the cells are all FLUID, the coefficients constant along
the transformed axes, and each axis but one has the same kind of boundary on both of its sides (Hockney, "A fast direct solution of
Poisson's equation using Fourier analysis", J. ACM 12, 1965).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import scipy.fft

from benchmarks.systems.system import made_of
from benchmarks.workers.methods import Loaded, version
from deepcg.problem.grid import FLUID
from deepcg.problem.poisson import Poisson


def without_direct(problem: Poisson) -> str:
    """Why there is no direct solution by transforms; empty where there is."""
    try:
        _axis(problem)
    except ValueError as error:
        return str(error)
    return ""


def _axis(problem: Poisson) -> int:
    """The axis that is not transformed.

    Raises
    ------
    ValueError
        With the reason why there is none.
    """
    stencil = problem.stencil
    if (problem.cells != FLUID).any():
        raise ValueError("the box has walls or openings inside")
    if np.any(stencil.shift):
        raise ValueError("the operator has a shift")
    if any(problem.grid.is_periodic(axis) for axis in range(problem.ndim)):
        raise ValueError("periodic axes are not done here")
    rest = []
    for axis, w in enumerate(stencil.weights):
        inner = np.moveaxis(w, axis, 0)
        if not (inner == inner.reshape(inner.shape[0], -1)[:, :1].reshape(-1, *[1] * (inner.ndim - 1))).all():
            raise ValueError("the coefficients vary")
        line = inner.reshape(inner.shape[0], -1)[:, 0]
        uniform = (line[1:-1] == line[1]).all() and line[0] == line[-1] and line[0] in (0.0, line[1])
        if not uniform:
            rest.append(axis)
    if len(rest) > 1:
        raise ValueError("more than one axis has cells or boundaries of two kinds")
    return rest[0] if rest else 0


class Direct:
    """Eigenvalues at set-up, transforms and one sweep up and down per solve."""

    version = version("scipy")
    adopting_sets_up = True

    def __init__(self) -> None:
        self._threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def load(self, system: Loaded) -> None:
        self._parts = system.ingredients()

    def set_up(self, system: Loaded) -> None:
        problem = made_of(self._parts)
        self._axis, weights = _axis(problem), problem.stencil.weights
        n = problem.shape[self._axis]
        self._line = np.moveaxis(weights[self._axis], self._axis, 0).reshape(n + 1, -1)[:, 0]
        others = [axis for axis in range(problem.ndim) if axis != self._axis]
        # a transformed axis keeps the place it has once the other one is first
        self._transforms = [(place + 1, _transform(weights[axis], axis)) for place, axis in enumerate(others)]
        values = np.zeros([problem.shape[axis] for axis in others])
        for place, axis in enumerate(others):
            w = np.moveaxis(weights[axis], axis, 0).reshape(problem.shape[axis] + 1, -1)[1, 0]
            values = values + _eigenvalues(problem.shape[axis], w, self._transforms[place][1]).reshape(
                [-1 if p == place else 1 for p in range(len(others))]
            )
        self._factorise(values)

    def _factorise(self, values: np.ndarray) -> None:
        """The elimination along the line, for every mode at once (Thomas' algorithm)."""
        w, n = self._line, self._line.size - 1
        self._inverse = np.empty((n, *values.shape))
        for i in range(n):
            pivot = w[i] + w[i + 1] + values
            if i == 0:
                smooth = (values == 0) & (w[0] == 0) & (w[-1] == 0)  # all walls: the mean is free, one value is pinned
                pivot = np.where(smooth, pivot + w[1], pivot)
            else:
                pivot = pivot - w[i] ** 2 * self._inverse[i - 1]
            self._inverse[i] = 1.0 / pivot

    def adopt(self, system: Loaded) -> None:
        self.set_up(system)

    def solve(self, system: Loaded, warm: bool, rtol: float, maxiter: int, history: list[float] | None) -> Any:
        v = np.ascontiguousarray(np.moveaxis(system.rhs.reshape(system.shape), self._axis, 0))
        for axis, (forward, kind) in self._transforms:
            v = forward(v, type=kind, axis=axis, norm="ortho", workers=self._threads)
        w, inverse = self._line, self._inverse
        for i in range(1, v.shape[0]):
            v[i] += w[i] * inverse[i - 1] * v[i - 1]
        v[-1] *= inverse[-1]
        for i in range(v.shape[0] - 2, -1, -1):
            v[i] = inverse[i] * (v[i] + w[i + 1] * v[i + 1])
        for axis, (forward, kind) in self._transforms:
            backward = scipy.fft.idct if forward is scipy.fft.dct else scipy.fft.idst
            v = backward(v, type=kind, axis=axis, norm="ortho", workers=self._threads)
        return np.moveaxis(v, 0, self._axis).reshape(-1), 1, ""

    def drop(self) -> None:
        self._inverse = None


def _transform(w: np.ndarray, axis: int) -> tuple[Any, int]:
    """Cosines of half samples between walls, sines between open sides."""
    closed = np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)[0, 0] == 0.0
    return (scipy.fft.dct, 2) if closed else (scipy.fft.dst, 1)


def _eigenvalues(n: int, w: float, transform: tuple[Any, int]) -> np.ndarray:
    angle = np.pi * (np.arange(n) / n if transform[0] is scipy.fft.dct else np.arange(1, n + 1) / (n + 1))
    return 4.0 * w * np.sin(0.5 * angle) ** 2


KINDS = {"direct": Direct}
