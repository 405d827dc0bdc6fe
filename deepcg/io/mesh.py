"""Meshes in, VTK out: a closed surface or volume mesh becomes cells on a grid, and solutions become files for ParaView.

A cell is inside where the generalised winding number of the surface around its centre exceeds 1/2 in magnitude
(Jacobson, Kavan and Sorkine-Hornung, SIGGRAPH 2013), evaluated hierarchically by libigl (Barill, Dickson, Schmidt,
Levin and Jacobson, SIGGRAPH 2018). Needs the optional dependencies `deepcg[mesh]`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..problem.grid import FLUID, OPEN, SOLID, check_spacing
from .extras import import_mesh_extra
from .mesh_reader import MeshError, read_surface
from .vtk import check_origin, write_vtk

__all__ = ["MeshError", "read_surface", "voxelize", "voxelize_surface", "write_vtk"]

Cells = NDArray[np.uint8]

UPRIGHT = {
    "x": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-x": [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
    "-y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "-z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
}
"""For each of the mesh's up axes the rotation (never a mirror image) that brings it to z."""

NUDGE = (0.7e-3, 1.1e-3, 1.3e-3)  # of a cell; see `voxelize_surface`
CHUNK = 1 << 21  # query points at a time: 50 MB of coordinates


def voxelize(
    path: str | os.PathLike,
    shape: Sequence[int],
    *,
    spacing=1.0,
    inside: int = SOLID,
    outside: int = FLUID,
    margin: float = 0.1,
    up: str = "y",
) -> Cells:
    """The cells of a box with the object in a mesh file at its centre.

    The object keeps its proportions; it is made as large as the margin allows.

    Parameters
    ----------
    path : path
        A closed surface or volume mesh (see `read_surface`).
    shape : (nz, ny, nx)
        Numbers of cells.
    spacing : float, one float per axis (z, y, x), or one array of cell widths per axis
        As in `Poisson`; by default the cells are cubes.
    inside, outside : FLUID, SOLID or OPEN
        The kind of the cells whose centres lie inside the object, and of all others.
    margin : float, 0 <= margin < 0.5
        The fraction of the box that is left free on each side, at least.
    up : "x", "y", "z", "-x", "-y" or "-z"
        The mesh's axis that becomes the grid's axis 0, z. The Stanford bunny that comes with deepcg, and most meshes
        from computer graphics, have y up; those from CAD mostly have z.

    Returns
    -------
    cells : uint8 array, (nz, ny, nx)

    Raises
    ------
    MeshError
        The file (see `read_surface`), or an object so thin that no cell's centre lies inside.
    ValueError, TypeError
        An argument that is not as above.

    Examples
    --------
    >>> from importlib import resources
    >>> from deepcg.io.mesh import voxelize
    >>> cells = voxelize(resources.files("deepcg.data") / "bunny.stl", (24, 24, 24))
    >>> cells.shape, bool(cells[3:].any()), bool(cells[:2].any())
    ((24, 24, 24), True, False)
    """
    shape = _check_shape(shape)
    widths = check_spacing(spacing, shape)
    _check_kinds(inside, outside)
    if not 0.0 <= margin < 0.5:
        raise ValueError(f"margin: {margin!r} given; a fraction of the box from 0 to below 0.5 is needed")
    if up not in UPRIGHT:
        raise ValueError(f"up: {up!r} given; the mesh's axis that points up, one of {', '.join(UPRIGHT)}, is needed")
    vertices, triangles = read_surface(path)
    vertices = vertices @ np.array(UPRIGHT[up], dtype=np.float64).T
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    if not (high > low).all():
        raise MeshError(f"{path}: the mesh is flat (it extends {high - low}); one that encloses a volume is needed")
    box = np.array([h.sum() for h in widths[::-1]])  # x, y, z as the vertices
    scale = ((1.0 - 2.0 * margin) * box / (high - low)).min()
    placed = 0.5 * box + scale * (vertices - 0.5 * (low + high))
    cells = voxelize_surface(placed, triangles, shape, spacing=widths, inside=inside, outside=outside)
    if (cells == outside).all():
        raise MeshError(f"{path}: no cell's centre lies inside the object at shape {shape}; more cells are needed")
    return cells


def voxelize_surface(
    vertices: ArrayLike,
    triangles: ArrayLike,
    shape: Sequence[int],
    *,
    spacing=1.0,
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    inside: int = SOLID,
    outside: int = FLUID,
) -> Cells:
    """The cells of a given box around a surface that stays where it is.

    Parameters
    ----------
    vertices : (n, 3) floats
        x, y, z.
    triangles : (m, 3) integers
        A closed surface, oriented either way; a cavity's surface is oriented against that of the body.
    shape : (nz, ny, nx)
        Numbers of cells.
    spacing : float, one float per axis (z, y, x), or one array of cell widths per axis
        In the unit of `vertices`.
    origin : three floats, (z, y, x)
        The low corner of the box.
    inside, outside : FLUID, SOLID or OPEN
        The kind of the cells whose centres lie inside the surface, and of all others.

    Returns
    -------
    cells : uint8 array, (nz, ny, nx)
        All `outside` where the surface and the box do not meet.
    """
    shape = _check_shape(shape)
    widths = check_spacing(spacing, shape)
    _check_kinds(inside, outside)
    corner = check_origin(origin, 3)
    points = np.asarray(vertices, dtype=np.float64)
    faces = np.ascontiguousarray(triangles, dtype=np.int64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not np.isfinite(points).all():
        raise ValueError(f"vertices: shape {points.shape} given; finite coordinates (n, 3) are needed")
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0 or faces.min() < 0 or faces.max() >= len(points):
        raise ValueError(
            f"triangles: shape {faces.shape} given; indices (m, 3) of the {len(points)} vertices are needed"
        )
    igl = import_mesh_extra("igl")

    # The centres are moved by a thousandth of a cell, differently along each axis: where a face of the mesh runs
    # exactly through cell centres, rounding would otherwise decide cell by cell.
    centres = [o + np.cumsum(h) - (0.5 - n) * h for o, h, n in zip(corner, widths, NUDGE, strict=True)]
    low, high = points.min(axis=0), points.max(axis=0)
    window = [
        slice(*np.searchsorted(c, limits))
        for c, limits in zip(centres, zip(low[::-1], high[::-1], strict=True), strict=True)
    ]
    # libigl computes in single precision: about the object's centre, in units of its size, that is enough.
    middle, size = 0.5 * (low + high), (high - low).max() or 1.0
    unit = np.ascontiguousarray((points - middle) / size)
    z, y, x = ((c[w] - m) / size for c, w, m in zip(centres, window, middle[::-1], strict=True))

    cells = np.full(shape, outside, dtype=np.uint8)
    object_cells = cells[tuple(window)]
    layers = max(1, CHUNK // max(1, y.size * x.size))
    for start in range(0, z.size if y.size * x.size else 0, layers):
        slab = slice(start, start + layers)
        grid = np.meshgrid(z[slab], y, x, indexing="ij")
        query = np.stack([g.ravel() for g in grid[::-1]], axis=1)
        winding = igl.fast_winding_number(unit, faces, query).reshape(grid[0].shape)
        object_cells[slab][np.abs(winding) > 0.5] = inside
    return cells


def _check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    entries = tuple(shape) if np.iterable(shape) else (shape,)
    if len(entries) != 3 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in entries):
        raise ValueError(f"shape: {shape!r} given; three numbers of cells (nz, ny, nx), each at least 1, are needed")
    return tuple(int(n) for n in entries)


def _check_kinds(inside: int, outside: int) -> None:
    for name, kind in (("inside", inside), ("outside", outside)):
        if kind not in (FLUID, SOLID, OPEN):
            raise ValueError(f"{name}: {kind!r} given; FLUID=0, SOLID=1 or OPEN=2 is needed")
    if inside == outside:
        raise ValueError(f"inside, outside: both {inside!r}; two kinds of cells are needed")
