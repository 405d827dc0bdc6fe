"""What the tests compare with: the contract's formulas by the slowest obvious loops, random problems, and a table of cases.

Nothing here uses deepcg but its three cell kinds: an error in the package cannot hide in its own reference.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from deepcg import FLUID, OPEN, SOLID


class Faces:
    """All faces of all FLUID cells of a problem as `deepcg.Poisson` takes it, one at a time."""

    def __init__(self, cells, *, spacing=1.0, coefficient=None, shift=None, boundary="wall"):
        self.cells = np.asarray(cells)
        shape, dim = self.cells.shape, self.cells.ndim
        per_axis = [spacing] * dim if isinstance(spacing, float) else spacing
        self.widths = [np.broadcast_to(np.asarray(h, dtype=float), n) for h, n in zip(per_axis, shape, strict=True)]
        words = [boundary] * dim if isinstance(boundary, str) else boundary
        self.words = [(word, word) if isinstance(word, str) else word for word in words]
        self.coefficient, self.shift = coefficient, shift

    def __iter__(self):
        """Yields (cell, axis, side, kind, neighbour or None, weight, area, face index) of each face."""
        shape = self.cells.shape
        for cell in product(*map(range, shape)):
            if self.cells[cell] != FLUID:
                continue
            for axis, side in product(range(len(shape)), (-1, 1)):
                at = cell[axis] + side
                neighbour = cell[:axis] + (at % shape[axis],) + cell[axis + 1 :]
                kind = self.cells[neighbour]
                if not 0 <= at < shape[axis]:
                    word = self.words[axis][(side + 1) // 2]
                    if word != "periodic":
                        neighbour, kind = None, {"wall": SOLID, "open": OPEN}[word]
                face = cell[:axis] + (cell[axis] + (side > 0),) + cell[axis + 1 :]
                area = np.prod([self.widths[a][cell[a]] for a in range(len(shape)) if a != axis])
                if neighbour == cell:  # periodic, one cell wide: its own neighbour
                    continue
                weight = 0.0 if kind == SOLID else self._weight(cell, neighbour, axis, face) * area
                yield cell, axis, side, kind, neighbour, weight, area, face

    def _weight(self, cell, neighbour, axis, face):
        h = self.widths[axis][cell[axis]]
        h_other = h if neighbour is None else self.widths[axis][neighbour[axis]]
        distance = (h + h_other) / 2
        if self.coefficient is None:
            return 1.0 / distance
        if isinstance(self.coefficient, (list, tuple)):
            return self.coefficient[axis][face] / distance
        beta = self.coefficient[cell]
        other = beta if neighbour is None or not self.coefficient[neighbour] > 0 else self.coefficient[neighbour]
        return 1.0 / (h / 2 / beta + h_other / 2 / other)  # two resistances in series


def matrix(cells, **options) -> np.ndarray:
    """A, dense, over the FLUID cells in C order."""
    faces = Faces(cells, **options)
    number = {tuple(cell): i for i, cell in enumerate(np.argwhere(faces.cells == FLUID).tolist())}
    A = np.zeros((len(number), len(number)))
    for cell, _, _, kind, neighbour, weight, _, _ in faces:
        A[number[cell], number[cell]] += weight
        if kind == FLUID:
            A[number[cell], number[neighbour]] -= weight
    if faces.shift is not None:
        shift = np.broadcast_to(faces.shift, faces.cells.shape)
        A += np.diag([shift[cell] for cell in number])
    return A


def rhs(cells, source, open_value, wall_flux, **options) -> np.ndarray:
    """The right-hand side; source: a cell array; open_value: with the layer outside; wall_flux: outward float or face arrays."""
    faces = Faces(cells, **options)
    b = np.zeros(faces.cells.shape)
    for cell in product(*map(range, b.shape)):
        if faces.cells[cell] == FLUID:
            b[cell] = source[cell] * np.prod([h[i] for h, i in zip(faces.widths, cell, strict=True)])
    for cell, axis, side, kind, neighbour, weight, area, face in faces:
        if kind == OPEN:
            place = neighbour or cell[:axis] + (cell[axis] + side,) + cell[axis + 1 :]
            b[cell] += weight * open_value[tuple(i + 1 for i in place)]
        if kind == SOLID:
            b[cell] += area * (wall_flux if isinstance(wall_flux, float) else side * wall_flux[axis][face])
    return b


def null_space(A) -> np.ndarray:
    """Orthonormal columns: the constants of every connected component without coupling to anything fixed."""
    A = np.asarray(A)
    count, component = connected_components(sp.csr_array(A), directed=False)
    row_sum = np.bincount(component, np.abs(A.sum(axis=1)), minlength=count)
    size = np.bincount(component, A.diagonal(), minlength=count)
    singular = np.flatnonzero(row_sum <= 1e-12 * size)
    return np.stack(
        [(component == c) / np.sqrt((component == c).sum()) for c in singular] or [np.zeros(len(A))], axis=1
    )


def direct_solve(problem, b) -> np.ndarray:
    """SciPy's direct solution of a problem whose fluid is connected, cell-shaped; of zero mean where A is singular."""
    A, fluid = sp.csc_array(problem.matrix()), problem.cells == FLUID
    f = b[fluid]
    singular = abs(A.sum(axis=1)).max() <= 1e-12 * A.diagonal().max()
    x = np.zeros(problem.shape)
    if singular:
        f = f - f.mean()
        x[fluid] = np.append(0.0, spsolve(A[1:, 1:], f[1:]))
        x[fluid] -= x[fluid].mean()
    else:
        x[fluid] = spsolve(A, f)
    return x


def random_faces(rng, shape, boundary, closed=0.0) -> list[np.ndarray]:
    """One face array per axis, positive but for a share of closed faces; equal at both ends of a periodic axis."""
    words = [boundary] * len(shape) if isinstance(boundary, str) else boundary
    faces = []
    for axis in range(len(shape)):
        beta = rng.uniform(0.2, 2.0, tuple(n + (a == axis) for a, n in enumerate(shape)))
        beta[rng.random(beta.shape) < closed] = 0.0
        if words[axis] == "periodic":
            beta[(slice(None),) * axis + (-1,)] = np.take(beta, 0, axis)
        faces.append(beta)
    return faces


def random_arguments(seed: int) -> dict:
    """Arguments of `deepcg.Poisson`: any dimension, cells, boundaries, coefficient, spacing and shift."""
    rng = np.random.default_rng(seed)
    shape = [(5, 7), (1, 6), (2, 3), (4, 1), (3, 4, 5), (1, 3, 4), (2, 2, 3), (3, 1, 2)][rng.integers(8)]
    words = ["wall", "open", "periodic", ("open", "wall"), ("wall", "open")]
    boundary = [words[rng.integers(5)] for _ in shape]
    share = [(1, 0, 0), (0.7, 0.3, 0), (0.7, 0.15, 0.15)][rng.integers(3)]
    cells = rng.choice([FLUID, SOLID, OPEN], size=shape, p=share)
    cells.flat[rng.integers(cells.size)] = FLUID
    beta = 10.0 ** rng.uniform(-2, 2, shape)
    beta[(cells == OPEN) & (rng.random(shape) < 0.5)] = 0.0
    beta[cells == SOLID] = np.nan  # ignored
    coefficient = [None, beta, random_faces(rng, shape, boundary, closed=0.2)][rng.integers(3)]
    spacing = [0.7, [rng.uniform(0.5, 2.0) for _ in shape], [rng.uniform(0.5, 2.0, n) for n in shape]][rng.integers(3)]
    shift = [None, 0.3, rng.uniform(0.0, 1.0, shape) * (rng.random(shape) < 0.5)][rng.integers(3)]
    return {"cells": cells, "spacing": spacing, "coefficient": coefficient, "shift": shift, "boundary": boundary}


def _cases() -> dict[str, dict]:
    rng = np.random.default_rng(2718)

    def drawn(shape, solid, opened=0.0):
        return rng.choice([FLUID, SOLID, OPEN], size=shape, p=[1 - solid - opened, solid, opened])

    def box(*shape):
        return np.zeros(shape, dtype=np.uint8)

    def graded(shape):
        return [1.15 ** np.arange(n) for n in shape]

    mixed = ["periodic", ("wall", "open"), "wall"]
    return {
        "open box 2-D": {"cells": box(9, 13), "boundary": "open"},
        "open top with walls 2-D": {"cells": drawn((11, 8), 0.2), "boundary": [("wall", "open"), "wall"]},
        "pockets 2-D": {"cells": drawn((12, 11), 0.4)},
        "periodic 2-D": {"cells": box(7, 10), "boundary": "periodic"},
        "one cell wide, periodic": {"cells": box(1, 17), "boundary": ["periodic", "wall"]},
        "graded, varying coefficient": {
            "cells": drawn((9, 8), 0.1),
            "spacing": graded((9, 8)),
            "coefficient": 10.0 ** rng.uniform(-2, 2, (9, 8)),
            "boundary": ["open", ("wall", "open")],
        },
        "closed and cut faces": {
            "cells": drawn((8, 9), 0.1),
            "coefficient": random_faces(rng, (8, 9), "wall", closed=0.3),
            "boundary": [("open", "wall"), "wall"],
        },
        "shift makes definite": {"cells": drawn((9, 7), 0.3), "shift": 0.05},
        "open cells inside": {"cells": drawn((10, 9), 0.1, 0.05)},
        "single unknown": {"cells": box(1, 1), "boundary": "open"},
        "open box 3-D": {"cells": box(5, 6, 7), "boundary": "open"},
        "walls 3-D": {"cells": drawn((5, 4, 7), 0.3)},
        "mixed 3-D": {
            "cells": drawn((5, 7, 4), 0.1, 0.02),
            "spacing": graded((5, 7, 4)),
            "coefficient": 10.0 ** rng.uniform(-1, 1, (5, 7, 4)),
            "boundary": mixed,
        },
    }


CASES = _cases()
