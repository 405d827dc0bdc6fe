"""The PETSc plugin's preconditioner as PETSc's users expect one: changed values, view, models, inside others; refusals, fallback."""

import numpy as np
import pytest
import scipy.sparse as sp

from deepcg import preconditioner
from tests.support.petsc_systems import (
    ROOT,
    RTOL,
    apply,
    box,
    error_text,
    matrix,
    options,
    petsc,
    relative_residual,
    run,
    solver,
    vector,
    view,
)

# ---- PETSc manners -----------------------------------------------------------------------------------------------------


def test_changed_values_are_read_again_and_a_kept_preconditioner_is_kept():
    shape, rng = (8, 9, 10), np.random.default_rng(2)
    beta = 10.0 ** rng.uniform(-2, 2, shape)
    first, second = box(*shape, boundary="open"), box(*shape, boundary="open", coefficient=beta)
    b = rng.standard_normal(720)
    A = matrix(first.matrix())
    ksp = solver(A, shape)
    run(ksp, b)
    before = ksp.getIterationNumber()
    A.setValuesCSR(
        *(v.astype(np.int32) for v in (second.matrix().indptr, second.matrix().indices)), second.matrix().data
    )
    A.assemble()
    kept = solver(matrix(second.matrix()), shape, ksp_type="cg")  # what it should be
    ksp.getPC().setReusePreconditioner(True)
    ksp.setOperators(A)
    x = run(ksp, b)
    stale = ksp.getIterationNumber()
    assert relative_residual(second.matrix(), x, b) <= RTOL
    ksp.getPC().setReusePreconditioner(False)
    ksp.setOperators(A)
    x = run(ksp, b)
    fresh = ksp.getIterationNumber()
    run(kept, b)
    assert relative_residual(second.matrix(), x, b) <= RTOL
    assert fresh <= kept.getIterationNumber() + 1 and fresh < stale and before < stale


@pytest.mark.parametrize("backend", ["auto", "cpu"])
def test_the_backend_is_the_cpu(backend):
    assert "backend: cpu (" in view(solver(box(4, 5).matrix(), (4, 5), pc_deepcg_backend=backend))


def test_the_view_names_model_levels_precision_and_memory():
    from deepcg.io import model_file

    text = view(solver(box(20, 21, 22, boundary="open").matrix(), (20, 21, 22)))
    description = model_file.describe(model_file.shipped()["multilevel-3d"])
    for part in (
        f"model: multilevel-3d, hash {description['hash']}",
        "grid: 22 x 21 x 20 from DMDA",
        "matrix: 9240 unknowns, 0 rows diagonal only",
        "weights: all faces 1.",
        "  11 x 11 x 10:",
        "precision: single inside, double outside; backend: cpu",
        "memory: ",
    ):
        assert part in text, text


@pytest.mark.parametrize("model", ["multigrid", "multilevel-2d", "multilevel"])
def test_models_by_name(model):
    problem = box(15, 16, boundary="open")
    r = np.random.default_rng(6).standard_normal(240)
    pc = solver(problem.matrix(), (15, 16), pc_deepcg_model=model).getPC()
    expected = preconditioner(problem, model=model) @ r
    assert np.allclose(apply(pc, r), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_a_model_file_by_path(tmp_path):
    from deepcg.io import model_file

    path = tmp_path / "own.safetensors"
    path.write_bytes(model_file.shipped()["multilevel-2d"].read_bytes())
    pc = solver(box(9, 9, boundary="open").matrix(), (9, 9), pc_deepcg_model=str(path))
    assert "model: multilevel-2d, hash" in view(pc)


@pytest.mark.parametrize("inner", ["fieldsplit", "composite", "ksp", "mg"])
def test_inside_other_preconditioners(inner):
    """Two uncoupled fields of one grid, a sum of two, an inner KSP, the coarse solve of a multigrid."""
    PETSc, shape = petsc(), (16, 17)
    problem = box(*shape, boundary="open")
    A, n = problem.matrix(), problem.size
    b = np.random.default_rng(8).standard_normal(n)
    if inner == "fieldsplit":
        both = sp.block_diag([A, 2.0 * A], format="csr")
        ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        ksp.setOperators(matrix(both))
        ksp.setType("cg")
        pc = ksp.getPC()
        pc.setType("fieldsplit")
        halves = [PETSc.IS().createStride(n, k * n, 1, comm=PETSc.COMM_SELF) for k in (0, 1)]
        pc.setFieldSplitIS(("u", halves[0]), ("v", halves[1]))
        given = {
            f"fieldsplit_{f}_{k}": v
            for f in "uv"
            for k, v in (("pc_type", "deepcg"), ("ksp_type", "preonly"), ("pc_deepcg_grid", "17,16"))
        }
        with options(**given):
            ksp.setFromOptions()
            ksp.setUp()
        rhs, x = vector(np.concatenate([b, b])), vector(np.zeros(2 * n))
        ksp.setTolerances(rtol=RTOL)
        ksp.solve(rhs, x)
        assert ksp.getConvergedReason() > 0 and ksp.getIterationNumber() < 15
        assert np.allclose(x.getArray()[:n], 2 * x.getArray()[n:], rtol=1e-4)
        return
    given = {
        "composite": {"pc_composite_pcs": "deepcg,jacobi", "sub_0_pc_deepcg_grid": "17,16"},
        "ksp": {"ksp_pc_type": "deepcg", "ksp_ksp_type": "deepcg", "ksp_ksp_rtol": "1e-3", "ksp_pc_deepcg_grid": "17,16"},
        "mg": {"pc_mg_levels": "1", "mg_levels_0_pc_type": "deepcg", "mg_levels_0_pc_deepcg_grid": "17,16",
               "mg_coarse_pc_type": "deepcg", "mg_coarse_ksp_type": "preonly", "mg_coarse_pc_deepcg_grid": "17,16"},
    }[inner]  # fmt: skip
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(matrix(A))
    ksp.setTolerances(rtol=RTOL)
    with options(ksp_type="fgmres", pc_type=inner, **given):
        ksp.setFromOptions()
        rhs, x = vector(b), vector(np.zeros(n))
        ksp.solve(rhs, x)
    assert ksp.getConvergedReason() > 0 and ksp.getIterationNumber() < 25
    assert relative_residual(A, x.getArray(), b) <= 10 * RTOL
    assert "type: deepcg" in view(ksp)


# ---- refusals ----------------------------------------------------------------------------------------------------------


def refusal(A, shape=None, **given):
    with pytest.raises(petsc().Error) as error:
        solver(A, shape, **given)
    return error_text(error)


def far():
    A = box(4, 5, boundary="open").matrix().tolil()
    A[3, 17] = A[17, 3] = -0.5
    return sp.csr_array(A)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: refusal(box(4, 5).matrix()), "nothing says on what grid the 20 rows lie: call KSPSetDM"),
        (lambda: refusal(box(4, 5).matrix(), pc_deepcg_grid="4,4"), "-pc_deepcg_grid has 16 cells and the matrix 20 rows"),
        (lambda: refusal(box(4, 5).matrix(), (4, 4)), "the DMDA has 16 points and the matrix 20 rows"),
        (lambda: refusal(far(), (4, 5)), "row 3 (cell (0, 3)) and column 17 (cell (3, 2)) are coupled but no face neighbours"),
        (lambda: refusal(far(), (4, 5)), "-pc_deepcg_fallback gamg (or any other type)"),
        (lambda: refusal(box(4, 5).matrix(), (4, 5), pc_deepcg_model="multilevel-3d"), "a model for 3-D grids and this one is 2-D"),
        (lambda: refusal(box(4, 5).matrix(), (4, 5), pc_deepcg_model="nothing"), "neither a file nor a shipped model"),
        (lambda: refusal(box(4, 5).matrix(), (4, 5), pc_deepcg_model=str(ROOT / "Makefile")), "truncated or not a safetensors file"),
        (lambda: refusal(box(4, 5).matrix(), (4, 5), pc_deepcg_grid="4,-5"), "positive sizes are needed"),
        (lambda: refusal(box(4, 5).matrix(), (4, 5), pc_deepcg_backend="cuda"), "this plugin runs on the CPU; cpu or auto is needed"),
        (lambda: refusal(box(4, 5).matrix(), (4, 5), pc_deepcg_backend="tpu"), "Unknown option tpu for -pc_deepcg_backend"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused_with_what_would_be_right(make, text):
    assert text in make()


def test_a_matrix_without_entries_is_refused():
    PETSc = petsc()
    shell = PETSc.Mat().createPython((20, 20), context=object(), comm=PETSc.COMM_SELF)
    shell.setUp()
    assert "has no entries to read the operator from" in refusal(shell, (4, 5))


def test_several_unknowns_a_point_are_refused():
    PETSc = petsc()
    da = PETSc.DMDA().create(sizes=(4, 5), dof=2, comm=PETSc.COMM_SELF)
    A = da.createMat()
    A.assemble()
    assert "the DMDA has 2 unknowns a point" in refusal(A)


@pytest.mark.parametrize("fallback", ["gamg", "jacobi"])
def test_the_fallback_takes_over(fallback):
    ksp = solver(far(), (4, 5), pc_deepcg_fallback=fallback)
    b, x = vector(np.ones(20)), vector(np.zeros(20))
    ksp.solve(b, x)
    assert relative_residual(far(), x.getArray(), np.ones(20)) <= RTOL
    text = view(ksp)
    assert "fallback, because: row 3" in text and f"type: {fallback}" in text
