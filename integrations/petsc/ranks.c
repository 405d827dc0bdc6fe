/* Many ranks: the message passing that the kernels ask for, by PetscSF. */
#include "deepcg_petsc.h"

/* Copies the kinds of the cells around this rank's box from the ranks that own them. */
PetscErrorCode DeepcgRanksExchangeKinds(PC pc, const DeepcgGrid *grid, uint8_t *kinds)
{
  PetscMPIInt ranks;

  PetscFunctionBegin;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)pc), &ranks));
  PetscCheck(ranks == 1, PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP, "deepcg: %d ranks: this version serves one rank", ranks);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgRanksCreateCycle(PC pc, PC_Deepcg *pd)
{
  PetscFunctionBegin;
  SETERRQ(PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP, "deepcg: this version serves one rank");
}

PetscErrorCode DeepcgRanksDestroy(void **ranks)
{
  PetscFunctionBegin;
  PetscCall(PetscFree(*ranks));
  PetscFunctionReturn(PETSC_SUCCESS);
}
