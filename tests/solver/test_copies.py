"""Problems, solvers, preconditioners and reports that are copied, pickled, and sent to another process: the same answers to the bit."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
from deepcg import Poisson, Solver, solve

CELLS = np.zeros((9, 12), np.uint8)
CELLS[3:5, 4:7], CELLS[7, 2] = deepcg.SOLID, deepcg.OPEN
HOW = {"pickle": lambda v: pickle.loads(pickle.dumps(v)), "deepcopy": copy.deepcopy, "copy": copy.copy}


def variable():
    return Poisson(
        CELLS, coefficient=0.1 + np.arange(108.0).reshape(9, 12), shift=0.1, spacing=(np.linspace(1, 2, 9), 1.0)
    )


def shuffled(dtype=np.float64):
    A = variable().matrix()
    order = np.random.default_rng(1).permutation(A.shape[0])
    centres = np.argwhere(CELLS == deepcg.FLUID)[:, ::-1] ** 1.5
    return Poisson.from_matrix(sp.csr_array(A[order][:, order]).astype(dtype), coordinates=centres[order])


def full(dtype=np.float64):
    A = Poisson(
        np.zeros((9, 12), np.uint8), coefficient=0.1 + np.arange(108.0).reshape(9, 12), boundary="open"
    ).matrix()
    return A.astype(dtype)


PROBLEMS = {
    "cells": lambda: Poisson(CELLS, boundary="open"),
    "coefficients": variable,
    "singular": lambda: Poisson(np.zeros((5, 6), np.uint8), boundary="periodic"),
    "matrix by cells": lambda: Poisson.from_matrix(variable().matrix(), cells=CELLS),
    "matrix by shape": lambda: Poisson.from_matrix(-full(), shape=(9, 12)),
    "matrix by coordinates": shuffled,
    "single precision": lambda: shuffled(np.float32),
    "rounded": lambda: Poisson.from_matrix(full(np.float32), shape=(9, 12), rounding=1e-5),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_copy_gives_the_same_answers(name, how):
    problem = PROBLEMS[name]()
    copied = HOW[how](problem)
    b = np.random.default_rng(0).standard_normal(problem.layout.size)
    assert copied.shape == problem.shape
    assert (copied.matrix() != problem.matrix()).nnz == 0
    for ours, theirs in zip(copied.grid.widths, problem.grid.widths, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not copied.cells.flags.writeable
    x, info = solve(problem, b, rtol=1e-9)
    y, other = solve(copied, b, rtol=1e-9)
    np.testing.assert_array_equal(x, y)
    assert other.residuals == info.residuals

    solver = Solver(problem, rtol=1e-8, window=4, model="multigrid", maxiter=77, inconsistent="project")
    again = HOW[how](solver)
    assert (again.rtol, again.window, again.maxiter, again.preconditioner.name) == (1e-8, 4, 77, "multigrid")
    np.testing.assert_array_equal(again.solve(b)[0], solver.solve(b)[0])
    for model in ("auto", "jacobi"):
        M = deepcg.preconditioner(problem, model)
        np.testing.assert_array_equal(HOW[how](M) @ b, M @ b)


@pytest.mark.parametrize("how", HOW)
def test_the_papers_network_is_copied_too(how):
    pytest.importorskip("torch")
    problem = variable()
    M, b = deepcg.preconditioner(problem, "dcdm"), np.ones(problem.size)
    np.testing.assert_array_equal(HOW[how](M) @ b, M @ b)


def test_the_users_own_preconditioner_goes_along():
    problem = variable()
    inverse = sp.diags_array(1.0 / problem.matrix().diagonal())
    solver, b = Solver(problem, model=inverse), np.ones(problem.size)
    for copying in HOW.values():
        again = copying(solver)
        np.testing.assert_array_equal(again.solve(b)[0], solver.solve(b)[0])
    M = deepcg.preconditioner(Poisson.from_matrix(problem.matrix(), cells=CELLS), inverse)
    np.testing.assert_array_equal(HOW["pickle"](M) @ b, M @ b)


def test_a_copy_is_independent():
    solver = Solver(variable())
    again = copy.deepcopy(solver)
    again.update(shift=5.0)
    b = np.ones(solver.problem.size)
    np.testing.assert_array_equal(solver.solve(b)[0], Solver(variable()).solve(b)[0])
    assert np.abs(again.solve(b)[0] - solver.solve(b)[0]).max() > 0.01


def test_what_is_not_copied_says_what_is():
    with pytest.raises(TypeError, match=r"session: .* pickle the deepcg\.Poisson or deepcg\.Solver"):
        pickle.dumps(variable().layout.session)


def test_a_problem_is_read_again_for_another_matrix():
    """New entries, also at other places; rows where they were."""
    for name in ("matrix by cells", "matrix by shape", "matrix by coordinates"):
        problem = PROBLEMS[name]()
        A = problem.matrix().copy()
        A.data *= np.random.default_rng(3).uniform(1, 1.5)
        A = sp.csr_array(A + sp.diags_array(np.linspace(1, 2, A.shape[0]) * np.sign(A.diagonal())))
        r, c = sp.triu(A, 1).tocoo().coords
        cut = A.tolil()
        cut[r[3], c[3]] = cut[c[3], r[3]] = 0.0  # a coupling less
        cut = sp.csr_array(cut)
        cut.eliminate_zeros()
        solver, b = Solver(problem, rtol=1e-10), np.random.default_rng(2).standard_normal(A.shape[0])
        for matrix in (A, cut, A):
            solver.update(matrix)
            x, info = solver.solve(b)
            assert info == 0
            assert np.linalg.norm(b - matrix @ x) <= 1.01e-10 * np.linalg.norm(b)
    with pytest.raises(ValueError, match="made from cells, not read from a matrix"):
        variable().reread(full())


CHILD = """
import multiprocessing as mp, sys
import numpy as np, deepcg

def work(solver, b):
    x, info = solver.solve(b)
    return x, info, deepcg.solve(solver.problem, b)[1]

if __name__ == "__main__":
    problem = deepcg.Poisson(np.zeros((12, 13), np.uint8), boundary="open")
    b = np.random.default_rng(0).standard_normal((156, 2))
    for made in (problem, deepcg.Poisson.from_matrix(problem.matrix(), shape=problem.shape)):
        solver = deepcg.Solver(made, rtol=1e-9)
        with mp.get_context(sys.argv[1]).Pool(2) as pool:
            found = pool.starmap(work, [(solver, b)] * 2)
        here = work(solver, b)
        for there in found:
            assert np.array_equal(there[0], here[0])
            assert [one.residuals for one in there[1]] == [one.residuals for one in here[1]]
            assert there[2] == 0 and there[1] == 0
    print("the same")
"""


def test_solvers_are_sent_to_processes_that_were_spawned(tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(Path(deepcg.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), "spawn"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.stdout.strip() == "the same", done.stderr
