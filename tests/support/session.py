"""A solver session (`dcg_solver_*`) as a program in C uses it, by ctypes."""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp

from deepcg.native import library as native
from deepcg.native import session
from deepcg.native.session import Csr, Result
from tests.support.ranks import Ranks


class Session(session.Session):
    """A session with these options, whose calls can be chained."""

    def call(self, name: str, *arguments) -> None:
        """Arrays as addresses also where the package does not declare the function."""
        super().call(name, *(ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in arguments))

    def set(self, **options) -> Session:
        super().set(**options)
        return self

    def grid(self, *shape: int, cells: np.ndarray | None = None) -> Session:
        self.set_grid(shape, None if cells is None else np.ascontiguousarray(cells, np.uint8))
        return self

    def coordinates(self, centres: np.ndarray) -> Session:
        self.set_coordinates(np.ascontiguousarray(centres, np.float64))
        return self

    def ranks(self, given: Ranks) -> Session:
        self.call("set_ranks", ctypes.byref(given))
        self.given = given  # its functions are called when the session ends, too
        return self

    def matrix(
        self,
        A: sp.csr_array,
        index=np.int32,
        same_pattern: bool = False,
        ghost: np.ndarray | None = None,
        own: int | None = None,
    ):
        """Compressed rows with indices of this type. ghost: the row of the whole matrix of every column from `own` on."""
        blocks = [A] if ghost is None else [A[:, :own].tocsr(), A[:, own:].tocsr()]
        csr = Csr(rows=A.shape[0], index_bytes=np.dtype(index).itemsize)
        kept = []
        for n, block in enumerate(blocks):
            kept += [block.indptr.astype(index), block.indices.astype(index), block.data.astype(np.float64)]
            csr.start[n], csr.column[n], csr.value[n] = (v.ctypes.data for v in kept[-3:])
        if ghost is not None:
            kept.append(ghost.astype(index))
            csr.ghosts, csr.ghost = ghost.size, kept[-1].ctypes.data
        self.call("set_matrix", ctypes.byref(csr), ctypes.c_int32(same_pattern))
        for array in kept:
            array[...] = -1  # the caller's again: nothing of them may be needed
        return self

    def operator(self, op: native.Operator) -> Session:
        self.call("set_operator", ctypes.byref(op))
        return self

    def solve(self, b: np.ndarray, x0: np.ndarray | None = None) -> tuple[np.ndarray, Result]:
        x = np.zeros(b.size) if x0 is None else np.array(x0, np.float64)
        result = super().solve(np.ascontiguousarray(b, np.float64), x)
        result.session = self  # whose memory the residuals are in
        return x, result

    def apply(self, r: np.ndarray) -> np.ndarray:
        z = np.full(r.size, np.nan)
        self.call("apply", np.ascontiguousarray(r, np.float64), z)
        return z

    def project(self, v: np.ndarray) -> tuple[np.ndarray, int, float]:
        """v without what no x can change, the number of components and rows that this concerns, and the norm of what was taken."""
        left, count, removed = np.array(v, np.float64), ctypes.c_int64(), ctypes.c_double()
        self.call("project", left, ctypes.byref(count), ctypes.byref(removed))
        return left, count.value, removed.value

    def view(self) -> str:
        text = ctypes.create_string_buffer(8192)
        self.call("view", text, ctypes.c_int64(len(text)))
        return text.value.decode()
