"""PETSc from Python: types of petsc4py, `deepcg.solve` for PETSc's matrices, registration."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import deepcg
import deepcg.petsc
from deepcg import Poisson
from tests.support.petsc_systems import (
    ENVIRONMENT,
    PLUGIN,
    RTOL,
    dmda,
    matrix,
    options,
    petsc,
    relative_residual,
    run,
    scene,
    vector,
)


def python_ksp(A, shape, **given):
    """A KSP with types by options, on a DMDA."""
    PETSc = petsc()
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(matrix(A))
    ksp.setDM(dmda(shape))
    ksp.setDMActive(False)
    ksp.setTolerances(rtol=RTOL)
    with options(**given):
        ksp.setFromOptions()
        ksp.setUp()
    return ksp


def ex45(shape):
    """Identity rows at the sides, to which the others keep their couplings."""
    A = Poisson(np.zeros(shape, np.uint8), boundary="open").matrix().tolil()
    edge = np.ones(shape, bool)
    edge[(slice(1, -1),) * len(shape)] = False
    for row in np.flatnonzero(edge):
        A[row, :] = 0.0
        A[row, row] = 2.5
    return sp.csr_array(A)


@pytest.mark.parametrize("model", ["auto", "multigrid", "jacobi", "dcdm"])
def test_the_python_preconditioner_in_petscs_iterations(model):
    if model == "dcdm":
        pytest.importorskip("torch")
    problem, b = (
        Poisson(np.zeros((9, 10, 11), np.uint8), boundary="open"),
        np.random.default_rng(1).standard_normal(990),
    )
    ksp_type = "deepcg" if model == "dcdm" else "cg"
    given = {"pc_type": "python", "pc_python_type": "deepcg.petsc.PC", "pc_deepcg_model": model, "ksp_type": ksp_type}
    ksp = python_ksp(problem.matrix(), problem.shape, **given, ksp_norm_type="unpreconditioned")
    x = run(ksp, b)
    assert ksp.getConvergedReason() > 0
    assert relative_residual(problem.matrix(), x, b) <= 1.1 * RTOL
    assert ksp.getPC().getPythonContext()._preconditioner.linear == (model != "dcdm")
    ksp.destroy()


@pytest.mark.parametrize("ksp_type", ["deepcg", "fcg"])
def test_the_native_type_hands_models_over_to_python(ksp_type):
    """Also where rows keep one-sided couplings, and after the matrix has changed."""
    pytest.importorskip("torch")
    shape = (8, 9, 10)
    A, rng = ex45(shape), np.random.default_rng(2)
    ksp = python_ksp(
        A, shape, pc_type="deepcg", pc_deepcg_model="dcdm", ksp_type=ksp_type, ksp_norm_type="unpreconditioned"
    )
    for factor in (1.0, 2.0):
        ksp.setOperators(matrix(factor * A))
        x, b = vector(np.zeros(720)), rng.standard_normal(720)
        rhs = vector(b)
        ksp.solve(rhs, x)
        assert ksp.getConvergedReason() > 0 and ksp.getIterationNumber() < 60
        assert relative_residual(factor * A, x.getArray(), b) <= 1.1 * RTOL
    ksp.destroy()


@pytest.mark.parametrize(
    "given", [{}, {"pc_deepcg_model": "multigrid"}, {"ksp_deepcg_method": "dcd", "ksp_deepcg_window": "3"}]
)
def test_the_python_iteration(given):
    problem, rng = Poisson(np.zeros((9, 10, 11), np.uint8), boundary="open"), np.random.default_rng(3)
    ksp = python_ksp(problem.matrix(), problem.shape, ksp_type="python", ksp_python_type="deepcg.petsc.KSP", **given)
    ksp.setConvergenceHistory()
    seen = []
    ksp.setMonitor(lambda _, iteration, norm: seen.append(iteration))
    x, b = vector(np.zeros(990)), rng.standard_normal(990)
    rhs = vector(b)
    ksp.solve(rhs, x)
    assert ksp.getConvergedReason() > 0
    assert relative_residual(problem.matrix(), x.getArray(), b) <= RTOL
    assert seen == list(range(ksp.getIterationNumber() + 1))
    first = ksp.getIterationNumber()
    ksp.setInitialGuessNonzero(True)
    ksp.solve(rhs, x)
    assert ksp.getIterationNumber() == 0 < first
    ksp.destroy()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_solve_takes_petscs_matrices(sign):
    problem, b = scene("sphere", 12, 2)
    A = sign * problem.matrix()
    given, rhs = matrix(A), vector(b)
    x, info = deepcg.solve(given, rhs, grid=problem.cells, rtol=RTOL)
    assert type(x) is type(rhs) and int(info) == 0
    assert relative_residual(A, x.getArray(), b) <= RTOL
    assert np.array_equal(rhs.getArray(), b)
    _, again = deepcg.solve(given, rhs, x, grid=problem.cells, rtol=RTOL)
    assert again.iterations == 0


def test_solve_takes_the_grid_from_a_dmda():
    da = dmda((7, 8, 9))
    A, values = da.createMat(), Poisson(np.zeros((7, 8, 9), np.uint8), boundary="open").matrix()
    A.setValuesCSR(values.indptr.astype(np.int32), values.indices.astype(np.int32), values.data)
    A.assemble()
    b = np.random.default_rng(4).standard_normal(504)
    x, info = deepcg.solve(A, vector(b), model="multigrid")
    assert info.model == "multigrid" and relative_residual(values, x.getArray(), b) <= 1e-6


def test_solve_says_what_is_missing():
    with pytest.raises(ValueError, match="nothing says on what grid its rows lie"):
        deepcg.solve(matrix(Poisson(np.zeros((4, 5), np.uint8)).matrix()), vector(np.ones(20)))


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (lambda folder: folder / "libdeepcg_petsc.so", "no such library; build it: make petsc"),
        (lambda folder: written(folder / "libdeepcg_petsc.so", b"nothing"), "invalid ELF header|file too short"),
    ],
)
def test_registration_says_what_is_wrong(tmp_path, prepare, text):
    petsc()
    with pytest.raises(OSError, match=text):
        deepcg.petsc.register(prepare(tmp_path))


def written(path, content):
    path.write_bytes(content)
    return path


def test_a_renamed_plugin_says_so(tmp_path):
    """PETSc would load it without a word and know no type deepcg."""
    renamed = PLUGIN.with_name("libother_name.so")
    renamed.write_bytes(PLUGIN.read_bytes())
    try:
        code = f"import petsc4py; petsc4py.init(['x', '-dll_append', '{renamed}']); from petsc4py import PETSc"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    finally:
        renamed.unlink()
    assert "this library was renamed to libother_name.so" in run.stderr
    assert "Name it libdeepcg_petsc.so again" in run.stderr


def test_registering_twice_is_harmless():
    petsc()
    assert deepcg.petsc.register() == deepcg.petsc.register() == PLUGIN.resolve()


def test_python_models_refuse_many_ranks():
    from tests.support.petsc_systems import mpiexec

    code = (
        "import petsc4py; petsc4py.init(['x']); from petsc4py import PETSc; import deepcg.petsc\n"
        "A = PETSc.DMDA().create(sizes=(4, 4)).createMat(); A.assemble()\n"
        "try: deepcg.petsc.read(A)\n"
        "except ValueError as error: print(f'refused: {error}', flush=True)\n"  # in one piece: two ranks write
    )
    output = mpiexec(2, sys.executable, "-c", code)
    assert "refused: A: spread over 2 ranks; models in Python run on one" in output


def test_the_doctor_tries_the_plugin():
    from deepcg.cli import doctor

    answer = doctor._petsc_plugin()
    assert "iterations on a small system" in answer and str(PLUGIN.resolve()) in answer
