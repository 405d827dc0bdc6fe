"""The promise of docs/reliability.md as tests hold answers to it: the true residual in extended precision, and every path to an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import deepcg
from benchmarks.campaign.rows import Rows, norm

ALLOWED = 1.01
"""Of the tolerance: the true residual of an answer that is said to be converged."""


@dataclass
class Answer:
    """What one path says: x, whether it converged, and how it went."""

    x: np.ndarray
    converged: bool
    iterations: int
    fallbacks: int = 0
    projected: float = 0.0
    text: str = ""


def residual(A, x, b) -> float:
    """||b - A x|| / ||b|| in extended precision, by row sums and differences."""
    b = np.asarray(b, dtype=np.float64).reshape(-1)
    return float(norm(b - Rows.of_matrix(sp.csr_array(A)).apply(np.reshape(x, -1))) / norm(b))


def held(A, answer: Answer, b, rtol: float = 1e-6) -> Answer:
    """The answer, which converged to what was asked for."""
    assert answer.converged, answer.text
    assert np.isfinite(answer.x).all()
    assert residual(A, answer.x, b) <= ALLOWED * rtol, (residual(A, answer.x, b), answer.text)
    return answer


def right_or_honest(A, answer: Answer, b, rtol: float = 1e-6) -> Answer:
    """The answer, which is right or says that it is not."""
    assert np.isfinite(answer.x).all()
    assert not answer.converged or residual(A, answer.x, b) <= ALLOWED * rtol, answer.text
    return answer


def by_solve(A, b, shape, rtol=1e-6, **more) -> Answer:
    """Through `deepcg.solve`; A may be a Poisson problem."""
    grid = {} if isinstance(A, deepcg.Poisson) or "coordinates" in more else {"grid": shape}
    x, info = deepcg.solve(A, np.reshape(b, -1), rtol=rtol, **grid, **more)
    return Answer(x, int(info) == 0, info.iterations, info.fallbacks, info.projected, repr(info))


def by_directions(A, b, shape, rtol=1e-6) -> Answer:
    return by_solve(A, b, shape, rtol, method="dcd")


def by_callback(A, b, shape, rtol=1e-6) -> Answer:
    """The iteration that calls Python back, in float64 around the same cycle."""
    return by_solve(A, b, shape, rtol, callback=lambda x: None)


def by_solver(A, b, shape, rtol=1e-6) -> Answer:
    """Through a solver that has served another matrix before."""
    solver = deepcg.Solver(deepcg.Poisson(np.zeros(shape, np.uint8), boundary="open"), rtol=rtol)
    solver.solve(np.ones(shape))
    solver.update(deepcg.Poisson.from_matrix(sp.csr_array(A), shape=shape))
    x, info = solver.solve(np.reshape(b, -1))
    return Answer(x, int(info) == 0, info.iterations, info.fallbacks, info.projected, repr(info))


def by_command(A, b, shape, rtol=1e-6) -> Answer:
    """Through `deepcg solve`, in the folder that is current; the printed residual is the true one."""
    testing = pytest.importorskip("click.testing")
    pytest.importorskip("tqdm")
    from deepcg import cli

    single = np.asarray(sp.csr_array(A).data).dtype == np.float32
    sp.save_npz("A.npz", sp.csr_array(A)) if single else scipy.io.mmwrite("A.mtx", sp.csr_array(A), precision=17)
    np.save("b.npy", np.reshape(b, -1))
    grid = ",".join(str(n) for n in reversed(shape))
    arguments = ["solve", "A.npz" if single else "A.mtx", "--grid", grid, "--rhs", "b.npy", "--rtol", str(rtol)]
    done = testing.CliRunner().invoke(cli.main, [*arguments, "--save-x", "x.npy", "--force"])
    assert done.exit_code in (0, 1), done.output
    x = np.load("x.npy")
    printed = float(done.output.split("relative to ||b||")[1].split()[0])
    assert printed == pytest.approx(residual(A, x, b), rel=0.1, abs=1e-14), done.output
    return Answer(x, done.exit_code == 0, 0, text=done.output)


def by_ksp(A, b, shape, rtol=1e-6, ksp_type="deepcg", **more) -> Answer:
    """Through PETSc's native KSP, or its own with the PC."""
    from tests.support import petsc_systems

    given = {"pc_deepcg_grid": ",".join(str(n) for n in reversed(shape)), **more}
    x, iterations, reason = petsc_systems.solve(
        sp.csr_array(A, dtype=np.float64), np.reshape(b, -1), ksp_type=ksp_type, rtol=rtol, **given
    )
    return Answer(x, reason > 0, iterations, text=f"PETSc's reason {reason}")


def by_pc(A, b, shape, rtol=1e-6) -> Answer:
    return by_ksp(A, b, shape, rtol, ksp_type="cg")


def by_ksp_without_native(A, b, shape, rtol=1e-6) -> Answer:
    return by_ksp(A, b, shape, rtol, ksp_deepcg_native="false")


PATHS = {
    "solve": by_solve, "dcd": by_directions, "callback": by_callback, "Solver": by_solver, "command": by_command, "KSP": by_ksp,
    "KSP, not native": by_ksp_without_native, "PC": by_pc,
}  # fmt: skip
IN_PYTHON = ("solve", "dcd", "callback", "Solver")


def insulated(n: int) -> sp.csr_array:
    """The negative second difference of n cells between two walls."""
    main = np.full(n, 2.0)
    main[[0, -1]] = 1.0 if n > 1 else 0.0
    return sp.csr_array(sp.diags_array([main, -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1]))


def box(*shape: int) -> sp.csr_array:
    """The unit Laplacian of a closed box, C order."""
    total = sp.csr_array((1, 1))
    for n in shape:
        total = sp.csr_array(sp.kron(total, sp.eye_array(n)) + sp.kron(sp.eye_array(total.shape[0]), insulated(n)))
    return total
