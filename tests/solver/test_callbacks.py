"""What a callback may do to the solver whose solve it sees; copies of a problem that was solved."""

import copy
import os
import pickle
import signal
import threading

import numpy as np
import pytest

import deepcg
from deepcg import Poisson
from deepcg.native import library as native

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SHAPE, RTOL = (8, 9, 10), 1e-8


def box(**arguments):
    return Poisson(np.zeros(SHAPE, np.uint8), boundary="open", **arguments)


def right_hand_side():
    return np.random.default_rng(1).standard_normal(720)


def judge(problem, x, b):
    assert np.linalg.norm(b - problem.apply(x)) <= 1.1 * RTOL * np.linalg.norm(b)


@pytest.mark.parametrize("model", ["auto", "jacobi", lambda r: 0.1 * r])
def test_a_solve_within_a_callback(model):
    problem, b, inner = box(), right_hand_side(), []
    solver = deepcg.Solver(problem, model=model, rtol=RTOL)
    expected, info = solver.solve(b, callback=lambda x: None)
    x, nested = solver.solve(b, callback=lambda x: inner.append(solver.solve(2.0 * b, callback=lambda x: None)[0]))
    assert nested.residuals == info.residuals
    assert np.array_equal(x, expected)
    assert len(inner) == info.iterations
    for answer in inner:
        judge(problem, answer, 2.0 * b)
    judge(problem, solver.solve(b)[0], b)


def test_an_update_within_a_callback_counts_from_the_next_solve_on():
    before, after, b = box(), box(coefficient=np.full(SHAPE, 2.0)), right_hand_side()
    solver = deepcg.Solver(before, rtol=RTOL)
    x, info = solver.solve(b, callback=lambda x: solver.update(after))
    assert int(info) == 0
    judge(before, x, b)
    judge(after, solver.solve(b)[0], b)


def test_a_solver_that_a_callback_lets_go_of_ends_its_solve():
    held, b = [deepcg.Solver(box(), rtol=RTOL)], right_hand_side()
    x, info = held[0].solve(b, callback=lambda x: held.clear())
    assert int(info) == 0 and not held
    judge(box(), x, b)


@pytest.mark.parametrize("model", ["auto", "jacobi", lambda r: 0.1 * r])
def test_an_interrupt_within_a_callback_leaves_a_solver_that_works(model):
    b = right_hand_side()
    solver = deepcg.Solver(box(), model=model, rtol=RTOL)
    expected, info = solver.solve(b)
    for at in (1, 2, info.iterations):
        seen = []

        def interrupt(x, seen=seen, at=at):
            seen.append(1)
            if len(seen) == at:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            solver.solve(b, callback=interrupt)
        assert np.array_equal(solver.solve(b)[0], expected)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("model", ["auto", "jacobi", lambda r: 0.1 * r])
def test_an_interrupt_at_any_moment_leaves_a_solver_that_works(model):
    """A thread sends it while the solve begins, runs or has ended: it is raised, and the solver works."""
    b = right_hand_side()
    solver = deepcg.Solver(box(), model=model, rtol=RTOL)
    expected, _ = solver.solve(b)
    for _ in range(5):
        begun = threading.Event()

        def interrupt(begun=begun):
            begun.wait()
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            begun.set()
            solver.solve(b)
            thread.join()
            signal.pthread_sigmask(signal.SIG_BLOCK, [])  # a handler that is due is called now
        thread.join()
        assert np.array_equal(solver.solve(b)[0], expected)


@pytest.mark.parametrize("of_matrix", [False, True])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_of_a_problem_that_was_solved(of_matrix, copied):
    problem, b = box(coefficient=np.random.default_rng(2).uniform(1.0, 2.0, SHAPE)), right_hand_side()
    if of_matrix:
        problem = Poisson.from_matrix(problem.matrix(), shape=SHAPE)
    expected, _ = deepcg.solve(problem, b, rtol=RTOL)
    twin = copied(problem)
    del problem
    assert np.array_equal(deepcg.solve(twin, b, rtol=RTOL)[0], expected)


def test_a_problem_that_was_solved_can_be_pickled():
    problem, b = box(coefficient=np.random.default_rng(2).uniform(1.0, 2.0, SHAPE)), right_hand_side()
    expected, _ = deepcg.solve(problem, b, rtol=RTOL)
    assert np.array_equal(deepcg.solve(pickle.loads(pickle.dumps(problem)), b, rtol=RTOL)[0], expected)
