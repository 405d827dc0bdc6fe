/* Many ranks: the message passing that the kernels ask for, by PetscSF. Every function here is collective. */
#include <petscsf.h>

#include "deepcg_petsc.h"

struct DeepcgRanks_ {
  MPI_Comm comm;
  PetscSF  kinds;            /* from owners to the layer of cells around the box */
  PetscInt exchanges, bytes; /* since they were reset: exchanges, and bytes that this rank received */
};

typedef struct {
  PetscSF  sf;
  PetscInt remote; /* leaves whose roots are other ranks' */
} Links;

static MPI_Datatype UnitOf(int32_t bytes)
{
  return bytes == 1 ? MPI_CHAR : bytes == 4 ? MPI_INT : MPI_DOUBLE; /* for copies, what the bits mean does not matter */
}

static PetscErrorCode MakeStarForest(MPI_Comm comm, PetscInt size, PetscInt n, const int64_t leaf[], const int32_t owner[],
                                     const int64_t root[], PetscSF *sf)
{
  PetscInt    *local;
  PetscSFNode *remote;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(PetscMax(n, 1), &local));
  PetscCall(PetscMalloc1(PetscMax(n, 1), &remote));
  for (PetscInt i = 0; i < n; ++i) {
    local[i]        = (PetscInt)leaf[i];
    remote[i].rank  = owner[i];
    remote[i].index = (PetscInt)root[i];
  }
  PetscCall(PetscSFCreate(comm, sf));
  PetscCall(PetscSFSetGraph(*sf, size, n, local, PETSC_OWN_POINTER, remote, PETSC_OWN_POINTER));
  PetscCall(PetscSFSetUp(*sf));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the kernels' callbacks ---------------------------------------------------------------------------------------- */

static PetscErrorCode LinkPlaces(DeepcgRanks ranks, int64_t size, int64_t n, const int64_t leaf[], const int32_t owner[],
                                 const int64_t root[], Links **links)
{
  PetscMPIInt rank;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_rank(ranks->comm, &rank));
  PetscCall(PetscNew(links));
  for (int64_t i = 0; i < n; ++i) (*links)->remote += owner[i] != rank;
  PetscCall(MakeStarForest(ranks->comm, (PetscInt)size, (PetscInt)n, leaf, owner, root, &(*links)->sf));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Link(void *context, int64_t size, int64_t n, const int64_t *leaf, const int32_t *owner, const int64_t *root, void **links)
{
  return (int)LinkPlaces((DeepcgRanks)context, size, n, leaf, owner, root, (Links **)links);
}

static int Unlink(void *context, void *links)
{
  PetscFunctionBegin;
  PetscCall(PetscSFDestroy(&((Links *)links)->sf));
  PetscCall(PetscFree(links));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Spread(void *context, void *links, int32_t bytes, const void *roots, void *leaves)
{
  DeepcgRanks  ranks = (DeepcgRanks)context;
  const Links *l     = (const Links *)links;

  PetscFunctionBegin;
  ++ranks->exchanges, ranks->bytes += bytes * l->remote;
  PetscCall(PetscSFBcastBegin(l->sf, UnitOf(bytes), roots, leaves, MPI_REPLACE));
  PetscCall(PetscSFBcastEnd(l->sf, UnitOf(bytes), roots, leaves, MPI_REPLACE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Add(void *context, void *links, const float *leaves, float *roots)
{
  DeepcgRanks  ranks = (DeepcgRanks)context;
  const Links *l     = (const Links *)links;

  PetscFunctionBegin;
  ++ranks->exchanges, ranks->bytes += (PetscInt)sizeof(float) * l->remote;
  PetscCall(PetscSFReduceBegin(l->sf, MPI_FLOAT, leaves, roots, MPI_SUM));
  PetscCall(PetscSFReduceEnd(l->sf, MPI_FLOAT, leaves, roots, MPI_SUM));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Sum(void *context, int64_t n, double *values)
{
  PetscFunctionBegin;
  PetscCallMPI(MPIU_Allreduce(MPI_IN_PLACE, values, (PetscMPIInt)n, MPI_DOUBLE, MPI_SUM, ((DeepcgRanks)context)->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the kinds of the cells around a box ---------------------------------------------------------------------------- */

/* The rank that owns cell c of the whole grid, and the cell's place in that rank's kinds. */
static void Locate(const DeepcgGrid *grid, const int64_t c[3], int32_t *owner, int64_t *place)
{
  int64_t n[3], at[3];
  int32_t box[3];

  for (int a = 0; a < 3; ++a) {
    box[a] = 0;
    while (grid->starts[a][box[a] + 1] <= c[a]) ++box[a];
    n[a]  = grid->starts[a][box[a] + 1] - grid->starts[a][box[a]];
    at[a] = c[a] - grid->starts[a][box[a]];
  }
  *owner = (box[0] * grid->ranks[1] + box[1]) * grid->ranks[2] + box[2];
  *place = ((at[0] + 1) * (n[1] + 2) + at[1] + 1) * (n[2] + 2) + at[2] + 1;
}

/* Ghosts beside the box's six sides, where other ranks' cells are there; across the grid's ends too, in case an axis is periodic. */
static PetscErrorCode LinkKinds(DeepcgRanks ranks, const DeepcgGrid *grid)
{
  const int64_t *n     = grid->count;
  PetscInt       count = 0, most = 0;
  int64_t       *leaf, *root;
  int32_t       *owner;

  PetscFunctionBegin;
  for (int a = 0; a < 3; ++a)
    if (grid->ranks[a] > 1) most += 2 * n[0] * n[1] * n[2] / PetscMax(n[a], 1);
  PetscCall(PetscMalloc3(PetscMax(most, 1), &leaf, PetscMax(most, 1), &owner, PetscMax(most, 1), &root));
  for (int a = 0; a < 3; ++a) {
    const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;

    if (grid->ranks[a] == 1) continue; /* the kernels turn these themselves */
    for (int side = 0; side < 2; ++side)
      for (int64_t i = 0; i < n[p]; ++i)
        for (int64_t j = 0; j < n[q]; ++j) {
          int64_t at[3], c[3];

          at[a] = side ? n[a] : -1, at[p] = i, at[q] = j;
          for (int b = 0; b < 3; ++b) c[b] = (grid->first[b] + at[b] + grid->shape[b]) % grid->shape[b];
          leaf[count] = ((at[0] + 1) * (n[1] + 2) + at[1] + 1) * (n[2] + 2) + at[2] + 1;
          Locate(grid, c, &owner[count], &root[count]);
          ++count;
        }
  }
  PetscCall(MakeStarForest(ranks->comm, (n[0] + 2) * (n[1] + 2) * (n[2] + 2), count, leaf, owner, root, &ranks->kinds));
  PetscCall(PetscFree3(leaf, owner, root));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- symmetry ----------------------------------------------------------------------------------------------------- */

/* Couplings between ranks are known to one side each, so that the reading cannot compare them: y.Ax and x.Ay tell, for some x and y that are 0
 * in rows without couplings. *asymmetry: their difference relative to |y|.|Ax|. */
PetscErrorCode DeepcgRanksAsymmetry(Mat A, const PC_Deepcg *pd, PetscReal *asymmetry)
{
  Vec          v[4]; /* x, y, A x, A y */
  PetscRandom  random;
  PetscScalar *values, dots[2];
  PetscReal    norms[2];

  PetscFunctionBegin;
  PetscCall(MatCreateVecs(A, &v[0], NULL));
  for (int i = 1; i < 4; ++i) PetscCall(VecDuplicate(v[0], &v[i]));
  PetscCall(PetscRandomCreate(PetscObjectComm((PetscObject)A), &random));
  for (int i = 0; i < 2; ++i) {
    PetscCall(VecSetRandom(v[i], random));
    PetscCall(VecGetArray(v[i], &values));
    for (int64_t row = 0; row < pd->matrix.rows.rows; ++row)
      if (pd->cells[row] != 0) values[row] = 0.0;
    PetscCall(VecRestoreArray(v[i], &values));
    PetscCall(MatMult(A, v[i], v[i + 2]));
  }
  PetscCall(VecDot(v[1], v[2], &dots[0]));
  PetscCall(VecDot(v[0], v[3], &dots[1]));
  PetscCall(VecNorm(v[1], NORM_2, &norms[0]));
  PetscCall(VecNorm(v[2], NORM_2, &norms[1]));
  *asymmetry = PetscAbsScalar(dots[0] - dots[1]) / PetscMax(norms[0] * norms[1], PETSC_SMALL);
  PetscCall(PetscRandomDestroy(&random));
  for (int i = 0; i < 4; ++i) PetscCall(VecDestroy(&v[i]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- what the rest of the plugin calls ------------------------------------------------------------------------------ */

static PetscErrorCode Create(PC pc, const DeepcgGrid *grid, DeepcgRanks *ranks)
{
  PetscFunctionBegin;
  PetscCall(PetscNew(ranks));
  PetscCall(PetscCommDuplicate(PetscObjectComm((PetscObject)pc), &(*ranks)->comm, NULL));
  PetscCall(LinkKinds(*ranks, grid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Copies the kinds of the cells around this rank's box from the ranks that own them. */
PetscErrorCode DeepcgRanksExchangeKinds(PC pc, const DeepcgGrid *grid, uint8_t *kinds, DeepcgRanks *ranks)
{
  PetscMPIInt size;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &size));
  if (size == 1) PetscFunctionReturn(PETSC_SUCCESS);
  if (!*ranks) PetscCall(Create(pc, grid, ranks));
  PetscCall(PetscSFBcastBegin((*ranks)->kinds, MPI_CHAR, kinds, kinds, MPI_REPLACE));
  PetscCall(PetscSFBcastEnd((*ranks)->kinds, MPI_CHAR, kinds, kinds, MPI_REPLACE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgRanksCreateCycle(PC pc, PC_Deepcg *pd)
{
  dcg_ranks given = {.gather = pd->gather, .context = pd->ranks, .link = Link, .unlink = Unlink, .spread = Spread, .add = Add, .sum = Sum};

  PetscFunctionBegin;
  for (int a = 0; a < 3; ++a) {
    given.ranks[a]  = pd->grid.ranks[a];
    given.place[a]  = pd->grid.place[a];
    given.starts[a] = pd->grid.starts[a];
  }
  PetscCallDeepcg(PetscObjectComm((PetscObject)pc),
                  dcg_multilevel_create_on_ranks(&pd->op, &pd->weights, (int32_t)pd->threads, &given, &pd->cycle));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What was exchanged since the last call of this function, the most on any rank. */
PetscErrorCode DeepcgRanksCount(DeepcgRanks ranks, PetscInt *exchanges, PetscInt *bytes)
{
  PetscInt most[2] = {ranks->exchanges, ranks->bytes};

  PetscFunctionBegin;
  PetscCallMPI(MPIU_Allreduce(MPI_IN_PLACE, most, 2, MPIU_INT, MPI_MAX, ranks->comm));
  *exchanges = most[0], *bytes = most[1];
  ranks->exchanges = ranks->bytes = 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgRanksDestroy(DeepcgRanks *ranks)
{
  PetscFunctionBegin;
  if (!*ranks) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscSFDestroy(&(*ranks)->kinds));
  PetscCall(PetscCommDestroy(&(*ranks)->comm));
  PetscCall(PetscFree(*ranks));
  PetscFunctionReturn(PETSC_SUCCESS);
}
