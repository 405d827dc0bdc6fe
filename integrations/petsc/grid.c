/* Where the rows of a matrix lie on a grid. Asked in this order: -pc_deepcg_grid; a DMDA (the preconditioner's, or the matrix's);
 * coordinates (PCSetCoordinates, or a Vec composed with the matrix as "coordinates"). What is wrong is said in the context's `why`. */
#include "deepcg_petsc.h"

#define WRONG(...) PetscSNPrintf(pd->why, sizeof(pd->why), __VA_ARGS__)

/* Tells the solver the grid; sizes, and the numbers of ranks along each axis and of slabs' cells, are x, y, z. parts NULL: one rank has it all. */
static PetscErrorCode SetGrid(PC pc, PetscInt dim, const PetscInt sizes[], const PetscInt ranks[], const PetscInt *const parts[],
                              const char *source)
{
  PC_Deepcg  *pd   = (PC_Deepcg *)pc->data;
  MPI_Comm    comm = PetscObjectComm((PetscObject)pc);
  dcg_ranks   given;
  int64_t     shape[3], *starts[3];
  PetscMPIInt rank;

  PetscFunctionBegin;
  for (PetscInt d = 0; d < dim; ++d) shape[dim - 1 - d] = sizes[d];
  PetscCallDeepcg(comm, dcg_solver_set_grid(pd->solver, (int32_t)dim, shape, NULL));
  pd->dim = dim, pd->source = source;
  if (!parts) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(DeepcgRanksCreate(comm, &given, &pd->ranks));
  for (int a = 2; a >= 0; --a) { /* axes z, y, x; a grid of two dimensions has no y, one of one dimension x only */
    const PetscInt d = a == 2 ? 0 : dim == 3 ? 2 - a : a == 0 ? 1 : 2, n = d < dim ? ranks[d] : 1;

    PetscCall(PetscMalloc1(n + 1, &starts[a]));
    starts[a][0] = 0;
    for (PetscInt p = 0; p < n; ++p) starts[a][p + 1] = starts[a][p] + (d < dim ? parts[d][p] : 1);
    given.ranks[a] = (int32_t)n, given.place[a] = (int32_t)(rank % n), given.starts[a] = starts[a];
    rank /= (PetscMPIInt)n;
  }
  PetscCallDeepcg(comm, dcg_solver_set_ranks(pd->solver, &given));
  for (int a = 0; a < 3; ++a) PetscCall(PetscFree(starts[a]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Ranks whose rows are whole layers of the slowest axis, each at least one, have boxes too: slabs. */
static PetscErrorCode FromSizes(PC pc, PetscInt rows)
{
  PC_Deepcg      *pd    = (PC_Deepcg *)pc->data;
  const PetscInt *sizes = pd->hints.given, *ranges, *parts[3], dim = pd->hints.ngiven;
  PetscInt        cells = 1, axis, layer, ranks_of[3] = {1, 1, 1}, *layers;
  PetscMPIInt     ranks;
  PetscBool       slabs = PETSC_TRUE;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  for (PetscInt d = 0; d < dim; ++d) cells *= sizes[d];
  if (cells != rows) {
    PetscCall(WRONG("-pc_deepcg_grid has %" PetscInt_FMT " cells and the matrix %" PetscInt_FMT
                    " rows; give NX,NY[,NZ] of the grid whose cells the rows are, x fastest",
                    cells, rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  if (ranks == 1) {
    PetscCall(SetGrid(pc, dim, sizes, NULL, NULL, "-pc_deepcg_grid"));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  axis  = dim > 1 && sizes[dim - 1] > 1 ? dim - 1 : 0;
  layer = cells / sizes[axis];
  PetscCall(MatGetOwnershipRanges(pc->pmat, &ranges));
  PetscCall(PetscMalloc1(ranks, &layers));
  for (PetscMPIInt r = 0; r < ranks; ++r) {
    layers[r] = (ranges[r + 1] - ranges[r]) / layer;
    if (ranges[r + 1] % layer || ranges[r + 1] == ranges[r]) slabs = PETSC_FALSE;
  }
  for (PetscInt d = 0; d < dim; ++d) parts[d] = d == axis ? layers : &sizes[d];
  ranks_of[axis] = ranks;
  if (slabs) PetscCall(SetGrid(pc, dim, sizes, ranks_of, parts, "-pc_deepcg_grid"));
  else
    PetscCall(WRONG("-pc_deepcg_grid on several ranks needs whole layers of the grid on each of them; deal the rows out so, or let "
                    "a DMDA number them (KSPSetDM or PCSetDM; with KSPSetDMActive(ksp, PETSC_FALSE) the matrix stays yours)"));
  PetscCall(PetscFree(layers));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode FromDMDA(PC pc, DM dm, PetscInt rows, PetscInt own)
{
  PC_Deepcg      *pd = (PC_Deepcg *)pc->data;
  PetscInt        dim, n[3], m[3], count[3], dof;
  const PetscInt *parts[3] = {NULL, NULL, NULL};
  PetscMPIInt     ranks;
  int             elsewhere;

  PetscFunctionBegin;
  PetscCall(DMDAGetInfo(dm, &dim, &n[0], &n[1], &n[2], &m[0], &m[1], &m[2], &dof, NULL, NULL, NULL, NULL, NULL));
  if (dof != 1) {
    PetscCall(WRONG("the DMDA has %" PetscInt_FMT " unknowns a point; deepcg solves for one (select a field with -pc_type fieldsplit)", dof));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  if (n[0] * n[1] * n[2] != rows) {
    PetscCall(WRONG("the DMDA has %" PetscInt_FMT " points and the matrix %" PetscInt_FMT
                    " rows; they must agree (give coordinates if only some points have rows)",
                    n[0] * n[1] * n[2], rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(DMDAGetCorners(dm, NULL, NULL, NULL, &count[0], &count[1], &count[2]));
  elsewhere = own != count[0] * count[1] * count[2];
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &elsewhere, 1, MPI_INT, MPI_MAX, PetscObjectComm((PetscObject)dm)));
  if (elsewhere) {
    PetscCall(WRONG("the matrix's rows are dealt out to the ranks in another way than the DMDA's points; make the matrix by "
                    "DMCreateMatrix, or with the sizes of DMCreateGlobalVector's parts"));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  PetscCall(DMDAGetOwnershipRanges(dm, &parts[0], &parts[1], &parts[2]));
  PetscCall(SetGrid(pc, dim, n, m, ranks > 1 ? parts : NULL, "DMDA"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode FromCoordinates(PC pc, PetscInt dim, PetscInt rows, const PetscReal x[], const char *source)
{
  PC_Deepcg  *pd = (PC_Deepcg *)pc->data;
  PetscMPIInt ranks;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  if (ranks > 1) PetscCall(WRONG("coordinates say where the rows lie on one rank only; on several, let a DMDA number the rows"));
  else if (dcg_solver_set_coordinates(pd->solver, (int32_t)dim, rows, x)) PetscCall(WRONG("%s", dcg_last_error()));
  else pd->dim = dim, pd->source = source;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode FromComposedVector(PC pc, Vec coordinates, PetscInt rows)
{
  PC_Deepcg         *pd = (PC_Deepcg *)pc->data;
  const PetscScalar *x;
  PetscInt           length, dim;

  PetscFunctionBegin;
  PetscCall(VecGetLocalSize(coordinates, &length));
  PetscCall(VecGetBlockSize(coordinates, &dim));
  if (length != dim * rows || dim < 2 || dim > 3) {
    PetscCall(WRONG("the Vec \"coordinates\" composed with the matrix has %" PetscInt_FMT " values in blocks of %" PetscInt_FMT
                    "; blocks of 2 or 3, one for each of the %" PetscInt_FMT " rows, are needed",
                    length, dim, rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(VecGetArrayRead(coordinates, &x));
  PetscCall(FromCoordinates(pc, dim, rows, x, "coordinates composed with the matrix"));
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

/* Finds the grid and tells the solver, or says in `why` what there is and what would be right. */
PetscErrorCode DeepcgGridFind(PC pc)
{
  PC_Deepcg  *pd = (PC_Deepcg *)pc->data;
  PetscInt    rows, own;
  DM          dm;
  PetscBool   is;
  PetscObject composed;

  PetscFunctionBegin;
  pd->why[0] = 0;
  PetscCall(MatGetSize(pc->pmat, &rows, NULL));
  PetscCall(MatGetLocalSize(pc->pmat, &own, NULL));
  if (pd->hints.ngiven) {
    PetscCall(FromSizes(pc, rows));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PCGetDM(pc, &dm));
  PetscCall(IsDMDA(dm, &is));
  if (!is) {
    PetscCall(MatGetDM(pc->pmat, &dm));
    PetscCall(IsDMDA(dm, &is));
  }
  if (is) PetscCall(FromDMDA(pc, dm, rows, own));
  if (is && !pd->why[0]) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscObjectQuery((PetscObject)pc->pmat, "coordinates", &composed));
  if (pd->hints.coordinates && pd->hints.nrows == own) {
    pd->why[0] = 0;
    PetscCall(FromCoordinates(pc, pd->hints.dim, own, pd->hints.coordinates, "PCSetCoordinates"));
  } else if (composed) {
    pd->why[0] = 0;
    PetscCall(FromComposedVector(pc, (Vec)composed, own));
  } else if (!is) {
    PetscCall(WRONG("nothing says on what grid the %" PetscInt_FMT
                    " rows lie: call KSPSetDM with a DMDA, or PCSetCoordinates with the cells' centres, or give -pc_deepcg_grid NX,NY[,NZ]",
                    rows));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
