"""The closed surface in a mesh file: read by meshio, brought to triangles, checked to enclose a volume."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .extras import import_mesh_extra

Vertices = NDArray[np.float64]
Triangles = NDArray[np.int64]

FORMATS = "STL, OBJ, PLY, VTK, VTU or Gmsh .msh"

FACES: dict[str, tuple[tuple[int, ...], ...]] = {
    "tetra": ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)),
    "hexahedron": ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
    "wedge": ((0, 1, 2), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5)),
    "pyramid": ((0, 3, 2, 1), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)),
}
"""Faces of the linear volume elements, by the elements' local vertices."""

SURFACE = ("triangle", "quad", "polygon")
LOWER = ("vertex", "line")  # Gmsh files hold the geometry's points and curves too


class MeshError(ValueError):
    """A mesh file cannot be read, or what is in it does not enclose a volume."""


def read_surface(path: str | os.PathLike) -> tuple[Vertices, Triangles]:
    """The closed surface in a mesh file, as triangles.

    Vertices at the same place are merged (STL repeats them), quadrilaterals and polygons are split into triangles, and
    a volume mesh of linear tetrahedra, hexahedra, wedges and pyramids is reduced to its boundary. Triangles whose
    orientations disagree are turned to agree.

    Parameters
    ----------
    path : path
        STL, OBJ, PLY, VTK, VTU, Gmsh .msh, or whatever else meshio reads; the suffix tells which.

    Returns
    -------
    vertices : float64 array, (n, 3)
        x, y, z in the file's unit of length.
    triangles : int64 array, (m, 3)
        Indices into `vertices`.

    Raises
    ------
    MeshError
        No such file, unknown format, truncated or empty file, curved elements, or a surface with open edges.
    ImportError
        The optional dependencies of meshes are missing.
    """
    path = Path(path)
    vertices, blocks = _read(path)
    vertices, index = _merge(vertices)
    blocks = [(kind, index[cells]) for kind, cells in blocks]
    if any(kind in FACES for kind, _ in blocks):  # then the surface elements, if any, only mark parts of the boundary
        triangles = _boundary(vertices, [block for block in blocks if block[0] in FACES])
    else:
        triangles = np.concatenate([_split(cells) for _, cells in blocks])
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    triangles = _check_closed(path, triangles, len(vertices))
    used, index = np.unique(triangles, return_inverse=True)
    return vertices[used], index.reshape(-1, 3).astype(np.int64)


def _read(path: Path) -> tuple[Vertices, list[tuple[str, Triangles]]]:
    """Vertices, and (element type, vertices of each element) per block, checked."""
    meshio = import_mesh_extra("meshio")
    if not path.is_file():
        raise MeshError(f"{path}: no such file; the path of a mesh ({FORMATS}) is needed")
    if not any(path.name.lower().endswith(suffix) for suffix in meshio.extension_to_filetypes):
        raise MeshError(f"{path}: no mesh format has the suffix {path.suffix!r}; {FORMATS} is needed")
    said = io.StringIO()
    try:
        # meshio prints its reasons, and leaves the interpreter when no reader of that suffix takes the file
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), np.errstate(all="ignore"):
            mesh = meshio.read(path)
        points = np.asarray(mesh.points, dtype=np.float64)
        blocks = [(b.type, np.asarray(b.data)) for b in mesh.cells if b.type not in LOWER and len(b.data)]
    except (Exception, SystemExit) as error:  # its readers raise whatever a malformed file leads them into
        reason = " ".join(said.getvalue().split()).partition("Error: Couldn't")[0].strip()
        if not isinstance(error, SystemExit):
            reason = f"{type(error).__name__}: {error}"
        raise MeshError(
            f"{path}: truncated, or not what its suffix says ({reason or 'malformed'}); "
            f"a complete {FORMATS} file is needed"
        ) from error
    if points.size == 0 or not blocks:
        raise MeshError(
            f"{path}: no triangles or volume elements in it, or truncated; a closed mesh ({FORMATS}) is needed"
        )
    if points.ndim != 2 or points.shape[1] != 3:
        raise MeshError(f"{path}: vertices of shape {points.shape}; a surface in three dimensions (n, 3) is needed")
    if not np.isfinite(points).all():
        raise MeshError(f"{path}: some vertices are infinite or not a number; export the mesh again")
    for kind, cells in blocks:
        if kind not in (*SURFACE, *FACES) or cells.dtype.kind not in "iu" or cells.ndim != 2 or cells.shape[1] < 3:
            raise MeshError(
                f"{path}: elements of type {kind!r}; triangles, quadrilaterals or linear (first-order) tetrahedra, "
                "hexahedra, wedges or pyramids are needed"
            )
        if cells.min() < 0 or cells.max() >= len(points):
            raise MeshError(
                f"{path}: elements refer to vertices {cells.min()}..{cells.max()} of {len(points)}: the file is "
                "truncated or counts its vertices from the end (OBJ); export it again with absolute indices"
            )
    return points, blocks


def _merge(points: Vertices) -> tuple[Vertices, Triangles]:
    """The distinct vertices, and where among them each vertex went."""
    distinct, index = np.unique(points + 0.0, axis=0, return_inverse=True)  # + 0.0 makes one zero of -0.0 and 0.0
    return distinct, index.reshape(-1).astype(np.int64)


def _split(polygons: Triangles) -> Triangles:
    """Polygons of k vertices as fans of k - 2 triangles."""
    k = polygons.shape[1]
    fans = [polygons[:, [0, i, i + 1]] for i in range(1, k - 1)]
    return np.concatenate(fans).astype(np.int64)


def _boundary(vertices: Vertices, blocks: Sequence[tuple[str, Triangles]]) -> Triangles:
    """The faces that belong to one volume element only, as triangles with outward normals."""
    faces, centres = [], []
    for kind, elements in blocks:
        centre = vertices[elements].mean(axis=1)
        for local in FACES[kind]:
            face = np.full((len(elements), 4), -1, dtype=np.int64)  # -1: the place of a triangle's fourth vertex
            face[:, : len(local)] = elements[:, local]
            faces.append(face)
            centres.append(centre)
    face, centre = np.concatenate(faces), np.concatenate(centres)
    _, index, count = np.unique(np.sort(face, axis=1), axis=0, return_inverse=True, return_counts=True)
    outer = count[index.reshape(-1)] == 1
    face, centre = face[outer], centre[outer]
    # Formats order the vertices of elements differently, and mesh generators invert elements: the element's own centre
    # tells which way is out.
    a, b, c = (vertices[face[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - centre) < 0.0
    quad = face[:, 3] >= 0
    face[inward & ~quad] = face[inward & ~quad][:, [0, 2, 1, 3]]
    face[inward & quad] = face[inward & quad][:, ::-1]
    return np.concatenate([_split(face[~quad, :3]), _split(face[quad])])


def _check_closed(path: Path, triangles: Triangles, vertex_count: int) -> Triangles:
    """The triangles, every edge of which is passed as often in one direction as in the other."""
    if len(triangles) == 0:
        raise MeshError(f"{path}: no triangle of its surface has an area; a mesh that encloses a volume is needed")
    count, balance = _edges(triangles, vertex_count)
    if (count % 2).any():
        raise MeshError(
            f"{path}: the surface has holes: {np.count_nonzero(count % 2)} of its {len(count)} edges are open (not "
            "shared by pairs of triangles); a watertight mesh is needed: close the holes and merge the vertices along "
            "the seams in a mesh editor (MeshLab, Blender), or export the volume instead of its faces"
        )
    if balance.any():
        triangles = np.asarray(import_mesh_extra("igl").bfs_orient(np.ascontiguousarray(triangles))[0], dtype=np.int64)
        _, balance = _edges(triangles, vertex_count)
    if balance.any():
        raise MeshError(
            f"{path}: the triangles at {np.count_nonzero(balance)} edges cannot be oriented alike: the surface has no "
            "inside; one whose normals all point out of the body is needed (MeshLab: Re-Orient all faces coherently)"
        )
    return triangles


def _edges(triangles: Triangles, vertex_count: int) -> tuple[NDArray, NDArray]:
    """Per undirected edge: the number of triangles at it, and of those how many more go one way than the other."""
    start, end = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    key = np.minimum(start, end) * vertex_count + np.maximum(start, end)
    _, index, count = np.unique(key, return_inverse=True, return_counts=True)
    return count, np.bincount(index.ravel(), weights=np.where(start < end, 1.0, -1.0))
