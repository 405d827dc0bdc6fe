"""A slice of the campaign (`make campaign`), and its judge: who does not find a wrong answer proves nothing."""

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from benchmarks.campaign import direct, judge, systems, ways
from benchmarks.campaign.assembly import assemble
from benchmarks.campaign.guard import Guard
from benchmarks.campaign.rows import Rows, norm
from benchmarks.studies import campaign
from tests.support import reference
from tests.support.promise import box

SEED, SLICE = 300, 300


def test_a_slice_of_the_campaign_has_no_failures():
    found = list(campaign.verdicts(SEED, list(range(SLICE)), petsc=True))
    failed = [campaign.line(verdict) for verdict in found if verdict["kind"] in campaign.FAILURES]
    assert not failed, "\n".join(failed)
    assert sum(verdict["kind"] == "right" for verdict in found) > SLICE // 2


def test_rows_from_cells_are_the_reference_s():
    compared = 0
    for number in range(150):
        system = systems.draw(7, number)
        if system.way != "Poisson" or system.rows.size > 200 or "A scale" in system.tags:
            continue
        a = system.arguments
        A = reference.matrix(
            a["cells"], spacing=a["spacing"], coefficient=a["coefficient"], shift=a["shift"], boundary=a["boundary"]
        )
        ours = system.rows.matrix().toarray()
        assert np.abs(ours - A).max() <= 1e-14 * np.abs(A).max(initial=1e-300), number
        compared += 1
    assert compared > 20


def test_rows_of_a_matrix_keep_what_is_weak():
    """A x by the rows differs from the product of exact fractions by less than float64's rounding of it."""
    from fractions import Fraction

    A = sp.csr_array(box(5, 5) + 1e-13 * sp.eye_array(25))
    x = 1e13 * (1 + 1e-3 * np.random.default_rng(0).standard_normal(25))
    dense = A.toarray()
    exact = [sum(Fraction(dense[i, j]) * Fraction(x[j]) for j in range(25)) for i in range(25)]
    assert np.allclose(Rows.of_matrix(A).apply(x).astype(float), [float(v) for v in exact], rtol=1e-14, atol=0)


def by_hand(**changes):
    """A system of cells, and its random right-hand side."""
    arguments = {
        "cells": np.zeros((6, 6), np.uint8), "spacing": [np.ones(6)] * 2, "coefficient": None, "shift": None,
        "boundary": [("wall", "open"), ("wall", "wall")], **changes,
    }  # fmt: skip
    b = 1 + np.random.default_rng(0).standard_normal(36)
    settings = {"rtol": 1e-6, "atol": 0.0}
    return systems.System(0, 0, "Poisson", {}, assemble(**arguments), b, arguments, settings=settings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shift": 1e-3, "boundary": [("wall", "wall")] * 2},
        {"spacing": [np.geomspace(1, 10, 6), np.full(6, 0.1)]},
        {"coefficient": np.exp(np.random.default_rng(1).standard_normal((6, 6)))},
    ],
    ids=["open", "shift", "graded", "coefficient"],
)
def test_the_judge_sees_an_error_just_above_the_tolerance(changes):
    system = by_hand(**changes)
    claim = ways.solve(system)
    assert judge.judge(system, claim).kind == "right"
    wrong = np.random.default_rng(1).standard_normal(36)
    wrong *= float(2 * system.settings["rtol"] * norm(system.b) / norm(system.rows.apply(wrong)))
    claim.x = claim.x + wrong
    verdict = judge.judge(system, claim)
    assert verdict.kind == "silent" and 1.01 < verdict.ratio < 3.1
    claim.converged = False
    assert judge.judge(system, claim).kind == "false defeat"
    claim.x = np.full(claim.x.size, np.nan)
    assert judge.judge(system, claim).kind == "non-finite x"


def test_a_projection_that_was_not_said_is_silent():
    system = by_hand(shift=1e-9, boundary=[("wall", "wall")] * 2)
    b = system.b
    x, _ = deepcg.solve(
        deepcg.Poisson(system.arguments["cells"]), b
    )  # what a solver answers that takes the shift for rounding
    taken = float(abs(b.mean()) * 6)
    assert judge.judge(system, ways.Claim(x, True, "", 5, 0.0)).kind == "silent"
    assert judge.judge(system, ways.Claim(x, True, "", 5, taken / 2)).kind == "silent"
    assert judge.judge(system, ways.Claim(x, True, "", 5, taken)).kind == "right"


def test_a_direct_solver_reaches_what_the_rows_allow():
    problem = reference.matrix(np.zeros((7, 7), int), boundary="open")
    rows, b = Rows.of_matrix(sp.csr_array(problem)), np.random.default_rng(0).standard_normal(49)
    best = direct.best_residual(rows, b, lambda x: norm(b - rows.apply(x)) / norm(b))
    assert best < 1e-15
    closed, b = Rows.of_matrix(box(7, 7)), b - b.mean()
    best = direct.best_residual(closed, b, lambda x: norm(b - closed.apply(x)) / norm(b))
    assert best < 1e-15


def test_a_system_is_the_same_from_its_seed_and_number():
    for number in range(20):
        one, two = systems.draw(3, number), systems.draw(3, number)
        assert one.tags == two.tags and np.array_equal(one.b, two.b) and one.settings == two.settings
        assert np.array_equal(one.rows.weight, two.rows.weight)


def test_a_crash_and_a_hang_cost_one_system_only():
    guard = Guard()
    try:
        number = next(n for n in range(100) if systems.way_of(systems.generator(5, n)) == "Poisson")
        first = guard.verdict(5, number)
        guard._process.kill()
        guard._process.join()
        assert guard.verdict(5, number)["kind"] == "crash"
        guard.patience = 0.0
        assert guard.verdict(5, number)["kind"] == "hang"
        guard.patience = 300.0
        again = guard.verdict(5, number)
        assert {**first, "seconds": 0} == {**again, "seconds": 0}
    finally:
        guard.close()
