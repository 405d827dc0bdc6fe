"""Solves where memory ends: MemoryError with the bytes, never a dead process, and a solver that works again once there is memory."""

import os
import subprocess
import sys
import textwrap

import pytest

from deepcg.native import library as native

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SHAPE = (48, 48, 48)

FEW = [0, *range(3 << 20, 40 << 20, 5 << 20), 160 << 20]  # bytes beyond those in use
MANY = [*range(0, 64 << 20, 331 << 10), 160 << 20]

# Every limit is tried in a child of a process that has solved before, so that everything is imported. Every second child has its solver from before.
# After a MemoryError it solves again without the limit.
PROGRAM = """
import os, resource, sys
import numpy as np
import deepcg
from deepcg.native import library as native

shape, rng = {shape}, np.random.default_rng(1)
{system}
b = rng.standard_normal(problem.shape) * (problem.cells == 0)
expected = make().solve(b)[0]
native.release_memory()

def limited(extra, before):
    solver = make() if before else None
    size = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGESIZE") + extra
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    try:
        x = (solver or make()).solve(b)[0]
    except MemoryError as error:
        text = str(error)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert not text or any(c.isdigit() for c in text), text
        assert np.array_equal((solver or make()).solve(b)[0], expected)
        os._exit(3)
    assert np.array_equal(x, expected)
    os._exit(4)

for number, extra in enumerate({limits}):
    child = os.fork()
    if child == 0:
        try:
            limited(extra, number % 2)
        except BaseException as error:
            os.write(2, f"{{extra}} bytes: {{error!r}}\\n".encode())
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    print(extra, {{0x300: "no memory", 0x400: "solved"}}.get(status, f"died: {{status:#x}}"))
"""

SYSTEMS = {
    "box": "problem = deepcg.Poisson(np.zeros(shape, np.uint8), boundary='open'); make = lambda: deepcg.Solver(problem)",
    "walls": """
        problem = deepcg.Poisson((rng.random(shape) < 0.2).astype(np.uint8), boundary="open")
        make = lambda: deepcg.Solver(problem)
    """,
    "coefficients and dcd": """
        problem = deepcg.Poisson(np.zeros(shape, np.uint8), coefficient=rng.uniform(1.0, 9.0, shape), boundary="open")
        make = lambda: deepcg.Solver(problem, method="dcd")
    """,
    "jacobi": """
        problem = deepcg.Poisson((rng.random(shape) < 0.2).astype(np.uint8))
        make = lambda: deepcg.Solver(problem, model="jacobi", maxiter=50)
    """,
    "matrix": """
        box = deepcg.Poisson(np.zeros(shape, np.uint8), boundary="open").matrix()
        problem = deepcg.Poisson.from_matrix(box, shape=shape)
        make = lambda: deepcg.Solver(deepcg.Poisson.from_matrix(box, shape=shape))
    """,
    "matrix with coefficients": """
        box = deepcg.Poisson(np.zeros(shape, np.uint8), coefficient=rng.uniform(1.0, 9.0, shape), boundary="open").matrix()
        problem = deepcg.Poisson.from_matrix(box, shape=shape)
        make = lambda: deepcg.Solver(deepcg.Poisson.from_matrix(box, shape=shape))
    """,
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("limits", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"])
def test_where_memory_ends_there_is_a_memory_error(system, limits):
    code = PROGRAM.format(shape=SHAPE, system=textwrap.dedent(SYSTEMS[system]), limits=limits)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert ended.returncode == 0, ended.stderr
    found = [line.split(" ", 1)[1] for line in ended.stdout.splitlines()]
    assert set(found) == {"no memory", "solved"}, ended.stdout + ended.stderr
    assert found[0] == "no memory" and found[-1] == "solved"
