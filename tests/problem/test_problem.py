"""The Poisson problem: second order on manufactured solutions for every kind of boundary, right-hand sides, bad input.

The problem is -div(beta grad u) + sigma u = f on the unit box, with u and beta known; f comes from their derivatives, taken
numerically in high order so that no sign can be copied from the code under test.
"""

from __future__ import annotations

import numpy as np
import pytest

from deepcg import FLUID, OPEN, SOLID, Poisson
from tests.support import reference

STEP = 1e-3  # of the derivatives below, whose error is of the order STEP**4


def derivative(f, axis):
    """Central differences of fourth order, as a function of the coordinates."""

    def at(*x):
        def moved(times):
            return f(*(c + times * STEP * (a == axis) for a, c in enumerate(x)))

        return (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * STEP)

    return at


def source_of(u, beta, sigma):
    """-div(beta grad u) + sigma u, and the flux components beta du/dx."""

    def flux(axis):
        slope = derivative(u, axis)
        return lambda *x: beta(*x) * slope(*x)

    def f(*x):
        return sigma * u(*x) - sum(derivative(flux(axis), axis)(*x) for axis in range(len(x)))

    return f, flux


def widths_of(n, grading):
    """Widths of the unit interval's cells: uniform, or those of a smooth map of it."""
    edges = np.linspace(0, 1, n + 1)
    return np.diff(edges + grading * np.sin(2 * np.pi * edges) / (2 * np.pi))


class Sampled:
    """A manufactured problem on n cells a side, half as many again along the last axis: nothing is square."""

    def __init__(self, n, dim, u, beta, sigma, boundary, cells, grading):
        shape = (n,) * (dim - 1) + (n + n // 2,)
        self.widths = [widths_of(m, grading) for m in shape]
        edges = [np.append(0.0, np.cumsum(h)) for h in self.widths]
        self.centres = [e[:-1] + h / 2 for e, h in zip(edges, self.widths, strict=True)]
        outer = [np.concatenate([[-c[0]], c, [2 - c[-1]]]) for c in self.centres]
        self.cells = cells(*np.meshgrid(*self.centres, indexing="ij"))
        f, flux = source_of(u, beta, sigma)
        self.exact = u(*np.meshgrid(*self.centres, indexing="ij"))
        self.problem = Poisson(
            self.cells,
            spacing=self.widths,
            coefficient=beta(*np.meshgrid(*self.centres, indexing="ij")) * np.ones(shape),
            shift=sigma * self.volumes() if sigma else None,
            boundary=boundary,
        )
        at_faces = [
            flux(axis)(*np.meshgrid(*(edges[a] if a == axis else self.centres[a] for a in range(dim)), indexing="ij"))
            for axis in range(dim)
        ]
        self.open_value = u(*np.meshgrid(*outer, indexing="ij"))
        self.source = f(*np.meshgrid(*self.centres, indexing="ij"))
        self.wall_flux = [
            np.broadcast_to(g, faces) for g, faces in zip(at_faces, self._face_shapes(shape), strict=True)
        ]

    @staticmethod
    def _face_shapes(shape):
        return [tuple(n + (a == axis) for a, n in enumerate(shape)) for axis in range(len(shape))]

    def volumes(self):
        volume = np.ones(())
        for h in self.widths:
            volume = np.multiply.outer(volume, h)
        return volume

    def error(self, wall_flux=None):
        """The volume-weighted root mean square of the error; up to a constant where the problem is singular."""
        b = self.problem.rhs(self.source, open_value=self.open_value, wall_flux=wall_flux or self.wall_flux)
        fluid = self.cells == FLUID
        e, volume = (reference.direct_solve(self.problem, b) - self.exact)[fluid], self.volumes()[fluid]
        if self.problem.singular:
            e -= np.average(e, weights=volume)
        return np.sqrt(np.average(e**2, weights=volume))


def empty(*x):
    return np.full(x[0].shape, FLUID, dtype=np.uint8)


def block(kind):
    """A block of cells in the middle; its walls and fixed values are where the cells' faces and centres are."""

    def cells(*x):
        inside = np.all([abs(c - 0.5) < 0.25 for c in x], axis=0)
        return np.where(inside, kind, FLUID).astype(np.uint8)

    return cells


def one(*x):
    return 1.0


def smooth(*x):
    return 1.5 + np.sin(2 * np.pi * x[0]) * np.cos(2 * np.pi * x[-1])


def wave(*x):
    """Not symmetric about anything, not periodic."""
    return np.sin(2.0 * x[0] + 0.4) * np.cos(3.0 * x[-1] - 0.3) + 0.5 * (x[1] - 0.2) ** 3


def rolling(*x):
    return sum(np.sin(2 * np.pi * c + a) for a, c in enumerate(x)) + np.cos(2 * np.pi * (x[0] - x[-1]))


def steady(*x):
    """Its outward derivative is 1 on all sides of the unit box."""
    return sum((c - 0.5) ** 2 + 0.1 * np.cos(2 * np.pi * c) for c in x)


MIXED = ["periodic", ("wall", "open")]

MANUFACTURED = {
    "open": (wave, one, 0.0, "open", empty, 0.0),
    "open, coefficient": (wave, smooth, 0.0, "open", empty, 0.0),
    "open, graded": (wave, one, 0.0, "open", empty, 0.6),
    "open, graded, coefficient": (wave, smooth, 0.0, "open", empty, 0.6),
    "walls": (wave, one, 0.0, "wall", empty, 0.0),
    "walls, coefficient": (wave, smooth, 0.0, "wall", empty, 0.0),
    "walls, graded, coefficient": (wave, smooth, 0.0, "wall", empty, 0.6),
    "walls, shift": (wave, smooth, 3.0, "wall", empty, 0.0),
    "open low, wall high": (wave, smooth, 0.0, ("open", "wall"), empty, 0.0),
    "open cells inside walls": (wave, smooth, 0.0, "wall", block(OPEN), 0.0),
    "solid cells inside open sides": (wave, smooth, 0.0, "open", block(SOLID), 0.0),
    "periodic": (rolling, smooth, 0.0, "periodic", empty, 0.0),
    "periodic, shift, graded": (rolling, smooth, 5.0, "periodic", empty, 0.5),
    "periodic beside wall and open": (rolling, smooth, 0.0, MIXED, empty, 0.0),
}


def orders(dim, sizes, u, beta, sigma, boundary, cells, grading, wall_flux=None):
    if boundary == ("open", "wall"):
        boundary = [("open", "wall")] * dim
    elif boundary is MIXED and dim == 3:
        boundary = ["periodic", "periodic", ("wall", "open")]
    errors = [Sampled(n, dim, u, beta, sigma, boundary, cells, grading).error(wall_flux) for n in sizes]
    return [
        np.log(a / b) / np.log(m / n) for a, b, m, n in zip(errors[:-1], errors[1:], sizes[1:], sizes[:-1], strict=True)
    ]


@pytest.mark.parametrize("name", MANUFACTURED)
def test_second_order_2d(name):
    assert min(orders(2, (12, 24, 48), *MANUFACTURED[name])) >= 1.8


@pytest.mark.parametrize("name", ["open, graded, coefficient", "walls, shift", "periodic beside wall and open"])
def test_second_order_3d(name):
    assert min(orders(3, (8, 16), *MANUFACTURED[name])) >= 1.8


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("grading", [0.0, 0.5])
def test_second_order_with_scalar_outward_flux(dim, grading):
    sizes = {2: (12, 24, 48), 3: (8, 16)}[dim]
    assert min(orders(dim, sizes, steady, one, 0.0, "wall", empty, grading, wall_flux=1.0)) >= 1.8


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("ends", ["open", ("open", "wall"), ("wall", "open")])
def test_jump_in_the_coefficient_is_exact(axis, graded, ends):
    """Two layers in series, beta 1 and 1000, with the jump on a face: the harmonic mean gives the exact flux."""
    n, dim = 11, 3
    h = np.random.default_rng(12).uniform(0.5, 2.0, n) if graded else np.full(n, 1 / n)
    x, jump = np.cumsum(h) - h / 2, h[:4].sum()
    beta = np.where(x < jump, 1.0, 1000.0)

    def exact(c):  # flux 5 everywhere
        return 2.0 + 5.0 * np.where(c < jump, c, jump + (c - jump) / 1000.0)

    def spread(values, extra=0):
        return np.broadcast_to(np.expand_dims(values, [a for a in range(dim) if a != axis]), lengths(extra))

    def lengths(extra=0):
        return tuple(n + extra if a == axis else 2 + extra for a in range(dim))

    problem = Poisson(
        np.zeros(lengths(), dtype=np.uint8),
        spacing=[h if a == axis else 0.3 for a in range(dim)],
        coefficient=spread(beta),
        boundary=[ends if a == axis else "wall" for a in range(dim)],
    )
    outer = exact(np.concatenate([[-h[0] / 2], x, [h.sum() + h[-1] / 2]]))
    flux = [np.full(tuple(m + (b == a) for b, m in enumerate(lengths())), 5.0 * (a == axis)) for a in range(dim)]
    b = problem.rhs(open_value=spread(outer, 2), wall_flux=flux)
    np.testing.assert_allclose(reference.direct_solve(problem, b), spread(exact(x)), rtol=1e-9)


@pytest.mark.parametrize("scalar", [True, False])
@pytest.mark.parametrize("seed", range(200, 230))
def test_rhs_is_the_formula(seed, scalar):
    arguments, rng = reference.random_arguments(seed), np.random.default_rng([seed, 3])
    problem, shape = Poisson(**arguments), np.shape(arguments["cells"])
    source, outer = rng.standard_normal(shape), rng.standard_normal(tuple(n + 2 for n in shape))
    flux = 0.7 if scalar else [rng.standard_normal(w.shape) for w in problem.stencil.weights]
    b = problem.rhs(source, open_value=outer, wall_flux=flux)
    expected = reference.rhs(source=source, open_value=outer, wall_flux=flux, **arguments)
    np.testing.assert_allclose(b, expected, rtol=1e-12, atol=1e-12 * abs(expected).max())
    assert not b[problem.cells != FLUID].any()


def test_open_value_of_the_cells_shape_serves_the_layer_outside():
    rng = np.random.default_rng(77)
    cells = rng.choice([FLUID, OPEN], size=(4, 5), p=(0.8, 0.2))
    problem, value = Poisson(cells, boundary="open"), rng.standard_normal((4, 5))
    np.testing.assert_array_equal(problem.rhs(open_value=value), problem.rhs(open_value=np.pad(value, 1, mode="edge")))
    np.testing.assert_array_equal(problem.rhs(open_value=3.0), problem.rhs(open_value=np.full((4, 5), 3.0)))


def test_constant_is_the_solution_for_its_own_boundary_values():
    problem = Poisson(**reference.CASES["mixed 3-D"])
    x = np.where(problem.cells == FLUID, 3.0, 0.0)
    np.testing.assert_allclose(problem.apply(x), problem.rhs(open_value=3.0), rtol=0, atol=1e-11)


BOX = np.zeros((3, 4), dtype=np.uint8)
FACES = [np.ones((4, 4)), np.ones((3, 5))]


def with_value(array, value, at=(1, 1)):
    changed = np.array(array, dtype=float)
    changed[at] = value
    return changed


REFUSED = [
    (TypeError, "cells: dtype float64", {"cells": np.zeros((3, 4))}),
    (ValueError, "cells: no FLUID cell", {"cells": np.full((3, 4), SOLID)}),
    (ValueError, r"boundary\[0\]: 'inflow' given", {"boundary": "inflow"}),
    (ValueError, "'periodic' must stand on both sides", {"boundary": [("periodic", "open"), "wall"]}),
    (ValueError, "spacing: 3 entries given", {"spacing": (1.0, 2.0, 3.0)}),
    (ValueError, r"coefficient: shape \(4, 3\) given", {"coefficient": np.ones((4, 3))}),
    (ValueError, "coefficient: must be finite and > 0", {"coefficient": with_value(np.ones((3, 4)), 0.0)}),
    (ValueError, "coefficient: must be finite and > 0", {"coefficient": with_value(np.ones((3, 4)), -1.0)}),
    (ValueError, "coefficient: must be finite and > 0", {"coefficient": with_value(np.ones((3, 4)), np.nan)}),
    (ValueError, "coefficient: must be finite and > 0", {"coefficient": with_value(np.ones((3, 4)), np.inf)}),
    (ValueError, r"coefficient\[1\]: shape \(4, 4\) given", {"coefficient": [np.ones((4, 4))] * 2}),
    (ValueError, r"coefficient\[0\]: must be finite and >= 0", {"coefficient": [with_value(FACES[0], -0.1), FACES[1]]}),
    (ValueError, r"coefficient\[1\]: must be finite and >= 0", {"coefficient": [FACES[0], with_value(FACES[1], np.nan)]}),
    (
        ValueError,
        r"coefficient\[0\]: the first and last faces of a periodic axis",
        {"coefficient": [with_value(FACES[0], 2.0, at=(0, 2)), FACES[1]], "boundary": ["periodic", "wall"]},
    ),
    (ValueError, r"shift: shape \(3,\) given", {"shift": np.ones(3)}),
    (ValueError, "shift: must be finite and >= 0", {"shift": -1.0}),
    (ValueError, "shift: must be finite and >= 0", {"shift": with_value(np.zeros((3, 4)), np.nan)}),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message", "changed"), REFUSED, ids=range(len(REFUSED)))
def test_bad_problems_are_refused(error, message, changed):
    with pytest.raises(error, match=message):
        Poisson(**{"cells": BOX, **changed})


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("source: shape", {"source": np.ones((4, 3))}),
        (r"open_value: shape \(5,\) given", {"open_value": np.ones(5)}),
        ("wall_flux: 1 entries given", {"wall_flux": [np.ones((4, 4))]}),
        (r"wall_flux\[1\]: shape \(4, 4\) given", {"wall_flux": [np.ones((4, 4))] * 2}),
    ],
)
def test_bad_boundary_data_is_refused(message, arguments):
    with pytest.raises(ValueError, match=message):
        Poisson(BOX, boundary="open").rhs(**arguments)


@pytest.mark.parametrize(
    "x", [np.ones(11), np.ones((4, 3)), np.ones((1, 12)), np.ones((11, 2))], ids=lambda x: str(x.shape)
)
def test_apply_refuses_other_shapes(x):
    with pytest.raises(ValueError, match="x: shape"):
        Poisson(BOX).apply(x)


def test_updated_keeps_what_is_not_given():
    arguments = reference.CASES["graded, varying coefficient"]
    problem, cells = Poisson(**arguments), np.zeros((9, 8), dtype=np.uint8)
    for changed in ({"cells": cells}, {"coefficient": np.full((9, 8), 2.0)}, {"shift": 0.5}):
        np.testing.assert_allclose(
            problem.updated(**changed).matrix().toarray(), reference.matrix(**{**arguments, **changed}), rtol=1e-13
        )


def test_the_users_arrays_are_neither_changed_nor_held():
    """An array that its owner writes to later changes neither the problem nor what is made of it."""
    cells, beta, shift = np.zeros((3, 4), dtype=np.uint8), np.ones((3, 4)), np.full((3, 4), 0.1)
    problem = Poisson(cells, coefficient=beta, shift=shift)
    before = problem.matrix().toarray()
    cells[:], beta[:], shift[:] = 1, 9.0, 9.0
    np.testing.assert_array_equal(problem.matrix().toarray(), before)
    np.testing.assert_array_equal(problem.updated(shift=None).matrix().toarray(), before)


def test_repr_says_what_it_is():
    assert repr(Poisson(BOX)) == "<deepcg.Poisson 3x4 cells, 12 unknowns>"
