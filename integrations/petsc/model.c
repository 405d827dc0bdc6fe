/* The weights that -pc_deepcg_model names. */
#include "deepcg_petsc.h"

#define SUFFIX ".safetensors"

/* A file as it is named; else a shipped model: NAME, NAME-2d or NAME-3d in models/ beside the plugin. */
static PetscErrorCode FindFile(const char *name, PetscInt dim, char *file, size_t size, PetscBool *found)
{
  char folder[PETSC_MAX_PATH_LEN];

  PetscFunctionBegin;
  PetscCall(PetscStrncpy(file, name, size));
  PetscCall(PetscTestFile(file, 'r', found));
  if (*found) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(DeepcgLibraryFolder(folder, sizeof(folder)));
  PetscCall(PetscSNPrintf(file, size, "%s/models/%s" SUFFIX, folder, name));
  PetscCall(PetscTestFile(file, 'r', found));
  if (*found) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscSNPrintf(file, size, "%s/models/%s-%" PetscInt_FMT "d" SUFFIX, folder, name, dim < 3 ? (PetscInt)2 : (PetscInt)3));
  PetscCall(PetscTestFile(file, 'r', found));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Reads the weights unless they are there; *python: the model is none for the kernels (the paper's network, say). */
PetscErrorCode DeepcgModelRead(PC_Deepcg *pd, MPI_Comm comm, PetscInt dim, PetscBool *python)
{
  const PetscInt weights_dim = dim < 3 ? 2 : 3;
  PetscBool      classical, automatic, found;
  int            code;

  PetscFunctionBegin;
  *python = PETSC_FALSE;
  if (pd->model_dim == weights_dim) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscStrcmp(pd->name, "multigrid", &classical));
  PetscCall(PetscStrcmp(pd->name, "auto", &automatic));
  if (classical) {
    PetscCallDeepcg(comm, dcg_weights_classical(&pd->weights));
    PetscCall(PetscMemzero(&pd->model, sizeof(pd->model)));
    PetscCall(PetscStrncpy(pd->model.name, "multigrid", sizeof(pd->model.name)));
    pd->file[0]   = 0;
    pd->model_dim = weights_dim;
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(FindFile(automatic ? "multilevel" : pd->name, dim, pd->file, sizeof(pd->file), &found));
  PetscCheck(found, comm, PETSC_ERR_FILE_OPEN,
             "deepcg: -pc_deepcg_model %s: neither a file nor a shipped model (looked for %s last); give a model file, multigrid, or auto",
             pd->name, pd->file);
  code    = dcg_weights_read(pd->file, &pd->weights, &pd->model);
  *python = (PetscBool)(code == DCG_UNSUPPORTED);
  PetscCheck(!code || *python, comm, PETSC_ERR_FILE_UNEXPECTED, "deepcg: -pc_deepcg_model: %s", dcg_last_error());
  PetscCheck(pd->model.dimension == weights_dim, comm, PETSC_ERR_ARG_INCOMP,
             "deepcg: -pc_deepcg_model: %s is a model for %d-D grids and this one is %" PetscInt_FMT
             "-D; leave the option out, or give one for %" PetscInt_FMT "-D",
             pd->model.name, (int)pd->model.dimension, dim, weights_dim);
  if (!*python) pd->model_dim = weights_dim;
  PetscFunctionReturn(PETSC_SUCCESS);
}
