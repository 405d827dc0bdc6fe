"""What goes on around a solve: interrupts, threads, other processes, many solves one after the other. The same input gives the same bits."""

import concurrent.futures
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import deepcg
from benchmarks.campaign import systems, ways

PAGE = os.sysconf("SC_PAGE_SIZE")


def problem(seed, shape=(20, 22)):
    """Random obstacles between walls and open sides."""
    cells = (np.random.default_rng(seed).random(shape) < 0.2).astype(np.uint8)
    return deepcg.Poisson(cells, boundary=[("wall", "open")] * len(shape))


def bits(seed, shape=(20, 22), **settings):
    """A hash of the answer for a seed."""
    made = problem(seed, shape)
    x, info = deepcg.solve(made, np.random.default_rng(seed).standard_normal(shape), **settings)
    assert int(info) == 0
    return hashlib.sha256(x.tobytes()).hexdigest()


@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_an_interrupt_leaves_a_usable_solver(method):
    made = problem(1)
    b = np.random.default_rng(1).standard_normal(made.shape)
    calls = []

    def interrupted(r):
        calls.append(None)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return r

    solver = deepcg.Solver(made, model=interrupted, method="dcd" if method == "dcd" else "auto")
    with pytest.raises(KeyboardInterrupt):
        solver.solve(b)
    x, info = solver.solve(b)
    fresh, _ = deepcg.solve(made, b, model=lambda r: r, method="dcd" if method == "dcd" else "auto")
    assert int(info) == 0 and np.array_equal(x, fresh)


def test_two_solvers_in_two_threads_answer_as_alone():
    alone = [bits(seed) for seed in range(12)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(bits, range(12))) == alone


def test_other_processes_answer_the_same():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(bits, range(4))) == [bits(seed) for seed in range(4)]


@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_a_process_with_as_many_threads_finds_the_same_bits(method):
    """On a grid that is large enough for threads. With a callback the number of threads changes no bit either."""
    script = (
        "from tests.reliability.test_processes import bits; "
        f"print(bits(3, (40, 44, 48), method={method!r}), bits(3, (40, 44, 48), method={method!r}, callback=lambda x: None))"
    )
    root = os.path.dirname(os.path.dirname(deepcg.__file__))
    found = []
    for threads in ("1", "2", "2", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": root}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        found.append(run.stdout.split())
    assert found[1] == found[2]
    assert len({called for _, called in found}) == 1


def test_the_same_system_gives_the_same_bits():
    solved = 0
    for number in range(60):
        system = systems.draw(9, number)
        if system.way not in ("Poisson", "Solver", "matrix"):
            continue
        try:
            first, second = ways.solve(system), ways.solve(system)
        except (ValueError, TypeError):
            continue
        assert first.x.tobytes() == second.x.tobytes() and first.iterations == second.iterations, number
        solved += 1
    assert solved > 30


def resident() -> int:
    """Bytes that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


def many(solves):
    """Solves with cells that change before each."""
    rng, shape = np.random.default_rng(5), (16, 18)
    solver = deepcg.Solver(problem(0, shape))
    b = rng.standard_normal(shape)
    for _ in range(solves):
        solver.update(cells=(rng.random(shape) < 0.2).astype(np.uint8))
        _, info = solver.solve(b)
        assert int(info) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
@pytest.mark.parametrize("solves", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_solves_with_changing_cells_keep_nothing(solves):
    many(solves // 5)
    before = resident()
    many(solves)
    assert resident() - before < 1 << 21
