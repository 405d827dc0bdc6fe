"""Open faces found in a matrix: the excess of its diagonal is where the fixed values were, and the rest is shift."""

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import OPEN, SOLID, Poisson
from deepcg.native import library as native
from deepcg.problem.face_weights import back, front
from deepcg.scenes import gallery

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason=f"kernels not built: {native.unavailable}")


def box(shape, **options):
    return Poisson(np.zeros(shape, np.uint8), **options)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("scene", sorted({*gallery.names(2), *gallery.names(3)} - {"bunny"}))
def test_scenes_read_back_as_they_were(scene, dim):
    problem = gallery.scene(scene, {2: 24, 3: 16}[dim], dim=dim).problem
    read = Poisson.from_matrix(problem.matrix(), cells=problem.cells)
    unknown = read.grid.fluid  # without the drops of one cell: their rows are diagonal only
    assert read.stencil.shift is None and not (unknown & ~problem.grid.fluid).any()
    for axis, (w, expected) in enumerate(zip(read.stencil.weights, problem.stencil.weights, strict=True)):
        for side in (front(axis), back(axis)):
            np.testing.assert_allclose(w[side][unknown], expected[side][unknown], rtol=1e-9)
    assert read.stencil.unit == problem.stencil.unit
    assert np.array_equal(read.cells[~problem.grid.fluid], problem.cells[~problem.grid.fluid])


@pytest.mark.parametrize(
    "boundary", ["open", [("wall", "open"), "wall", "periodic"], ["periodic", "open", ("open", "wall")]]
)
def test_sides_are_told_by_cells_that_lack_one_neighbour(boundary):
    problem = box((5, 6, 7), boundary=boundary, spacing=0.5)
    read = Poisson.from_matrix(problem.matrix(), shape=problem.shape)
    assert read.grid.boundary == problem.grid.boundary
    assert read.stencil.unit == 0.5 and read.stencil.open_sides == problem.stencil.open_sides
    assert read.stencil.shift is None


def test_what_all_cells_have_is_shift():
    problem = box((6, 7, 8), boundary="open", shift=0.25)
    read = Poisson.from_matrix(problem.matrix(), shape=problem.shape)
    assert np.allclose(read.stencil.shift, 0.25) and read.stencil.unit is None
    for w, expected in zip(read.stencil.weights, problem.stencil.weights, strict=True):
        np.testing.assert_allclose(w, expected)


def test_what_some_cells_with_all_neighbours_have_is_shift():
    shift = np.zeros((6, 7))
    shift[2, 3] = 4.0
    problem = box((6, 7), boundary=["wall", ("open", "wall")], shift=shift)
    read = Poisson.from_matrix(problem.matrix(), shape=problem.shape)
    np.testing.assert_allclose(read.stencil.shift, shift, atol=1e-12)
    np.testing.assert_allclose(read.stencil.weights[1][:, 0], 1.0)


def test_values_at_half_distance_become_faces_of_twice_the_weight():
    double = np.zeros((6, 9))
    double[0] += 2.0
    A = box((6, 9)).matrix() + sp.diags_array(double.ravel())
    read = Poisson.from_matrix(A, shape=(6, 9))
    assert read.stencil.shift is None and read.stencil.unit is None
    np.testing.assert_allclose(read.stencil.weights[0][0], 2.0)
    assert not read.stencil.weights[0][-1].any()


def test_excess_at_walls_that_the_user_knows_stays_shift():
    cells = np.zeros((5, 5), np.uint8)
    cells[2, 2] = SOLID
    shift = np.zeros((5, 5))
    shift[2, 1] = 0.5
    A = Poisson(cells, shift=shift).matrix()
    known = Poisson.from_matrix(A, cells=cells)
    np.testing.assert_allclose(known.stencil.shift, shift, atol=1e-12)
    assert np.array_equal(known.cells, cells)
    y, x = np.nonzero(cells == 0)
    # where nobody knows of a wall, it may as well be a fixed value
    problem = Poisson.from_matrix(A, coordinates=np.column_stack([x, y]).astype(float))
    assert problem.stencil.shift is None and problem.cells[2, 2] == OPEN


def test_a_matrix_converges_like_its_problem():
    problem = gallery.scene("plume", 32).problem
    b = np.random.default_rng(3).standard_normal(problem.shape)
    _, direct = deepcg.solve(problem, b)
    x, read = deepcg.solve(problem.matrix(), b[problem.cells == 0], grid=problem.cells)
    assert read.iterations == direct.iterations
    A = problem.matrix()
    assert np.linalg.norm(b[problem.cells == 0] - A @ x) <= 1e-6 * np.linalg.norm(b[problem.cells == 0])
