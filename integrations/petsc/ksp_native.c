/* Conjugate gradients, or conjugate directions over a window, in the kernels' own compiled loop on PETSc's arrays; b - A x by PETSc decides. */
#include "ksp_deepcg.h"

#define CHUNK 50 /* iterations between evaluations of b - A x */

/* The preconditioner's context where the kernels can iterate for it. */
PetscErrorCode KSPDeepcgFindNative(KSP ksp, PC_Deepcg **found)
{
  KSP_Deepcg *kd = (KSP_Deepcg *)ksp->data;
  PC_Deepcg  *pd;
  PetscBool   is;

  PetscFunctionBegin;
  *found = NULL;
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp->pc, PCDEEPCG, &is));
  if (!is || !kd->native || kd->asked == 0) PetscFunctionReturn(PETSC_SUCCESS);
  pd = (PC_Deepcg *)ksp->pc->data;
  if (kd->asked > 1 && pd->ranks) PetscFunctionReturn(PETSC_SUCCESS); /* the kernels keep windows on one rank only */
  if (pd->inner || !pd->read.facts.unknowns || ksp->pc->mat != ksp->pc->pmat || ksp->transpose_solve) PetscFunctionReturn(PETSC_SUCCESS);
  if (ksp->normtype != KSP_NORM_UNPRECONDITIONED || ksp->converged != KSPConvergedDefault) PetscFunctionReturn(PETSC_SUCCESS);
  if (ksp->pc->reusepreconditioner) { /* its operator may be an earlier one */
    PetscObjectState state;

    PetscCall(PetscObjectStateGet((PetscObject)ksp->pc->pmat, &state));
    if (state != ksp->pc->matstate) PetscFunctionReturn(PETSC_SUCCESS);
  }
  *found = pd;
  PetscFunctionReturn(PETSC_SUCCESS);
}

typedef struct {
  PetscInt maxit;
  double  *history, *steps;
  int64_t  done;
  int32_t  result;
} Run;

/* At most run->maxit iterations on A e = r, x += e. */
static PetscErrorCode Iterate(KSP ksp, PC_Deepcg *pd, Vec r, PetscReal target, Run *run)
{
  PetscScalar *x, *residual;

  PetscFunctionBegin;
  PetscCall(PetscLogEventBegin(DEEPCG_CG, ksp, 0, 0, 0));
  PetscCall(VecGetArray(ksp->vec_sol, &x));
  PetscCall(VecGetArray(r, &residual));
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_iterate(pd->solver, (int32_t)((KSP_Deepcg *)ksp->data)->window, x, residual, target, run->maxit,
                                                      run->history, run->steps, &run->done, &run->result));
  PetscCall(VecRestoreArray(r, &residual));
  PetscCall(VecRestoreArray(ksp->vec_sol, &x));
  PetscCall(PetscLogEventEnd(DEEPCG_CG, ksp, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode RemoveNullSpace(KSP ksp, Vec x)
{
  MatNullSpace null;

  PetscFunctionBegin;
  PetscCall(MatGetNullSpace(ksp->pc->mat, &null));
  if (null) PetscCall(MatNullSpaceRemove(null, x));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* b - A x of the initial guess. Where that is 0 but in rows that are diagonal only (PCPreSolve solved them) and no other row couples to them,
 * it is known without a product. */
static PetscErrorCode Start(KSP ksp, const PC_Deepcg *pd, Vec r)
{
  PetscScalar *residual;

  PetscFunctionBegin;
  if (!pd->zero_guess || pd->read.facts.dropped) {
    PetscCall(KSPDeepcgStart(ksp, r));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(VecCopy(ksp->vec_rhs, r));
  PetscCall(VecGetArray(r, &residual));
  for (int64_t i = 0; i < pd->read.diagonal; ++i) residual[pd->read.row[i]] = 0.0;
  PetscCall(VecRestoreArray(r, &residual));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode KSPDeepcgSolveNative(KSP ksp, PC_Deepcg *pd, PetscBool *left)
{
  Vec       r = ksp->work[0];
  PetscReal norm, before;
  double    history[CHUNK], steps[2 * CHUNK];
  Run       run = {0, history, steps, 0, 0};

  PetscFunctionBegin;
  *left    = PETSC_FALSE;
  ksp->its = 0;
  PetscCall(Start(ksp, pd, r));
  PetscCall(RemoveNullSpace(ksp, r));
  PetscCall(VecNorm(r, NORM_2, &norm));
  KSPCheckNorm(ksp, norm);
  PetscCall(KSPDeepcgReport(ksp, norm, PETSC_TRUE));
  while (!ksp->reason) {
    run.maxit = PetscMin((PetscInt)CHUNK, ksp->max_it - ksp->its);
    if (run.maxit <= 0) {
      ksp->reason = KSP_DIVERGED_ITS;
      break;
    }
    PetscCall(Iterate(ksp, pd, r, ksp->ttol, &run));
    PetscCall(RemoveNullSpace(ksp, ksp->vec_sol));
    before = norm;
    for (int64_t n = 0; n + 1 < run.done; ++n) {
      ++ksp->its;
      PetscCall(KSPDeepcgReport(ksp, history[n], PETSC_FALSE));
    }
    if (run.done > 0) ++ksp->its;
    PetscCall(KSPDeepcgResidual(ksp, r));
    PetscCall(RemoveNullSpace(ksp, r));
    PetscCall(VecNorm(r, NORM_2, &norm));
    KSPCheckNorm(ksp, norm);
    if (run.done > 0) PetscCall(KSPDeepcgReport(ksp, norm, PETSC_TRUE));
    if (ksp->reason) break;
    if (ksp->its >= ksp->max_it) ksp->reason = KSP_DIVERGED_ITS;
    else if (run.result == 2 || norm > 0.5 * before) {
      *left = PETSC_TRUE; /* the kernels' single precision, or the matrix, forbids more this way */
      break;
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
