"""A solver session (`dcg_solver_*`) as a program in C uses it, by ctypes."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_void_p
from functools import cache

import numpy as np
import scipy.sparse as sp

from deepcg.native import library as native


class Csr(ctypes.Structure):
    """`dcg_csr`."""

    _fields_ = (
        ("rows", c_int64),
        ("index_bytes", c_int32),
        ("start", c_void_p * 2),
        ("column", c_void_p * 2),
        ("value", c_void_p * 2),
        ("ghosts", c_int64),
        ("ghost", c_void_p),
    )


class Result(ctypes.Structure):
    """`dcg_result`."""

    _fields_ = (
        ("reason", c_int32),
        ("text", c_char_p),
        ("iterations", c_int64),
        ("fallbacks", c_int64),
        ("residuals", POINTER(c_double)),
        ("projected", c_double),
        ("condition", c_double),
        ("setup_seconds", c_double),
        ("solve_seconds", c_double),
    )


@cache
def kernels() -> ctypes.CDLL:
    library = native.load()
    library.dcg_last_error.restype = c_char_p
    library.dcg_solver_destroy.argtypes, library.dcg_solver_destroy.restype = [c_void_p], None
    return library


def call(name: str, *arguments) -> None:
    """A function of the library; its error as Python's."""
    library = kernels()
    converted = [a.ctypes.data_as(c_void_p) if isinstance(a, np.ndarray) else a for a in arguments]
    code = getattr(library, name)(*converted)
    if code:
        raise (ValueError if code == 1 else RuntimeError)(library.dcg_last_error().decode())


class Session:
    """A session with these options."""

    def __init__(self, **options):
        self.handle = c_void_p()
        call("dcg_solver_create", ctypes.byref(self.handle))
        self.set(**options)

    def __del__(self):
        if self.handle:
            kernels().dcg_solver_destroy(self.handle)

    def set(self, **options) -> Session:
        for name, value in options.items():
            call("dcg_solver_set_option", self.handle, name.encode(), str(value).encode())
        return self

    def grid(self, *shape: int, cells: np.ndarray | None = None) -> Session:
        kinds = None if cells is None else np.ascontiguousarray(cells, np.uint8)
        call("dcg_solver_set_grid", self.handle, c_int32(len(shape)), np.array(shape, np.int64), kinds)
        return self

    def coordinates(self, centres: np.ndarray) -> Session:
        rows, dim = centres.shape
        given = np.ascontiguousarray(centres, np.float64)
        call("dcg_solver_set_coordinates", self.handle, c_int32(dim), c_int64(rows), given)
        return self

    def ranks(self, given: native.Ranks) -> Session:
        call("dcg_solver_set_ranks", self.handle, ctypes.byref(given))
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
        call("dcg_solver_set_matrix", self.handle, ctypes.byref(csr), c_int32(same_pattern))
        for array in kept:
            array[...] = -1  # the caller's again: nothing of them may be needed
        return self

    def operator(self, op: native.Operator) -> Session:
        call("dcg_solver_set_operator", self.handle, ctypes.byref(op))
        return self

    def solve(self, b: np.ndarray, x0: np.ndarray | None = None) -> tuple[np.ndarray, Result]:
        x, result = np.zeros(b.size) if x0 is None else np.array(x0, np.float64), Result()
        call("dcg_solver_solve", self.handle, np.ascontiguousarray(b, np.float64), x, ctypes.byref(result))
        result.session = self  # whose memory the residuals are in
        return x, result

    def apply(self, r: np.ndarray) -> np.ndarray:
        z = np.full(r.size, np.nan)
        call("dcg_solver_apply", self.handle, np.ascontiguousarray(r, np.float64), z)
        return z

    def view(self) -> str:
        text = ctypes.create_string_buffer(8192)
        call("dcg_solver_view", self.handle, text, c_int64(len(text)))
        return text.value.decode()
