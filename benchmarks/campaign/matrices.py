"""Matrices as their users have them: of a grid's rows, altered in the ways in which matrices come out of files and other codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.campaign.assembly import FLUID
from benchmarks.campaign.grids import Tags, exponent, pick
from benchmarks.campaign.rows import Rows


def matrix(
    rng: np.random.Generator, tags: Tags, made: dict[str, Any], rows: Rows, simple: bool = False, scaled: bool = True
) -> tuple[Any, dict[str, Any]]:
    """A matrix and the arguments of `deepcg.solve` that say where its rows lie.

    Parameters
    ----------
    made : the grid
    rows : its rows over the FLUID cells
    simple : every cell has a row in C order, as the plugin's option for a grid has it
    scaled : some are multiplied by powers of ten
    """
    cells = made["cells"]
    A = rows.matrix()
    kind = pick(
        rng, plain=3, float32=3, rounded=2, rows_scaled=1, penalty=2, diagonal_only=1, scaled_both_sides=1,
        less_than_dominant=0.7, heat_step=1.5, whole_numbers=0.3,
    )  # fmt: skip
    tags["matrix"] = kind
    every = simple or kind == "diagonal only" or rng.random() < 0.4
    if every:
        A = over_all_cells(rng, A, cells)
    arguments: dict[str, Any] = {"grid": cells.shape} if every else {"grid": cells}
    A = ALTERED[kind](rng, tags, A, made, every)
    most = float(np.abs(A.data).max(initial=0.0))
    if scaled and rng.random() < 0.15 and A.dtype.kind == "f" and most > 0:
        power = scale_power(rng, tags, most, A.dtype == np.float32)
        A = sp.csr_array(A * np.float64(10**power), dtype=A.dtype)
    if rng.random() < 0.12:
        A = -A
        tags["sign"] = -1
    if simple:
        return sp.csr_array(A), {}
    if kind == "rounded" and rng.random() < 0.5:
        arguments["rounding"] = 0.5 * 10.0 ** (1 - tags["digits"])
    if rng.random() < 0.2:
        return by_coordinates(rng, tags, A, made, every, arguments)
    return formatted(rng, tags, A), arguments


def over_all_cells(rng, A: sp.csr_array, cells: np.ndarray) -> sp.csr_array:
    """With a row that is diagonal only for every cell that is no unknown."""
    number = np.flatnonzero(cells.ravel() == FLUID)
    other = np.flatnonzero(cells.ravel() != FLUID)
    A = A.tocoo()
    values = np.full(other.size, rng.choice([1.0, 2.5, np.abs(A.data).max(initial=1.0)]))
    rows, columns = np.concatenate([number[A.row], other]), np.concatenate([number[A.col], other])
    return sp.csr_array(sp.coo_array((np.concatenate([A.data, values]), (rows, columns)), shape=(cells.size,) * 2))


def scale_power(rng, tags: Tags, most: float, single: bool = False) -> float:
    """A power of ten that keeps the largest entry within what float64, or float32, holds well."""
    low, high = (-30, 30) if single else (-290, 300)
    power = float(np.clip(rng.uniform(low, high), low - np.log10(most), high - np.log10(most)))
    tags["A scale"] = round(power)
    return power


def plain(rng, tags, A, made, every):
    return A


def float32(rng, tags, A, made, every):
    most = float(np.abs(A.data).max(initial=1.0))
    return sp.csr_array((A / most if not 1e-30 < most < 1e30 else A).astype(np.float32))


def rounded(rng, tags, A, made, every):
    digits = int(rng.integers(4, 8))
    tags["digits"] = digits
    A = A.copy()
    A.data = np.array([float(f"{value:.{digits - 1}e}") for value in A.data.tolist()])
    return A


def rows_scaled(rng, tags, A, made, every):
    """As finite differences on vertex-centred or graded grids have it: symmetric only after a diagonal scaling."""
    factor = 10 ** rng.uniform(-2, 2, A.shape[0])
    if rng.random() < 0.5:
        factor = np.where(rng.random(A.shape[0]) < 0.3, 2.0, 1.0)
    return sp.csr_array(sp.diags_array(factor) @ A)


def penalty(rng, tags, A, made, every):
    chosen = rng.random(A.shape[0]) < rng.choice([0.01, 0.1, 0.5])
    chosen[rng.integers(A.shape[0])] = True
    size = exponent(rng, 8, 16)
    tags["penalty"] = float(f"{size:.1e}")
    return sp.csr_array(
        A + sp.diags_array(np.where(chosen, size, 0.0) * float(rng.choice([1.0, np.abs(A.data).max(initial=1.0)])))
    )


def diagonal_only(rng, tags, A, made, every):
    """Rows with a fixed value: eliminated on both sides, or with the couplings to them left in the others' rows."""
    fixed = rng.random(A.shape[0]) < rng.choice([0.01, 0.1, 0.4])
    keep, one = (
        sp.diags_array(np.where(fixed, 0.0, 1.0)),
        sp.diags_array(np.where(fixed, rng.choice([1.0, 7.0, 1e-3]), 0.0)),
    )
    one_sided = rng.random() < 0.5
    tags["one sided"] = bool(one_sided)
    A = sp.csr_array(keep @ A + one) if one_sided else sp.csr_array(keep @ A @ keep + one)
    if rng.random() < 0.3:  # an inactive cell
        empty = np.ones(A.shape[0])
        empty[rng.integers(A.shape[0])] = 0.0
        A = sp.csr_array(sp.diags_array(empty) @ A @ sp.diags_array(empty))
        tags["empty row"] = True
    A.eliminate_zeros()
    return A


def scaled_both_sides(rng, tags, A, made, every):
    d = (
        1 / np.sqrt(np.maximum(A.diagonal(), 1e-300))
        if rng.random() < 0.3
        else 10 ** rng.uniform(-0.5, 0.5, A.shape[0])
    )
    A = sp.csr_array(sp.diags_array(d) @ A @ sp.diags_array(d))
    return sp.csr_array((A + A.T) / 2)


def less_than_dominant(rng, tags, A, made, every):
    """L - c I, definite still where c is below the least eigenvalue; it is known for small matrices only."""
    if A.shape[0] > 400:
        return A
    dense = A.toarray()
    least = float(np.linalg.eigvalsh((dense + dense.T) / 2)[0])
    factor = float(rng.choice([0.5, 0.9, 0.999, 1.5]))  # the last: indefinite
    tags["minus least eigenvalue"] = factor
    return sp.csr_array(A - sp.diags_array(np.full(A.shape[0], factor * max(least, 0.0))))


def heat_step(rng, tags, A, made, every):
    """I + dt L in float32 or float64."""
    dt = exponent(rng, -3, 10)
    tags["dt"] = float(f"{dt:.1e}")
    A = sp.csr_array(sp.diags_array(np.ones(A.shape[0])) + dt / float(np.abs(A.data).max(initial=1.0)) * A)
    return A.astype(np.float32) if rng.random() < 0.5 else A


def whole_numbers(rng, tags, A, made, every):
    A = A.copy()
    off = np.sign(A.data)
    A.data = np.where(off < 0, -1.0, 0.0)
    A.eliminate_zeros()
    sums = -np.asarray(A.sum(axis=1)).ravel() + (rng.random(A.shape[0]) < rng.choice([0.0, 0.1]))
    return sp.csr_array(A + sp.diags_array(sums)).astype(np.int64)


ALTERED = {
    "plain": plain, "float32": float32, "rounded": rounded, "rows scaled": rows_scaled, "penalty": penalty, "diagonal only": diagonal_only,
    "scaled both sides": scaled_both_sides, "less than dominant": less_than_dominant, "heat step": heat_step, "whole numbers": whole_numbers,
}  # fmt: skip


def by_coordinates(rng, tags, A, made, every, arguments) -> tuple[sp.csr_array, dict[str, Any]]:
    """The rows in random order, with the centres of their cells."""
    cells = made["cells"]
    centres = [np.cumsum(h) - h / 2 for h in made["spacing"]]
    where = np.argwhere(np.ones(cells.shape, bool) if every else cells == FLUID)
    points = np.stack([centres[axis][where[:, axis]] for axis in reversed(range(cells.ndim))], axis=1)  # x, y(, z)
    order = rng.permutation(A.shape[0])
    tags["order"] = "coordinates"
    kept = {name: value for name, value in arguments.items() if name != "grid"}
    return sp.csr_array(sp.csr_array(A)[order][:, order]), {"coordinates": points[order], **kept}


def formatted(rng, tags, A) -> Any:
    """The same matrix as SciPy's users may hold it."""
    kind = pick(rng, csr=6, csc=1, coo=1, duplicates=1, zeros=0.5)
    tags["format"] = kind
    if kind == "csc":
        return sp.csc_array(A)
    if kind == "coo":
        return sp.coo_array(A)
    if kind == "duplicates":
        C = sp.coo_array(A)
        twice = [np.concatenate([part, part]) for part in C.coords]
        return sp.coo_array((np.concatenate([C.data - C.data // 2, C.data // 2]), tuple(twice)), shape=C.shape)
    if kind == "zeros":
        C = sp.coo_array(A)
        n = C.shape[0]
        far = rng.integers(0, n, (2, 5))
        values = np.concatenate([C.data, np.zeros(5, C.data.dtype)])
        return sp.coo_array(
            (values, tuple(np.concatenate([c, f]) for c, f in zip(C.coords, far, strict=True))), shape=C.shape
        )
    return sp.csr_array(A)
