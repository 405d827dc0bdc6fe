/* A solve by the kernels' Krylov iterations (dcg_krylov): what they need of PETSc, as functions. The vectors in between are arrays. */
#include <float.h>
#include <string.h>

#include "ksp_deepcg.h"

/* The iterations see sign A x = sign b, which is positive (semi-)definite. */
typedef struct {
  KSP            ksp;
  PC_Deepcg     *pd; /* whose kernels iterate; NULL: nobody's */
  Mat            A;
  Vec            in, out;   /* without values of their own: for arrays that come in */
  Vec            z, inverse; /* M r of the present residual; 1 / diagonal of sign A, once it is asked for */
  PetscReal      sign;
  int64_t        n; /* rows of this rank */
  PetscBool      placed_in, placed_out, started, has_z;
  PC_Deepcg     *singular; /* whose solver knows what no x can change in b - A x; NULL: nothing, or nobody knows */
  PetscReal      removed;  /* 2-norm of what that was in the last residual */
  DeepcgFallback fallbacks[2], now; /* in order; which one `Precondition` is */
  PetscInt       nfallbacks, next;
  PCType         standby; /* type of the last one, where it is PETSc's */
  Vec            given;  /* the right-hand side where vec_rhs is `scale` times it; else NULL */
  PetscReal      scale;
  PetscErrorCode code; /* of the function that failed */
} Solve;

/* PetscCall in a function that the kernels call. */
#define Kept(...)                                                                                                                          \
  do {                                                                                                                                     \
    const PetscErrorCode code_ = __VA_ARGS__;                                                                                              \
    if (PetscUnlikely(code_))                                                                                                              \
      return (int)(solve->code = PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, code_, PETSC_ERROR_REPEAT, " "));     \
  } while (0)

static PetscErrorCode Place(Solve *solve, const double *in, double *out)
{
  PetscFunctionBegin;
  if (in) PetscCall(VecPlaceArray(solve->in, in));
  solve->placed_in = (PetscBool)(in != NULL);
  if (out) PetscCall(VecPlaceArray(solve->out, out));
  solve->placed_out = (PetscBool)(out != NULL);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode Reset(Solve *solve)
{
  PetscFunctionBegin;
  if (solve->placed_in) PetscCall(VecResetArray(solve->in));
  if (solve->placed_out) PetscCall(VecResetArray(solve->out));
  solve->placed_in = solve->placed_out = PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Product(void *context, const double *x, double *y)
{
  Solve *solve = (Solve *)context;

  PetscFunctionBegin;
  Kept(Place(solve, x, y));
  Kept(KSP_MatMult(solve->ksp, solve->A, solve->in, solve->out));
  if (solve->sign < 0.0) Kept(VecScale(solve->out, -1.0));
  Kept(Reset(solve));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Takes off what the user's null space and the solver's say. */
static PetscErrorCode RemoveNullSpace(Solve *solve, Vec v, PetscReal *removed)
{
  PetscScalar *values;

  PetscFunctionBegin;
  PetscCall(KSP_RemoveNullSpace(solve->ksp, v));
  if (!solve->singular) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecGetArray(v, &values));
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_project(solve->singular->solver, values, NULL, removed));
  PetscCall(VecRestoreArray(v, &values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* b - A x of the initial guess. Where that is 0, or 0 but in rows that are diagonal only (PCPreSolve solved them) and no other row couples to
 * them, it is known without a product. */
static PetscErrorCode FirstResidual(Solve *solve, PetscBool *known)
{
  const PC_Deepcg *pd = solve->pd;
  PetscScalar     *r;

  PetscFunctionBegin;
  *known = (PetscBool)(solve->ksp->guess_zero || (pd && pd->zero_guess && !pd->read.facts.dropped));
  if (!*known) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecCopy(solve->ksp->vec_rhs, solve->out));
  if (solve->ksp->guess_zero) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecGetArray(solve->out, &r));
  for (int64_t i = 0; i < pd->read.diagonal; ++i) r[pd->read.row[i]] = 0.0;
  PetscCall(VecRestoreArray(solve->out, &r));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Residual(void *context, const double *b, const double *x, double *r, double *norm)
{
  Solve    *solve = (Solve *)context;
  PetscBool known = PETSC_FALSE;

  PetscFunctionBegin;
  Kept(Place(solve, x, r));
  if (!solve->started) Kept(FirstResidual(solve, &known));
  solve->started = PETSC_TRUE;
  if (!known) {
    Kept(KSP_MatMult(solve->ksp, solve->A, solve->in, solve->out));
    Kept(VecAYPX(solve->out, -1.0, solve->ksp->vec_rhs));
  }
  Kept(RemoveNullSpace(solve, solve->out, &solve->removed));
  if (solve->sign < 0.0) Kept(VecScale(solve->out, -1.0));
  Kept(VecNorm(solve->out, NORM_2, norm));
  Kept(Reset(solve));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Project(void *context, double *v)
{
  Solve *solve = (Solve *)context;

  PetscFunctionBegin;
  Kept(Place(solve, NULL, v));
  Kept(RemoveNullSpace(solve, solve->out, NULL));
  Kept(Reset(solve));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* M approximates the inverse of A, not of sign A. */
static int Precondition(void *context, const double *r, double *z)
{
  Solve *solve = (Solve *)context;

  PetscFunctionBegin;
  Kept(Place(solve, r, z));
  if (solve->now) Kept(DeepcgFallbackApply(solve->ksp->pc, solve->now, solve->in, solve->out));
  else if (solve->has_z) Kept(VecCopy(solve->z, solve->out)); /* the norm needed it */
  else Kept(KSP_PCApply(solve->ksp, solve->in, solve->out));
  if (solve->sign < 0.0) Kept(VecScale(solve->out, -1.0));
  Kept(Reset(solve));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The next fallback. */
static int FallBack(void *context, int32_t *there)
{
  Solve               *solve = (Solve *)context;
  const DeepcgFallback next  = solve->fallbacks[solve->next++];
  MatNullSpace         null;
  PetscBool            usable = PETSC_TRUE;

  PetscFunctionBegin;
  if (next == DEEPCG_FALLBACK_PC) {
    Kept(MatGetNullSpace(solve->A, &null));
    Kept(DeepcgFallbackStandby(solve->ksp->pc, solve->standby, (PetscBool)(null || solve->singular), &usable));
  }
  if (usable) solve->now = next;
  *there = usable;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Sum(void *context, int64_t n, double *values)
{
  Solve *solve = (Solve *)context;

  PetscFunctionBegin;
  Kept((PetscErrorCode)MPIU_Allreduce(MPI_IN_PLACE, values, (PetscMPIInt)n, MPIU_REAL, MPIU_SUM, PetscObjectComm((PetscObject)solve->ksp)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The norm that KSPSetNormType() asked for. */
static int Measure(void *context, const double *r, double *norm)
{
  Solve      *solve = (Solve *)context;
  PetscScalar dot;

  PetscFunctionBegin;
  if (solve->ksp->normtype == KSP_NORM_NONE) {
    *norm = 0.0;
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  Kept(Place(solve, r, NULL));
  Kept(KSP_PCApply(solve->ksp, solve->in, solve->z));
  solve->has_z = PETSC_TRUE;
  if (solve->ksp->normtype == KSP_NORM_PRECONDITIONED) {
    Kept(VecNorm(solve->z, NORM_2, norm));
  } else {
    Kept(VecDot(solve->in, solve->z, &dot));
    *norm = PetscSqrtReal(PetscAbsScalar(dot));
  }
  Kept(Reset(solve));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Judge(void *context, int64_t iteration, double norm, int32_t *verdict)
{
  Solve *solve = (Solve *)context;
  KSP    ksp   = solve->ksp;

  PetscFunctionBegin;
  ksp->its   = (PetscInt)iteration;
  ksp->rnorm = norm;
  *verdict   = -1;
  KSPCheckNorm(ksp, norm);
  ksp->reason = KSP_CONVERGED_ITERATING;
  Kept((*ksp->converged)(ksp, ksp->its, norm, &ksp->reason, ksp->cnvP));
  /* Conjugate gradients may let the residual grow at first, as in a row with a penalty: no end while there are fallbacks, as the best x is kept. */
  if (ksp->reason == KSP_DIVERGED_DTOL && solve->nfallbacks) ksp->reason = KSP_CONVERGED_ITERATING;
  *verdict = (ksp->reason > 0) - (ksp->reason < 0);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Observe(void *context, int64_t iteration, double norm, const double *x, int32_t *stop)
{
  Solve *solve = (Solve *)context;
  KSP    ksp   = solve->ksp;

  PetscFunctionBegin;
  ksp->its   = (PetscInt)iteration;
  ksp->rnorm = norm /= solve->scale;
  Kept(PetscObjectStateIncrease((PetscObject)ksp->vec_sol)); /* whose array the kernels write */
  Kept(KSPLogResidualHistory(ksp, norm));
  Kept(KSPMonitor(ksp, ksp->its, norm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* 1 / diagonal of sign A; nothing where the matrix does not tell its diagonal. */
static PetscErrorCode GetInverseDiagonal(Solve *solve)
{
  PetscBool has;

  PetscFunctionBegin;
  PetscCall(MatHasOperation(solve->A, MATOP_GET_DIAGONAL, &has));
  if (!has || solve->inverse) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecDuplicate(solve->ksp->vec_rhs, &solve->inverse));
  PetscCall(MatGetDiagonal(solve->A, solve->inverse));
  PetscCall(VecReciprocal(solve->inverse)); /* leaves zeros */
  if (solve->sign < 0.0) PetscCall(VecScale(solve->inverse, -1.0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int InverseDiagonal(void *context, const double **values)
{
  Solve *solve = (Solve *)context;

  PetscFunctionBegin;
  Kept(GetInverseDiagonal(solve));
  if (solve->inverse) {
    Kept(VecGetArrayRead(solve->inverse, values));
    Kept(VecRestoreArrayRead(solve->inverse, NULL)); /* nobody else has it: the values stay where they are */
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The preconditioner's own iteration: at most maxiter iterations on A e = r, x += e. */
static int Run(void *context, double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations,
               int32_t *result)
{
  Solve *solve = (Solve *)context;

  PetscFunctionBegin;
  Kept(PetscLogEventBegin(DEEPCG_CG, solve->ksp, 0, 0, 0));
  if (solve->sign < 0.0)
    for (int64_t i = 0; i < solve->n; ++i) r[i] = -r[i];
  if (dcg_solver_iterate(solve->pd->solver, (int32_t)((KSP_Deepcg *)solve->ksp->data)->window, x, r, solve->ksp->ttol, maxiter, history, steps,
                         iterations, result))
    Kept(PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, PETSC_ERR_LIB, PETSC_ERROR_INITIAL, "deepcg: %s", dcg_last_error()));
  Kept(PetscLogEventEnd(DEEPCG_CG, solve->ksp, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The preconditioner's context where its solver has read the very matrix that is solved with. */
static PetscErrorCode FindReader(KSP ksp, PC_Deepcg **found)
{
  PC_Deepcg *pd;
  PetscBool  is;

  PetscFunctionBegin;
  *found = NULL;
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp->pc, PCDEEPCG, &is));
  if (!is) PetscFunctionReturn(PETSC_SUCCESS);
  pd = (PC_Deepcg *)ksp->pc->data;
  if (pd->inner || ksp->pc->mat != ksp->pc->pmat || ksp->transpose_solve) PetscFunctionReturn(PETSC_SUCCESS);
  if (ksp->pc->reusepreconditioner) { /* its operator may be an earlier one */
    PetscObjectState state;

    PetscCall(PetscObjectStateGet((PetscObject)ksp->pc->pmat, &state));
    if (state != ksp->pc->matstate) PetscFunctionReturn(PETSC_SUCCESS);
  }
  *found = pd;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Whether the kernels can iterate for this preconditioner: the levels have an iteration, a diagonal has none. */
static PetscBool IsNative(KSP ksp, const PC_Deepcg *pd)
{
  const KSP_Deepcg *kd = (KSP_Deepcg *)ksp->data;

  if (!pd || !kd->native || kd->asked == 0 || !pd->read.facts.unknowns) return PETSC_FALSE;
  if (!strcmp(pd->model, "jacobi") || !strcmp(pd->model, "none")) return PETSC_FALSE;
  if (kd->asked > 1 && pd->ranks) return PETSC_FALSE; /* the kernels keep windows on one rank only */
  return (PetscBool)(ksp->normtype == KSP_NORM_UNPRECONDITIONED && ksp->converged == KSPConvergedDefault);
}

/* Of an inconsistent b, x solves the part that A can reach. That is no solution, unless the user said that it is (the option, or a null space). */
static PetscErrorCode JudgeInconsistent(Solve *solve)
{
  KSP         ksp = solve->ksp;
  KSP_Deepcg *kd  = (KSP_Deepcg *)ksp->data;
  PetscReal   norm;

  PetscFunctionBegin;
  kd->projected = 0.0;
  if (solve->removed == 0.0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecNorm(ksp->vec_rhs, NORM_2, &norm));
  if (solve->removed <= DCG_CONSISTENT * norm) PetscFunctionReturn(PETSC_SUCCESS);
  kd->projected = solve->removed;
  PetscCall(PetscInfo(ksp, "%g of the norm %g of b lies outside the range of the matrix: the means of components without a Dirichlet condition, rows that are zero\n",
                      (double)kd->projected, (double)norm));
  if (ksp->reason <= 0 || !kd->refuse || solve->removed <= PetscMax(ksp->rtol * norm, ksp->abstol)) PetscFunctionReturn(PETSC_SUCCESS);
  ksp->reason = KSP_DIVERGED_BREAKDOWN;
  if (ksp->normtype == KSP_NORM_UNPRECONDITIONED) ksp->rnorm = PetscSqrtReal(PetscSqr(ksp->rnorm) + PetscSqr(solve->removed));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The sign of the matrix: what the preconditioner read, that of its trace or, without a diagonal, that of b . A b. */
static PetscErrorCode FindSign(Solve *solve)
{
  KSP         ksp = solve->ksp;
  PetscBool   has;
  PetscScalar told;

  PetscFunctionBegin;
  if (solve->pd) {
    solve->sign = solve->pd->read.facts.sign;
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(MatHasOperation(solve->A, MATOP_GET_DIAGONAL, &has));
  if (has) {
    PetscCall(MatGetDiagonal(solve->A, solve->out));
    PetscCall(VecSum(solve->out, &told));
  } else {
    PetscCall(KSP_MatMult(ksp, solve->A, ksp->vec_rhs, solve->out));
    PetscCall(VecDot(ksp->vec_rhs, solve->out, &told));
  }
  solve->sign = PetscRealPart(told) < 0.0 ? -1.0 : 1.0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The chain: the kernels' iteration where they can, FCG, what the preconditioner falls back on, conjugate gradients with Jacobi. */
static PetscErrorCode MakeChain(Solve *solve, int32_t *chain)
{
  PC        pc = solve->ksp->pc;
  PetscBool is, none = PETSC_FALSE;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)pc, PCDEEPCG, &is));
  if (is) PetscCall(DeepcgFallbackList(pc, solve->fallbacks, &solve->nfallbacks, &solve->standby));
  if (is) PetscCall(PetscStrcmp(((PC_Deepcg *)pc->data)->fallback, "none", &none));
  if (solve->pd) *chain++ = DCG_COMPILED;
  *chain++ = DCG_FCG;
  for (PetscInt n = 0; n < solve->nfallbacks; ++n) *chain++ = DCG_FALLBACK_CG;
  if (!none) *chain++ = DCG_JACOBI_CG;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What each fallback did, for the reader. */
static PetscErrorCode KeepSteps(Solve *solve, const int32_t *chain, const dcg_report *report)
{
  KSP_Deepcg *kd   = (KSP_Deepcg *)solve->ksp->data;
  PetscInt    next = 0;

  PetscFunctionBegin;
  kd->fallbacks = (PetscInt)report->fallbacks, kd->restarts = (PetscInt)report->restarts, kd->steps = 0;
  for (int n = 0; n < DCG_CHAIN && chain[n]; ++n) {
    const char *name = "jacobi";

    if (chain[n] != DCG_FALLBACK_CG && chain[n] != DCG_JACOBI_CG) continue;
    if (chain[n] == DCG_FALLBACK_CG) name = solve->fallbacks[next++] == DEEPCG_FALLBACK_CLASSICAL ? DEEPCG_CLASSICAL : solve->standby;
    if (!report->done[n]) continue;
    kd->step[kd->steps].iterations = (PetscInt)report->done[n];
    PetscCall(PetscStrncpy(kd->step[kd->steps++].name, name, sizeof(kd->step[0].name)));
    PetscCall(PetscInfo(solve->ksp, "%" PetscInt_FMT " iterations by the fallback %s\n", (PetscInt)report->done[n], name));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static KSPConvergedReason ReasonOf(const dcg_report *report, KSPConvergedReason judged)
{
  switch (report->reason) {
  case DCG_ATTAINABLE:
  case DCG_STALLED:
    return KSP_DIVERGED_BREAKDOWN;
  case DCG_MAXITER:
    return KSP_DIVERGED_ITS;
  case DCG_BREAKDOWN:
    return KSP_DIVERGED_INDEFINITE_MAT;
  default:
    return judged; /* the convergence test's */
  }
}

/* Squares of a very small or large b under- or overflow: the solve is then for a power of two times b and x. */
static PetscErrorCode ScaleVectors(Solve *solve)
{
  KSP       ksp = solve->ksp;
  PetscReal most;

  PetscFunctionBegin;
  PetscCall(VecNorm(ksp->vec_rhs, NORM_INFINITY, &most));
  if (most == 0.0 || PetscIsInfOrNanReal(most) || (most > 1e-100 && most < 1e100)) PetscFunctionReturn(PETSC_SUCCESS);
  solve->scale = exp2(-ilogb(most));
  solve->given = ksp->vec_rhs;
  PetscCall(VecDuplicate(solve->given, &ksp->vec_rhs));
  PetscCall(VecCopy(solve->given, ksp->vec_rhs));
  PetscCall(VecScale(ksp->vec_rhs, solve->scale));
  PetscCall(VecScale(ksp->vec_sol, solve->scale));
  ksp->abstol *= solve->scale;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode UnscaleVectors(Solve *solve)
{
  KSP         ksp = solve->ksp;
  KSP_Deepcg *kd  = (KSP_Deepcg *)ksp->data;
  PetscReal   before, after;

  PetscFunctionBegin;
  if (!solve->given) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecDestroy(&ksp->vec_rhs));
  ksp->vec_rhs = solve->given;
  solve->given = NULL;
  ksp->abstol /= solve->scale, ksp->rnorm /= solve->scale, kd->projected /= solve->scale;
  PetscCall(VecNorm(ksp->vec_sol, NORM_INFINITY, &before));
  PetscCall(VecScale(ksp->vec_sol, 1.0 / solve->scale));
  PetscCall(VecNorm(ksp->vec_sol, NORM_INFINITY, &after));
  if (PetscIsInfOrNanReal(after)) ksp->reason = KSP_DIVERGED_NANORINF; /* beyond the range of PetscReal */
  else if (before > 0.0 && after < DBL_MIN) ksp->reason = KSP_DIVERGED_BREAKDOWN; /* below it */
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode KSPDeepcgSolve(KSP ksp)
{
  KSP_Deepcg        *kd = (KSP_Deepcg *)ksp->data;
  Solve              solve = {.ksp = ksp, .in = ksp->work[0], .out = ksp->work[1], .sign = 1.0, .scale = 1.0};
  dcg_krylov_options options = {.window = (int32_t)kd->window, .maxiter = ksp->max_it, .rtol = ksp->rtol, .norm = -1.0};
  dcg_system         system  = {.context = &solve, .product = Product, .residual = Residual, .precondition = Precondition, .judge = Judge,
                                .observe = Observe, .inverse_diagonal = InverseDiagonal, .fall_back = FallBack};
  dcg_report        *report = NULL;
  MatNullSpace       null;
  PetscMPIInt        ranks;
  PetscInt           n;
  const PetscScalar *b;
  PetscScalar       *x, *r;
  int64_t            unreachable = 0; /* components on which the matrix is singular, and rows that are zero */
  int                code;

  PetscFunctionBegin;
  PetscCall(PCGetOperators(ksp->pc, &solve.A, NULL));
  PetscCall(FindReader(ksp, &solve.singular));
  if (IsNative(ksp, solve.singular)) solve.pd = solve.singular;
  if (solve.singular) PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_project(solve.singular->solver, NULL, &unreachable, NULL));
  if (!unreachable) solve.singular = NULL;
  kd->ran = solve.pd ? "compiled" : "general";
  if (solve.pd) system.run = Run;
  PetscCall(MakeChain(&solve, options.chain));
  PetscCall(ScaleVectors(&solve));
  options.atol = ksp->abstol;
  if (ksp->normtype == KSP_NORM_UNPRECONDITIONED && !ksp->guess_zero) PetscCall(VecNorm(ksp->vec_rhs, NORM_2, &options.norm));
  PetscCall(FindSign(&solve));
  PetscCall(VecGetLocalSize(ksp->vec_sol, &n));
  system.n = solve.n = n;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)ksp), &ranks));
  if (ranks > 1) system.sum = Sum, options.threads = 1; /* the other cores are other ranks' */
  PetscCall(MatGetNullSpace(solve.A, &null));
  if (null || solve.singular) system.project = Project;
  if (ksp->normtype != KSP_NORM_UNPRECONDITIONED) {
    system.measure = Measure;
    PetscCall(VecDuplicate(ksp->vec_rhs, &solve.z));
  }
  PetscCall(VecGetArray(ksp->vec_sol, &x));
  PetscCall(VecGetArray(ksp->work[2], &r));
  PetscCall(VecGetArrayRead(ksp->vec_rhs, &b));
  code = dcg_krylov(&system, &options, b, x, r, &report);
  PetscCall(VecRestoreArrayRead(ksp->vec_rhs, &b));
  PetscCall(VecRestoreArray(ksp->work[2], &r));
  PetscCall(VecRestoreArray(ksp->vec_sol, &x));
  if (code) { /* the user may go on with this KSP */
    PetscCall(UnscaleVectors(&solve));
    PetscCall(Reset(&solve));
    PetscCall(VecDestroy(&solve.z));
    PetscCall(VecDestroy(&solve.inverse));
    if (solve.code) PetscCall(solve.code);
  }
  PetscCallDeepcg(PETSC_COMM_SELF, code);
  PetscCall(KeepSteps(&solve, options.chain, report));
  if (report->reason == DCG_ATTAINABLE) PetscCall(PetscInfo(ksp, "rounding forbids a smaller residual than %g\n", (double)ksp->rnorm));
  ksp->rnorm  = report->residuals[report->count - 1]; /* of the x that is left, which may be an earlier one */
  ksp->reason = ReasonOf(report, ksp->reason);
  PetscCall(JudgeInconsistent(&solve));
  PetscCall(UnscaleVectors(&solve));
  dcg_report_destroy(report);
  PetscCall(VecDestroy(&solve.z));
  PetscCall(VecDestroy(&solve.inverse));
  PetscFunctionReturn(PETSC_SUCCESS);
}
