/* The preconditioner: one application of the multilevel network to the residual, by the kernels. */
#include <string.h>

#include "deepcg_petsc.h"

/*MC
     PCDEEPCG - "deepcg", a multilevel network (a multigrid cycle with learned parameters) for Poisson-type matrices on structured grids

   Options Database Keys:
+  -pc_deepcg_model (auto|multigrid|NAME|FILE) - the weights: the shipped ones for the grid's dimension, a classical cycle's, a shipped model, a model file
.  -pc_deepcg_grid NX,NY[,NZ] - the grid whose cells the rows are, x fastest, where neither a DMDA nor coordinates say so
.  -pc_deepcg_fallback (gamg|hypre|...|multigrid|jacobi|none) - what goes on where KSPDEEPCG finds that the network fails or is slow; by default the
                           classical cycle (multigrid), then hypre where PETSc has it, else gamg. The type given also serves a matrix that is no 5- or 7-point stencil; by
                           default, and with multigrid and none, that is an error that says why. Its options: -pc_deepcg_fallback_...
.  -pc_deepcg_threads N - OpenMP threads a rank; 0: as many as OpenMP would take (default on one rank; else 1)
.  -pc_deepcg_rounding E - relative rounding of the matrix's entries, 0 (the default) where they are double precision's; rows whose sums it explains
                           may be those of a singular matrix
.  -pc_deepcg_gather N - on several ranks, levels of at most N cells live on one of them
.  -pc_deepcg_backend (auto|cpu|cuda) - where the kernels run; this plugin has those for the CPU, and refuses cuda
-  -pc_deepcg_python FILE - the interpreter for models that run in Python (default $DEEPCG_PYTHON, else the one that the plugin was built with)

   Level: intermediate

   Notes:
   Linear, symmetric and definite (with the matrix's sign), so that KSPCG may use it. The matrix may be positive or negative (semi-)definite; its
   weights, the kinds of its boundaries and its null space are read from its entries. Rows that are diagonal only are solved on their
   own (before a KSP that is given this PC begins to iterate), and couplings to them in other rows are dropped here.

   The grid comes from -pc_deepcg_grid (on several ranks, each must have whole layers of it), from the DMDA of the preconditioner or the matrix, from PCSetCoordinates(), or from a Vec (of block size 2 or 3)
   composed with the matrix as "coordinates"; with coordinates, cells of the bounding grid without a row are walls.

   References: Kaneda et al., A Deep Conjugate Direction Method for Iteratively Solving Linear Systems, ICML 2023

.seealso: `PCCreate()`, `PCSetType()`, `KSPDEEPCG`, `PCMG`, `PCGAMG`
M*/

static PetscErrorCode PCReset_Deepcg(PC pc)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  PetscCall(DeepcgFreeProblem(pd));
  PetscCall(PCDestroy(&pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- application --------------------------------------------------------------------------------------------------- */

static PetscErrorCode PCApply_Deepcg(PC pc, Vec x, Vec y)
{
  PC_Deepcg         *pd = (PC_Deepcg *)pc->data;
  MatNullSpace       null;
  const PetscScalar *r;
  PetscScalar       *z;

  PetscFunctionBegin;
  if (pd->inner) {
    PetscCall(PCApply(pd->inner, x, y));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PetscLogEventBegin(DEEPCG_Apply, pc, x, y, 0));
  PetscCall(MatGetNullSpace(pc->pmat, &null));
  if (null && pd->work) { /* projected on both sides, which keeps it symmetric */
    PetscCall(VecCopy(x, pd->work));
    PetscCall(MatNullSpaceRemove(null, pd->work));
    x = pd->work;
  }
  PetscCall(VecGetArrayRead(x, &r));
  PetscCall(VecGetArrayWrite(y, &z));
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_apply(pd->solver, r, z));
  PetscCall(VecRestoreArrayWrite(y, &z));
  PetscCall(VecRestoreArrayRead(x, &r));
  if (null && pd->work) PetscCall(MatNullSpaceRemove(null, y));
  PetscCall(PetscLogEventEnd(DEEPCG_Apply, pc, x, y, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCApplyTranspose_Deepcg(PC pc, Vec x, Vec y)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  if (pd->inner) PetscCall(PCApplyTranspose(pd->inner, x, y));
  else PetscCall(PCApply_Deepcg(pc, x, y));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rows that are diagonal only are solved before the iteration begins. Their residuals are 0 from then on, and with them all directions: so that
 * even conjugate gradients may serve a matrix whose other rows keep couplings to them, and which is not symmetric therefore. */
static PetscErrorCode PCPreSolve_Deepcg(PC pc, KSP ksp, Vec b, Vec x)
{
  PC_Deepcg         *pd = (PC_Deepcg *)pc->data;
  const PetscScalar *from;
  PetscScalar       *to;
  PetscBool          once;

  PetscFunctionBegin;
  pd->zero_guess = PETSC_FALSE;
  if (pd->inner && pd->inner->ops->presolve) PetscCall((*pd->inner->ops->presolve)(pd->inner, ksp, b, x));
  if (pd->inner || !pd->read.facts.diagonal) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscObjectTypeCompare((PetscObject)ksp, KSPPREONLY, &once)); /* takes no guess, and needs none */
  if (once) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(KSPGetInitialGuessNonzero(ksp, &pd->zero_guess));
  pd->zero_guess = (PetscBool)!pd->zero_guess;
  PetscCall(VecGetArrayRead(b, &from));
  if (pd->zero_guess && !pd->read.facts.dropped) {
    int any = 0;

    for (int64_t i = 0; i < pd->read.diagonal; ++i) any |= from[pd->read.row[i]] != 0.0;
    PetscCallMPI(MPIU_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, PetscObjectComm((PetscObject)pc)));
    if (!any) { /* 0 solves them, and the iteration need not evaluate its first residual */
      pd->zero_guess = PETSC_FALSE;
      PetscCall(VecRestoreArrayRead(b, &from));
      PetscFunctionReturn(PETSC_SUCCESS);
    }
  }
  if (pd->zero_guess) {
    PetscCall(VecSet(x, 0.0));
    PetscCall(KSPSetInitialGuessNonzero(ksp, PETSC_TRUE));
  }
  PetscCall(VecGetArray(x, &to));
  for (int64_t i = 0; i < pd->read.diagonal; ++i) to[pd->read.row[i]] = pd->read.inverse[i] * from[pd->read.row[i]];
  PetscCall(VecRestoreArray(x, &to));
  PetscCall(VecRestoreArrayRead(b, &from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCPostSolve_Deepcg(PC pc, KSP ksp, Vec b, Vec x)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  if (pd->inner && pd->inner->ops->postsolve) PetscCall((*pd->inner->ops->postsolve)(pd->inner, ksp, b, x));
  if (pd->zero_guess) PetscCall(KSPSetInitialGuessNonzero(ksp, PETSC_FALSE));
  pd->zero_guess = PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- view, options, the object -------------------------------------------------------------------------------------- */

/* What KSPDEEPCG goes on with, and what of it was needed. */
static PetscErrorCode ViewFallback(PC pc, PetscViewer viewer)
{
  PC_Deepcg     *pd = (PC_Deepcg *)pc->data;
  DeepcgFallback list[2];
  PCType         type;
  PetscInt       n;

  PetscFunctionBegin;
  if (!pc->setupcalled) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(DeepcgFallbackList(pc, list, &n, &type));
  if (!n) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscViewerASCIIPrintf(viewer, "fallback of KSP deepcg: %s%s%s%s\n", list[0] == DEEPCG_FALLBACK_CLASSICAL ? DEEPCG_CLASSICAL : "",
                                   n > 1 ? ", then " : "", type ? type : "", type && !pd->standby ? "; not set up" : ""));
  if (pd->standby) PetscCall(PCView(pd->standby, viewer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCView_Deepcg(PC pc, PetscViewer viewer)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;
  PetscBool  ascii;
  char       text[8192], *line = text;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &ascii));
  if (!ascii) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscViewerASCIIPushTab(viewer));
  if (pd->inner && pd->why[0]) PetscCall(PetscViewerASCIIPrintf(viewer, "fallback, because: %s\n", pd->why));
  else if (pd->inner) PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s (%s), in Python\n", pd->python_model.name, pd->python_model.hash));
  if (pd->inner) {
    PetscCall(PCView(pd->inner, viewer));
  } else if (!pc->setupcalled) {
    PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s; not set up yet\n", pd->model));
  } else {
    PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_view(pd->solver, text, sizeof(text)));
    for (char *end; (end = strchr(line, '\n')); line = end + 1) PetscCall(PetscViewerASCIIPrintf(viewer, "%.*s\n", (int)(end - line), line));
  }
  PetscCall(ViewFallback(pc, viewer));
  PetscCall(PetscViewerASCIIPopTab(viewer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

enum { BACKEND_AUTO, BACKEND_CPU, BACKEND_CUDA };
static const char *const BACKENDS[] = {"auto", "cpu", "cuda"};

static PetscErrorCode PCSetFromOptions_Deepcg(PC pc, DeepcgOptionItems PetscOptionsObject)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;
  PetscInt   backend = BACKEND_AUTO;
  PetscInt   n = 3, sizes[3] = {pd->hints.given[0], pd->hints.given[1], pd->hints.given[2]}, gather = pd->gather;
  PetscBool  same = PETSC_TRUE, given;

  PetscFunctionBegin;
  PetscOptionsHeadBegin(PetscOptionsObject, "deepcg options");
  PetscCall(PetscOptionsString("-pc_deepcg_model", "auto, multigrid, a shipped model's name, or a model file", NULL, pd->model, pd->model,
                               sizeof(pd->model), NULL));
  PetscCall(PetscOptionsIntArray("-pc_deepcg_grid", "NX,NY[,NZ] of the grid whose cells the rows are", NULL, sizes, &n, &given));
  if (given) {
    PetscCheck(n >= 1, PetscObjectComm((PetscObject)pc), PETSC_ERR_ARG_WRONG, "deepcg: -pc_deepcg_grid: NX,NY or NX,NY,NZ is needed");
    pd->hints.ngiven = n;
    for (PetscInt d = 0; d < n; ++d) {
      same = (PetscBool)(same && pd->hints.given[d] == sizes[d]);
      PetscCheck(sizes[d] > 0, PetscObjectComm((PetscObject)pc), PETSC_ERR_ARG_OUTOFRANGE,
                 "deepcg: -pc_deepcg_grid: %" PetscInt_FMT " given; positive sizes are needed", sizes[d]);
      pd->hints.given[d] = sizes[d];
    }
  }
  PetscCall(PetscOptionsFList("-pc_deepcg_fallback", "What goes on where KSP deepcg finds that the network fails (default: multigrid, then hypre or gamg), and serves a matrix that is no stencil (default: none); a PC type, multigrid, or none", NULL, PCList, pd->fallback,
                              pd->fallback, sizeof(pd->fallback), NULL));
  PetscCall(PetscOptionsBoundedInt("-pc_deepcg_threads", "OpenMP threads a rank; 0: as many as OpenMP would take", NULL, pd->threads,
                                   &pd->threads, NULL, 0));
  PetscCall(
      PetscOptionsReal("-pc_deepcg_rounding", "Relative rounding of the matrix's entries", NULL, pd->rounding, &pd->rounding, NULL));
  PetscCall(PetscOptionsBoundedInt("-pc_deepcg_gather", "On several ranks: levels of at most so many cells live on one; 0: default", NULL,
                                   pd->gather, &pd->gather, NULL, 0));
  PetscCall(PetscOptionsEList("-pc_deepcg_backend", "Where the kernels run", NULL, BACKENDS, PETSC_STATIC_ARRAY_LENGTH(BACKENDS), "auto",
                              &backend, NULL));
  PetscCheck(backend != BACKEND_CUDA, PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP,
             "deepcg: -pc_deepcg_backend: cuda given, and this plugin runs on the CPU; cpu or auto is needed (deepcg's CUDA kernels are "
             "used from Python: deepcg.Solver(problem, device=\"cuda\"))");
  PetscCall(PetscOptionsString("-pc_deepcg_python", "Interpreter for models that run in Python", NULL, pd->python, pd->python,
                               sizeof(pd->python), NULL));
  if (!same || gather != pd->gather) pd->source = NULL; /* the grid is asked for anew */
  PetscOptionsHeadEnd();
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCSetCoordinates_Deepcg(PC pc, PetscInt dim, PetscInt nrows, PetscReal coordinates[])
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  PetscCheck(dim == 2 || dim == 3, PetscObjectComm((PetscObject)pc), PETSC_ERR_ARG_OUTOFRANGE,
             "deepcg: PCSetCoordinates: dimension %" PetscInt_FMT " given; 2 or 3 is needed", dim);
  PetscCall(PetscFree(pd->hints.coordinates));
  PetscCall(PetscMalloc1(PetscMax(dim * nrows, 1), &pd->hints.coordinates));
  PetscCall(PetscArraycpy(pd->hints.coordinates, coordinates, dim * nrows));
  pd->hints.dim = dim, pd->hints.nrows = nrows;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCDestroy_Deepcg(PC pc)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  PetscCall(PCReset_Deepcg(pc));
  dcg_solver_destroy(pd->solver);
  PetscCall(PetscFree(pd->hints.coordinates));
  PetscCall(PetscObjectComposeFunction((PetscObject)pc, "PCSetCoordinates_C", NULL));
  PetscCall(PetscFree(pc->data));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode PCCreate_Deepcg(PC pc)
{
  PC_Deepcg  *pd;
  PetscMPIInt ranks;

  PetscFunctionBegin;
  PetscCall(PetscNew(&pd));
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_create(&pd->solver));
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  pd->threads  = ranks > 1 ? 1 : 0;
  pd->rounding = 0.0;
  PetscCall(PetscStrncpy(pd->model, "auto", sizeof(pd->model)));
  pc->data                = pd;
  pc->ops->setup          = PCSetUp_Deepcg;
  pc->ops->reset          = PCReset_Deepcg;
  pc->ops->destroy        = PCDestroy_Deepcg;
  pc->ops->apply          = PCApply_Deepcg;
  pc->ops->applytranspose = PCApplyTranspose_Deepcg;
  pc->ops->presolve       = PCPreSolve_Deepcg;
  pc->ops->postsolve      = PCPostSolve_Deepcg;
  pc->ops->setfromoptions = PCSetFromOptions_Deepcg;
  pc->ops->view           = PCView_Deepcg;
  PetscCall(PetscObjectComposeFunction((PetscObject)pc, "PCSetCoordinates_C", PCSetCoordinates_Deepcg));
  PetscFunctionReturn(PETSC_SUCCESS);
}
