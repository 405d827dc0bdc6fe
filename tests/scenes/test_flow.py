"""The simulation: divergence, projection, walls at rest and in motion, and the sequences made of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from deepcg import FLUID, OPEN, SOLID, Poisson
from deepcg.problem.grid import Grid
from deepcg.scenes import gallery
from deepcg.scenes.flow import Ball, Smoke, close_walls, divergence, project, subtract_gradient

OPEN_TOP = {2: [("wall", "open"), "wall"], 3: [("wall", "open"), "wall", "wall"]}
SHAPES = [(17, 12), (9, 8, 11)]


def direct_solve(problem, b):
    p = np.zeros(problem.shape)
    p[problem.grid.fluid] = spsolve(problem.matrix().tocsc(), b[problem.grid.fluid])
    return p


def random_velocity(shape, seed):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal([n + (a == axis) for a, n in enumerate(shape)]) for axis in range(len(shape)))


def smoke_over(shape, **options):
    cells = np.zeros(shape, dtype=np.uint8)
    source = np.zeros(shape, dtype=bool)
    source[:2, shape[1] // 3 : -(shape[1] // 3)] = True
    return Smoke(cells, source, boundary=OPEN_TOP[len(shape)], solve=direct_solve, **options)


def ball_in(shape):
    return Ball(tuple(0.5 * n for n in shape), radius=2.2, amplitude=1.5, speed=0.9)


def test_divergence_of_a_linear_field_on_a_graded_grid():
    rng = np.random.default_rng(5)
    widths = [rng.uniform(0.2, 2.0, n) for n in (5, 7, 6)]
    grid = Grid.create(np.zeros((5, 7, 6), dtype=np.uint8), widths)
    ends = [np.concatenate([[0.0], np.cumsum(h)]) for h in widths]
    velocity = [
        np.broadcast_to(grid.along(a, factor * ends[a]), [n + (b == a) for b, n in enumerate(grid.shape)])
        for a, factor in enumerate((2.0, -3.0, 0.5))
    ]
    np.testing.assert_allclose(
        divergence(velocity, grid), np.broadcast_to(-0.5 * grid.volumes(), grid.shape), atol=1e-13
    )


def test_divergence_and_gradient_are_adjoint():
    rng = np.random.default_rng(11)
    cells = rng.choice([FLUID, FLUID, FLUID, SOLID, OPEN], size=(9, 7, 8)).astype(np.uint8)
    problem = Poisson(cells, boundary=OPEN_TOP[3], spacing=[0.5, 1.0, 2.0])
    p = np.where(problem.grid.fluid, rng.standard_normal(problem.shape), 0.0)
    still = tuple(np.zeros_like(w) for w in problem.stencil.weights)
    # Taking the gradient off nothing and then the divergence is A itself.
    np.testing.assert_allclose(
        divergence(subtract_gradient(still, problem, p), problem.grid), problem.apply(p), atol=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [3, 8])
def test_projection_leaves_no_divergence(shape, seed):
    rng = np.random.default_rng(seed)
    cells = np.where(rng.random(shape) < 0.1, np.uint8(OPEN), np.uint8(FLUID))
    problem = Poisson(cells, boundary=OPEN_TOP[len(shape)], coefficient=rng.uniform(0.1, 10.0, shape))
    velocity = close_walls(random_velocity(shape, seed), problem)
    once = project(velocity, problem, direct_solve)
    assert abs(divergence(once, problem.grid)).max() < 1e-12
    for u, again in zip(once, project(once, problem, direct_solve), strict=True):
        np.testing.assert_allclose(again, u, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 5), (5, 6, 4)])
def test_projection_across_a_periodic_axis(shape):
    problem = Poisson(np.zeros(shape, dtype=np.uint8), boundary=["open"] + ["periodic"] * (len(shape) - 1))
    velocity = random_velocity(shape, 4)
    for axis in range(1, len(shape)):
        np.moveaxis(velocity[axis], axis, 0)[-1] = np.moveaxis(velocity[axis], axis, 0)[0]
    projected = project(velocity, problem, direct_solve)
    assert abs(divergence(projected, problem.grid)).max() < 1e-12
    np.testing.assert_array_equal(projected[1][:, -1], projected[1][:, 0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("moving", [False, True])
def test_a_step_keeps_what_it_must(shape, moving):
    smoke = smoke_over(shape, ball=ball_in(shape) if moving else None, buoyancy=0.3)
    for _ in range(4):
        smoke.step(0.7)
        assert abs(divergence(smoke.velocity, smoke.problem.grid)).max() < 1e-12
        assert not smoke.velocity[0][0].any()  # the floor
        for axis in range(1, len(shape)):
            walls = np.take(smoke.velocity[axis], [0, -1], axis)
            assert not walls.any()
        assert smoke.smoke.min() >= 0.0
        assert smoke.smoke.max() <= 1.0
        assert (smoke.smoke[smoke.source] == 1.0).all()
    assert smoke.time == pytest.approx(2.8)
    assert smoke.velocity[0].max() > 0.1
    assert smoke.smoke[2:].max() > 0.0  # it has risen


@pytest.mark.parametrize("shape", SHAPES)
def test_a_moving_ball_pushes_the_fluid(shape):
    smoke = smoke_over(shape, ball=ball_in(shape), buoyancy=0.0)
    before = smoke.problem.cells.copy()
    smoke.step()
    solid = smoke.problem.cells == SOLID
    assert (solid != (before == SOLID)).any()
    along = (slice(None),) * (len(shape) - 1)
    faces = solid[(*along, slice(None, -1))] | solid[(*along, slice(1, None))]
    u = smoke.velocity[-1][(*along, slice(1, -1))]
    np.testing.assert_array_equal(u[faces], smoke.ball.velocity(smoke.time)[-1])
    assert abs(u[~faces]).max() > 0.01
    assert abs(divergence(smoke.velocity, smoke.problem.grid)).max() < 1e-12


def test_advection_carries_smoke_with_a_uniform_wind():
    cells, source = np.zeros((12, 16), dtype=np.uint8), np.zeros((12, 16), dtype=bool)
    smoke = Smoke(cells, source, boundary=["wall", "open"], buoyancy=0.0, solve=direct_solve)
    smoke.smoke[4:7, 3:6] = 1.0
    before = smoke.smoke.copy()
    smoke.start((np.zeros((13, 16)), np.full((12, 17), 2.0)))
    smoke.step(1.5)
    np.testing.assert_allclose(smoke.smoke[:, 3:], before[:, :-3], atol=1e-12)
    np.testing.assert_allclose(smoke.velocity[1], 2.0, atol=1e-12)


def test_predict_and_correct_are_a_step():
    shape = (13, 10)
    whole, halves = (smoke_over(shape, ball=ball_in(shape)) for _ in range(2))
    for _ in range(3):
        whole.step()
        b = halves.predict()
        halves.correct(direct_solve(halves.problem, b))
    for u, v in zip(whole.velocity, halves.velocity, strict=True):
        np.testing.assert_array_equal(u, v)


def test_default_solver_is_the_package_s_own():
    solve = pytest.importorskip("deepcg.api")
    assert callable(solve.solve)
    smoke = Smoke(np.zeros((12, 12), dtype=np.uint8), np.eye(12, dtype=bool), boundary=OPEN_TOP[2])
    b = smoke.predict()
    smoke = Smoke(np.zeros((12, 12), dtype=np.uint8), np.eye(12, dtype=bool), boundary=OPEN_TOP[2])
    smoke.step()
    assert np.linalg.norm(divergence(smoke.velocity, smoke.problem.grid)) <= 2e-6 * np.linalg.norm(b)


@pytest.mark.parametrize(("size", "dim"), [(24, 2), (37, 2), (12, 3)])
def test_sequence_gives_successive_systems(size, dim):
    scenes = list(gallery.sequence("sphere", size, dim, steps=5, solve=direct_solve))
    assert len(scenes) == 5
    for scene in scenes:
        assert scene.problem.shape == (size,) * dim
        assert scene.problem.grid.boundary == (("wall", "open"),) + (("wall", "wall"),) * (dim - 1)
        assert np.isfinite(scene.rhs).all()
        assert not scene.rhs[~scene.problem.grid.fluid].any()
        np.testing.assert_array_equal(-divergence(scene.velocity, scene.problem.grid), scene.rhs)
    for one, other in zip(scenes[:-1], scenes[1:], strict=True):
        assert (one.rhs != other.rhs).any()
    assert (scenes[0].problem.cells != scenes[-1].problem.cells).any()


def test_sequence_is_reproducible():
    one, other = ([s.rhs for s in gallery.sequence("sphere", 16, 2, steps=3, solve=direct_solve)] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_bad_arguments_are_named():
    cells = np.zeros((8, 9), dtype=np.uint8)
    grid = Grid.create(cells)
    with pytest.raises(ValueError, match=r"velocity: shapes .* given; one face array per axis"):
        divergence([np.zeros((8, 9)), np.zeros((8, 9))], grid)
    with pytest.raises(ValueError, match="source: shape"):
        Smoke(cells, np.zeros((9, 9), dtype=bool))
    with pytest.raises(ValueError, match="ball: centre of 3 entries"):
        Smoke(cells, cells > 0, ball=Ball((4.0, 4.0, 4.0), 2.0))
    with pytest.raises(ValueError, match="dt: 0 given"):
        Smoke(cells, cells > 0).step(0)
    with pytest.raises(ValueError, match="pressure: shape"):
        Smoke(cells, cells > 0).correct(np.zeros(72))
    with pytest.raises(ValueError, match="only sequence is 'sphere'"):
        gallery.sequence("box", 16, 2)
    with pytest.raises(ValueError, match="steps: 0 given"):
        gallery.sequence("sphere", 16, 2, steps=0)
