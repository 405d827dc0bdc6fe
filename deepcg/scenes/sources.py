"""The sources of `deepcg solve`: a scene of the gallery, a mesh, or a matrix in a file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from ..io.matrix_market import read_market
from ..problem.grid import Array
from ..problem.poisson import Poisson
from . import gallery

MESHES = (".stl", ".obj", ".ply", ".vtk", ".vtu", ".msh")
MATRICES = (".mtx", ".npz")
VECTORS = (".npy", ".mtx")
RHS_SEED = 2311


@dataclass(frozen=True)
class System:
    """A problem and a right-hand side.

    Attributes
    ----------
    name, description : str
    problem : Poisson
    rhs : float64 array, the cells' shape (a scene, a mesh) or flat over the rows (a matrix), or (n, k) there
    scene : the scene that it is, or None for a matrix
    """

    name: str
    description: str
    problem: Poisson
    rhs: Array
    scene: gallery.Scene | None = None


def open_source(
    source: str,
    *,
    size: int = 32,
    dim: int = 3,
    contrast: float | None = None,
    seed: int | None = None,
    up: str = "y",
    grid: tuple[int, ...] | None = None,
    rounding: float | None = None,
    rhs: Path | None = None,
) -> System:
    """The system that `source` names.

    Parameters
    ----------
    source : a gallery scene's name, a mesh file or a matrix file
    size, dim : of a scene; a mesh takes the size and is 3-D
    contrast, seed : of a scene, see `gallery.scene`
    up : the mesh's axis that points up
    grid : (nx, ny) or (nx, ny, nz), x first; of a matrix
    rounding : relative rounding of a matrix's entries; None: by their digits
    rhs : file with the right-hand side of a matrix
        None: A times a seeded random vector, so that b is in the range of a singular A.

    Raises
    ------
    ValueError, TypeError, OSError
        Saying what there is, and what would be right.
    """
    suffix = Path(source).suffix.lower()
    if suffix not in MATRICES:
        for option, value in (("--grid", grid), ("--rounding", rounding), ("--rhs", rhs)):
            if value is not None:
                raise ValueError(f"{option}: belongs to a matrix ({' or '.join(MATRICES)}); {source} is none")
    if source in gallery.names():
        scene = gallery.scene(source, size, dim, contrast=contrast, seed=seed)
        return System(source, scene.description, scene.problem, scene.rhs, scene)
    for option, value in (("--contrast", contrast), ("--seed", seed)):
        if value is not None:
            raise ValueError(f"{option}: belongs to a scene ({', '.join(gallery.names(rough=True))}); {source} is none")
    if suffix in MESHES:
        if dim != 3:
            raise ValueError(f"--dim: {dim} given; a mesh makes a 3-D problem")
        scene = gallery.mesh_scene(source, size, up)
        return System(scene.name, scene.description, scene.problem, scene.rhs, scene)
    if suffix in MATRICES:
        return _matrix_system(Path(source), grid, rounding, rhs)
    raise ValueError(
        f"SOURCE: {source!r} is no scene ({', '.join(gallery.names())}), no mesh ({', '.join(MESHES)}) "
        f"and no matrix ({', '.join(MATRICES)})"
    )


def _matrix_system(path: Path, grid: tuple[int, ...] | None, rounding: float | None, rhs: Path | None) -> System:
    if grid is None:
        raise ValueError(f"--grid: {path.name} needs NX,NY or NX,NY,NZ, the numbers of cells of its grid, x first")
    A = read_matrix(path)
    problem = Poisson.from_matrix(A, shape=grid[::-1], rounding=rounding)
    if rhs is None:
        b = A @ np.random.default_rng(RHS_SEED).standard_normal(A.shape[1])
        note = f"b = A x of a random x (standard normal, seed {RHS_SEED})"
    else:
        b, note = read_rhs(rhs, A.shape[0]), f"b from {rhs}"
    return System(path.stem, f"The matrix in {path.name}; {note}", problem, b)


def read_matrix(path: Path) -> sp.csr_array:
    """A sparse matrix from MatrixMarket (.mtx) or `scipy.sparse.save_npz` (.npz)."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a matrix ({', '.join(MATRICES)}) is needed")
    if path.suffix.lower() == ".mtx":
        return sp.csr_array(read_market(path))
    try:
        A = sp.load_npz(path)
    except (ValueError, OSError, KeyError, EOFError, OverflowError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: truncated, or no sparse matrix ({error}); write it by scipy.io.mmwrite or save_npz"
        ) from error
    return sp.csr_array(A)


def read_rhs(path: Path, rows: int) -> Array:
    """The right-hand sides in a .npy or MatrixMarket (.mtx) file: flat where it is one of any shape, else (rows, k)."""
    suffix = path.suffix.lower()
    if suffix not in VECTORS:
        raise ValueError(f"--rhs: {str(path)!r} given; a file that ends in {' or '.join(VECTORS)} is needed")
    if not path.is_file():
        raise FileNotFoundError(f"--rhs: {path}: no such file")
    try:
        b = read_market(path) if suffix == ".mtx" else np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"--rhs: {path}: truncated, or no vector ({error}); write it by numpy.save") from error
    b = sp.coo_array(b).toarray() if sp.issparse(b) else np.asarray(b)
    if b.size == rows:
        return b.reshape(-1)
    if b.ndim != 2 or b.shape[0] != rows:
        raise ValueError(
            f"--rhs: shape {b.shape} in {path}; {rows} values, one per row of the matrix, or ({rows}, k) are needed"
        )
    return b
