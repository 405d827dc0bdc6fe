"""1,000 set-ups and solves with -malloc_dump; the process must not grow. For tests/petsc/test_petsc_ksp.py."""

import resource
import sys

import petsc4py

petsc4py.init([sys.argv[0], "-malloc_debug", "-malloc_dump"])

import numpy as np  # noqa: E402

from deepcg import Poisson  # noqa: E402
from tests.support.petsc_systems import matrix, solver, vector  # noqa: E402


def run(times):
    problem = Poisson(
        np.zeros((6, 7, 8), np.uint8), boundary="open", coefficient=np.linspace(1, 2, 336).reshape(6, 7, 8)
    )
    A, b, x = matrix(problem.matrix()), vector(np.ones(336)), vector(np.zeros(336))
    for n in range(times):
        ksp = solver(A, problem.shape, ksp_deepcg_native=str(n % 2))
        ksp.solve(b, x)
        ksp.destroy()
    for v in (A, b, x):
        v.destroy()


run(100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(1000)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(f"grew by {0 if grown < 2000 else 1024 * grown} bytes")
