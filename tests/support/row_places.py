"""The places of rows on a grid by their cell centres, as a session finds them."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

from deepcg.native.session import Session


def place_rows(centres) -> SimpleNamespace:
    """The grid's shape, the cells' widths, and each row's cell; None where row i is cell i."""
    centres = np.ascontiguousarray(centres, dtype=np.float64)
    n, dim = centres.shape
    session = Session()
    session.set_coordinates(centres)
    session.set_matrix(sp.eye_array(n, format="csr"))
    found = session.read()
    axes = (0, 1, 2) if dim == 3 else (0, 2)
    return SimpleNamespace(
        shape=tuple(found.op.shape[a] for a in axes),
        widths=tuple(session.array(found.widths[a], ctypes.c_double, found.op.shape[a]) for a in axes),
        cell=session.array(found.cell, ctypes.c_int64, n) if found.cell else None,
    )
