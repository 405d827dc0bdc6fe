/* PETSc's compressed rows as the kernels read them: pointers into the matrix's own arrays, and the cells of its columns. */
#include "deepcg_petsc.h"

/* Over ranks: the kernels' sums. The context is the communicator's address. */
static int SumOverRanks(void *context, int64_t n, double *values)
{
  return MPI_Allreduce(MPI_IN_PLACE, values, (PetscMPIInt)n, MPI_DOUBLE, MPI_SUM, *(MPI_Comm *)context);
}

static PetscErrorCode GetPart(Mat part, int which, DeepcgMatrix *matrix)
{
  PetscInt  n;
  PetscBool done;

  PetscFunctionBegin;
  PetscCall(MatGetRowIJ(part, 0, PETSC_FALSE, PETSC_FALSE, &n, &matrix->start[which], &matrix->column[which], &done));
  PetscCheck(done, PETSC_COMM_SELF, PETSC_ERR_SUP, "deepcg: the rows of this matrix cannot be read; an assembled AIJ matrix is needed");
  PetscCall(MatSeqAIJGetArrayRead(part, &matrix->value[which]));
  matrix->part[which]        = part;
  matrix->rows.start[which]  = matrix->start[which];
  matrix->rows.column[which] = matrix->column[which];
  matrix->rows.value[which]  = matrix->value[which];
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The cell of a row of the whole matrix, as a DMDA numbers rows: boxes one after the other, each in C order. */
static int64_t CellOf(const DeepcgGrid *grid, const PetscInt *ranges, PetscMPIInt ranks, PetscInt row)
{
  PetscMPIInt low = 0, high = ranks - 1;
  int64_t     box[3], at[3], inside, cell = 0;

  while (low < high) {
    const PetscMPIInt middle = (low + high + 1) / 2;

    if (ranges[middle] <= row) low = middle;
    else high = middle - 1;
  }
  inside = row - ranges[low];
  box[2] = low % grid->ranks[2], box[1] = low / grid->ranks[2] % grid->ranks[1], box[0] = low / (grid->ranks[2] * grid->ranks[1]);
  for (int a = 2; a >= 0; --a) {
    const int64_t n = grid->starts[a][box[a] + 1] - grid->starts[a][box[a]];

    at[a] = grid->starts[a][box[a]] + inside % n;
    inside /= n;
  }
  for (int a = 0; a < 3; ++a) cell = cell * grid->shape[a] + at[a];
  return cell;
}

static PetscErrorCode FindGhosts(Mat A, const DeepcgGrid *grid, Mat others, const PetscInt *columns, DeepcgMatrix *matrix)
{
  const PetscInt *ranges;
  PetscMPIInt     ranks;
  PetscInt        n;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)A), &ranks));
  PetscCall(MatGetOwnershipRanges(A, &ranges));
  PetscCall(MatGetSize(others, NULL, &n));
  PetscCall(PetscFree(matrix->ghost));
  PetscCall(PetscMalloc1(PetscMax(n, 1), &matrix->ghost));
  for (PetscInt c = 0; c < n; ++c) matrix->ghost[c] = CellOf(grid, ranges, ranks, columns[c]);
  matrix->rows.ghost = matrix->ghost;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Until DeepcgMatrixRestore the matrix's arrays must stay as they are. */
PetscErrorCode DeepcgMatrixGet(Mat A, const DeepcgGrid *grid, DeepcgMatrix *matrix)
{
  PetscBool       sequential, distributed;
  PetscInt        first, last;
  const PetscInt *columns;
  Mat             own, others;

  PetscFunctionBegin;
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)A, MATSEQAIJ, &sequential));
  PetscCall(PetscObjectBaseTypeCompare((PetscObject)A, MATMPIAIJ, &distributed));
  if (!sequential && !distributed) {
    PetscBool assembled = PETSC_FALSE;
    MatType   type;

    PetscCall(MatGetType(A, &type));
    PetscCall(MatHasOperation(A, MATOP_GET_ROW, &assembled));
    if (!assembled) PetscCall(MatHasOperation(A, MATOP_CONVERT, &assembled));
    PetscCheck(assembled, PetscObjectComm((PetscObject)A), PETSC_ERR_SUP,
               "deepcg: a matrix of type %s has no entries to read the operator from; give an assembled (AIJ) matrix as the second one of "
               "KSPSetOperators",
               type);
    PetscCall(MatDestroy(&matrix->converted));
    PetscCall(MatConvert(A, MATAIJ, MAT_INITIAL_MATRIX, &matrix->converted));
    A = matrix->converted;
    PetscCall(PetscObjectBaseTypeCompare((PetscObject)A, MATSEQAIJ, &sequential));
  }
  PetscCall(PetscMemzero(&matrix->rows, sizeof(matrix->rows)));
  for (int a = 0; a < 3; ++a) {
    matrix->rows.shape[a] = grid->shape[a];
    matrix->rows.first[a] = grid->first[a];
    matrix->rows.count[a] = grid->count[a];
  }
  PetscCall(MatGetOwnershipRange(A, &first, &last));
  matrix->rows.rows        = last - first;
  matrix->rows.first_row   = first;
  matrix->rows.cell        = grid->cell;
  matrix->rows.index_bytes = sizeof(PetscInt);
  matrix->rows.dim         = (int32_t)grid->dim;
  if (sequential) {
    PetscCall(GetPart(A, 0, matrix));
  } else {
    PetscCall(MatMPIAIJGetSeqAIJ(A, &own, &others, &columns));
    PetscCall(GetPart(own, 0, matrix));
    PetscCall(GetPart(others, 1, matrix));
    PetscCall(FindGhosts(A, grid, others, columns, matrix));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Lets the reading of the matrix sum over the ranks of *comm. */
PetscErrorCode DeepcgMatrixShare(DeepcgMatrix *matrix, MPI_Comm *comm)
{
  PetscFunctionBegin;
  matrix->rows.sum     = SumOverRanks;
  matrix->rows.context = comm;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgMatrixRestore(DeepcgMatrix *matrix)
{
  PetscFunctionBegin;
  for (int p = 0; p < 2; ++p) {
    PetscInt  n;
    PetscBool done;

    if (!matrix->part[p]) continue;
    PetscCall(MatSeqAIJRestoreArrayRead(matrix->part[p], &matrix->value[p]));
    PetscCall(MatRestoreRowIJ(matrix->part[p], 0, PETSC_FALSE, PETSC_FALSE, &n, &matrix->start[p], &matrix->column[p], &done));
    matrix->part[p] = NULL;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgMatrixReset(DeepcgMatrix *matrix)
{
  PetscFunctionBegin;
  PetscCall(MatDestroy(&matrix->converted));
  PetscCall(PetscFree(matrix->ghost));
  PetscCall(PetscMemzero(matrix, sizeof(*matrix)));
  PetscFunctionReturn(PETSC_SUCCESS);
}
