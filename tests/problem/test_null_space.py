"""Components of the fluid: which are singular, and the projection that this asks for."""

from __future__ import annotations

import numpy as np
import pytest

from deepcg import FLUID, Poisson
from tests.support import reference

ROOMS = np.array([[0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]])  # four rooms behind walls


def with_open(cells, *places):
    changed = np.array(cells)
    for place in places:
        changed[place] = 2
    return changed


def closed_column(at):
    """Face coefficients of a 3 x 4 box that close all faces across x number `at`."""
    faces = [np.ones((4, 4)), np.ones((3, 5))]
    faces[1][:, at] = 0.0
    return faces


BOX = np.zeros((3, 4), dtype=int)
COUNTS = [
    ("four rooms", 4, 4, {"cells": ROOMS}),
    ("one open room", 3, 4, {"cells": with_open(ROOMS, (0, 0))}),
    ("periodic in y joins rooms", 2, 2, {"cells": ROOMS, "boundary": ["periodic", "wall"]}),
    ("periodic in x joins rooms", 2, 2, {"cells": ROOMS, "boundary": ["wall", "periodic"]}),
    ("periodic in both joins all", 1, 1, {"cells": ROOMS, "boundary": "periodic"}),
    ("an open side makes two definite", 2, 4, {"cells": ROOMS, "boundary": [("open", "wall"), "wall"]}),
    ("shift in one cell makes its room definite", 3, 4, {"cells": ROOMS, "shift": (np.arange(20) == 0).reshape(4, 5) * 1e-9}),
    ("shift in a wall makes nothing definite", 4, 4, {"cells": ROOMS, "shift": (np.arange(20) == 2).reshape(4, 5) * 1.0}),
    ("a closed face divides", 2, 2, {"cells": BOX, "coefficient": closed_column(2)}),
    ("a closed face and a way round", 1, 1, {"cells": BOX, "coefficient": closed_column(2), "boundary": "periodic"}),
    ("a closed open side", 1, 1, {"cells": BOX, "coefficient": closed_column(0), "boundary": ["wall", ("open", "wall")]}),
    ("an open side behind a closed face", 1, 2, {"cells": BOX, "coefficient": closed_column(2), "boundary": ["wall", ("open", "wall")]}),
    ("a closed seam", 1, 1, {"cells": [[0, 0, 0]], "coefficient": [np.ones((2, 3)), np.array([[0.0, 1, 1, 0]])], "boundary": ["wall", "periodic"]}),
    ("periodic, one cell wide", 1, 1, {"cells": [[0]], "boundary": "periodic"}),
    ("an isolated cell", 1, 1, {"cells": [[1, 0, 1]]}),
]  # fmt: skip


@pytest.mark.parametrize(("count", "total", "arguments"), [c[1:] for c in COUNTS], ids=[c[0] for c in COUNTS])
def test_counts(count, total, arguments):
    problem = Poisson(**arguments)
    assert (problem.components.count, problem.components.total) == (count, total)
    assert problem.singular == (count > 0)


@pytest.mark.parametrize("seed", range(300, 360))
def test_projection_is_that_onto_the_range(seed):
    arguments = reference.random_arguments(seed)
    problem, null = Poisson(**arguments), reference.null_space(reference.matrix(**arguments))
    fluid = problem.cells == FLUID
    v = np.zeros(problem.shape)
    v[fluid] = np.random.default_rng([seed, 5]).standard_normal(problem.size)
    projected = v.copy()
    removed = problem.components.project(projected)
    expected = v[fluid] - null @ (null.T @ v[fluid])
    np.testing.assert_allclose(projected[fluid], expected, rtol=0, atol=1e-13)
    assert removed == pytest.approx(np.linalg.norm(null.T @ v[fluid]), abs=1e-13)
    assert problem.components.count == int((null != 0).any(axis=0).sum())
    assert not projected[~fluid].any()
    assert (v - projected).ravel() @ projected.ravel() == pytest.approx(0.0, abs=1e-12)  # orthogonal
    again = projected.copy()
    assert problem.components.project(again) <= 1e-13  # idempotent
    np.testing.assert_allclose(again, projected, rtol=0, atol=1e-14)


def test_projection_works_in_place_on_flat_vectors():
    components, v = Poisson(ROOMS).components, np.where(ROOMS == FLUID, 2.0, 0.0).ravel()
    assert components.project(v) == pytest.approx(2.0 * np.sqrt((ROOMS == FLUID).sum()))
    assert not v.any()
