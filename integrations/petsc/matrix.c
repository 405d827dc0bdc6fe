/* PETSc's compressed rows as the solver reads them: pointers into the matrix's own arrays. */
#include "deepcg_petsc.h"

typedef struct {
  Mat                part[2]; /* columns of this rank's rows, and of others' */
  const PetscInt    *start[2], *column[2];
  const PetscScalar *value[2];
} Arrays;

static PetscErrorCode GetPart(Mat part, int which, Arrays *arrays, dcg_csr *csr)
{
  static const PetscInt    none    = 0;
  static const PetscScalar nothing = 0.0;

  PetscInt  n;
  PetscBool done;

  PetscFunctionBegin;
  PetscCall(MatGetRowIJ(part, 0, PETSC_FALSE, PETSC_FALSE, &n, &arrays->start[which], &arrays->column[which], &done));
  PetscCheck(done, PETSC_COMM_SELF, PETSC_ERR_SUP, "deepcg: the rows of this matrix cannot be read; an assembled AIJ matrix is needed");
  PetscCall(MatSeqAIJGetArrayRead(part, &arrays->value[which]));
  arrays->part[which] = part;
  csr->start[which]   = arrays->start[which];
  csr->column[which]  = arrays->column[which] ? arrays->column[which] : &none; /* PETSc has no arrays where there are no entries */
  csr->value[which]   = arrays->value[which] ? arrays->value[which] : &nothing;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode Restore(Arrays *arrays)
{
  PetscFunctionBegin;
  for (int p = 0; p < 2; ++p) {
    PetscInt  n;
    PetscBool done;

    if (!arrays->part[p]) continue;
    PetscCall(MatSeqAIJRestoreArrayRead(arrays->part[p], &arrays->value[p]));
    PetscCall(MatRestoreRowIJ(arrays->part[p], 0, PETSC_FALSE, PETSC_FALSE, &n, &arrays->start[p], &arrays->column[p], &done));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The matrix itself where it is of type AIJ, else a copy that is. */
static PetscErrorCode AsAIJ(Mat *A, Mat *converted, PetscBool *sequential)
{
  PetscBool distributed, assembled = PETSC_FALSE;
  MatType   type;

  PetscFunctionBegin;
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)*A, MATSEQAIJ, sequential));
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)*A, MATMPIAIJ, &distributed));
  if (*sequential || distributed) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(MatGetType(*A, &type));
  PetscCall(MatHasOperation(*A, MATOP_GET_ROW, &assembled));
  if (!assembled) PetscCall(MatHasOperation(*A, MATOP_CONVERT, &assembled));
  PetscCheck(assembled, PetscObjectComm((PetscObject)*A), PETSC_ERR_SUP,
             "deepcg: a matrix of type %s has no entries to read the operator from; give an assembled (AIJ) matrix as the second one of "
             "KSPSetOperators",
             type);
  PetscCall(MatDestroy(converted));
  PetscCall(MatConvert(*A, MATAIJ, MAT_INITIAL_MATRIX, converted));
  *A = *converted;
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)*A, MATSEQAIJ, sequential));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Lets the solver read the preconditioner's matrix; *code: what it says. */
PetscErrorCode DeepcgMatrixRead(PC pc, PetscBool same_pattern, int *code)
{
  PC_Deepcg      *pd     = (PC_Deepcg *)pc->data;
  Mat             A      = pc->pmat, own, others;
  Arrays          arrays = {{NULL, NULL}, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}};
  dcg_csr         csr    = {.index_bytes = sizeof(PetscInt)};
  const PetscInt *columns;
  PetscBool       sequential;
  PetscInt        n;

  PetscFunctionBegin;
  PetscCall(AsAIJ(&A, &pd->aij, &sequential));
  PetscCall(MatGetLocalSize(A, &n, NULL));
  csr.rows = n;
  if (sequential) {
    PetscCall(GetPart(A, 0, &arrays, &csr));
  } else {
    PetscCall(MatMPIAIJGetSeqAIJ(A, &own, &others, &columns));
    PetscCall(GetPart(own, 0, &arrays, &csr));
    if (pd->ranks) { /* else there is one rank, and no columns of others */
      PetscCall(GetPart(others, 1, &arrays, &csr));
      PetscCall(MatGetSize(others, NULL, &n));
      csr.ghosts = n, csr.ghost = columns;
    }
  }
  *code = dcg_solver_set_matrix(pd->solver, &csr, same_pattern && !pd->aij);
  PetscCall(Restore(&arrays));
  if (!*code) PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_read(pd->solver, &pd->read));
  PetscFunctionReturn(PETSC_SUCCESS);
}
