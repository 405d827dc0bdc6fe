/* The Krylov iteration's context, and its two ways of running. */
#ifndef DEEPCG_KSP_H
#define DEEPCG_KSP_H

#include "deepcg_petsc.h"
#include <petsc/private/kspimpl.h>

typedef struct {
  PetscInt  asked;  /* -ksp_deepcg_window; PETSC_DECIDE: by the preconditioner */
  PetscBool native; /* -ksp_deepcg_native */
  /* of the last solve, for -ksp_view */
  PetscInt    window, fallbacks, restarts;
  const char *ran;
  /* directions that are kept, with their products and curvatures */
  PetscInt   made, room;
  Vec       *direction, *product;
  PetscReal *curvature;
} KSP_Deepcg;

/* The compiled iteration on the arrays themselves; *left: it could not finish, and the general one is to go on from here. */
PETSC_INTERN PetscErrorCode KSPDeepcgFindNative(KSP, PC_Deepcg **);
PETSC_INTERN PetscErrorCode KSPDeepcgSolveNative(KSP, PC_Deepcg *, PetscBool *left);
/* Conjugate directions over a window, for any preconditioner. it: iterations that are done. */
PETSC_INTERN PetscErrorCode KSPDeepcgSolveGeneral(KSP, PetscBool resumed);
PETSC_INTERN PetscErrorCode KSPDeepcgStart(KSP, Vec r); /* b - A x of the initial guess */
PETSC_INTERN PetscErrorCode KSPDeepcgResidual(KSP, Vec r);
PETSC_INTERN PetscErrorCode KSPDeepcgReport(KSP, PetscReal norm, PetscBool converging);

#endif
