"""The rough scenes: what each is there for, at any contrast; the pressure drop that drives them and the conductivity that comes of it."""

import math

import numpy as np
import pytest
import scipy.ndimage as ndi

import deepcg
from deepcg import FLUID, SOLID
from deepcg.scenes import gallery, media
from deepcg.scenes.conduction import effective_conductivity, flux_magnitude, inflow, pressure_drop
from deepcg.scenes.flow import divergence, project
from tests.scenes.test_gallery import direct_solve
from tests.scenes.test_gallery_solve import independent_matrix

DRAWN = [(name, dim) for dim in (2, 3) for name in gallery.names(dim, rough=True)]
SIZES = {2: (8, 13, 32), 3: (8, 13)}
ENDS = {2: ["open", "wall"], 3: ["open", "wall", "wall"]}


def coefficient(name, size, dim, **options):
    return gallery.scene(name, size, dim, **options).problem.source["coefficient"]


def all_values(name, size, dim, **options):
    """Of all cells, or of all faces."""
    beta = coefficient(name, size, dim, **options)
    return np.concatenate([b.ravel() for b in beta]) if isinstance(beta, list) else beta.ravel()


@pytest.mark.parametrize("contrast", [1.0, 1e4, 1e8, 1e12])
@pytest.mark.parametrize(("name", "size", "dim"), [(n, size, d) for n, d in DRAWN for size in SIZES[d]])
def test_scene_is_well_formed(name, size, dim, contrast):
    scene = gallery.scene(name, size, dim, contrast=contrast)
    problem = scene.problem
    assert scene.name == name and scene.description and scene.pressure_drop
    assert problem.shape == scene.rhs.shape == (size,) * dim
    assert problem.grid.boundary == (("open", "open"),) + (("wall", "wall"),) * (dim - 1)
    assert (scene.rhs[0] > 0).any() and (scene.rhs >= 0).all() and not scene.rhs[1:].any()
    assert not scene.rhs[problem.cells != FLUID].any()
    np.testing.assert_array_equal(-divergence(scene.velocity, problem.grid), scene.rhs)


@pytest.mark.parametrize(("name", "dim"), DRAWN)
def test_seed_and_contrast_determine_a_scene(name, dim):
    first = all_values(name, 12, dim)
    np.testing.assert_array_equal(first, all_values(name, 12, dim, contrast=1e6))
    assert not np.array_equal(first, all_values(name, 12, dim, seed=1))
    assert not np.array_equal(first, all_values(name, 12, dim, contrast=1e5))


@pytest.mark.parametrize(("name", "dim"), [(n, d) for n, d in DRAWN if n in ("fractures", "inclusions")])
def test_matrix_and_what_lies_in_it_have_the_contrast_as_their_ratio(name, dim):
    values = all_values(name, 24, dim, contrast=1e7)
    assert set(values) == {1.0, 1e7}
    assert 0.03 < np.mean(values > 1.0) < 0.6


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_a_fracture_is_a_staircase_that_conducts(dim, seed):
    rng, n = np.random.default_rng(seed), 40
    normal = rng.standard_normal(dim)
    normal /= np.linalg.norm(normal)
    beta = np.zeros((n,) * dim)
    media._fill_plate(beta, np.full(dim, 0.5), normal, 0.35, 1, 1.0)
    assert ndi.label(beta)[1] == 1  # joined by faces
    steepest = int(np.argmax(abs(normal)))
    assert 1 <= beta.sum(axis=steepest).max() <= dim
    if seed == 0:  # and closed: cut in two, what lies on its sides is not joined by faces
        media._fill_plate(beta, np.full(dim, 0.5), normal, dim, 1, 1.0)
        assert ndi.label(beta == 0)[1] == 2


@pytest.mark.parametrize("size", [40, 140])
def test_fractures_join_both_open_sides(size):
    """At the gallery's own seed there is a way through, so that the effective conductivity goes with the contrast."""
    labels = ndi.label(coefficient("fractures", size, 2) > 1.0)[0]
    assert set(labels[0]) & set(labels[-1]) - {0}


@pytest.mark.parametrize("dim", [2, 3])
def test_inclusions_do_not_touch_the_open_sides(dim):
    beta = coefficient("inclusions", 20, dim)
    assert (beta[0] == 1.0).all() and (beta[-1] == 1.0).all()
    sizes = np.bincount(ndi.label(beta > 1.0)[0].ravel())[1:]
    assert (sizes == 1).any() and sizes.max() > 8  # single cells, and balls


@pytest.mark.parametrize("contrast", [1e2, 1e6])
def test_lognormal_has_the_contrast_two_sigma_from_the_median(contrast):
    log_beta = np.log(coefficient("lognormal", 96, 2, contrast=contrast))
    assert log_beta.std() == pytest.approx(math.log(contrast) / 4.0)
    assert log_beta.mean() == pytest.approx(0.0, abs=1e-9)


def test_the_field_has_an_exponential_covariance():
    length, lags = 6.0, np.arange(1, 12)
    found = np.zeros(lags.size)
    for seed in range(20):
        field = media.gaussian_field((128, 128), np.random.default_rng(seed), length)
        found += [np.mean(field * np.roll(field, lag, axis=1)) / 20 for lag in lags]
    np.testing.assert_allclose(found, np.exp(-lags / length), atol=0.07)


@pytest.mark.parametrize("dim", [2, 3])
def test_layers_lie_across_below_and_obliquely_above(dim):
    log_beta = np.log(coefficient("layers", 48, dim, contrast=1e6)).reshape(48, -1)
    assert not np.ptp(log_beta[:24], axis=1).any()
    assert (np.ptp(log_beta[24:], axis=1) > 1.0).all()
    assert log_beta.min() >= 0.0 and log_beta.max() <= math.log(1e6) and np.ptp(log_beta) > 0.8 * math.log(1e6)


@pytest.mark.parametrize("contrast", [1e4, 1e8])
@pytest.mark.parametrize(("size", "dim"), [(48, 2), (32, 3)])
def test_cut_cells_have_open_fractions_down_to_the_contrast(size, dim, contrast):
    scene = gallery.scene("cutcells", size, dim, contrast=contrast)
    fractions = [f.ravel() for f in scene.problem.source["coefficient"]]
    values = np.concatenate(fractions)
    positive = values[values > 0]
    assert 1.0 / contrast <= positive.min() < 30.0 / contrast and values.max() == 1.0
    assert np.mean(values == 1.0) > 0.4  # most faces are cut by nothing
    solid = scene.problem.cells == SOLID
    assert 0.1 < solid.mean() < 0.6


@pytest.mark.parametrize(("dim", "worst"), [(2, 0.02), (3, 0.12)])
def test_open_fractions_are_those_of_a_flat_wall(dim, worst, monkeypatch):
    """A wall that cuts the faces obliquely: what it leaves open of each is counted by samples."""
    n, samples, slope = 8, 64, np.array([1.0, 0.35, 0.2][:dim])

    def beyond(*x):
        return sum(s * along for s, along in zip(slope, x, strict=True)) - 3.3

    monkeypatch.setattr(media, "_distance_from_balls", lambda canvas: beyond(*np.ogrid[(slice(0, n + 1),) * dim]))
    faces = coefficient("cutcells", n, dim, contrast=1.0)[1]  # across axis 1
    across, points = np.arange(n + 1), (np.arange(n * samples) + 0.5) / samples
    inside = beyond(*np.ix_(*(across if axis == 1 else points for axis in range(dim)))) > 0
    blocks = inside.reshape([n, samples, n + 1, 1] + [n, samples] * (dim - 2))
    expected = blocks.mean(axis=tuple(range(1, 2 * dim, 2)))
    whole = expected > 0.12  # the rest are slivers, which are spread
    assert abs(faces - expected)[whole].max() < worst
    assert np.mean((expected > 0.12) & (expected < 1)) > 0.05


# ---- pressure drop and conductivity --------------------------------------------------------------------------------


def conductivity(beta, spacing=1.0):
    problem = deepcg.Poisson(
        np.zeros(beta.shape, np.uint8), coefficient=beta, boundary=ENDS[beta.ndim], spacing=spacing
    )
    return effective_conductivity(problem, direct_solve(problem, pressure_drop(problem)))


@pytest.mark.parametrize("shape", [(6, 9), (5, 6, 7)])
def test_layers_conduct_as_resistors_in_series_and_in_parallel(shape):
    layers = 10.0 ** np.random.default_rng(5).uniform(-3, 3, shape[0])
    series = np.broadcast_to(layers.reshape((-1,) + (1,) * (len(shape) - 1)), shape)
    parallel = np.moveaxis(series, 0, 1)
    thickness = np.array([1.5] + [1.0] * (shape[0] - 2) + [1.5])  # with the halves of the cells outside
    assert conductivity(series).value == pytest.approx(thickness.sum() / np.sum(thickness / layers), rel=1e-9)
    assert conductivity(parallel).value == pytest.approx(np.mean(layers), rel=1e-9)


def test_conductivity_does_not_go_with_the_unit_of_length():
    beta = 10.0 ** np.random.default_rng(6).uniform(-1, 1, (7, 8, 5))
    widths = [np.linspace(1.0, 2.0, n) for n in beta.shape]
    one, other = conductivity(beta, widths), conductivity(beta, [0.01 * w for w in widths])
    assert one.value == pytest.approx(other.value, rel=1e-10)


@pytest.mark.parametrize("contrast", [1e3, 1e8])
@pytest.mark.parametrize(("name", "dim"), DRAWN)
def test_a_solve_is_right_or_says_that_it_is_not(name, dim, contrast):
    scene = gallery.scene(name, {2: 21, 3: 9}[dim], dim, contrast=contrast)
    A, fluid = independent_matrix(scene.problem), scene.problem.grid.fluid
    x, info = deepcg.solve(scene.problem, scene.rhs, model="multigrid", maxiter=3000)
    left = np.linalg.norm(scene.rhs[fluid] - A @ x[fluid]) / np.linalg.norm(scene.rhs)
    assert left <= 1.001e-6 or info != 0
    assert info == 0 or contrast > 1e3


@pytest.mark.parametrize("contrast", [1e2, 1e6])
@pytest.mark.parametrize(("name", "dim"), DRAWN)
def test_what_enters_leaves(name, dim, contrast):
    scene = gallery.scene(name, {2: 24, 3: 10}[dim], dim, contrast=contrast)
    found = effective_conductivity(scene.problem, direct_solve(scene.problem, scene.rhs))
    assert found.apart < 1e-6
    assert found.inlet == pytest.approx(found.outlet, rel=1e-6) and f"{found.value:.6g} (inlet" in str(found)
    values = all_values(name, scene.problem.shape[0], dim, contrast=contrast)
    if name != "cutcells":  # Wiener's bounds
        assert 0.99 / np.mean(1.0 / values) < found.value < 1.01 * np.mean(values)
    else:
        assert 0.05 < found.value < 1.0


@pytest.mark.parametrize(("name", "dim"), DRAWN)
def test_the_flow_that_the_drop_drives_is_divergence_free(name, dim):
    scene = gallery.scene(name, {2: 19, 3: 9}[dim], dim, contrast=1e4)
    projected = project(scene.velocity, scene.problem, direct_solve)
    assert abs(divergence(projected, scene.problem.grid)).max() < 1e-7 * abs(projected[0]).max()
    found = effective_conductivity(scene.problem, direct_solve(scene.problem, scene.rhs))
    assert projected[0].mean(axis=tuple(range(1, dim)))[[0, -1]] * (scene.problem.shape[0] + 1) == pytest.approx(
        found.value
    )
    magnitude = flux_magnitude(scene.problem, projected)
    assert magnitude.shape == scene.problem.shape and not magnitude[scene.problem.cells != FLUID].any()


def test_flux_of_a_uniform_box_is_its_gradient():
    problem = deepcg.Poisson(np.zeros((5, 4), np.uint8), boundary=ENDS[2])
    velocity = project(inflow(problem), problem, direct_solve)
    np.testing.assert_allclose(flux_magnitude(problem, velocity), 1.0 / 6.0, rtol=1e-12)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"contrast: 1000 given, and 'sphere' takes none; it belongs to fractures, "):
        gallery.scene("sphere", 16, contrast=1e3)
    for bad in (0.5, 1e13, math.nan, -1.0):
        with pytest.raises(ValueError, match=r"contrast: .* given; a number from 1 to 1e\+12"):
            gallery.scene("fractures", 16, contrast=bad)
    with pytest.raises(ValueError, match="seed: -1 given"):
        gallery.scene("fractures", 16, seed=-1)
    with pytest.raises(TypeError):
        gallery.scene("fractures", 16, seed=1.5)
    box = gallery.scene("box", 8, 2).problem
    with pytest.raises(ValueError, match="problem: sides"):
        effective_conductivity(box, np.zeros(box.shape))
    with pytest.raises(ValueError, match=r"pressure: shape \(3,\)"):
        effective_conductivity(box, np.zeros(3))
