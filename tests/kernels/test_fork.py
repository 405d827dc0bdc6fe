"""Solves in children of a process that has solved with two threads: libgomp's threads do not exist there.

Every check runs in an interpreter of its own with two threads, whose children end with a code. The long wait is there only for a child that hangs.
"""

import os
import subprocess
import sys
import textwrap

import pytest

from deepcg.native import library as native

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

START = """
import os, threading
import numpy as np
import deepcg

shape = (40, 40, 40)  # large enough for parallel regions
problem = deepcg.Poisson(np.zeros(shape, np.uint8), boundary="open")
rng = np.random.default_rng(3)
b = rng.standard_normal(shape)

def in_child(work):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {status}"

def check(x):
    assert np.array_equal(x, expected)

def judge(x, A, b):
    assert np.linalg.norm(b.ravel() - A @ x.ravel()) <= 1.1e-6 * np.linalg.norm(b)

expected = deepcg.solve(problem, b)[0]
"""

SOLVES = {
    "a new problem": "in_child(lambda: check(deepcg.solve(deepcg.Poisson(np.zeros(shape, np.uint8), boundary='open'), b)[0]))",
    "a solver from before": """
        solver = deepcg.Solver(problem)
        check(solver.solve(b)[0])
        in_child(lambda: check(solver.solve(b)[0]))
        check(solver.solve(b)[0])
    """,
    "again in the parent, and in a second child": """
        for _ in range(2):
            in_child(lambda: check(deepcg.solve(problem, b)[0]))
            check(deepcg.solve(problem, b)[0])
    """,
    "a grandchild": """
        def work():
            check(deepcg.solve(problem, b)[0])
            in_child(lambda: check(deepcg.solve(problem, b)[0]))
            check(deepcg.solve(problem, b)[0])
        in_child(work)
    """,
    "a grandchild of a child that did not solve": "in_child(lambda: in_child(lambda: check(deepcg.solve(problem, b)[0])))",
    "a matrix and dcd": """
        A = problem.matrix()
        deepcg.solve(A, b.ravel(), method="dcd", grid=shape)
        in_child(lambda: judge(deepcg.solve(A, b.ravel(), method="dcd", grid=shape)[0], A, b))
    """,
    "a matrix with coefficients": """
        A = deepcg.Poisson(np.zeros(shape, np.uint8), coefficient=rng.uniform(1, 9, shape), boundary="open").matrix()
        deepcg.solve(A, b.ravel(), grid=shape)
        in_child(lambda: judge(deepcg.solve(A, b.ravel(), grid=shape)[0], A, b))
    """,
    "a singular problem": """
        closed = deepcg.Poisson(np.zeros(shape, np.uint8))
        x = deepcg.solve(closed, b)[0]
        in_child(lambda: np.testing.assert_array_equal(deepcg.solve(closed, b)[0], x))
    """,
    "float64 conjugate gradients": "in_child(lambda: judge(deepcg.solve(problem, b, model='jacobi')[0], problem.matrix(), b))",
    "a fork within a callback": """
        forks = []
        def fork(x):
            if not forks:
                forks.append(1)
                in_child(lambda: check(deepcg.solve(problem, b)[0]))
        deepcg.solve(problem, b, callback=fork)
        assert forks
        check(deepcg.solve(problem, b)[0])
    """,
    "a fork by another thread": """
        def work():
            check(deepcg.solve(problem, b)[0])
            in_child(lambda: check(deepcg.solve(problem, b)[0]))
            done.append(1)
        done = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert done
    """,
    "a child while another thread solves": """
        ended = threading.Event()
        def solve_on():
            while not ended.is_set():
                check(deepcg.solve(problem, b)[0])
        thread = threading.Thread(target=solve_on)
        thread.start()
        try:
            for _ in range(3):
                in_child(lambda: check(deepcg.solve(problem, b)[0]))
        finally:
            ended.set()
            thread.join()
    """,
    "a pool of multiprocessing": """
        import multiprocessing
        global work
        def work(scale):
            return deepcg.solve(problem, scale * b)[0]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for scale, x in enumerate(pool.map(work, [1.0, 2.0, 4.0])):
                check(x / 2.0**scale)
    """,
}


def run(*parts):
    code = "".join(textwrap.dedent(part) for part in parts)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("solves", SOLVES)
def test_children_solve(solves):
    run(START, SOLVES[solves])


PETSC = """
from petsc4py import PETSc
import deepcg.petsc

deepcg.petsc.register()
A = problem.matrix().tocsr()
mat = PETSc.Mat().createAIJ(A.shape, csr=tuple(v.astype(PETSc.IntType) for v in (A.indptr, A.indices)) + (A.data,), comm=PETSc.COMM_SELF)
given, found = mat.createVecs()
given.setArray(b.ravel())

def solver(ksp_type):
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(mat)
    ksp.setDM(PETSc.DMDA().create(sizes=shape[::-1], dof=1, stencil_width=1, comm=PETSc.COMM_SELF))
    ksp.setDMActive(False)
    ksp.setType(ksp_type)
    ksp.getPC().setType("deepcg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-6)
    return ksp

def solve(ksp):
    ksp.solve(given, found)
    judge(found.getArray(), A, b)

before = solver("deepcg")
solve(before)
in_child(lambda: (solve(before), solve(solver("cg")), in_child(lambda: solve(solver("deepcg")))))
solve(before)
"""


def test_children_solve_with_petsc():
    pytest.importorskip("petsc4py")
    run(START, PETSC)
