/* The preconditioner's set-up: the grid, the operator that the matrix holds, the levels; or what serves in their place. */
#include <omp.h>
#include <string.h>

#include "deepcg_petsc.h"

#define ASYMMETRY 1e-9 /* of y.Ax against x.Ay, which rounding leaves at 1e-16 times a few */

/* Everything that belongs to a matrix. */
PetscErrorCode DeepcgFreeProblem(PC_Deepcg *pd)
{
  PetscFunctionBegin;
  dcg_multilevel_destroy(pd->cycle);
  pd->cycle = NULL;
  PetscCall(DeepcgRanksDestroy(&pd->ranks));
  PetscCall(PetscFree2(pd->kinds, pd->cells));
  for (int a = 0; a < 3; ++a) PetscCall(PetscFree(pd->face[a]));
  PetscCall(PetscFree(pd->shift));
  PetscCall(PetscFree2(pd->r, pd->z));
  PetscCall(PetscFree2(pd->alone, pd->diagonal_inverse));
  dcg_matrix_scan_destroy(pd->rows);
  pd->rows = NULL;
  PetscCall(VecDestroy(&pd->work));
  PetscCall(DeepcgMatrixReset(&pd->matrix));
  PetscCall(DeepcgGridReset(&pd->grid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Lets go of an inner preconditioner of another type than is wanted now. */
static PetscErrorCode KeepInner(PC_Deepcg *pd, PCType wanted)
{
  PetscBool same;

  PetscFunctionBegin;
  if (!pd->inner) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscObjectTypeCompare((PetscObject)pd->inner, wanted, &same));
  if (!same) PetscCall(PCDestroy(&pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The preconditioner that -pc_deepcg_fallback names takes over, or an error says why one is needed. */
static PetscErrorCode FallBack(PC pc)
{
  PC_Deepcg  *pd = (PC_Deepcg *)pc->data;
  const char *prefix;
  PetscBool   none;

  PetscFunctionBegin;
  PetscCall(PetscStrcmp(pd->fallback, "none", &none));
  PetscCheck(!none, PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP,
             "deepcg: this matrix cannot be served: %s. To go on with another preconditioner in such cases: -%spc_deepcg_fallback gamg (or "
             "any other type)",
             pd->why, ((PetscObject)pc)->prefix ? ((PetscObject)pc)->prefix : "");
  PetscCall(PetscInfo(pc, "falls back to %s: %s\n", pd->fallback, pd->why));
  PetscCall(KeepInner(pd, pd->fallback));
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
  PetscCall(KeepInner(pd, PCPYTHON));
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

/* The own diagonal entry of a row. */
static PetscReal DiagonalOf(const DeepcgMatrix *matrix, PetscInt row)
{
  PetscReal sum = 0.0;

  for (PetscInt e = matrix->start[0][row]; e < matrix->start[0][row + 1]; ++e)
    if (matrix->column[0][e] == row) sum += matrix->value[0][e];
  return sum;
}

/* Rows that are no unknowns, and 1 / diagonal of those that have one. */
static PetscErrorCode FindRowsAlone(PC_Deepcg *pd)
{
  const int64_t *n = pd->grid.count, rows = pd->matrix.rows.rows, plane = (n[1] + 2) * (n[2] + 2);
  PetscInt       count[4] = {0, 0, 0, 0}; /* by kind */

  PetscFunctionBegin;
  PetscCall(PetscFree2(pd->alone, pd->diagonal_inverse));
  pd->ndiagonal = pd->nalone = 0;
  pd->direct                 = (PetscBool)!pd->grid.cell;
  if (!pd->direct && !pd->r) PetscCall(PetscCalloc2(PetscMax(n[0] * n[1] * n[2], 1), &pd->r, PetscMax(n[0] * n[1] * n[2], 1), &pd->z));
  if (!pd->found.diagonal && !pd->found.empty) PetscFunctionReturn(PETSC_SUCCESS);
  for (int wanted = 0; wanted < 2; ++wanted) { /* first their number */
    PetscInt at[4] = {0, 0, count[DCG_ROW_DIAGONAL], 0};

    if (wanted) PetscCall(PetscMalloc2(at[DCG_ROW_EMPTY] + count[DCG_ROW_EMPTY], &pd->alone, at[DCG_ROW_EMPTY], &pd->diagonal_inverse));
    for (int64_t i = 0, u, line, in_line; i < rows; i += in_line) {
      const uint8_t *kind;

      u = pd->grid.cell ? pd->grid.cell[i] : i, line = u / n[2], in_line = pd->grid.cell ? 1 : n[2];
      kind = pd->kinds + (line / n[1] + 1) * plane + (line % n[1] + 1) * (n[2] + 2) + u % n[2] + 1;
      if (kind[0] == DCG_ROW_UNKNOWN && !memcmp(kind, kind + 1, (size_t)in_line - 1)) continue; /* all of them: most lines */
      for (int64_t j = 0; j < in_line; ++j) {
        if (kind[j] == DCG_ROW_UNKNOWN) continue;
        if (wanted) pd->alone[at[kind[j]]++] = (PetscInt)(i + j);
        else ++count[kind[j]];
      }
    }
  }
  pd->ndiagonal = count[DCG_ROW_DIAGONAL], pd->nalone = pd->ndiagonal + count[DCG_ROW_EMPTY];
  for (PetscInt i = 0; i < pd->ndiagonal; ++i) pd->diagonal_inverse[i] = 1.0 / DiagonalOf(&pd->matrix, pd->alone[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Reads the operator; pd->why says what is wrong where the matrix is none that deepcg serves. */
static PetscErrorCode ReadMatrix(PC pc, PetscBool again)
{
  PC_Deepcg *pd   = (PC_Deepcg *)pc->data;
  MPI_Comm   comm = PetscObjectComm((PetscObject)pc);
  int        code;

  PetscFunctionBegin;
  PetscCall(AllocateProblem(pd));
  PetscCall(DeepcgMatrixGet(pc->pmat, &pd->grid, &pd->matrix));
  PetscCall(DeepcgMatrixShare(&pd->matrix, &comm));
  pd->matrix.rows.rounding = pd->rounding;
  if (!pd->rows) PetscCallDeepcg(comm, dcg_matrix_scan_create(&pd->rows));
  code = dcg_matrix_scan_rows(&pd->matrix.rows, pd->rows, again && !pd->matrix.converted, pd->kinds);
  if (!code) {
    PetscCall(DeepcgRanksExchangeKinds(pc, &pd->grid, pd->kinds, &pd->ranks));
    code = dcg_matrix_read(&pd->matrix.rows, pd->rows, pd->kinds, pd->cells, pd->face, pd->shift, &pd->found);
  }
  if (!code) PetscCall(FindRowsAlone(pd));
  PetscCall(DeepcgMatrixRestore(&pd->matrix));
  PetscCheck(!code || code == DCG_INVALID_ARGUMENT, PETSC_COMM_SELF, PETSC_ERR_LIB, "deepcg: %s", dcg_last_error());
  if (code) PetscCall(PetscStrncpy(pd->why, dcg_last_error(), sizeof(pd->why)));
  else if (pd->ranks && pd->found.unit == 0.0) { /* equal faces all round are told by each side's rows */
    PetscReal asymmetry;

    PetscCall(DeepcgRanksAsymmetry(pc->pmat, pd, &asymmetry));
    if (asymmetry > ASYMMETRY)
      PetscCall(PetscSNPrintf(pd->why, sizeof(pd->why),
                              "not symmetric: for two vectors x and y that are 0 in rows that are diagonal only, y.Ax and x.Ay differ by "
                              "%g of |y| |Ax|; a symmetric matrix is needed",
                              (double)asymmetry));
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

static PetscErrorCode SetUpCycle(PC pc)
{
  PC_Deepcg  *pd   = (PC_Deepcg *)pc->data;
  MPI_Comm    comm = PetscObjectComm((PetscObject)pc);
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

PetscErrorCode PCSetUp_Deepcg(PC pc)
{
  PC_Deepcg      *pd        = (PC_Deepcg *)pc->data;
  const PetscBool again     = (PetscBool)(pc->setupcalled && pc->flag == SAME_NONZERO_PATTERN && pd->grid.source);
  const int       threads   = omp_get_max_threads();
  PetscBool       is_python = PETSC_FALSE;
  MatNullSpace    null;

  PetscFunctionBegin;
  if (!again) {
    PetscCall(DeepcgFreeProblem(pd));
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
  PetscCall(ReadMatrix(pc, again));
  PetscCall(PetscLogEventEnd(DEEPCG_Read, pc, 0, 0, 0));
  omp_set_num_threads(threads);
  if (pd->why[0]) {
    PetscCall(DeepcgFreeProblem(pd));
    PetscCall(FallBack(pc));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PCDestroy(&pd->inner));
  PetscCall(SetOperator(pd));
  PetscCall(PetscLogEventBegin(DEEPCG_SetUp, pc, 0, 0, 0));
  PetscCall(SetUpCycle(pc));
  PetscCall(PetscLogEventEnd(DEEPCG_SetUp, pc, 0, 0, 0));
  PetscCall(MatGetNullSpace(pc->pmat, &null));
  if (null && !pd->work) PetscCall(MatCreateVecs(pc->pmat, NULL, &pd->work));
  PetscFunctionReturn(PETSC_SUCCESS);
}
