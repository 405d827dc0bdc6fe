/* Conjugate directions over a window (Kaneda et al. 2023, algorithm 1) for any preconditioner, with the guards of deepcg/krylov/fcg.py:
 * the true residual decides, poor directions give way to Jacobi's, and Jacobi takes over where there are too many of them. */
#include "ksp_deepcg.h"

#define CHECK_EVERY 50
#define DECREASE 0.05 /* of what Jacobi's direction promises: less is a poor direction */
#define PATIENCE 3
#define MOST_FAILURES 10
#define STALL 30
#define DISAGREEMENT 0.1
#define MOST_UNHALVED 2 /* evaluations of b - A x in a row that did not halve it, after which rounding is taken to forbid more */

typedef struct {
  KSP         ksp;
  KSP_Deepcg *kd;
  Mat         A;
  Vec         r, z, inverse; /* inverse: of the diagonal, or NULL */
  PetscReal   sign;          /* of the matrix; 0 until a direction has told */
  PetscInt    kept, newest;  /* directions in the window, and where the last one lies */
  PetscBool   jacobi;        /* for good */
  PetscBool   has_z;         /* z is M r already, for the norm's sake */
} Iteration;

static PetscErrorCode MakeRoom(KSP_Deepcg *kd, PetscInt place, Vec like)
{
  PetscFunctionBegin;
  if (!kd->direction) {
    kd->room = kd->window + 1;
    PetscCall(PetscCalloc3(kd->room, &kd->direction, kd->room, &kd->product, kd->room, &kd->curvature));
  }
  while (kd->made <= place) { /* as far as the iteration gets */
    PetscCall(VecDuplicate(like, &kd->direction[kd->made]));
    PetscCall(VecDuplicate(like, &kd->product[kd->made]));
    ++kd->made;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode ApplyJacobi(Iteration *it, Vec to)
{
  PetscFunctionBegin;
  if (it->inverse) PetscCall(VecPointwiseMult(to, it->inverse, it->r));
  else PetscCall(VecCopy(it->r, to));
  PetscCall(KSP_RemoveNullSpace(it->ksp, to));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The direction at `place`, A-orthogonal to the kept ones, its product, and by how much its step lowers the error (negative: not at all). */
static PetscErrorCode MakeDirection(Iteration *it, PetscInt place, PetscReal *slope, PetscReal *decrease)
{
  KSP_Deepcg *kd = it->kd;
  Vec         d = kd->direction[place], Ad = kd->product[place];
  PetscScalar dot;

  PetscFunctionBegin;
  PetscCall(KSP_MatMult(it->ksp, it->A, d, Ad));
  for (PetscInt n = 0; n < it->kept; ++n) {
    const PetscInt j = (it->newest - n + kd->window + 1) % (kd->window + 1);

    PetscCall(VecDot(d, kd->product[j], &dot));
    PetscCall(VecAXPY(d, -dot / kd->curvature[j], kd->direction[j]));
    PetscCall(VecAXPY(Ad, -dot / kd->curvature[j], kd->product[j]));
  }
  PetscCall(VecDot(d, Ad, &dot));
  kd->curvature[place] = dot;
  PetscCall(VecDot(d, it->r, &dot));
  *slope    = dot;
  *decrease = -1.0;
  if (it->sign == 0.0 && PetscIsNormalReal(kd->curvature[place])) it->sign = kd->curvature[place] > 0.0 ? 1.0 : -1.0;
  if (it->sign * kd->curvature[place] > 0.0) *decrease = dot * dot / (it->sign * kd->curvature[place]);
  if (PetscIsInfOrNanReal(*decrease)) *decrease = -1.0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode Norm(Iteration *it, PetscReal *norm)
{
  KSP         ksp = it->ksp;
  PetscScalar dot;

  PetscFunctionBegin;
  *norm     = 0.0;
  it->has_z = PETSC_FALSE;
  switch (ksp->normtype) {
  case KSP_NORM_UNPRECONDITIONED:
    PetscCall(VecNorm(it->r, NORM_2, norm));
    break;
  case KSP_NORM_PRECONDITIONED:
    PetscCall(KSP_PCApply(ksp, it->r, it->z));
    PetscCall(VecNorm(it->z, NORM_2, norm));
    it->has_z = PETSC_TRUE;
    break;
  case KSP_NORM_NATURAL:
    PetscCall(KSP_PCApply(ksp, it->r, it->z));
    PetscCall(VecDot(it->r, it->z, &dot));
    *norm     = PetscSqrtReal(PetscAbsScalar(dot));
    it->has_z = PETSC_TRUE;
    break;
  default:
    break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The preconditioner's direction or, where its step is poor, Jacobi's. *failed: Jacobi's was needed; the reason is set where that fails too. */
static PetscErrorCode Choose(Iteration *it, PetscInt place, PetscReal *slope, PetscBool *failed)
{
  KSP_Deepcg *kd = it->kd;
  PetscReal   decrease, needed;
  PetscScalar dot;

  PetscFunctionBegin;
  *failed = PETSC_FALSE;
  if (!it->jacobi) {
    Vec scratch = kd->direction[place];

    PetscCall(ApplyJacobi(it, scratch));
    PetscCall(VecDot(scratch, it->r, &dot));
    needed = DECREASE * PetscAbsScalar(dot);
    if (it->has_z) PetscCall(VecCopy(it->z, kd->direction[place]));
    else PetscCall(KSP_PCApply(it->ksp, it->r, kd->direction[place]));
    PetscCall(MakeDirection(it, place, slope, &decrease));
    if (decrease >= needed) PetscFunctionReturn(PETSC_SUCCESS);
    *failed = PETSC_TRUE;
  }
  for (int attempt = 0; attempt < 2; ++attempt) { /* rounding may have spoilt the window: the plain direction before giving up */
    PetscCall(ApplyJacobi(it, kd->direction[place]));
    PetscCall(MakeDirection(it, place, slope, &decrease));
    if (decrease >= 0.0) {
      ++kd->fallbacks;
      PetscFunctionReturn(PETSC_SUCCESS);
    }
    it->kept = 0;
  }
  it->ksp->reason = KSP_DIVERGED_INDEFINITE_MAT;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode InverseDiagonal(Iteration *it)
{
  PetscBool has;

  PetscFunctionBegin;
  PetscCall(MatHasOperation(it->A, MATOP_GET_DIAGONAL, &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecDuplicate(it->r, &it->inverse));
  PetscCall(MatGetDiagonal(it->A, it->inverse));
  PetscCall(VecReciprocal(it->inverse)); /* leaves zeros */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Evaluates b - A x; *drifted: the recurrence had lost it, and directions built on that are to be forgotten. */
static PetscErrorCode Check(Iteration *it, PetscBool *drifted)
{
  PetscReal difference, norm;

  PetscFunctionBegin;
  PetscCall(VecCopy(it->r, it->z));
  PetscCall(KSPDeepcgResidual(it->ksp, it->r));
  PetscCall(KSP_RemoveNullSpace(it->ksp, it->r));
  PetscCall(VecAXPY(it->z, -1.0, it->r));
  PetscCall(VecNorm(it->z, NORM_2, &difference));
  PetscCall(VecNorm(it->r, NORM_2, &norm));
  *drifted = (PetscBool)(difference > DISAGREEMENT * norm);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode Run(Iteration *it)
{
  KSP         ksp      = it->ksp;
  KSP_Deepcg *kd       = it->kd;
  PetscInt    in_a_row = 0, failures = 0, since = 0, unhalved = 0;
  PetscReal   slope, norm = ksp->rnorm, best = PETSC_MAX_REAL, best_before = norm, last_true = PETSC_MAX_REAL;
  PetscBool   failed;

  PetscFunctionBegin;
  while (!ksp->reason) {
    const PetscInt place = kd->window ? (it->newest + 1) % (kd->window + 1) : 0;
    PetscReal      alpha;

    if (ksp->its >= ksp->max_it) {
      ksp->reason = KSP_DIVERGED_ITS;
      break;
    }
    PetscCall(MakeRoom(kd, place, it->r));
    PetscCall(Choose(it, place, &slope, &failed));
    if (ksp->reason) break;
    in_a_row = failed ? in_a_row + 1 : 0, failures += failed;
    alpha    = slope / kd->curvature[place];
    PetscCall(VecAXPY(ksp->vec_sol, alpha, kd->direction[place]));
    PetscCall(VecAXPY(it->r, -alpha, kd->product[place]));
    it->newest = place, it->kept = PetscMin(it->kept + 1, kd->window);
    ++ksp->its;
    PetscCall(Norm(it, &norm));
    KSPCheckNorm(ksp, norm);
    PetscCall((*ksp->converged)(ksp, ksp->its, norm, &ksp->reason, ksp->cnvP));
    if (ksp->normtype != KSP_NORM_NONE && (ksp->reason > 0 || ksp->its % CHECK_EVERY == 0)) {
      PetscBool drifted = PETSC_FALSE;

      PetscCall(Check(it, &drifted));
      PetscCall(Norm(it, &norm));
      if (ksp->reason >= 0) {
        ksp->reason = KSP_CONVERGED_ITERATING;
        PetscCall((*ksp->converged)(ksp, ksp->its, norm, &ksp->reason, ksp->cnvP));
      }
      if (drifted) it->kept = 0, ++kd->restarts;
      unhalved  = norm > 0.5 * last_true ? unhalved + 1 : 0;
      last_true = PetscMin(norm, last_true);
      if (!ksp->reason && drifted && unhalved >= MOST_UNHALVED) {
        PetscCall(PetscInfo(ksp, "rounding forbids a smaller residual than %g\n", (double)norm));
        ksp->reason = KSP_DIVERGED_BREAKDOWN;
      }
    }
    PetscCall(KSPDeepcgReport(ksp, norm, PETSC_FALSE));
    best = PetscMin(best, norm);
    if (++since == STALL) {
      if (best > 0.5 * best_before && ksp->normtype != KSP_NORM_NONE) failures = MOST_FAILURES;
      best_before = PetscMin(best, best_before), best = PETSC_MAX_REAL, since = 0;
    }
    if (!it->jacobi && (in_a_row >= PATIENCE || failures >= MOST_FAILURES)) {
      PetscCall(PetscInfo(ksp, "conjugate gradients with Jacobi take over at iteration %" PetscInt_FMT "\n", ksp->its));
      it->jacobi = PETSC_TRUE, it->kept = 0;
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode KSPDeepcgSolveGeneral(KSP ksp, PetscBool resumed)
{
  Iteration it = {ksp, (KSP_Deepcg *)ksp->data, NULL, ksp->work[0], ksp->work[1], NULL, 0.0, 0, 0, PETSC_FALSE, PETSC_FALSE};
  PetscReal norm;

  PetscFunctionBegin;
  PetscCall(PCGetOperators(ksp->pc, &it.A, NULL));
  if (it.kd->direction && it.kd->room != it.kd->window + 1) PetscUseTypeMethod(ksp, reset); /* another window */
  if (!resumed) {
    ksp->its = 0;
    PetscCall(KSPDeepcgStart(ksp, it.r));
    PetscCall(KSP_RemoveNullSpace(ksp, it.r));
    PetscCall(Norm(&it, &norm));
    KSPCheckNorm(ksp, norm);
    PetscCall(KSPDeepcgReport(ksp, norm, PETSC_TRUE));
  }
  if (!ksp->reason) {
    PetscCall(InverseDiagonal(&it));
    PetscCall(Run(&it));
    PetscCall(VecDestroy(&it.inverse));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
