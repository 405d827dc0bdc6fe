/* The preconditioner: one application of the multilevel network to the residual, by the kernels. */
#include <omp.h>
#include <stdio.h>

#include "deepcg_petsc.h"

/*MC
     PCDEEPCG - "deepcg", a multilevel network (a multigrid cycle with learned weights) for Poisson-type matrices on structured grids

   Options Database Keys:
+  -pc_deepcg_model (auto|multigrid|NAME|FILE) - the weights: the shipped ones for the grid's dimension, a classical cycle's, a shipped model, a model file
.  -pc_deepcg_grid NX,NY[,NZ] - the grid whose cells the rows are, x fastest, where neither a DMDA nor coordinates say so
.  -pc_deepcg_fallback (none|gamg|jacobi|...) - the preconditioner for a matrix that is no 5- or 7-point stencil; none: an error that says why
.  -pc_deepcg_threads N - OpenMP threads a rank; 0: as many as OpenMP would take (default on one rank; else 1)
.  -pc_deepcg_rounding E - differences up to this fraction of a row's diagonal count as none (asymmetry, sums of rows that should be 0)
.  -pc_deepcg_gather N - on several ranks, levels of at most N cells live on one of them
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

#define ASYMMETRY 1e-9 /* of y.Ax against x.Ay, which rounding leaves at 1e-16 times a few */

static PetscErrorCode FreeProblem(PC_Deepcg *pd)
{
  PetscFunctionBegin;
  dcg_multilevel_destroy(pd->cycle);
  pd->cycle = NULL;
  PetscCall(DeepcgRanksDestroy(&pd->ranks));
  PetscCall(PetscFree2(pd->kinds, pd->cells));
  for (int a = 0; a < 3; ++a) PetscCall(PetscFree(pd->face[a]));
  PetscCall(PetscFree(pd->shift));
  PetscCall(PetscFree2(pd->r, pd->z));
  PetscCall(PetscFree2(pd->diagonal_row, pd->diagonal_inverse));
  PetscCall(VecDestroy(&pd->work));
  PetscCall(DeepcgMatrixReset(&pd->matrix));
  PetscCall(DeepcgGridReset(&pd->grid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCReset_Deepcg(PC pc)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  PetscCall(FreeProblem(pd));
  PetscCall(PCDestroy(&pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- vectors of rows, vectors over cells --------------------------------------------------------------------------- */

void DeepcgToCells(const PC_Deepcg *pd, double scale, const double *rows, double *cells)
{
  const int64_t *cell = pd->grid.cell;

#pragma omp parallel for schedule(static) if (pd->matrix.rows.rows > 32768)
  for (int64_t i = 0; i < pd->matrix.rows.rows; ++i) {
    const int64_t u = cell ? cell[i] : i;

    cells[u] = pd->cells[u] == 0 ? scale * rows[i] : 0.0;
  }
}

void DeepcgFromCells(const PC_Deepcg *pd, double scale, const double *cells, double *rows)
{
  const int64_t *cell = pd->grid.cell;

#pragma omp parallel for schedule(static) if (pd->matrix.rows.rows > 32768)
  for (int64_t i = 0; i < pd->matrix.rows.rows; ++i) {
    const int64_t u = cell ? cell[i] : i;

    if (pd->cells[u] == 0) rows[i] = scale * cells[u];
  }
}

/* ---- set-up -------------------------------------------------------------------------------------------------------- */

/* The preconditioner that -pc_deepcg_fallback names takes over, or an error says why one is needed. */
static PetscErrorCode FallBack(PC pc)
{
  PC_Deepcg  *pd = (PC_Deepcg *)pc->data;
  const char *prefix;
  PetscBool   none;

  PetscFunctionBegin;
  PetscCall(PetscStrcmp(pd->fallback, "none", &none));
  PetscCheck(!none, PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP,
             "deepcg: this matrix cannot be served: %s. To go on with another preconditioner in such cases: -%spc_deepcg_fallback gamg (or any other type)", pd->why,
             ((PetscObject)pc)->prefix ? ((PetscObject)pc)->prefix : "");
  PetscCall(PetscInfo(pc, "falls back to %s: %s\n", pd->fallback, pd->why));
  if (!pd->inner) {
    PetscCall(PCCreate(PetscObjectComm((PetscObject)pc), &pd->inner));
    PetscCall(PetscObjectIncrementTabLevel((PetscObject)pd->inner, (PetscObject)pc, 1));
    PetscCall(PCGetOptionsPrefix(pc, &prefix));
    PetscCall(PCSetOptionsPrefix(pd->inner, prefix));
    PetscCall(PCAppendOptionsPrefix(pd->inner, "pc_deepcg_fallback_"));
    PetscCall(PCSetType(pd->inner, pd->fallback));
    if (pc->dm) PetscCall(PCSetDM(pd->inner, pc->dm));
  }
  PetscCall(PCSetOperators(pd->inner, pc->mat, pc->pmat));
  PetscCall(PCSetFromOptions(pd->inner));
  PetscCall(PCSetUp(pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A model that runs in Python serves the whole matrix there. */
static PetscErrorCode GoToPython(PC pc)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  if (!pd->inner) PetscCall(DeepcgPythonPC(pc, pd->python, &pd->inner));
  PetscCall(PCSetOperators(pd->inner, pc->mat, pc->pmat));
  PetscCall(PCSetUp(pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode AllocateProblem(PC_Deepcg *pd)
{
  const int64_t *n = pd->grid.count, cells = n[0] * n[1] * n[2];

  PetscFunctionBegin;
  if (!pd->kinds) PetscCall(PetscMalloc2((n[0] + 2) * (n[1] + 2) * (n[2] + 2), &pd->kinds, PetscMax(cells, 1), &pd->cells));
  for (int a = 0; a < 3; ++a) {
    PetscInt faces = 1;

    for (int b = 0; b < 3; ++b) faces *= n[b] + (a == b);
    if (!pd->face[a]) PetscCall(PetscMalloc1(faces, &pd->face[a]));
  }
  if (!pd->shift) PetscCall(PetscMalloc1(PetscMax(cells, 1), &pd->shift));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Reads the operator; pd->why says what is wrong where the matrix is none that deepcg serves. */
static PetscErrorCode ReadMatrix(PC pc)
{
  PC_Deepcg *pd   = (PC_Deepcg *)pc->data;
  MPI_Comm   comm = PetscObjectComm((PetscObject)pc);
  int        code;

  PetscFunctionBegin;
  PetscCall(AllocateProblem(pd));
  PetscCall(DeepcgMatrixGet(pc->pmat, &pd->grid, &pd->matrix));
  PetscCall(DeepcgMatrixShare(&pd->matrix, &comm));
  code = dcg_matrix_kinds(&pd->matrix.rows, pd->kinds);
  if (!code) {
    PetscCall(DeepcgRanksExchangeKinds(pc, &pd->grid, pd->kinds, &pd->ranks));
    code = dcg_matrix_read(&pd->matrix.rows, pd->kinds, pd->rounding, pd->cells, pd->face, pd->shift, &pd->found);
  }
  PetscCall(DeepcgMatrixRestore(&pd->matrix));
  PetscCheck(!code || code == DCG_INVALID_ARGUMENT, PETSC_COMM_SELF, PETSC_ERR_LIB, "deepcg: %s", dcg_last_error());
  if (code) PetscCall(PetscStrncpy(pd->why, dcg_last_error(), sizeof(pd->why)));
  else if (pd->ranks) {
    PetscReal asymmetry;

    PetscCall(DeepcgRanksAsymmetry(pc->pmat, pd, &asymmetry));
    if (asymmetry > ASYMMETRY) PetscCall(PetscSNPrintf(pd->why, sizeof(pd->why), "not symmetric: for two vectors x and y that are 0 in rows that are diagonal only, y.Ax and x.Ay differ by %g of |y| |Ax|; a symmetric matrix is needed", (double)asymmetry));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the kernels need not have: weights where all are one, shift where there is none. */
static PetscErrorCode SetOperator(PC_Deepcg *pd)
{
  PetscFunctionBegin;
  PetscCall(PetscMemzero(&pd->op, sizeof(pd->op)));
  for (int a = 0; a < 3; ++a) pd->op.shape[a] = pd->grid.count[a];
  pd->op.cells    = pd->cells;
  pd->op.unit     = pd->found.unit;
  pd->op.periodic = pd->found.periodic;
  pd->op.open     = pd->found.open;
  for (int a = 0; a < 3; ++a) {
    if (pd->found.unit > 0.0 || pd->grid.shape[a] == 1) PetscCall(PetscFree(pd->face[a]));
    pd->op.weights[a] = pd->face[a];
  }
  if (pd->found.unit == 0.0 && !pd->face[2]) { /* the kernels want weights along x: a grid of one column has none there */
    PetscCall(PetscCalloc1(pd->grid.count[0] * pd->grid.count[1] * (pd->grid.count[2] + 1), &pd->face[2]));
    pd->op.weights[2] = pd->face[2];
  }
  if (!pd->found.shifted) PetscCall(PetscFree(pd->shift));
  pd->op.shift = pd->shift;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static uint8_t KindOf(const PC_Deepcg *pd, int64_t row)
{
  const int64_t *n = pd->grid.count, u = pd->grid.cell ? pd->grid.cell[row] : row, line = u / n[2];

  if (!pd->grid.cell && pd->cells[u] == 0) return DCG_ROW_UNKNOWN; /* most rows */
  return pd->kinds[((line / n[1] + 1) * (n[1] + 2) + line % n[1] + 1) * (n[2] + 2) + u % n[2] + 1];
}

/* Rows that are diagonal only: their numbers and 1 / diagonal. And whether vectors of rows can be handed to the kernels as they are. */
static PetscErrorCode FindDiagonalRows(PC pc)
{
  PC_Deepcg       *pd = (PC_Deepcg *)pc->data;
  const int64_t   *n  = pd->grid.count, rows = pd->matrix.rows.rows;
  const PetscReal *diagonal;
  Vec              values;

  PetscFunctionBegin;
  PetscCall(PetscFree2(pd->diagonal_row, pd->diagonal_inverse));
  pd->ndiagonal = 0;
  pd->direct    = (PetscBool)!pd->grid.cell;
  if (pd->found.diagonal || pd->found.empty) {
    for (int64_t i = 0; i < rows; ++i) {
      const uint8_t kind = KindOf(pd, i);

      pd->ndiagonal += kind == DCG_ROW_DIAGONAL;
      if (kind != DCG_ROW_UNKNOWN) pd->direct = PETSC_FALSE;
    }
  }
  if (pd->ndiagonal) {
    PetscInt at = 0;

    PetscCall(PetscMalloc2(pd->ndiagonal, &pd->diagonal_row, pd->ndiagonal, &pd->diagonal_inverse));
    for (int64_t i = 0; i < rows; ++i)
      if (KindOf(pd, i) == DCG_ROW_DIAGONAL) pd->diagonal_row[at++] = (PetscInt)i;
  }
  if (pd->found.diagonal) { /* on any rank: the diagonal is a vector of all */
    PetscCall(MatCreateVecs(pc->pmat, NULL, &values));
    PetscCall(MatGetDiagonal(pc->pmat, values));
    PetscCall(VecGetArrayRead(values, &diagonal));
    for (PetscInt i = 0; i < pd->ndiagonal; ++i) pd->diagonal_inverse[i] = 1.0 / diagonal[pd->diagonal_row[i]];
    PetscCall(VecRestoreArrayRead(values, &diagonal));
    PetscCall(VecDestroy(&values));
  }
  if (!pd->direct && !pd->r) PetscCall(PetscCalloc2(PetscMax(n[0] * n[1] * n[2], 1), &pd->r, PetscMax(n[0] * n[1] * n[2], 1), &pd->z));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode SetUpCycle(PC pc)
{
  PC_Deepcg *pd   = (PC_Deepcg *)pc->data;
  MPI_Comm   comm = PetscObjectComm((PetscObject)pc);
  PetscMPIInt ranks;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(comm, &ranks));
  if (pd->found.unknowns == 0) { /* a diagonal matrix */
    dcg_multilevel_destroy(pd->cycle);
    pd->cycle = NULL;
  } else if (pd->cycle) {
    PetscCallDeepcg(comm, dcg_multilevel_update(pd->cycle, &pd->op));
  } else if (ranks > 1) {
    PetscCall(DeepcgRanksCreateCycle(pc, pd));
  } else {
    PetscCallDeepcg(comm, dcg_multilevel_create(&pd->op, &pd->weights, (int32_t)pd->threads, &pd->cycle));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCSetUp_Deepcg(PC pc)
{
  PC_Deepcg   *pd        = (PC_Deepcg *)pc->data;
  const PetscBool again  = (PetscBool)(pc->setupcalled && pc->flag == SAME_NONZERO_PATTERN && pd->grid.source);
  const int    threads   = omp_get_max_threads();
  PetscBool    is_python = PETSC_FALSE;
  MatNullSpace null;

  PetscFunctionBegin;
  if (!again) {
    PetscCall(PCReset_Deepcg(pc));
    PetscCall(DeepcgGridFind(pc, &pd->hints, &pd->grid, pd->why, sizeof(pd->why)));
    if (pd->why[0]) {
      PetscCall(DeepcgGridReset(&pd->grid));
      PetscCall(FallBack(pc));
      PetscFunctionReturn(PETSC_SUCCESS);
    }
  }
  PetscCall(DeepcgModelRead(pd, PetscObjectComm((PetscObject)pc), pd->grid.dim, &is_python));
  if (is_python) {
    PetscCall(GoToPython(pc));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  pd->why[0] = 0;
  if (pd->threads > 0) omp_set_num_threads((int)pd->threads);
  PetscCall(PetscLogEventBegin(DEEPCG_Read, pc, 0, 0, 0));
  PetscCall(ReadMatrix(pc));
  PetscCall(PetscLogEventEnd(DEEPCG_Read, pc, 0, 0, 0));
  omp_set_num_threads(threads);
  if (pd->why[0]) {
    PetscCall(FreeProblem(pd));
    PetscCall(FallBack(pc));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PCDestroy(&pd->inner));
  PetscCall(SetOperator(pd));
  PetscCall(FindDiagonalRows(pc));
  PetscCall(PetscLogEventBegin(DEEPCG_SetUp, pc, 0, 0, 0));
  PetscCall(SetUpCycle(pc));
  PetscCall(PetscLogEventEnd(DEEPCG_SetUp, pc, 0, 0, 0));
  PetscCall(MatGetNullSpace(pc->pmat, &null));
  if (null && !pd->work) PetscCall(MatCreateVecs(pc->pmat, NULL, &pd->work));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- application --------------------------------------------------------------------------------------------------- */

static PetscErrorCode ApplyCycle(PC pc, Vec x, Vec y)
{
  PC_Deepcg         *pd   = (PC_Deepcg *)pc->data;
  const double       sign = pd->found.sign;
  const PetscScalar *r;
  PetscScalar       *z;

  PetscFunctionBegin;
  PetscCall(VecGetArrayRead(x, &r));
  PetscCall(VecGetArrayWrite(y, &z));
  if (pd->direct && pd->cycle) {
    PetscCallDeepcg(PETSC_COMM_SELF, dcg_multilevel_apply(pd->cycle, r, z));
    if (sign < 0.0)
      for (int64_t i = 0; i < pd->matrix.rows.rows; ++i) z[i] = -z[i];
  } else {
    PetscCall(PetscArrayzero(z, pd->matrix.rows.rows));
    if (pd->cycle) {
      DeepcgToCells(pd, sign, r, pd->r);
      PetscCallDeepcg(PETSC_COMM_SELF, dcg_multilevel_apply(pd->cycle, pd->r, pd->z));
      DeepcgFromCells(pd, 1.0, pd->z, z);
    }
    for (PetscInt i = 0; i < pd->ndiagonal; ++i) z[pd->diagonal_row[i]] = pd->diagonal_inverse[i] * r[pd->diagonal_row[i]];
  }
  PetscCall(VecRestoreArrayWrite(y, &z));
  PetscCall(VecRestoreArrayRead(x, &r));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCApply_Deepcg(PC pc, Vec x, Vec y)
{
  PC_Deepcg   *pd = (PC_Deepcg *)pc->data;
  MatNullSpace null;
  PetscBool    count;

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
  count = (PetscBool)(pd->ranks && !pd->exchanges);
  if (count) PetscCall(DeepcgRanksCount(pd->ranks, &pd->exchanges, &pd->bytes)); /* the set-up's */
  PetscCall(ApplyCycle(pc, x, y));
  if (count) PetscCall(DeepcgRanksCount(pd->ranks, &pd->exchanges, &pd->bytes));
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

  PetscFunctionBegin;
  pd->zero_guess = PETSC_FALSE;
  if (pd->inner && pd->inner->ops->presolve) PetscCall((*pd->inner->ops->presolve)(pd->inner, ksp, b, x));
  if (pd->inner || !pd->found.diagonal) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(KSPGetInitialGuessNonzero(ksp, &pd->zero_guess));
  pd->zero_guess = (PetscBool)!pd->zero_guess;
  if (pd->zero_guess) {
    PetscCall(VecSet(x, 0.0));
    PetscCall(KSPSetInitialGuessNonzero(ksp, PETSC_TRUE));
  }
  PetscCall(VecGetArrayRead(b, &from));
  PetscCall(VecGetArray(x, &to));
  for (PetscInt i = 0; i < pd->ndiagonal; ++i) to[pd->diagonal_row[i]] = pd->diagonal_inverse[i] * from[pd->diagonal_row[i]];
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

/* ---- options, view, the object -------------------------------------------------------------------------------------- */

static PetscErrorCode PCSetFromOptions_Deepcg(PC pc, DeepcgOptionItems PetscOptionsObject)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;
  char       before[PETSC_MAX_PATH_LEN];
  PetscInt   n = 3, sizes[3];
  PetscBool  same, given;

  PetscFunctionBegin;
  PetscOptionsHeadBegin(PetscOptionsObject, "deepcg options");
  PetscCall(PetscStrncpy(before, pd->name, sizeof(before)));
  PetscCall(PetscOptionsString("-pc_deepcg_model", "auto, multigrid, a shipped model's name, or a model file", NULL, pd->name, pd->name, sizeof(pd->name), NULL));
  PetscCall(PetscStrcmp(before, pd->name, &same));
  if (!same) pd->model_dim = 0;
  PetscCall(PetscOptionsIntArray("-pc_deepcg_grid", "NX,NY[,NZ] of the grid whose cells the rows are", NULL, sizes, &n, &given));
  if (given) {
    PetscCheck(n >= 1, PetscObjectComm((PetscObject)pc), PETSC_ERR_ARG_WRONG, "deepcg: -pc_deepcg_grid: NX,NY or NX,NY,NZ is needed");
    pd->hints.ngiven = n;
    for (PetscInt d = 0; d < n; ++d) {
      PetscCheck(sizes[d] > 0, PetscObjectComm((PetscObject)pc), PETSC_ERR_ARG_OUTOFRANGE, "deepcg: -pc_deepcg_grid: %" PetscInt_FMT " given; positive sizes are needed", sizes[d]);
      pd->hints.given[d] = sizes[d];
    }
  }
  PetscCall(PetscOptionsFList("-pc_deepcg_fallback", "Preconditioner for a matrix that is no stencil, or none", NULL, PCList, pd->fallback, pd->fallback, sizeof(pd->fallback), NULL));
  PetscCall(PetscOptionsBoundedInt("-pc_deepcg_threads", "OpenMP threads a rank; 0: as many as OpenMP would take", NULL, pd->threads, &pd->threads, NULL, 0));
  PetscCall(PetscOptionsReal("-pc_deepcg_rounding", "Fraction of the diagonal that counts as rounding", NULL, pd->rounding, &pd->rounding, NULL));
  PetscCall(PetscOptionsBoundedInt("-pc_deepcg_gather", "On several ranks: levels of at most so many cells live on one; 0: default", NULL, pd->gather, &pd->gather, NULL, 0));
  PetscCall(PetscOptionsString("-pc_deepcg_python", "Interpreter for models that run in Python", NULL, pd->python, pd->python, sizeof(pd->python), NULL));
  PetscOptionsHeadEnd();
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Sizes along z, y, x as users name them: x first, in as many dimensions as the grid has. */
static const char *Sizes(PetscInt dim, int64_t z, int64_t y, int64_t x, char text[80])
{
  if (dim == 1) snprintf(text, 80, "%lld", (long long)x);
  else if (dim == 2) snprintf(text, 80, "%lld x %lld", (long long)x, (long long)z); /* a 2-D grid is (ny, 1, nx) */
  else snprintf(text, 80, "%lld x %lld x %lld", (long long)x, (long long)y, (long long)z);
  return text;
}

static PetscErrorCode ViewOperator(const PC_Deepcg *pd, PetscViewer viewer)
{
  const dcg_matrix_found *f = &pd->found;
  char                    text[80], more[80];

  PetscFunctionBegin;
  PetscCall(PetscViewerASCIIPrintf(viewer, "grid: %s from %s, on %s ranks\n", Sizes(pd->grid.dim, pd->grid.shape[0], pd->grid.shape[1], pd->grid.shape[2], text),
                                   pd->grid.source, Sizes(pd->grid.dim, pd->grid.ranks[0], pd->grid.ranks[1], pd->grid.ranks[2], more)));
  PetscCall(PetscViewerASCIIPrintf(viewer, "matrix: %lld unknowns, %lld rows diagonal only (%lld couplings to them dropped), %s definite; periodic: %s%s%s%s\n", (long long)f->unknowns, (long long)f->diagonal,
                                   (long long)f->dropped, f->sign > 0 ? "positive" : "negative", f->periodic & 4 ? "x" : "", f->periodic & 2 ? "y" : "", f->periodic & 1 ? (pd->grid.dim == 2 ? "y" : "z") : "", f->periodic ? "" : "no"));
  if (f->unit > 0.0) PetscCall(PetscViewerASCIIPrintf(viewer, "weights: all faces %g\n", f->unit));
  else PetscCall(PetscViewerASCIIPrintf(viewer, "weights: one per face%s\n", f->shifted ? ", with a shift" : ""));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode ViewCycle(PC pc, PetscViewer viewer)
{
  PC_Deepcg  *pd = (PC_Deepcg *)pc->data;
  int32_t     levels;
  int64_t     bytes, table[5 * DCG_LEVELS * 2];
  const char *name;
  char        text[80];
  PetscReal   all;

  PetscFunctionBegin;
  if (!pd->cycle) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_multilevel_info(pd->cycle, &levels, &bytes, 2 * DCG_LEVELS, table, &name));
  all = (PetscReal)bytes;
  for (int a = 0; a < 3; ++a)
    if (pd->face[a]) all += sizeof(double) * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  if (pd->shift) all += sizeof(double) * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  if (pd->r) all += 2 * sizeof(double) * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  all += 2.0 * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPIU_REAL, MPIU_SUM, PetscObjectComm((PetscObject)pc)));
  PetscCall(PetscViewerASCIIPrintf(viewer, "levels: %d\n", (int)levels));
  for (int l = 0; l < PetscMin(levels, 2 * DCG_LEVELS); ++l)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  %s: %lld unknowns, %lld of them beside another in their cell\n", Sizes(pd->grid.dim, table[5 * l], table[5 * l + 1], table[5 * l + 2], text), (long long)table[5 * l + 3],
                                     (long long)table[5 * l + 4]));
  PetscCall(PetscViewerASCIIPrintf(viewer, "precision: single inside, double outside; backend: cpu (%s), %d thread(s) a rank\n", name, pd->threads ? (int)pd->threads : omp_get_max_threads()));
  if (pd->exchanges) PetscCall(PetscViewerASCIIPrintf(viewer, "messages: %" PetscInt_FMT " exchanges a cycle, in which a rank receives at most %" PetscInt_FMT " bytes\n", pd->exchanges, pd->bytes));
  PetscCall(PetscViewerASCIIPrintf(viewer, "memory: %.1f MB on all ranks\n", (double)(all / 1e6)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCView_Deepcg(PC pc, PetscViewer viewer)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;
  PetscBool  ascii;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &ascii));
  if (!ascii) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscViewerASCIIPushTab(viewer));
  if (pd->inner) {
    if (pd->why[0]) PetscCall(PetscViewerASCIIPrintf(viewer, "fallback, because: %s\n", pd->why));
    else PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s (%s), in Python\n", pd->model.name, pd->model.hash));
    PetscCall(PCView(pd->inner, viewer));
  } else if (pc->setupcalled) {
    PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s%s%s%s\n", pd->model.name, pd->model.hash[0] ? ", hash " : "", pd->model.hash, pd->model.hash[0] ? "" : " (classical weights)"));
    PetscCall(ViewOperator(pd, viewer));
    PetscCall(ViewCycle(pc, viewer));
  } else {
    PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s; not set up yet\n", pd->name));
  }
  PetscCall(PetscViewerASCIIPopTab(viewer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode PCSetCoordinates_Deepcg(PC pc, PetscInt dim, PetscInt nrows, PetscReal coordinates[])
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;

  PetscFunctionBegin;
  PetscCheck(dim == 2 || dim == 3, PetscObjectComm((PetscObject)pc), PETSC_ERR_ARG_OUTOFRANGE, "deepcg: PCSetCoordinates: dimension %" PetscInt_FMT " given; 2 or 3 is needed", dim);
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
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  pd->threads  = ranks > 1 ? 1 : 0;
  pd->rounding = 1e-10;
  PetscCall(PetscStrncpy(pd->name, "auto", sizeof(pd->name)));
  PetscCall(PetscStrncpy(pd->fallback, "none", sizeof(pd->fallback)));
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
