/* The Krylov iteration as a KSP: options, view, and which of its two ways runs. */
#include "ksp_deepcg.h"

/*MC
     KSPDEEPCG - "deepcg", conjugate directions over a window, for preconditioners that need not be linear; with PCDEEPCG it runs compiled

   Options Database Keys:
+  -ksp_deepcg_window M - how many earlier directions each new one is made A-orthogonal to: 1 is conjugate gradients (default with a linear
                          symmetric preconditioner of type deepcg; else 32); 0 is steepest descent
.  -ksp_deepcg_native <true> - let the kernels iterate where they can
-  -ksp_deepcg_inconsistent (error|project) - of a b with a part that no x can reach: KSP_DIVERGED_BREAKDOWN, or converged all the same

   Level: intermediate

   Notes:
   For symmetric matrices that are positive or negative (semi-)definite. The answer is judged by b - A x itself, evaluated when the residual by
   recurrence says that the tolerance is met, and every 50 iterations. A direction along which the error hardly falls is replaced by Jacobi's; after
   ten such, or three in a row, or 30 iterations that did not halve the residual, or whose rate promises more than 200 further ones, the next
   preconditioner takes over: with PCDEEPCG what -pc_deepcg_fallback says, and last Jacobi's. No method starts from a worse x than the best
   before it, and a solve that does not converge ends with that. -ksp_view, -info and KSPDeepcgGetStep() tell which did how many iterations.

   Where the matrix is singular, or has rows that are zero, the iteration solves for the part of b that it can reach; this needs PCDEEPCG, or a null
   space attached to the matrix (MatSetNullSpace()). If b has another part beyond the tolerance, which no null space explains,
   the reason is KSP_DIVERGED_BREAKDOWN, the residual norm has it, and x is that solution all the same. With -ksp_deepcg_inconsistent project
   it counts as converged; KSPDeepcgGetProjected() and -ksp_view tell the norm of what was taken off b.

   The kernels iterate where the preconditioner is PCDEEPCG on the matrix itself (Amat is Pmat), the norm is the unpreconditioned one and
   the convergence test PETSc's default.

   Left preconditioning only. Norms: unpreconditioned (default), preconditioned, natural, none.

   References: Kaneda et al., A Deep Conjugate Direction Method for Iteratively Solving Linear Systems, ICML 2023, algorithm 1

.seealso: `KSPCreate()`, `KSPSetType()`, `PCDEEPCG`, `KSPFCG`, `KSPCG`
M*/

static PetscErrorCode KSPSetUp_Deepcg(KSP ksp)
{
  PetscFunctionBegin;
  PetscCheck(ksp->pc_side == PC_LEFT, PetscObjectComm((PetscObject)ksp), PETSC_ERR_SUP,
             "deepcg: KSP deepcg preconditions from the left only");
  PetscCall(KSPSetWorkVecs(ksp, 3));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode KSPSolve_Deepcg(KSP ksp)
{
  KSP_Deepcg *kd = (KSP_Deepcg *)ksp->data;
  PetscBool   is, scaled;

  PetscFunctionBegin;
  PetscCall(PCGetDiagonalScale(ksp->pc, &scaled));
  PetscCheck(!scaled, PetscObjectComm((PetscObject)ksp), PETSC_ERR_SUP, "deepcg: KSP deepcg does not support diagonal scaling");
  kd->window = kd->asked;
  if (kd->asked < 0) {
    PetscCall(PetscObjectTypeCompare((PetscObject)ksp->pc, PCDEEPCG, &is));
    kd->window = is && !((PC_Deepcg *)ksp->pc->data)->inner ? 1 : DCG_WINDOW;
  }
  PetscCall(KSPDeepcgSolve(ksp));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static const char *const INCONSISTENT[] = {"error", "project"};

static PetscErrorCode KSPSetFromOptions_Deepcg(KSP ksp, DeepcgOptionItems PetscOptionsObject)
{
  KSP_Deepcg *kd     = (KSP_Deepcg *)ksp->data;
  PetscInt    window = kd->asked, accept;
  PetscBool   given;

  PetscFunctionBegin;
  PetscOptionsHeadBegin(PetscOptionsObject, "KSP deepcg options");
  PetscCall(
      PetscOptionsInt("-ksp_deepcg_window", "Earlier directions that each new one is made A-orthogonal to", NULL, window, &window, &given));
  PetscCheck(!given || window >= 0, PetscObjectComm((PetscObject)ksp), PETSC_ERR_ARG_OUTOFRANGE,
             "deepcg: -ksp_deepcg_window: %" PetscInt_FMT " given; at least 0 is needed", window);
  kd->asked = window;
  PetscCall(PetscOptionsEList("-ksp_deepcg_inconsistent", "A b with a part that no x can reach", NULL, INCONSISTENT, 2,
                              INCONSISTENT[!kd->refuse], &accept, &given));
  if (given) kd->refuse = (PetscBool)!accept;
  PetscCall(PetscOptionsBool("-ksp_deepcg_native", "Let the kernels iterate where they can", NULL, kd->native, &kd->native, NULL));
  PetscOptionsHeadEnd();
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode KSPView_Deepcg(KSP ksp, PetscViewer viewer)
{
  KSP_Deepcg *kd = (KSP_Deepcg *)ksp->data;
  PetscBool   ascii;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &ascii));
  if (!ascii) PetscFunctionReturn(PETSC_SUCCESS);
  if (kd->ran)
    PetscCall(PetscViewerASCIIPrintf(
        viewer, "  last solve: %s iteration, window %" PetscInt_FMT ", %" PetscInt_FMT " fallback directions, %" PetscInt_FMT " restarts\n",
        kd->ran, kd->window, kd->fallbacks, kd->restarts));
  for (PetscInt n = 0; kd->ran && n < kd->steps; ++n)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  fallback %s: %" PetscInt_FMT " iterations\n", kd->step[n].name, kd->step[n].iterations));
  if (kd->ran && kd->projected > 0.0)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  %g of the norm of b was taken off: no x can reach it\n", (double)kd->projected));
  if (!kd->ran && kd->asked >= 0) PetscCall(PetscViewerASCIIPrintf(viewer, "  window %" PetscInt_FMT "\n", kd->asked));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* 2-norm of the part of the last b that no x can reach; 0 where there is none. */
PetscErrorCode KSPDeepcgGetProjected(KSP ksp, PetscReal *norm)
{
  PetscBool is;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPDEEPCG, &is));
  *norm = is ? ((KSP_Deepcg *)ksp->data)->projected : 0.0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of the last solve: iterations along other directions than the preconditioner's. */
PetscErrorCode KSPDeepcgGetFallbacks(KSP ksp, PetscInt *iterations)
{
  PetscBool is;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPDEEPCG, &is));
  *iterations = is ? ((KSP_Deepcg *)ksp->data)->fallbacks : 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The n-th fallback that took over in the last solve; *name becomes NULL beyond the last one. */
PetscErrorCode KSPDeepcgGetStep(KSP ksp, PetscInt n, const char **name, PetscInt *iterations)
{
  const KSP_Deepcg *kd = (const KSP_Deepcg *)ksp->data;
  PetscBool         is;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPDEEPCG, &is));
  *name = NULL, *iterations = 0;
  if (is && n >= 0 && n < kd->steps) *name = kd->step[n].name, *iterations = kd->step[n].iterations;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode KSPCreate_Deepcg(KSP ksp)
{
  KSP_Deepcg *kd;

  PetscFunctionBegin;
  PetscCall(PetscNew(&kd));
  kd->asked  = PETSC_DECIDE;
  kd->native = kd->refuse = PETSC_TRUE;
  ksp->data  = kd;
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_UNPRECONDITIONED, PC_LEFT, 4));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_PRECONDITIONED, PC_LEFT, 3));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_NATURAL, PC_LEFT, 2));
  PetscCall(KSPSetSupportedNorm(ksp, KSP_NORM_NONE, PC_LEFT, 1));
  ksp->ops->setup          = KSPSetUp_Deepcg;
  ksp->ops->solve          = KSPSolve_Deepcg;
  ksp->ops->destroy        = KSPDestroyDefault;
  ksp->ops->view           = KSPView_Deepcg;
  ksp->ops->setfromoptions = KSPSetFromOptions_Deepcg;
  ksp->ops->buildsolution  = KSPBuildSolutionDefault;
  ksp->ops->buildresidual  = KSPBuildResidualDefault;
  PetscFunctionReturn(PETSC_SUCCESS);
}
