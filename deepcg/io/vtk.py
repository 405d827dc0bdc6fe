"""VTK files of fields on a grid, written by pyevtk, for ParaView and VisIt."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..problem.grid import Grid
from ..problem.poisson import Poisson
from .extras import import_mesh_extra
from .files import replacing


def write_vtk(
    path: str | os.PathLike,
    grid: Grid | Poisson | ArrayLike,
    fields: Mapping[str, ArrayLike] | None = None,
    *,
    origin: Sequence[float] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write fields on a grid as a VTK rectilinear grid (.vtr, binary), which ParaView and VisIt open.

    Parameters
    ----------
    path : path ending in .vtr
        Folders that are missing are made.
    grid : Poisson, Grid, or cells array
        Where the values are; a bare cells array has unit spacing. A 2-D grid becomes one layer in the x-y plane.
    fields : dict from names to arrays of the cells' shape
        Cell data. What is not finite in SOLID and OPEN cells, where solutions have no values, is written as 0. The
        cells' kinds are added under the name "cells".
    origin : floats in the order of the array's axes
        The low corner of the grid; 0 by default.
    overwrite : bool
        Whether a file that is there already may be replaced. It is replaced whole or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        `path` is there and `overwrite` is False.
    ValueError, TypeError
        An argument that is not as above.
    """
    path = Path(path)
    if path.suffix != ".vtr":
        raise ValueError(
            f"path: {str(path)!r} given; a rectilinear grid's file name ends in .vtr ({path.with_suffix('.vtr').name})"
        )
    if isinstance(grid, Poisson):
        grid = grid.grid
    elif not isinstance(grid, Grid):
        grid = Grid.create(grid)
    corner = check_origin((0.0,) * grid.ndim if origin is None else origin, grid.ndim)
    data = {"cells": grid.cells}
    for name, values in (fields or {}).items():
        data[_check_name(name)] = _check_field(name, values, grid)
    nodes = [o + np.concatenate([[0.0], np.cumsum(h)]) for o, h in zip(corner, grid.widths, strict=True)]
    if grid.ndim == 2:
        nodes.insert(0, np.array([0.0, min(h.min() for h in grid.widths)]))
    vtk = import_mesh_extra("pyevtk.vtk")
    with replacing(path, overwrite) as beside:
        _write_rectilinear(vtk, beside.with_suffix(""), nodes[::-1], data)  # pyevtk adds the suffix itself
    return path


def _write_rectilinear(vtk: ModuleType, stem: Path, nodes: Sequence[NDArray], data: Mapping[str, NDArray]) -> None:
    """The file's header, then every array behind its length; nodes in the order x, y, z."""
    start, end = (0, 0, 0), tuple(x.size - 1 for x in nodes)
    axes = dict(zip("xyz", nodes, strict=True))
    file = vtk.VtkFile(str(stem), vtk.VtkRectilinearGrid)
    try:
        file.openGrid(start=start, end=end)
        file.openPiece(start=start, end=end)
        file.openElement("Coordinates")
        for name, values in axes.items():
            file.addHeader(name, values.dtype.name, values.size, 1)
        file.closeElement("Coordinates")
        file.openData("Cell", scalars=list(data)[-1])
        for name, values in data.items():
            file.addHeader(name, values.dtype.name, values.size, 1)
        file.closeData("Cell")
        file.closePiece()
        file.closeGrid()
        for values in (*axes.values(), *data.values()):
            # pyevtk's own appendData makes a Python object of every value. x is fastest in our arrays as in VTK's.
            file.appendHeader(values.dtype.name, values.size, 1)
            file.xml.stream.write(np.ascontiguousarray(values).data)
        file.save()
    finally:
        file.xml.stream.close()


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or name == "cells":
        raise ValueError(
            f'fields: name {name!r} given; printable text other than "cells" (the kinds of cells) is needed'
        )
    return escape(name, {'"': "&quot;"})


def _check_field(name: str, values: ArrayLike, grid: Grid) -> NDArray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"fields[{name!r}]: dtype {array.dtype} given; real numbers are needed")
    if array.shape != grid.shape:
        raise ValueError(f"fields[{name!r}]: shape {array.shape} given; the cells' {grid.shape} is needed")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind != "f":
        return array.astype(array.dtype.newbyteorder("="))
    finite = np.isfinite(array)
    if not finite[grid.fluid].all():
        missing = np.count_nonzero(~finite[grid.fluid])
        raise ValueError(
            f"fields[{name!r}]: {missing} FLUID cells are infinite or not a number; finite values are needed"
        )
    return np.where(finite, array, 0.0).astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)


def check_origin(origin: Sequence[float], ndim: int) -> NDArray[np.float64]:
    corner = np.asarray(origin, dtype=np.float64)
    if corner.shape != (ndim,) or not np.isfinite(corner).all():
        raise ValueError(
            f"origin: {origin!r} given; {ndim} finite numbers, in the order of the array's axes, are needed"
        )
    return corner
