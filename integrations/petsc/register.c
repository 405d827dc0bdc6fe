/* What PETSc calls when it loads the plugin, and what a plugin under a wrong name or beside another PETSc says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "deepcg_petsc.h"

#define LIBRARY "libdeepcg_petsc"

PetscLogEvent DEEPCG_Read, DEEPCG_SetUp, DEEPCG_Apply, DEEPCG_CG;

/* PETSc derives the symbol that it looks for from the file's name, and says nothing where there is none. */
__attribute__((constructor)) static void CheckName(void)
{
  Dl_info     info;
  const char *slash, *name;

  if (!dladdr((void *)CheckName, &info) || !info.dli_fname) return;
  slash = strrchr(info.dli_fname, '/');
  name  = slash ? slash + 1 : info.dli_fname;
  if (strncmp(name, LIBRARY ".", strlen(LIBRARY) + 1) == 0) return;
  fprintf(stderr,
          "deepcg: this library was renamed to %s, and PETSc will not find its types -pc_type deepcg and -ksp_type deepcg: it derives "
          "the function to call from the file's name. Name it " LIBRARY ".so again (in any folder, beside libdeepcg.so).\n",
          name);
}

static PetscErrorCode CheckVersions(void)
{
  PetscInt major, minor, subminor, release;
  size_t   index, scalar;

  PetscFunctionBegin;
  PetscCall(PetscDataTypeGetSize(PETSC_INT, &index)); /* before anything that takes a PetscInt */
  PetscCall(PetscDataTypeGetSize(PETSC_SCALAR, &scalar));
  PetscCheck(index == sizeof(PetscInt) && scalar == sizeof(PetscScalar), PETSC_COMM_SELF, PETSC_ERR_SUP,
             "deepcg: this plugin was built for %d-byte indices and %d-byte numbers, and the program's PETSc has %d and %d; build it "
             "again: make -C integrations/petsc PETSC_DIR=... (the same one)%s",
             (int)sizeof(PetscInt), (int)sizeof(PetscScalar), (int)index, (int)scalar,
             scalar == 16 ? "; complex numbers are not supported" : "");
  PetscCall(PetscGetVersionNumber(&major, &minor, &subminor, &release));
  PetscCheck(major == PETSC_VERSION_MAJOR && minor == PETSC_VERSION_MINOR, PETSC_COMM_SELF, PETSC_ERR_SUP,
             "deepcg: this plugin was built against PETSc %d.%d, and the program runs %" PetscInt_FMT ".%" PetscInt_FMT
             "; build it again: make -C integrations/petsc PETSC_DIR=...",
             PETSC_VERSION_MAJOR, PETSC_VERSION_MINOR, major, minor);
  PetscCheck(dcg_abi_version() == DCG_ABI_VERSION, PETSC_COMM_SELF, PETSC_ERR_SUP,
             "deepcg: libdeepcg.so has ABI version %d, this plugin needs %d; build both again: make -C integrations/petsc",
             dcg_abi_version(), DCG_ABI_VERSION);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode DeepcgRegister(void)
{
  static PetscClassId class_id = 0;

  PetscFunctionBegin;
  PetscCall(CheckVersions());
  PetscCall(PCInitializePackage());
  PetscCall(KSPInitializePackage());
  PetscCall(PCRegister(PCDEEPCG, PCCreate_Deepcg));
  PetscCall(KSPRegister(KSPDEEPCG, KSPCreate_Deepcg));
  PetscCall(PetscClassIdRegister("deepcg", &class_id));
  PetscCall(PetscLogEventRegister("DeepcgRead", class_id, &DEEPCG_Read));
  PetscCall(PetscLogEventRegister("DeepcgSetUp", class_id, &DEEPCG_SetUp));
  PetscCall(PetscLogEventRegister("DeepcgApply", class_id, &DEEPCG_Apply));
  PetscCall(PetscLogEventRegister("DeepcgCG", class_id, &DEEPCG_CG));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The name that -dll_append looks for in libdeepcg_petsc.so. */
PETSC_EXTERN PetscErrorCode PetscDLLibraryRegister_deepcg_petsc(void)
{
  PetscFunctionBegin;
  PetscCall(DeepcgRegister());
  PetscFunctionReturn(PETSC_SUCCESS);
}
