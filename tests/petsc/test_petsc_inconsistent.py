"""KSP deepcg where no x solves A x = b: the part that A can reach is solved for, and the rest is said."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from deepcg import Poisson
from tests.support.petsc_systems import matrix, petsc, python, run, solver, view

SHAPE = 20, 20
WAYS = {"native": {}, "general": {"ksp_deepcg_native": "0"}, "window": {"ksp_deepcg_window": "8"}}


def inactive_cell():
    """Dirichlet all round, and cell 5 has no row: recharge is given to it all the same."""
    A = Poisson(np.zeros(SHAPE, np.uint8), boundary="open").matrix().tolil()
    A[5], A[:, 5] = 0.0, 0.0
    A = sp.csr_array(A)
    A.eliminate_zeros()
    unreachable = np.zeros(400)
    unreachable[5] = 1.0
    return A, np.full(400, 1e-3), unreachable


def closed_box():
    A = sp.csr_array(Poisson(np.zeros(SHAPE, np.uint8)).matrix())
    return A, np.random.default_rng(0).standard_normal(400) + 1.0, np.full(400, 0.05)


def closed_box_with_solid_rows():
    """A wall of zero rows cuts a closed box into two."""
    cells = np.zeros(SHAPE, np.uint8)
    cells[:, 7] = 1
    fluid = cells.reshape(-1) == 0
    inject = sp.eye_array(400, format="csc")[:, fluid]
    A = sp.csr_array(inject @ Poisson(cells).matrix() @ inject.T)
    left, right = (np.arange(400) % 20 < 7), (np.arange(400) % 20 > 7)
    b = np.random.default_rng(1).standard_normal(400)
    b[~fluid] = 0.0
    b[left] -= b[left].mean()
    b[right] += 0.3 - b[right].mean()
    return A, b, right / np.sqrt(right.sum())


SYSTEMS = [inactive_cell, closed_box, closed_box_with_solid_rows]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_no_x_can_reach_is_taken_off_and_said(system, way, sign):
    A, b, unit = system()
    A, outside = sign * A, abs(unit @ b)
    inside = b - unit * (unit @ b)
    given = dict(pc_deepcg_grid="20,20", **WAYS[way])
    ksp = solver(A, **given)
    x = run(ksp, b)
    assert ksp.getConvergedReason() == petsc().KSP.ConvergedReason.DIVERGED_BREAKDOWN
    assert ksp.getIterationNumber() <= 12
    assert np.linalg.norm(inside - A @ x) <= 1.01e-8 * np.linalg.norm(b)
    assert ksp.getResidualNorm() == pytest.approx(np.linalg.norm(b - A @ x))
    assert f"{outside:g} of the norm of b was taken off" in view(ksp)

    accepted = solver(A, **given, ksp_deepcg_inconsistent="project")
    np.testing.assert_array_equal(run(accepted, b), x)
    assert accepted.getConvergedReason() > 0
    assert f"{outside:g} of the norm of b was taken off" in view(accepted)

    consistent = run(ksp, inside)
    assert ksp.getConvergedReason() > 0
    assert "was taken off" not in view(ksp)
    assert np.linalg.norm(inside - A @ consistent) <= 1.01e-8 * np.linalg.norm(inside)


@pytest.mark.parametrize("way", WAYS)
def test_a_null_space_that_is_attached_explains_it(way):
    A, b, unit = closed_box()
    given = matrix(A)
    given.setNullSpace(petsc().NullSpace().create(constant=True, comm=petsc().COMM_SELF))
    ksp = solver(given, pc_deepcg_grid="20,20", **WAYS[way])
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0
    assert np.linalg.norm(b - unit * (unit @ b) - A @ x) <= 1.01e-8 * np.linalg.norm(b)


def test_a_part_below_the_tolerance_is_no_matter():
    A, b, unit = closed_box()
    b = b - unit * (unit @ b) + 1e-10 * unit
    ksp = solver(A, pc_deepcg_grid="20,20")
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0
    assert np.linalg.norm(b - A @ x) <= 1.01e-8 * np.linalg.norm(b)


def test_an_option_of_another_word_is_refused():
    with pytest.raises(petsc().Error):
        solver(closed_box()[0], pc_deepcg_grid="20,20", ksp_deepcg_inconsistent="perhaps")


@pytest.mark.parametrize("ranks", [1, 2])
def test_on_ranks(ranks):
    output = python(ranks, "inconsistent.py")
    found = json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[5:])
    breakdown = int(petsc().KSP.ConvergedReason.DIVERGED_BREAKDOWN)
    for name, (reason, iterations, inside, projected, outside) in found["ksp"].items():
        assert reason == (2 if "project" in name else breakdown), name
        assert iterations <= 12, name
        assert inside <= 1.01e-8, name
        assert projected == pytest.approx(outside), name
    for name, (code, projected, outside, refused) in found["solve"].items():
        assert code == 0, name
        assert projected == pytest.approx(outside), name
        assert "lies outside the range" in refused, name
