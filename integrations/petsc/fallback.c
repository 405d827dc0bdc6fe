/* What takes the network's place: for a matrix that is no stencil, and where KSP deepcg finds that the network fails. */
#include "deepcg_petsc.h"

/* BoomerAMG takes ten iterations at contrasts of 1e6, where GAMG takes hundreds. */
#if defined(PETSC_HAVE_HYPRE)
#define BY_DEFAULT PCHYPRE
#else
#define BY_DEFAULT PCGAMG
#endif
#define REGULAR 1e-10 /* of its diagonal that a singular matrix gets added: factors need pivots, and the preconditioned matrix does not feel it */

/* A preconditioner of this type for these matrices, with the options -pc_deepcg_fallback_...; one that is there serves again if it has that type. */
PetscErrorCode DeepcgFallbackSetUp(PC pc, PCType type, Mat Amat, Mat Pmat, PC *inner)
{
  const char *prefix;
  PetscBool   same = PETSC_FALSE;

  PetscFunctionBegin;
  if (*inner) PetscCall(PetscObjectTypeCompare((PetscObject)*inner, type, &same));
  if (!same) {
    PetscCall(PCDestroy(inner));
    PetscCall(PCCreate(PetscObjectComm((PetscObject)pc), inner));
    PetscCall(PetscObjectIncrementTabLevel((PetscObject)*inner, (PetscObject)pc, 1));
    PetscCall(PCGetOptionsPrefix(pc, &prefix));
    PetscCall(PCSetOptionsPrefix(*inner, prefix));
    PetscCall(PCAppendOptionsPrefix(*inner, "pc_deepcg_fallback_"));
    PetscCall(PCSetType(*inner, type));
    if (pc->dm) PetscCall(PCSetDM(*inner, pc->dm));
  }
  PetscCall(PCSetOperators(*inner, Amat, Pmat));
  PetscCall(PCSetFromOptions(*inner));
  PetscCall(PCSetUp(*inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A copy of a singular matrix that can be factorised. */
static PetscErrorCode MakeRegular(Mat A, Mat *regular)
{
  Vec          diagonal;
  PetscScalar *d;
  PetscInt     n;

  PetscFunctionBegin;
  PetscCall(MatDuplicate(A, MAT_COPY_VALUES, regular));
  PetscCall(MatSetOption(*regular, MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE)); /* rows that are zero may lack a diagonal */
  PetscCall(MatCreateVecs(A, NULL, &diagonal));
  PetscCall(MatGetDiagonal(A, diagonal));
  PetscCall(VecGetLocalSize(diagonal, &n));
  PetscCall(VecGetArray(diagonal, &d));
  for (PetscInt i = 0; i < n; ++i) d[i] = d[i] != 0.0 ? REGULAR * d[i] : 1.0;
  PetscCall(VecRestoreArray(diagonal, &d));
  PetscCall(MatDiagonalSet(*regular, diagonal, ADD_VALUES));
  PetscCall(VecDestroy(&diagonal));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The preconditioners that go on where the network fails, in order; type: of the last one where that is PETSc's, else NULL. */
PetscErrorCode DeepcgFallbackList(PC pc, DeepcgFallback list[2], PetscInt *n, PCType *type)
{
  const PC_Deepcg *pd = (const PC_Deepcg *)pc->data;
  PetscBool        none, jacobi, classical, simple[2], by_default = (PetscBool)!pd->fallback[0];

  PetscFunctionBegin;
  *n = 0, *type = NULL;
  PetscCall(PetscStrcmp(pd->fallback, "none", &none));
  PetscCall(PetscStrcmp(pd->fallback, PCJACOBI, &jacobi));
  PetscCall(PetscStrcmp(pd->fallback, DEEPCG_CLASSICAL, &classical));
  PetscCall(PetscStrcmp(pd->model, "jacobi", &simple[0]));
  PetscCall(PetscStrcmp(pd->model, "none", &simple[1]));
  if (none || jacobi || (pd->inner && pd->why[0])) PetscFunctionReturn(PETSC_SUCCESS); /* or a fallback serves already */
  if (by_default && (simple[0] || simple[1])) PetscFunctionReturn(PETSC_SUCCESS);      /* whoever asks for these gets them */
  if (by_default) {
    PetscCall(PetscStrcmp(pd->model, DEEPCG_CLASSICAL, &classical));
    classical = (PetscBool)!classical; /* else it has failed already */
  }
  if (classical && !pd->inner && pd->read.facts.unknowns) list[(*n)++] = DEEPCG_FALLBACK_CLASSICAL;
  if (by_default) *type = BY_DEFAULT;
  else if (!classical) *type = pd->fallback;
  if (*type) list[(*n)++] = DEEPCG_FALLBACK_PC;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Sets up pd->standby for the matrix; there: whether it can be used. */
PetscErrorCode DeepcgFallbackStandby(PC pc, PCType type, PetscBool singular, PetscBool *there)
{
  PC_Deepcg     *pd = (PC_Deepcg *)pc->data;
  Mat            A  = pd->aij ? pd->aij : pc->pmat;
  PCFailedReason reason;

  PetscFunctionBegin;
  if (singular && !pd->regular) PetscCall(MakeRegular(A, &pd->regular));
  PetscCall(PetscInfo(pc, "goes on with %s\n", type));
  PetscCall(DeepcgFallbackSetUp(pc, type, pc->mat, singular ? pd->regular : A, &pd->standby));
  PetscCall(PCGetFailedReason(pd->standby, &reason));
  *there = (PetscBool)!reason;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One application; rows that are diagonal only are solved already, and have no part in directions. */
PetscErrorCode DeepcgFallbackApply(PC pc, DeepcgFallback which, Vec r, Vec z)
{
  PC_Deepcg         *pd = (PC_Deepcg *)pc->data;
  const PetscScalar *from;
  PetscScalar       *to;

  PetscFunctionBegin;
  if (which == DEEPCG_FALLBACK_PC) PetscCall(PCApply(pd->standby, r, z));
  PetscCall(VecGetArrayRead(r, &from));
  PetscCall(VecGetArray(z, &to));
  if (which == DEEPCG_FALLBACK_CLASSICAL) PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_apply_classical(pd->solver, from, to));
  for (int64_t i = 0; i < pd->read.alone; ++i) to[pd->read.row[i]] = 0.0;
  PetscCall(VecRestoreArray(z, &to));
  PetscCall(VecRestoreArrayRead(r, &from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What belongs to a matrix that is no longer there. */
PetscErrorCode DeepcgFallbackReset(PC_Deepcg *pd)
{
  PetscFunctionBegin;
  PetscCall(PCDestroy(&pd->standby));
  PetscCall(MatDestroy(&pd->regular));
  PetscFunctionReturn(PETSC_SUCCESS);
}
