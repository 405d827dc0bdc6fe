"""A linear system as a peer takes it: written into a folder, from which processes of their own read it.

General solvers get a CSR matrix over the unknowns; solvers for grids also get the cells and coefficients, from which they make
whatever they need inside their own set-up.
"""

from __future__ import annotations

import math
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

import deepcg

POCKET = 1000  # unknowns; a singular component that is smaller is made regular


class System:
    """A x = rhs in C order, as a general solver takes it; rhs is projected onto the range of A.

    In a singular component of fewer than `POCKET` unknowns one diagonal entry is doubled (set to 1 where it is 0): the sum of the
    component's equations then says that this unknown is zero, so what solves the new equations solves the old ones. A scene with
    obstacles has dozens of such pockets, and a vector in the null space for each would slow a peer down for nothing.
    Larger components stay singular.

    Parameters
    ----------
    problem : deepcg.Poisson
    b : array laid out like the problem's vectors
    every_cell : bool
        Rows for all cells instead of the FLUID ones: those of the others say x = 0. So a moving boundary changes the entries
        of a matrix and not its size, and a preconditioner of an earlier step fits a later one.

    Attributes
    ----------
    matrix : CSR, 32-bit indices
    matrix_seconds : what its assembly took
    rhs : float64, (n,)
    places : int64, (n,), the flat number of each row's cell
    null_space : int32, (n,), or None
        The number of the singular component that an unknown is in, from 1; 0 for none. None where A is regular.

    Raises
    ------
    ValueError
        Where b is zero once it is projected.
    """

    def __init__(self, problem: deepcg.Poisson, b: np.ndarray, every_cell: bool = False):
        self.problem, self.b, self.every_cell = problem, np.asarray(b), every_cell
        self._fluid = problem.stencil.fluid
        rhs = self._projected(problem.layout.rhs(self.b))
        if not rhs.any():
            raise ValueError(
                "b: zero once projected onto the range of A; a right-hand side that leaves something to solve is needed"
            )
        started = time.perf_counter()
        A = sp.csr_matrix(problem.stencil.matrix())
        self.matrix_seconds = time.perf_counter() - started
        labels = self._singular_components(A)
        numbers, first, sizes = np.unique(labels, return_index=True, return_counts=True)
        pinned = first[(numbers > 0) & (sizes < POCKET)]
        A, extra = _pinned(A, pinned)
        large = numbers[(numbers > 0) & (sizes >= POCKET)]
        place = np.minimum(np.searchsorted(large, labels), max(large.size - 1, 0))
        null = np.where(large[place] == labels, place + 1, 0).astype(np.int32) if large.size else None
        self.places = np.flatnonzero(self._fluid)
        if every_cell:
            A, rhs, null = self._spread(A), self._full(rhs), None if null is None else self._full(null)
            pinned, self.places = self.places[pinned], np.arange(self._fluid.size)
        A.indices, A.indptr = A.indices.astype(np.int32, copy=False), A.indptr.astype(np.int32, copy=False)
        self.matrix, self.rhs, self.null_space, self._pins = A, rhs, null, (pinned, extra)

    def _projected(self, v: np.ndarray) -> np.ndarray:
        self.problem.components.project(v)
        return v.reshape(self._fluid.shape)[self._fluid]

    def _singular_components(self, A: sp.csr_matrix) -> np.ndarray:
        """The number of the singular component that each unknown is in, from 1; 0 for none."""
        constant_left = self._projected(np.where(self._fluid, 1.0, 0.0))  # none in a singular component
        _, labels = connected_components(A, directed=False)
        return np.where(constant_left < 0.5, labels + 1, 0)

    def _spread(self, A: sp.csr_matrix) -> sp.csr_matrix:
        """The same equations with one row per cell; the other rows have a diagonal of A's size."""
        cells = self._fluid.size
        A = A.tocoo()
        other = np.flatnonzero(~self._fluid)
        rows, columns = (np.concatenate([self.places[part], other]) for part in (A.row, A.col))
        values = np.concatenate([A.data, np.full(other.size, float(np.mean(A.diagonal())))])
        return sp.csr_matrix((values, (rows, columns)), shape=(cells, cells))

    def _full(self, v: np.ndarray) -> np.ndarray:
        spread = np.zeros(self._fluid.size, dtype=v.dtype)
        spread[self.places] = v
        return spread

    def guess(self, x0: np.ndarray) -> np.ndarray:
        """x0, laid out like b, as the rows have it."""
        full = self.problem.layout.guess(x0).reshape(-1)
        return full[self.places]

    def solution(self, x: np.ndarray) -> np.ndarray:
        """x over the rows, laid out as b is, of zero mean in singular components."""
        full = np.zeros(self._fluid.shape)
        full[self._fluid] = x.reshape(self._fluid.shape)[self._fluid] if self.every_cell else x
        self.problem.components.project(full)
        return self.problem.layout.solution(full.reshape(-1), self.b)

    def residual(self, x: np.ndarray) -> float:
        """||rhs - A x|| / ||rhs|| of the equations as they were before anything was pinned; x runs over the rows."""
        pinned, extra = self._pins
        r = self.rhs - self.matrix @ x
        r[pinned] += extra * x[pinned]
        return _norm(r) / _norm(self.rhs)

    def write(self, folder: Path, x0: np.ndarray | None = None) -> Path:
        """The system as files: arrays of the rows, and `problem.pickle` with what the problem is made of.

        Parameters
        ----------
        x0 : laid out like b
            The initial guess that everybody gets when the start is warm.
        """
        folder.mkdir(parents=True, exist_ok=True)
        A = self.matrix
        arrays = {"rhs": self.rhs, "data": A.data, "indices": A.indices, "indptr": A.indptr, "places": self.places}
        arrays |= {"b": self.b, "shape": np.array(self._fluid.shape)}
        pinned, extra = self._pins
        if pinned.size:
            arrays |= {"pinned": pinned, "extra": extra}
        if self.null_space is not None:
            arrays["null_space"] = self.null_space
        if x0 is not None:
            arrays |= {"x0": self.guess(x0), "x0_of_b": x0}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        (folder / "problem.pickle").write_bytes(pickle.dumps(ingredients(self.problem)))
        self.matrix = sp.csr_matrix(
            tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("data", "indices", "indptr")),
            shape=A.shape,
        )  # a sequence has many: the disk keeps them
        return folder


def ingredients(problem: deepcg.Poisson) -> dict[str, Any]:
    """What a problem is made of: the arguments of `deepcg.Poisson`, or of `deepcg.Poisson.from_matrix`."""
    if problem.layout.of_matrix:
        return {"A": sp.csr_matrix(problem.matrix()), "shape": problem.shape}
    return {
        "cells": problem.cells,
        "spacing": problem.grid.widths,
        "coefficient": problem.source.get("coefficient"),
        "shift": problem.source.get("shift"),
        "boundary": problem.grid.boundary,
    }


def made_of(parts: dict[str, Any]) -> deepcg.Poisson:
    """The problem again, with nothing kept from before."""
    return deepcg.Poisson.from_matrix(**parts) if "A" in parts else deepcg.Poisson(**parts)


def _pinned(A: sp.csr_matrix, rows: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """A with more on the diagonal in these rows, and how much more."""
    if not rows.size:
        return A, np.zeros(0)
    diagonal = A.diagonal()[rows]
    extra = np.where(diagonal > 0, diagonal, 1.0)
    return sp.csr_matrix(A + sp.csr_matrix((extra, (rows, rows)), shape=A.shape)), extra


def _norm(v: np.ndarray) -> float:
    """||v||2 without BLAS, whose threads would spin on beside the peer that comes next."""
    return math.sqrt(float(np.add.reduce(v * v)))
