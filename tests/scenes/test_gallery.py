"""The gallery: every scene at odd sizes, its right-hand side, and what each scene is there for."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from deepcg import FLUID, OPEN, SOLID
from deepcg.scenes import gallery
from deepcg.scenes.flow import divergence, project

DRAWN = [(name, dim) for dim in (2, 3) for name in gallery.names(dim, rough=False) if name != "bunny"]
SIZES = {2: (8, 13, 23, 32), 3: (8, 11, 13)}
CASES = [(name, size, dim) for name, dim in DRAWN for size in SIZES[dim]]
TRAINED_ON = ("box", "plume", "sphere")


def direct_solve(problem, b):
    """A sparse direct solve, with one unknown of every singular component held at 0."""
    A = problem.matrix()
    count, component = connected_components(A, directed=False)
    row_sum = np.bincount(component, A @ np.ones(A.shape[0]), minlength=count)
    held = np.zeros(A.shape[0])
    held[np.unique(component, return_index=True)[1][row_sum < 1e-9]] = 1.0
    p = np.zeros(problem.shape)
    p[problem.grid.fluid] = spsolve((A + sp.diags_array(held)).tocsc(), b[problem.grid.fluid])
    return p


def thinnest(solid, axis):
    """The longest run of solid cells along `axis` that is bounded by others: the thickness of a plate across it."""
    longest, run = 0, np.zeros(np.take(solid, 0, axis).shape, dtype=int)
    for layer in np.moveaxis(solid, axis, 0):
        run = np.where(layer, run + 1, 0)
        longest = max(longest, int(run.max()))
    return longest


@pytest.mark.parametrize(("name", "size", "dim"), CASES)
def test_scene_is_well_formed(name, size, dim):
    scene = gallery.scene(name, size, dim)
    fluid = scene.problem.grid.fluid
    assert scene.name == name
    assert scene.description
    assert scene.problem.shape == scene.rhs.shape == (size,) * dim
    assert scene.problem.size > 0
    assert scene.rhs.dtype == np.float64
    assert np.isfinite(scene.rhs).all()
    assert not scene.rhs[~fluid].any()
    assert np.mean(scene.rhs[fluid] ** 2) == pytest.approx(1.0)
    assert np.mean(abs(scene.rhs[fluid]) > 0.01) > 0.8  # not a few sources in a field of zeros


@pytest.mark.parametrize(("name", "dim"), DRAWN)
def test_scene_is_reproducible(name, dim):
    one, other = (gallery.scene(name, 11, dim) for _ in range(2))
    np.testing.assert_array_equal(one.rhs, other.rhs)
    np.testing.assert_array_equal(one.problem.cells, other.problem.cells)


@pytest.mark.parametrize(("name", "size", "dim"), [c for c in CASES if c[1] in (13, 23)])
def test_projection_makes_the_velocity_divergence_free(name, size, dim):
    scene = gallery.scene(name, size, dim)
    np.testing.assert_allclose(-divergence(scene.velocity, scene.problem.grid), scene.rhs, atol=1e-12)
    projected = project(scene.velocity, scene.problem, direct_solve)
    # Rounding of the sums, of the velocities, and of pressure differences times the weights.
    assert abs(divergence(projected, scene.problem.grid)).max() < 1e-10
    for u, before, w in zip(projected, scene.velocity, scene.problem.stencil.weights, strict=True):
        np.testing.assert_array_equal(u[w == 0], before[w == 0])


@pytest.mark.parametrize(("name", "dim"), [c for c in DRAWN if c[0] not in ("baffles", "stretched")])
def test_nothing_crosses_walls(name, dim):
    scene = gallery.scene(name, 12, dim)
    for u, w in zip(scene.velocity, scene.problem.stencil.weights, strict=True):
        assert not u[w == 0].any()


@pytest.mark.parametrize(("name", "dim"), [(n, d) for n, d in DRAWN if n in TRAINED_ON])
def test_boxes_with_an_open_top_are_what_the_shipped_network_was_trained_on(name, dim):
    problem = gallery.scene(name, 16, dim).problem
    assert problem.grid.boundary == (("wall", "open"),) + (("wall", "wall"),) * (dim - 1)
    assert all((w == (w > 0)).all() for w in problem.stencil.weights)
    assert problem.stencil.shift is None
    assert (problem.cells == SOLID).any() == (name != "box")


@pytest.mark.parametrize("dim", [2, 3])
def test_cavity_is_singular_and_consistent(dim):
    scene = gallery.scene("cavity", 17, dim)
    assert scene.problem.singular
    assert abs(scene.rhs.sum()) < 1e-11


@pytest.mark.parametrize("dim", [2, 3])
def test_porous_bed_has_consistent_pockets_and_an_open_path(dim):
    scene = gallery.scene("porous", 48, dim)
    components = scene.problem.components
    assert 0 < components.count < components.total
    assert components.project(scene.rhs.copy()) < 1e-10
    bed = scene.problem.cells[12:36] == SOLID
    assert 0.3 < bed.mean() < 0.7


@pytest.mark.parametrize("dim", [2, 3])
def test_bubble_has_a_density_ratio_of_a_thousand(dim):
    beta = gallery.scene("bubble", 16, dim).problem.source["coefficient"]
    assert beta.max() / beta.min() == 1000.0


@pytest.mark.parametrize(("size", "dim"), [(8, 2), (15, 2), (64, 2), (8, 3), (15, 3)])
def test_stretched_has_thin_cells_at_the_walls(size, dim):
    widths = gallery.scene("stretched", size, dim).problem.grid.widths
    across, along = widths[0], widths[-1]
    assert along.max() / across.min() == pytest.approx(30.0)
    assert across[0] == across[-1] == across.min()


@pytest.mark.parametrize(("size", "dim"), [(8, 2), (15, 2), (63, 2), (64, 2), (200, 2), (8, 3), (15, 3)])
def test_baffles_are_thin_and_staggered(size, dim):
    scene = gallery.scene("baffles", size, dim)
    solid = scene.problem.cells == SOLID
    assert 1 <= thinnest(solid, dim - 1) <= 2
    assert solid[0].any()
    assert solid[-1].any()
    assert scene.problem.components.total == 1
    assert scene.velocity[-1][..., 0].mean() > 0  # what enters


@pytest.mark.parametrize(("size", "dim"), [(8, 2), (31, 2), (8, 3), (20, 3)])
def test_dam_break_has_a_free_surface_and_dry_walls(size, dim):
    cells = gallery.scene("dam_break", size, dim).problem.cells
    assert set(np.unique(cells)) == {FLUID, SOLID, OPEN}
    assert (cells[0] != OPEN).all()
    assert (cells[-1] == OPEN).all()


@pytest.mark.skipif(importlib.util.find_spec("deepcg.io.mesh") is None, reason="deepcg.io.mesh is not there")
@pytest.mark.parametrize("size", [17, 24])
def test_bunny(size):
    pytest.importorskip("meshio")
    pytest.importorskip("igl")
    scene = gallery.scene("bunny", size)
    assert scene.problem.shape == (size,) * 3
    assert 0.01 < (scene.problem.cells == SOLID).mean() < 0.3
    assert (scene.problem.cells[0] == FLUID).all()
    assert scene.problem.grid.boundary == (("wall", "open"), ("wall", "wall"), ("wall", "wall"))
    assert not scene.rhs[scene.problem.cells != FLUID].any()


def test_names():
    assert set(gallery.names(2)) == set(gallery.names()) - {"bunny"}
    assert gallery.names(3) == gallery.names()
    assert gallery.names(2, rough=True) == gallery.names(rough=True)
    assert gallery.names(rough=False) + gallery.names(rough=True) == gallery.names()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("bux", 16), ValueError, "name: 'bux' given.*box, plume"),
        (("bunny", 16, 2), ValueError, "name: 'bunny' given; in 2-D one of box"),
        (("box", 7), ValueError, "size: 7 given; at least 8"),
        (("box", 16, 4), ValueError, "dim: 4 given; 2 or 3"),
        (("box", 16.5), TypeError, "float"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        gallery.scene(*arguments)
