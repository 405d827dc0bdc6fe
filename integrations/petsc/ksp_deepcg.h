/* The Krylov iteration's context. */
#ifndef DEEPCG_KSP_H
#define DEEPCG_KSP_H

#include "deepcg_petsc.h"
#include <petsc/private/kspimpl.h>

typedef struct {
  PetscInt  asked;  /* -ksp_deepcg_window; PETSC_DECIDE: by the preconditioner */
  PetscBool native; /* -ksp_deepcg_native */
  PetscBool refuse; /* -ksp_deepcg_inconsistent error */
  /* of the last solve, for -ksp_view */
  PetscInt    window, fallbacks, restarts;
  const char *ran;
  struct { /* fallbacks that took over, and their iterations */
    char     name[64];
    PetscInt iterations;
  } step[DCG_CHAIN];
  PetscInt  steps;
  PetscReal   projected; /* 2-norm of what was taken off b */
} KSP_Deepcg;

PETSC_INTERN PetscErrorCode KSPDeepcgSolve(KSP);

#endif
