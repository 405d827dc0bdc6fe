"""Every scene solved at odd sizes; the residual is recomputed from a matrix assembled by other code."""

import importlib.util
from itertools import product

import numpy as np
import pytest

import deepcg
from deepcg.scenes import gallery
from tests.support import reference

SIZES = {2: (15, 33), 3: (9, 13)}
CASES = [(dim, size, name) for dim in SIZES for size, name in product(SIZES[dim], gallery.names(dim, rough=False))]
MODELS = ["none", "jacobi", "dcdm"]


def independent_matrix(problem):
    """The contract's formula by loops, from what the scene was built of."""
    return reference.matrix(
        problem.cells,
        spacing=problem.grid.widths,
        coefficient=problem.source["coefficient"],
        shift=problem.source["shift"],
        boundary=problem.grid.boundary,
    )


@pytest.mark.parametrize(("dim", "size", "name"), CASES)
def test_scene_meets_its_tolerance(dim, size, name):
    if name == "bunny":
        pytest.importorskip("meshio")
        pytest.importorskip("igl")
    scene = gallery.scene(name, size, dim)
    A = independent_matrix(scene.problem)
    fluid = scene.problem.cells == deepcg.FLUID
    b = scene.rhs[fluid]
    null = reference.null_space(A)
    b = b - null @ (null.T @ b)
    for model in MODELS:
        if model == "dcdm" and not importlib.util.find_spec("torch"):
            continue
        x, info = deepcg.solve(scene.problem, scene.rhs, model=model, rtol=1e-8)
        assert info == 0, (model, info)
        assert np.linalg.norm(b - A @ x[fluid]) <= 1e-8 * np.linalg.norm(b) * (1 + 1e-6), (model, info)
        assert np.abs(null.T @ x[fluid]).max() <= 1e-9 * np.abs(x).max() * np.sqrt(fluid.sum())
        assert not x[~fluid].any()
