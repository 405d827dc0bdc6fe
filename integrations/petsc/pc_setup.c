/* The preconditioner's set-up: the grid, the operator that the matrix holds, the levels; or what serves in their place. */
#include "deepcg_petsc.h"

/* Everything that belongs to a matrix. */
PetscErrorCode DeepcgFreeProblem(PC_Deepcg *pd)
{
  PetscFunctionBegin;
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_solver_set_ranks(pd->solver, NULL)); /* lets go of the matrix too */
  PetscCall(DeepcgRanksDestroy(&pd->ranks));
  PetscCall(PetscMemzero(&pd->read, sizeof(pd->read)));
  PetscCall(VecDestroy(&pd->work));
  PetscCall(MatDestroy(&pd->aij));
  PetscCall(DeepcgFallbackReset(pd));
  pd->source = NULL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The preconditioner that -pc_deepcg_fallback names takes over, or an error says why one is needed. */
static PetscErrorCode FallBack(PC pc)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;
  PetscBool  none, classical;

  PetscFunctionBegin;
  PetscCall(PetscStrcmp(pd->fallback, "none", &none));
  PetscCall(PetscStrcmp(pd->fallback, DEEPCG_CLASSICAL, &classical));
  PetscCheck(pd->fallback[0] && !none && !classical, PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP,
             "deepcg: this matrix cannot be served: %s. To go on with another preconditioner in such cases: -%spc_deepcg_fallback gamg (or "
             "any other type)",
             pd->why, ((PetscObject)pc)->prefix ? ((PetscObject)pc)->prefix : "");
  PetscCall(PetscInfo(pc, "falls back to %s: %s\n", pd->fallback, pd->why));
  PetscCall(DeepcgFallbackSetUp(pc, pd->fallback, pc->mat, pc->pmat, &pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A model that runs in Python serves the whole matrix there. */
static PetscErrorCode GoToPython(PC pc)
{
  PC_Deepcg *pd   = (PC_Deepcg *)pc->data;
  PetscBool  same = PETSC_FALSE;

  PetscFunctionBegin;
  if (pd->inner) PetscCall(PetscObjectTypeCompare((PetscObject)pd->inner, PCPYTHON, &same));
  if (!same) PetscCall(PCDestroy(&pd->inner));
  if (!same) PetscCall(DeepcgPythonPC(pc, pd->python, &pd->inner));
  PetscCall(PCSetOperators(pd->inner, pc->mat, pc->pmat));
  PetscCall(PCSetUp(pd->inner));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The solver's options as they are now. */
static PetscErrorCode TellOptions(PC pc)
{
  PC_Deepcg  *pd       = (PC_Deepcg *)pc->data;
  const char *names[]  = {"model", "threads", "rounding", "gather", "source", "scaling"};
  char        threads[32], rounding[64], gather[32];
  const char *values[] = {pd->model, threads, rounding, gather, pd->source, "0"};

  PetscFunctionBegin;
  PetscCall(PetscSNPrintf(threads, sizeof(threads), "%" PetscInt_FMT, pd->threads));
  PetscCall(PetscSNPrintf(gather, sizeof(gather), "%" PetscInt_FMT, pd->gather));
  PetscCall(PetscSNPrintf(rounding, sizeof(rounding), "%.17g", (double)pd->rounding));
  for (size_t n = 0; n < PETSC_STATIC_ARRAY_LENGTH(names); ++n)
    PetscCallDeepcg(PetscObjectComm((PetscObject)pc), dcg_solver_set_option(pd->solver, names[n], values[n]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode PCSetUp_Deepcg(PC pc)
{
  PC_Deepcg      *pd    = (PC_Deepcg *)pc->data;
  MPI_Comm        comm  = PetscObjectComm((PetscObject)pc);
  const PetscBool again = (PetscBool)(pc->setupcalled && pc->flag == SAME_NONZERO_PATTERN && pd->source);
  int             code;
  MatNullSpace    null;

  PetscFunctionBegin;
  PetscCall(DeepcgFallbackReset(pd));
  if (!again) {
    PetscCall(DeepcgFreeProblem(pd));
    PetscCall(DeepcgGridFind(pc));
    if (pd->why[0]) {
      PetscCall(DeepcgFreeProblem(pd));
      PetscCall(FallBack(pc));
      PetscFunctionReturn(PETSC_SUCCESS);
    }
  }
  PetscCall(TellOptions(pc));
  code = dcg_solver_model(pd->solver, (int32_t)pd->dim, NULL, &pd->python_model);
  if (code == DCG_UNSUPPORTED) {
    PetscCall(GoToPython(pc));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCheck(!code, comm, PETSC_ERR_FILE_OPEN, "deepcg: -pc_deepcg_model: %s", dcg_last_error());
  pd->why[0] = 0;
  PetscCall(PetscLogEventBegin(DEEPCG_Read, pc, 0, 0, 0));
  PetscCall(DeepcgMatrixRead(pc, again, &code));
  PetscCall(PetscLogEventEnd(DEEPCG_Read, pc, 0, 0, 0));
  PetscCheck(!code || code == DCG_INVALID_ARGUMENT, PETSC_COMM_SELF, PETSC_ERR_LIB, "deepcg: %s", dcg_last_error());
  if (code) {
    PetscCall(PetscStrncpy(pd->why, dcg_last_error(), sizeof(pd->why)));
    PetscCall(DeepcgFreeProblem(pd));
    PetscCall(FallBack(pc));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PCDestroy(&pd->inner));
  PetscCall(PetscLogEventBegin(DEEPCG_SetUp, pc, 0, 0, 0));
  PetscCallDeepcg(comm, dcg_solver_set_up(pd->solver));
  PetscCall(PetscLogEventEnd(DEEPCG_SetUp, pc, 0, 0, 0));
  PetscCall(MatGetNullSpace(pc->pmat, &null));
  if (null && !pd->work) PetscCall(MatCreateVecs(pc->pmat, NULL, &pd->work));
  PetscFunctionReturn(PETSC_SUCCESS);
}
