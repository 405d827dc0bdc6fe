/* Many ranks: the message passing that the kernels ask for, by PetscSF. Every function here is collective. */
#include <petscsf.h>

#include "deepcg_petsc.h"

struct DeepcgRanks_ {
  MPI_Comm comm;
};

static MPI_Datatype UnitOf(int32_t bytes)
{
  return bytes == 1 ? MPI_CHAR : bytes == 4 ? MPI_INT : MPI_DOUBLE; /* for copies, what the bits mean does not matter */
}

static PetscErrorCode MakeStarForest(MPI_Comm comm, int64_t size, int64_t n, const int64_t leaf[], const int32_t owner[],
                                     const int64_t root[], PetscSF *sf)
{
  PetscInt    *local;
  PetscSFNode *remote;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(PetscMax(n, 1), &local));
  PetscCall(PetscMalloc1(PetscMax(n, 1), &remote));
  for (int64_t i = 0; i < n; ++i) {
    local[i]        = (PetscInt)leaf[i];
    remote[i].rank  = owner[i];
    remote[i].index = (PetscInt)root[i];
  }
  PetscCall(PetscSFCreate(comm, sf));
  PetscCall(PetscSFSetGraph(*sf, (PetscInt)size, (PetscInt)n, local, PETSC_OWN_POINTER, remote, PETSC_OWN_POINTER));
  PetscCall(PetscSFSetUp(*sf));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Create(void *context, int64_t size, int64_t n, const int64_t *leaf, const int32_t *owner, const int64_t *root, void **halo)
{
  return (int)MakeStarForest(((DeepcgRanks)context)->comm, size, n, leaf, owner, root, (PetscSF *)halo);
}

static int Destroy(void *context, void *halo)
{
  PetscSF sf = (PetscSF)halo;

  return (int)PetscSFDestroy(&sf);
}

static int Broadcast(void *context, void *halo, int32_t bytes, const void *roots, void *leaves)
{
  PetscFunctionBegin;
  PetscCall(PetscSFBcastBegin((PetscSF)halo, UnitOf(bytes), roots, leaves, MPI_REPLACE));
  PetscCall(PetscSFBcastEnd((PetscSF)halo, UnitOf(bytes), roots, leaves, MPI_REPLACE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Reduce(void *context, void *halo, const float *leaves, float *roots)
{
  PetscFunctionBegin;
  PetscCall(PetscSFReduceBegin((PetscSF)halo, MPI_FLOAT, leaves, roots, MPI_SUM));
  PetscCall(PetscSFReduceEnd((PetscSF)halo, MPI_FLOAT, leaves, roots, MPI_SUM));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int Allreduce(void *context, int64_t n, double *values)
{
  PetscFunctionBegin;
  PetscCallMPI(MPIU_Allreduce(MPI_IN_PLACE, values, (PetscMPIInt)n, MPI_DOUBLE, MPI_SUM, ((DeepcgRanks)context)->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A communicator of the messages' own, and the functions that the kernels call. */
PetscErrorCode DeepcgRanksCreate(MPI_Comm comm, dcg_ranks *given, DeepcgRanks *ranks)
{
  PetscFunctionBegin;
  PetscCall(PetscNew(ranks));
  PetscCall(PetscCommDuplicate(comm, &(*ranks)->comm, NULL));
  PetscCall(PetscMemzero(given, sizeof(*given)));
  given->context = *ranks;
  given->create = Create, given->destroy = Destroy, given->broadcast = Broadcast, given->reduce = Reduce, given->allreduce = Allreduce;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgRanksDestroy(DeepcgRanks *ranks)
{
  PetscFunctionBegin;
  if (!*ranks) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscCommDestroy(&(*ranks)->comm));
  PetscCall(PetscFree(*ranks));
  PetscFunctionReturn(PETSC_SUCCESS);
}
