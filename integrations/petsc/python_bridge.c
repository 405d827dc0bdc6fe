/* Models that run in Python (the paper's network), for programs that know nothing of Python: the plugin starts the interpreter. */
#include <stdio.h>
#include <stdlib.h>

#include "deepcg_petsc.h"

#ifndef DEEPCG_PYTHON
#define DEEPCG_PYTHON "python3"
#endif

/* The interpreter that is started inside this program is not told of virtual environments, nor of packages that are installed from where they
 * lie: its path is what the other one prints. */
static PetscErrorCode AdoptPath(const char *python)
{
  char   command[PETSC_MAX_PATH_LEN + 256], path[16384];
  FILE  *answer;
  size_t length;

  PetscFunctionBegin;
  PetscCall(PetscSNPrintf(command, sizeof(command),
                          "'%s' -c 'import sys, pathlib, deepcg.petsc; print(\":\".join([str(pathlib.Path(deepcg.__file__).parent.parent), "
                          "*filter(None, sys.path)]))'",
                          python));
  answer = popen(command, "r");
  PetscCheck(answer, PETSC_COMM_SELF, PETSC_ERR_SYS, "deepcg: cannot run %s", command);
  length = fread(path, 1, sizeof(path) - 1, answer);
  PetscCheck(pclose(answer) == 0, PETSC_COMM_SELF, PETSC_ERR_SYS,
             "deepcg: this model runs in Python, and the interpreter %s cannot import deepcg.petsc (its message is above); name one that "
             "can with -pc_deepcg_python or in the environment variable DEEPCG_PYTHON",
             python);
  while (length && path[length - 1] == '\n') --length;
  path[length] = 0;
  PetscCheck(!setenv("PYTHONPATH", path, 1), PETSC_COMM_SELF, PETSC_ERR_SYS, "deepcg: cannot set PYTHONPATH");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A preconditioner of type python that runs deepcg.petsc.PC with this one's options. */
PetscErrorCode DeepcgPythonPC(PC pc, const char *python, PC *inner)
{
  PetscErrorCode (*create)(PC);
  const char *prefix;
  int         code;

  PetscFunctionBegin;
  if (!python[0]) python = getenv("DEEPCG_PYTHON") ? getenv("DEEPCG_PYTHON") : DEEPCG_PYTHON;
  PetscCall(PetscFunctionListFind(PCList, PCPYTHON, &create)); /* petsc4py registers it: there in a Python program */
  if (!create) {
    PetscCall(AdoptPath(python));
    PetscCall(PetscPythonInitialize(python, NULL));
  }
  PetscCall(PCCreate(PetscObjectComm((PetscObject)pc), inner));
  PetscCall(PetscObjectIncrementTabLevel((PetscObject)*inner, (PetscObject)pc, 1));
  PetscCall(PCGetOptionsPrefix(pc, &prefix));
  PetscCall(PCSetOptionsPrefix(*inner, prefix));
  PetscCall(PetscFunctionListFind(PCList, PCPYTHON, &create));
  PetscCheck(create, PetscObjectComm((PetscObject)pc), PETSC_ERR_SUP,
             "deepcg: this model runs in Python, and petsc4py of %s has no PC type python", python);
  if (pc->dm) PetscCall(PCSetDM(*inner, pc->dm));
  PetscCall(PCSetType(*inner, PCPYTHON));
  code = PCPythonSetType(*inner, "deepcg.petsc.PC");
  if (code < 0) PetscCall(PetscPythonPrintError()); /* an exception: what it says would be lost */
  PetscCheck(!code, PetscObjectComm((PetscObject)pc), PETSC_ERR_LIB,
             "deepcg: this model runs in Python, and deepcg.petsc.PC could not be made by %s (its message is above)", python);
  PetscFunctionReturn(PETSC_SUCCESS);
}
