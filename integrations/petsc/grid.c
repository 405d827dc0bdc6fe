/* Where the rows of a matrix lie on a grid. Asked in this order: -pc_deepcg_grid; a DMDA (the preconditioner's, or the matrix's);
 * coordinates (PCSetCoordinates, or a Vec composed with the matrix as "coordinates"). */
#include <stdlib.h>

#include "deepcg_petsc.h"

#define LEVEL_GAP 1e-4   /* of the widest gap along an axis: closer coordinates are the same level (deepcg/problem/from_matrix/row_numbering.py) */
#define LEVEL_FLOOR 1e-7 /* of the largest extent: likewise */
#define SPARSEST 100     /* cells of the bounding grid per row, beyond which centres are taken for unstructured */

PetscErrorCode DeepcgGridReset(DeepcgGrid *grid)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(grid->cell));
  for (int a = 0; a < 3; ++a) PetscCall(PetscFree(grid->starts[a]));
  PetscCall(PetscMemzero(grid, sizeof(*grid)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The axis of the kernels that holds the user's axis d (x, y, z). */
static int AxisOf(PetscInt dim, PetscInt d)
{
  return d == 0 ? 2 : d == 1 && dim == 3 ? 1 : 0;
}

/* One rank has it all; sizes are nx, ny, nz. */
static PetscErrorCode WholeGrid(PetscInt dim, const PetscInt sizes[], DeepcgGrid *grid)
{
  PetscFunctionBegin;
  grid->dim = dim;
  for (int a = 0; a < 3; ++a) grid->shape[a] = 1;
  for (PetscInt d = 0; d < dim; ++d) grid->shape[AxisOf(dim, d)] = sizes[d];
  for (int a = 0; a < 3; ++a) {
    grid->first[a] = 0, grid->count[a] = grid->shape[a];
    grid->ranks[a] = 1, grid->place[a] = 0;
    PetscCall(PetscMalloc1(2, &grid->starts[a]));
    grid->starts[a][0] = 0, grid->starts[a][1] = grid->shape[a];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Ranks whose rows are whole layers of the slowest axis, each at least one, have boxes too: slabs. *are: whether it is so. */
static PetscErrorCode CutIntoSlabs(PC pc, DeepcgGrid *grid, PetscBool *are)
{
  const int       axis  = grid->shape[0] > 1 ? 0 : 2;
  const int64_t   layer = grid->shape[0] * grid->shape[1] * grid->shape[2] / grid->shape[axis];
  const PetscInt *ranges;
  PetscMPIInt     ranks, rank;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  PetscCallMPI(MPI_Comm_rank(PetscObjectComm((PetscObject)pc), &rank));
  PetscCall(MatGetOwnershipRanges(pc->pmat, &ranges));
  *are = PETSC_TRUE;
  for (PetscMPIInt r = 0; r < ranks; ++r)
    if (ranges[r + 1] % layer || ranges[r + 1] == ranges[r]) *are = PETSC_FALSE;
  if (!*are) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree(grid->starts[axis]));
  PetscCall(PetscMalloc1(ranks + 1, &grid->starts[axis]));
  for (PetscMPIInt r = 0; r <= ranks; ++r) grid->starts[axis][r] = ranges[r] / layer;
  grid->ranks[axis] = ranks, grid->place[axis] = rank;
  grid->first[axis] = grid->starts[axis][rank], grid->count[axis] = grid->starts[axis][rank + 1] - grid->first[axis];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode FromSizes(PC pc, const DeepcgGridHints *hints, PetscInt rows, DeepcgGrid *grid, char *why, size_t size)
{
  PetscMPIInt ranks;
  PetscInt    cells = 1;
  PetscBool   slabs = PETSC_TRUE;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  for (PetscInt d = 0; d < hints->ngiven; ++d) cells *= hints->given[d];
  if (cells != rows) {
    PetscCall(PetscSNPrintf(why, size,
                            "-pc_deepcg_grid has %" PetscInt_FMT " cells and the matrix %" PetscInt_FMT
                            " rows; give NX,NY[,NZ] of the grid whose cells the rows are, x fastest",
                            cells, rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(WholeGrid(hints->ngiven, hints->given, grid));
  if (ranks > 1) PetscCall(CutIntoSlabs(pc, grid, &slabs));
  if (!slabs) {
    PetscCall(PetscSNPrintf(why, size,
                            "-pc_deepcg_grid on several ranks needs whole layers of the grid on each of them; deal the rows out so, or let "
                            "a DMDA number them (KSPSetDM or PCSetDM; with KSPSetDMActive(ksp, PETSC_FALSE) the matrix stays yours)"));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  grid->source = "-pc_deepcg_grid";
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode FromDMDA(DM dm, PetscInt rows, PetscInt own, DeepcgGrid *grid, char *why, size_t size)
{
  PetscInt        dim, n[3], m[3], first[3], count[3], dof;
  const PetscInt *parts[3] = {NULL, NULL, NULL};
  int             elsewhere;

  PetscFunctionBegin;
  PetscCall(DMDAGetInfo(dm, &dim, &n[0], &n[1], &n[2], &m[0], &m[1], &m[2], &dof, NULL, NULL, NULL, NULL, NULL));
  if (dof != 1) {
    PetscCall(PetscSNPrintf(
        why, size, "the DMDA has %" PetscInt_FMT " unknowns a point; deepcg solves for one (select a field with -pc_type fieldsplit)",
        dof));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  if (n[0] * n[1] * n[2] != rows) {
    PetscCall(PetscSNPrintf(why, size,
                            "the DMDA has %" PetscInt_FMT " points and the matrix %" PetscInt_FMT
                            " rows; they must agree (give coordinates if only some points have rows)",
                            n[0] * n[1] * n[2], rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(DMDAGetCorners(dm, &first[0], &first[1], &first[2], &count[0], &count[1], &count[2]));
  elsewhere = own != count[0] * count[1] * count[2];
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &elsewhere, 1, MPI_INT, MPI_MAX, PetscObjectComm((PetscObject)dm)));
  if (elsewhere) {
    PetscCall(PetscSNPrintf(why, size,
                            "the matrix's rows are dealt out to the ranks in another way than the DMDA's points; make the matrix by "
                            "DMCreateMatrix, or with the sizes of DMCreateGlobalVector's parts"));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(DMDAGetOwnershipRanges(dm, &parts[0], &parts[1], &parts[2]));
  PetscCall(WholeGrid(dim, n, grid));
  for (PetscInt d = 0; d < dim; ++d) {
    const int a = AxisOf(dim, d);

    grid->first[a] = first[d], grid->count[a] = count[d], grid->ranks[a] = (int32_t)m[d];
    PetscCall(PetscFree(grid->starts[a]));
    PetscCall(PetscMalloc1(m[d] + 1, &grid->starts[a]));
    grid->starts[a][0] = 0;
    for (PetscInt p = 0; p < m[d]; ++p) {
      if (grid->starts[a][p] == first[d]) grid->place[a] = (int32_t)p;
      grid->starts[a][p + 1] = grid->starts[a][p] + parts[d][p];
    }
  }
  grid->source = "DMDA";
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Compare(const void *a, const void *b)
{
  const PetscReal x = *(const PetscReal *)a, y = *(const PetscReal *)b;

  return (x > y) - (x < y);
}

/* The distinct values up to noise, in place and ascending. */
static PetscErrorCode FindLevels(PetscInt n, PetscReal values[], PetscReal extent, PetscInt *levels)
{
  PetscReal widest = 0.0, noise;

  PetscFunctionBegin;
  qsort(values, (size_t)n, sizeof(*values), Compare); /* PetscSortReal is slow where most values are equal */
  for (PetscInt i = 1; i < n; ++i) widest = PetscMax(widest, values[i] - values[i - 1]);
  noise   = PetscMax(LEVEL_GAP * widest, LEVEL_FLOOR * extent);
  *levels = 0;
  for (PetscInt i = 0; i < n; ++i) {
    const PetscReal value = values[i]; /* levels are named by their last value: gaps within one may add up */

    if (*levels && value - values[*levels - 1] <= noise) values[*levels - 1] = value;
    else values[(*levels)++] = value;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscInt LevelOf(PetscReal value, PetscInt n, const PetscReal levels[])
{
  PetscInt low = 0, high = n - 1;

  while (low < high) {
    const PetscInt middle = (low + high) / 2;

    if (levels[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

static PetscErrorCode FromCoordinates(PC pc, PetscInt dim, PetscInt rows, const PetscReal x[], const char *source, DeepcgGrid *grid,
                                      char *why, size_t size)
{
  PetscMPIInt ranks;
  PetscInt    sizes[3]  = {1, 1, 1};
  PetscReal  *levels[3] = {NULL, NULL, NULL}, extent = 0.0, cells = 1.0;
  char       *taken = NULL;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  if (ranks > 1) {
    PetscCall(PetscSNPrintf(why, size, "coordinates say where the rows lie on one rank only; on several, let a DMDA number the rows"));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  for (PetscInt d = 0; d < dim; ++d) {
    PetscReal low = PETSC_MAX_REAL, high = PETSC_MIN_REAL;

    PetscCall(PetscMalloc1(PetscMax(rows, 1), &levels[d]));
    for (PetscInt i = 0; i < rows; ++i) {
      levels[d][i] = x[dim * i + d];
      low = PetscMin(low, levels[d][i]), high = PetscMax(high, levels[d][i]);
    }
    extent = PetscMax(extent, high - low);
  }
  for (PetscInt d = 0; d < dim; ++d) {
    PetscCall(FindLevels(rows, levels[d], extent, &sizes[d]));
    cells *= (PetscReal)sizes[d];
  }
  if (cells > SPARSEST * (PetscReal)rows) {
    PetscCall(PetscSNPrintf(why, size,
                            "the %" PetscInt_FMT " coordinates take %" PetscInt_FMT " x %" PetscInt_FMT " x %" PetscInt_FMT
                            " different values along x, y, z; cell centres of a rectilinear grid are needed",
                            rows, sizes[0], sizes[1], sizes[2]));
  } else {
    PetscCall(WholeGrid(dim, sizes, grid));
    PetscCall(PetscMalloc1(PetscMax(rows, 1), &grid->cell));
    PetscCall(PetscCalloc1((size_t)cells, &taken));
    for (PetscInt i = 0; i < rows && !why[0]; ++i) {
      int64_t at[3] = {0, 0, 0};

      for (PetscInt d = 0; d < dim; ++d) at[AxisOf(dim, d)] = LevelOf(x[dim * i + d], sizes[d], levels[d]);
      grid->cell[i] = (at[0] * grid->shape[1] + at[1]) * grid->shape[2] + at[2];
      if (taken[grid->cell[i]])
        PetscCall(PetscSNPrintf(
            why, size, "two rows, the second being %" PetscInt_FMT ", have the same coordinates; every row needs a cell of its own", i));
      taken[grid->cell[i]] = 1;
    }
    PetscCall(PetscFree(taken));
    grid->source = source;
  }
  for (PetscInt d = 0; d < dim; ++d) PetscCall(PetscFree(levels[d]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode FromComposedVector(PC pc, Vec coordinates, PetscInt rows, DeepcgGrid *grid, char *why, size_t size)
{
  const PetscScalar *x;
  PetscInt           length, dim;

  PetscFunctionBegin;
  PetscCall(VecGetLocalSize(coordinates, &length));
  PetscCall(VecGetBlockSize(coordinates, &dim));
  if (length != dim * rows || dim < 2 || dim > 3) {
    PetscCall(PetscSNPrintf(why, size,
                            "the Vec \"coordinates\" composed with the matrix has %" PetscInt_FMT " values in blocks of %" PetscInt_FMT
                            "; blocks of 2 or 3, one for each of the %" PetscInt_FMT " rows, are needed",
                            length, dim, rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(VecGetArrayRead(coordinates, &x));
  PetscCall(FromCoordinates(pc, dim, rows, x, "coordinates composed with the matrix", grid, why, size));
  PetscCall(VecRestoreArrayRead(coordinates, &x));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode IsDMDA(DM dm, PetscBool *is)
{
  PetscFunctionBegin;
  *is = PETSC_FALSE;
  if (dm) PetscCall(PetscObjectTypeCompare((PetscObject)dm, DMDA, is));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Finds the grid, or says in `why` what there is and what would be right. */
PetscErrorCode DeepcgGridFind(PC pc, const DeepcgGridHints *hints, DeepcgGrid *grid, char *why, size_t size)
{
  PetscInt    rows, own;
  DM          dm;
  PetscBool   is;
  PetscObject composed;

  PetscFunctionBegin;
  why[0] = 0;
  PetscCall(DeepcgGridReset(grid));
  PetscCall(MatGetSize(pc->pmat, &rows, NULL));
  PetscCall(MatGetLocalSize(pc->pmat, &own, NULL));
  if (hints->ngiven) {
    PetscCall(FromSizes(pc, hints, rows, grid, why, size));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PCGetDM(pc, &dm));
  PetscCall(IsDMDA(dm, &is));
  if (!is) {
    PetscCall(MatGetDM(pc->pmat, &dm));
    PetscCall(IsDMDA(dm, &is));
  }
  if (is) PetscCall(FromDMDA(dm, rows, own, grid, why, size));
  if (is && !why[0]) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscObjectQuery((PetscObject)pc->pmat, "coordinates", &composed));
  if (hints->coordinates && hints->nrows == own) {
    why[0] = 0;
    PetscCall(FromCoordinates(pc, hints->dim, own, hints->coordinates, "PCSetCoordinates", grid, why, size));
  } else if (composed) {
    why[0] = 0;
    PetscCall(FromComposedVector(pc, (Vec)composed, own, grid, why, size));
  } else if (!is) {
    PetscCall(PetscSNPrintf(
        why, size,
        "nothing says on what grid the %" PetscInt_FMT
        " rows lie: call KSPSetDM with a DMDA, or PCSetCoordinates with the cells' centres, or give -pc_deepcg_grid NX,NY[,NZ]",
        rows));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
