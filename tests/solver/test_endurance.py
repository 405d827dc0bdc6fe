"""Many solves, several solvers at once, the same input again: no growth, and the same bits."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import FLUID, OPEN, SOLID, Poisson, Solver, solve

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def changing(rng, shape):
    """Cells with walls and open ones, others every time; some have singular parts."""
    return rng.choice([FLUID, SOLID, OPEN], p=[0.85, 0.1, 0.05], size=shape).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_ten_thousand_solves_take_no_more_memory():
    """Updates for changing cells, new problems, matrices, refusals, errors in callbacks; judged by the operator."""
    rng, shape = np.random.default_rng(0), (20, 24)
    solver = Solver(Poisson(changing(rng, shape), boundary="open"))
    A = Poisson(np.zeros(shape, np.uint8), boundary="open").matrix()

    def fail(x):
        raise ArithmeticError

    def one(n):
        b = rng.standard_normal(shape)
        kind = n % 5
        if kind < 2:
            solver.update(cells=changing(rng, shape))
            x, info = solver.solve(b)
            problem = solver.problem
        elif kind == 2:
            problem = Poisson(changing(rng, shape), coefficient=rng.uniform(0.1, 1, shape), boundary=["wall", "open"])
            x, info = solve(problem, b)
        elif kind == 3:
            matrix = A.copy()
            matrix.data *= rng.uniform(1, 2)
            problem = Poisson.from_matrix(matrix, shape=shape)
            x, info = solve(problem, b)
        else:
            wrong = A.copy()
            wrong.data[n % wrong.nnz] *= -3.0
            with pytest.raises(ValueError):
                solve(wrong, b, grid=shape[::-1])
            with pytest.raises(ArithmeticError):
                solver.solve(b, callback=fail)
            x, info = solver.solve(b)
            problem = solver.problem
        assert info == 0
        inside = np.where(problem.cells == FLUID, b, 0.0).reshape(-1)
        problem.components.project(inside)
        left = np.where(problem.cells == FLUID, problem.apply(x), 0.0).reshape(-1) - inside
        assert np.linalg.norm(left) <= 1.01e-6 * np.linalg.norm(inside)

    for n in range(2_000):
        one(n)
    before = resident()
    for n in range(2_000, 10_000):
        one(n)
    assert resident() - before <= 4 << 20  # 500 bytes a solve would be as much


DIGEST = """
import hashlib
import numpy as np, deepcg

found = hashlib.sha256()
rng = np.random.default_rng(0)
for shape, boundary in (((40, 41, 42), "open"), ((300, 301), "wall")):  # large enough for threads everywhere
    coefficient = rng.uniform(0.1, 10, shape)
    for kind in ({}, {"coefficient": coefficient}):
        problem = deepcg.Poisson(np.zeros(shape, np.uint8), boundary=boundary, **kind)
        b = rng.standard_normal(shape)
        for method in ("cg", "dcd"):
            x, info = deepcg.solve(problem, b, method=method, rtol=1e-8)
            assert info == 0
            found.update(x.tobytes())
            found.update(np.array(info.residuals).tobytes())
        x, info = deepcg.solve(problem.matrix(), b.ravel(), grid=shape, rtol=1e-8)
        assert info == 0
        found.update(x.tobytes())
print(found.hexdigest())
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_input_gives_the_same_bits(threads):
    """In two processes that run at once."""
    environment = {
        **os.environ, "PYTHONPATH": str(Path(deepcg.__file__).parents[1]), "OMP_NUM_THREADS": str(threads)
    }  # fmt: skip
    command = [sys.executable, "-c", DIGEST]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    found = [process.communicate(timeout=600) for process in running]
    assert len(found[0][0].strip()) == len(hashlib.sha256().hexdigest()), found[0][1]
    assert found[0][0] == found[1][0]


def test_solvers_in_threads_at_once():
    """Each with a problem of its own, and all with one; as alone, to the bit."""
    rng = np.random.default_rng(1)
    problems = [Poisson(changing(rng, (30, 31)), boundary="open") for _ in range(4)]
    problems += [Poisson.from_matrix(sp.csr_array(p.matrix()), cells=p.cells) for p in problems[:2]]
    rhs = [rng.standard_normal(p.layout.size) for p in problems]
    alone = [solve(p, b, rtol=1e-9) for p, b in zip(problems, rhs, strict=True)]
    shared = Solver(problems[0], rtol=1e-9)

    def work(n):
        which = n % len(problems)
        own = solve(problems[which], rhs[which], rtol=1e-9)
        return which, own, shared.solve(rhs[0])

    with ThreadPoolExecutor(4) as pool:
        for which, (x, info), (of_shared, _) in pool.map(work, range(24)):
            np.testing.assert_array_equal(x, alone[which][0])
            assert info.residuals == alone[which][1].residuals
            np.testing.assert_array_equal(of_shared, alone[0][0])


def test_a_solver_after_an_interrupt():
    """Ctrl-C in the middle of a solve: the next solve is as if nothing had been."""
    problem = Poisson(np.zeros((20, 21), np.uint8), boundary="open")
    solver, b = Solver(problem, rtol=1e-9), np.random.default_rng(2).standard_normal((20, 21))
    expected, _ = solver.solve(b)

    def interrupt(x):
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            solver.solve(b, callback=interrupt)
        np.testing.assert_array_equal(solver.solve(b)[0], expected)
