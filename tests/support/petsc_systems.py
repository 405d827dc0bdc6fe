"""What the tests of the PETSc plugin share: systems as PETSc has them, solves by options, programs under mpiexec."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import deepcg
from benchmarks.peers.mpi import ENVIRONMENT as MPI_ENVIRONMENT
from deepcg import Poisson

ROOT = Path(deepcg.__file__).parent.parent
PLUGIN = ROOT / "deepcg" / "libdeepcg_petsc.so"
RTOL = 1e-8
ENVIRONMENT = {**MPI_ENVIRONMENT, "PYTHONPATH": str(ROOT)}


def need_petsc() -> None:
    """Skip the module that imports this one where PETSc is absent; in continuous integration that is a failure."""
    try:
        import petsc4py  # noqa: F401
    except ImportError:
        missing = "petsc4py is not installed"
    else:
        missing = "" if PLUGIN.exists() else f"{PLUGIN.name} is not built"
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing}: make petsc", pytrace=False)
    if missing:
        pytest.skip(f"{missing}: make petsc", allow_module_level=True)


need_petsc()


def petsc():
    """petsc4py.PETSc with the plugin registered; without PETSc's handler of signals, which would end the process for other tests' broken pipes."""
    import petsc4py

    petsc4py.init(["tests", "-no_signal_handler"])
    from petsc4py import PETSc

    import deepcg.petsc

    deepcg.petsc.register()
    return PETSc


@contextmanager
def options(**given):
    """PETSc options, by name without the dash; None: without a value. Nothing of them is left behind."""
    database = petsc().Options()
    for name, value in given.items():
        database[name] = value
    try:
        yield
    finally:
        for name in given:
            database.delValue(name)


def box(*shape, **arguments):
    """A box of unknowns."""
    return Poisson(np.zeros(shape, np.uint8), **arguments)


def dmda(shape):
    """A DMDA with the cells of a (nz,) ny, nx array as its points."""
    return petsc().DMDA().create(sizes=tuple(shape[::-1]), dof=1, stencil_width=1)


def matrix(A):
    """A SciPy matrix as PETSc's, on one rank."""
    PETSc = petsc()
    A = A.tocsr()
    csr = (A.indptr.astype(PETSc.IntType), A.indices.astype(PETSc.IntType), A.data)
    return PETSc.Mat().createAIJ(A.shape, csr=csr, comm=PETSc.COMM_SELF)


def vector(values):
    v = petsc().Vec().createSeq(len(values))
    v.setArray(values)
    return v


def solver(A, shape=None, ksp_type="deepcg", pc_type="deepcg", rtol=RTOL, **given):
    """A KSP with these options, set up; `shape`: that of a DMDA."""
    PETSc = petsc()
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(matrix(A) if hasattr(A, "tocsr") else A)
    if shape is not None:
        ksp.setDM(dmda(shape))
        ksp.setDMActive(False)
    ksp.setTolerances(rtol=rtol)
    with options(**{"ksp_type": ksp_type, "pc_type": pc_type, "ksp_norm_type": "unpreconditioned", **given}):
        ksp.setFromOptions()
        ksp.setUp()
    return ksp


def run(ksp, b, x0=None):
    """The x that a KSP finds."""
    x, rhs = vector(np.zeros(len(b)) if x0 is None else x0), vector(b)
    ksp.setInitialGuessNonzero(x0 is not None)
    ksp.solve(rhs, x)
    return x.getArray().copy()


def solve(A, b, shape=None, x0=None, **given):
    """x, iterations and reason of a solve."""
    ksp = solver(A, shape, **given)
    return run(ksp, b, x0), ksp.getIterationNumber(), ksp.getConvergedReason()


def view(ksp) -> str:
    """What -ksp_view prints."""
    PETSc = petsc()
    path = ROOT / "build" / f"view-{os.getpid()}.txt"
    path.parent.mkdir(exist_ok=True)
    viewer = PETSc.Viewer().createASCII(str(path), comm=PETSc.COMM_SELF)
    ksp.view(viewer)
    viewer.destroy()
    text = path.read_text()
    path.unlink()
    return text


def apply(pc, r) -> np.ndarray:
    """M r."""
    x, y = vector(r), vector(np.zeros(len(r)))
    pc.apply(x, y)
    return y.getArray().copy()


def dense(pc, n) -> np.ndarray:
    """M, column by column."""
    return np.stack([apply(pc, column) for column in np.eye(n)], axis=1)


def error_text(error) -> str:
    """The message of a PETSc error, with its stack."""
    return str(error.value)


def relative_residual(A, x, b) -> float:
    return float(np.linalg.norm(b - A @ x) / np.linalg.norm(b))


def mpiexec(ranks: int, *command: str, timeout: float = 120, check: bool = True, **environment) -> str:
    """Standard output and error of a command on so many ranks."""
    launcher = [] if ranks == 0 else [shutil.which("mpiexec") or "mpiexec", "-n", str(ranks)]
    run = subprocess.run(
        [*launcher, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**ENVIRONMENT, **environment},
    )
    output = run.stdout + run.stderr
    assert not check or run.returncode == 0, output
    return output


def python(ranks: int, script: str, *arguments: str, **more) -> str:
    """A script of tests/support/petsc_scripts on so many ranks."""
    return mpiexec(
        ranks, sys.executable, str(ROOT / "tests" / "support" / "petsc_scripts" / script), *arguments, **more
    )


def scene(name: str, n: int, dim: int):
    """A scene of the gallery: problem and right-hand side over its unknowns."""
    from deepcg.scenes import gallery

    made = gallery.scene(name, n, dim)
    problem: Poisson = made.problem
    rhs = problem.layout.rhs(made.rhs)
    problem.components.project(rhs)
    return problem, problem.layout.residual(rhs)
