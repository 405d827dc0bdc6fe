"""The grid: what it takes, what it refuses, and what lies at the sides."""

from __future__ import annotations

import numpy as np
import pytest

from deepcg import FLUID, OPEN, SOLID
from deepcg.problem.grid import Grid

BOX = np.zeros((3, 4), dtype=np.uint8)

REFUSED = [
    (TypeError, "cells: dtype float64", {"cells": np.zeros((3, 4))}),
    (TypeError, "cells: dtype <U1", {"cells": np.full((3, 4), "a")}),
    (ValueError, r"cells: shape \(4,\)", {"cells": np.zeros(4, dtype=int)}),
    (ValueError, r"cells: shape \(2, 2, 2, 2\)", {"cells": np.zeros((2, 2, 2, 2), dtype=int)}),
    (ValueError, r"cells: shape \(0, 4\)", {"cells": np.zeros((0, 4), dtype=int)}),
    (ValueError, r"cells: values 0\.\.3", {"cells": [[0, 3]]}),
    (ValueError, r"cells: values -1\.\.0", {"cells": [[0, -1]]}),
    (ValueError, r"cells: values 0\.\.256", {"cells": [[0, 256]]}),
    (ValueError, "cells: no FLUID cell", {"cells": [[SOLID, OPEN]]}),
    (ValueError, "spacing: 3 entries given", {"spacing": (1.0, 1.0, 1.0)}),
    (ValueError, r"spacing\[1\]: shape \(3,\)", {"spacing": (1.0, [1.0, 1.0, 1.0])}),
    (ValueError, r"spacing\[0\]: widths must be finite and > 0", {"spacing": 0.0}),
    (ValueError, r"spacing\[1\]: widths must be finite and > 0", {"spacing": (1.0, -1.0)}),
    (ValueError, r"spacing\[0\]: widths must be finite and > 0", {"spacing": np.nan}),
    (ValueError, r"spacing\[1\]: widths must be finite and > 0", {"spacing": (1.0, [1.0, np.inf, 1.0, 1.0])}),
    (ValueError, r"boundary\[0\]: 'neumann' given", {"boundary": "neumann"}),
    (ValueError, r"boundary\[1\]: 'Open' given", {"boundary": ["wall", ("wall", "Open")]}),
    (ValueError, "boundary: 3 entries given", {"boundary": ["wall"] * 3}),
    (ValueError, r"boundary\[0\]: .*'periodic' must stand on both sides", {"boundary": [("periodic", "wall"), "wall"]}),
    (ValueError, r"boundary\[1\]: .*'periodic' must stand on both sides", {"boundary": ["wall", ("open", "periodic")]}),
    (ValueError, r"boundary\[0\]", {"boundary": [("wall", "open", "wall"), "wall"]}),
    (ValueError, r"boundary\[0\]", {"boundary": [("wall",), "wall"]}),
    ((TypeError, ValueError), "boundary", {"boundary": None}),
    ((TypeError, ValueError), r"boundary\[1\]", {"boundary": ["wall", 3]}),
]


@pytest.mark.parametrize(("error", "message", "changed"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input_is_refused(error, message, changed):
    with pytest.raises(error, match=message):
        Grid.create(**{"cells": BOX, **changed})


@pytest.mark.parametrize(
    "cells", [[[0, 1, 2]], np.array([[0, 1, 2]], dtype=np.int64), np.array([[0, 1, 2]], order="F")]
)
def test_cells_become_a_read_only_copy(cells):
    grid = Grid.create(cells)
    assert grid.cells.dtype == np.uint8
    assert grid.cells.flags.c_contiguous
    assert not grid.cells.flags.writeable
    assert not np.shares_memory(grid.cells, cells)
    np.testing.assert_array_equal(grid.fluid, [[True, False, False]])


@pytest.mark.parametrize(
    ("spacing", "widths"),
    [
        (2, ([2, 2], [2, 2, 2])),
        (np.float32(0.5), ([0.5, 0.5], [0.5, 0.5, 0.5])),
        ((1, 3), ([1, 1], [3, 3, 3])),
        (([1, 2], 5), ([1, 2], [5, 5, 5])),
        (np.array([1.0, 4.0]), ([1, 1], [4, 4, 4])),
        (([1, 2], (3, 4, 5)), ([1, 2], [3, 4, 5])),
    ],
)
def test_spacing_forms(spacing, widths):
    grid = Grid.create(np.zeros((2, 3), dtype=int), spacing)
    for given, expected in zip(grid.widths, widths, strict=True):
        np.testing.assert_array_equal(given, expected)


def test_spacing_is_copied():
    h = np.array([1.0, 2.0])
    grid = Grid.create(np.zeros((2, 3), dtype=int), (h, 1.0))
    h[:] = 7.0
    assert grid.widths[0].tolist() == [1.0, 2.0]


def test_geometry_of_a_graded_grid():
    h, k = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0])
    grid = Grid.create(np.zeros((3, 2), dtype=int), (h, k), ["wall", "periodic"])
    np.testing.assert_array_equal(grid.centres(0), [0.5, 2.0, 5.0])
    np.testing.assert_array_equal(grid.distances(0), [1.0, 1.5, 3.0, 4.0])  # outside: as wide as inside
    np.testing.assert_array_equal(grid.distances(1), [4.0, 4.0, 4.0])  # wrapped
    np.testing.assert_array_equal(np.broadcast_to(grid.volumes(), (3, 2)), np.outer(h, k))
    np.testing.assert_array_equal(grid.areas(0), [[3.0, 5.0]])
    np.testing.assert_array_equal(grid.areas(1), [[1.0], [2.0], [4.0]])


@pytest.mark.parametrize(
    ("boundary", "low", "high"),
    [("wall", SOLID, SOLID), ("open", OPEN, OPEN), ("periodic", OPEN, FLUID), (("open", "wall"), OPEN, SOLID)],
)
def test_what_lies_outside(boundary, low, high):
    padded = Grid.create([[FLUID, SOLID, OPEN]], boundary=["wall", boundary]).pad_cells(1)
    assert padded.tolist() == [[low, FLUID, SOLID, OPEN, high]]
