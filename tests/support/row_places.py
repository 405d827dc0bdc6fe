"""The places of rows on a grid by their cell centres, as `dcg_place_rows` finds them."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np

from deepcg.native import library as native


def place_rows(centres) -> SimpleNamespace:
    """The grid's shape, the cells' widths, and each row's cell; None where row i is cell i."""
    centres = np.ascontiguousarray(centres, dtype=np.float64)
    n, dim = centres.shape
    sizes, in_order = (ctypes.c_int64 * 3)(), ctypes.c_int32()
    cell, widths = np.empty(n, np.int64), np.empty((3, n))
    addresses = (ctypes.c_void_p * 3)(*(w.ctypes.data for w in widths))
    given = (ctypes.c_void_p(v.ctypes.data) for v in (centres, cell))
    centre_address, cell_address = given
    code = native.load().dcg_place_rows(
        ctypes.c_int32(dim), ctypes.c_int64(n), centre_address, sizes, cell_address, addresses, ctypes.byref(in_order)
    )
    assert code == 0
    axes = (0, 1, 2) if dim == 3 else (0, 2)
    return SimpleNamespace(
        shape=tuple(sizes[a] for a in axes),
        widths=tuple(widths[a, : sizes[a]] for a in axes),
        cell=None if in_order.value else cell,
    )
