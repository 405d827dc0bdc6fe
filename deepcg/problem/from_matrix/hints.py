"""What a matrix that was refused may have been meant to be: its grid by its columns, its other triangle."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

OFTEN = 0.5  # of the rows: a distance of rows that so many couplings have is an axis's


def suggest_shape(A) -> tuple[int, ...] | None:
    """The shape of the grid whose cells, x fastest, are the rows of a 3-, 5- or 7-point matrix; None where the distances of coupled rows tell none."""
    n, coo = A.shape[0], sp.coo_array(A)
    distances = np.abs(coo.coords[0].astype(np.int64) - coo.coords[1])[coo.data != 0]
    often = np.flatnonzero(np.bincount(distances[distances > 0]) >= max(OFTEN * n, 1)).tolist()
    if not often or often[0] != 1 or len(often) > 3:
        return None
    sizes = [*often, n]
    if any(whole % part for part, whole in zip(sizes, sizes[1:], strict=False)):
        return None
    return tuple(whole // part for part, whole in zip(sizes, sizes[1:], strict=False))[::-1]


def describe_shape(A, given: tuple[int, ...] | None) -> str:
    """A sentence on the shape that the columns suggest, where it is another than the given one; else nothing."""
    shape = suggest_shape(A)
    if shape is None or shape == given:
        return ""
    if len(shape) == 1:
        return f"; its columns look like those of a line of cells, of shape (1, {shape[0]})"
    sizes = ", ".join(f"n{axis} = {size}" for axis, size in zip("xyz", shape[::-1], strict=False))
    return f"; its columns look like those of a grid of shape {shape}, which is {sizes}"


def describe_triangle(A) -> str:
    """A sentence for a matrix whose couplings all are on one side of the diagonal; else nothing."""
    coo = sp.coo_array(A)
    side = np.sign(coo.coords[0].astype(np.int64) - coo.coords[1])[coo.data != 0]
    if side.size == 0 or side.min() * side.max() < 0 or not side.any():
        return ""
    word, other = ("lower", "tril(A, -1)") if side.max() > 0 else ("upper", "triu(A, 1)")
    return f"; all its couplings are in the {word} triangle: where the other one is meant too, A + scipy.sparse.{other}.T is needed"


def hint_at(refusal: str, A, shape: tuple[int, ...] | None) -> str:
    """What may help after the text of a refusal; shape: of the grid that was given."""
    if not sp.issparse(A) or len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        return ""
    if "not symmetric" in refusal:
        return describe_triangle(A)
    if "no face neighbours" in refusal or refusal.startswith("shape:") or "of the grid given" in refusal:
        return describe_shape(A, shape)
    return ""
