/* deepcg in PETSc: what the plugin's files share, and what a program that links it (instead of loading it) may call.
 *
 * PETSc's private headers are used because a type's constructor fills in its object's table of functions; they change between minor
 * versions, hence the check here and the one at load (register.c).
 */
#ifndef DEEPCG_PETSC_H
#define DEEPCG_PETSC_H

#include <petsc/private/pcimpl.h>
#include <petscdmda.h>
#include <petscksp.h>

#include "deepcg.h"

#if PETSC_VERSION_LT(3, 18, 0)
#error "deepcg: PETSc 3.18 or newer is needed; set PETSC_DIR (and PETSC_ARCH) to such an installation"
#endif
#if PETSC_VERSION_GE(3, 25, 0) && !defined(DEEPCG_ANY_PETSC)
#error "deepcg: this PETSc is newer than any that deepcg was compiled with; try it with CPPFLAGS=-DDEEPCG_ANY_PETSC, and tell us"
#endif
#if defined(PETSC_USE_COMPLEX)
#error "deepcg: this PETSc is built for complex numbers; deepcg solves real systems: set PETSC_DIR and PETSC_ARCH to a real build"
#endif
#if !defined(PETSC_USE_REAL_DOUBLE)
#error "deepcg: this PETSc is not built for double precision; set PETSC_DIR and PETSC_ARCH to a build --with-precision=double"
#endif

#if !defined(PETSC_SUCCESS) && PETSC_VERSION_LT(3, 19, 0)
#define PETSC_SUCCESS 0
#endif
#if PETSC_VERSION_LT(3, 23, 0)
typedef PetscOptionItems *DeepcgOptionItems; /* it was a structure; it is a pointer to one now */
#else
typedef PetscOptionItems DeepcgOptionItems;
#endif

#define PCDEEPCG "deepcg"
#define KSPDEEPCG "deepcg"
#define DEEPCG_CLASSICAL "multigrid" /* the model, and the fallback, without learned factors */

/* Registers both types; -dll_append does it by itself. */
PETSC_EXTERN PetscErrorCode DeepcgRegister(void);

/* 2-norm of the part of the last b that no x can reach, as KSPDEEPCG found it; 0 where there is none. */
PETSC_EXTERN PetscErrorCode KSPDeepcgGetProjected(KSP, PetscReal *norm);

/* Of the last solve of a KSPDEEPCG: iterations along other directions than the preconditioner's, and the fallbacks that took over, from n = 0 on:
 * name and iterations; *name becomes NULL beyond the last one. */
PETSC_EXTERN PetscErrorCode KSPDeepcgGetFallbacks(KSP, PetscInt *iterations);
PETSC_EXTERN PetscErrorCode KSPDeepcgGetStep(KSP, PetscInt n, const char **name, PetscInt *iterations);

/* ---- the rest is the plugin's own ---------------------------------------------------------------------------------- */

/* What a preconditioner may know about its grid beside its matrix and DM. */
typedef struct {
  PetscInt   given[3], ngiven; /* -pc_deepcg_grid: nx, ny[, nz] */
  PetscReal *coordinates;      /* PCSetCoordinates: dim values a row */
  PetscInt   dim, nrows;
} DeepcgGridHints;

typedef enum { DEEPCG_FALLBACK_NONE, DEEPCG_FALLBACK_CLASSICAL, DEEPCG_FALLBACK_PC } DeepcgFallback;

typedef struct DeepcgRanks_ *DeepcgRanks; /* message passing between the ranks of a cycle */

/* The preconditioner's context. */
typedef struct {
  /* options */
  char            model[PETSC_MAX_PATH_LEN], fallback[64] /* empty: by default */, python[PETSC_MAX_PATH_LEN];
  PetscInt        threads, gather;
  PetscReal       rounding;
  DeepcgGridHints hints;
  /* the problem */
  dcg_solver *solver;  /* grid, matrix, levels */
  dcg_read    read;    /* what the solver read from the matrix */
  PetscInt    dim;     /* of its grid */
  const char *source;  /* what told the grid; NULL: nothing is known, or no longer */
  Mat         aij;     /* the matrix as AIJ, where the user's is not */
  DeepcgRanks ranks;   /* on several ranks */
  PetscBool   zero_guess; /* between PCPreSolve and PCPostSolve: the guess was zero before */
  Vec         work;    /* with a null space: the projected residual */
  PC          inner;   /* the fallback for a matrix that is no stencil, or a model that runs in Python */
  PC          standby; /* what KSP deepcg went on with where the network failed; NULL: it was not needed */
  Mat         regular; /* standby's matrix, where the user's is singular */
  dcg_model   python_model;
  char        why[1024]; /* the fallback serves */
} PC_Deepcg;

PETSC_INTERN PetscErrorCode PCCreate_Deepcg(PC);
PETSC_INTERN PetscErrorCode PCSetUp_Deepcg(PC);
PETSC_INTERN PetscErrorCode DeepcgFreeProblem(PC_Deepcg *);
PETSC_INTERN PetscErrorCode KSPCreate_Deepcg(KSP);
PETSC_INTERN PetscErrorCode DeepcgGridFind(PC);
PETSC_INTERN PetscErrorCode DeepcgMatrixRead(PC, PetscBool same_pattern, int *code);
PETSC_INTERN PetscErrorCode DeepcgRanksCreate(MPI_Comm, dcg_ranks *, DeepcgRanks *);
PETSC_INTERN PetscErrorCode DeepcgRanksDestroy(DeepcgRanks *);
PETSC_INTERN PetscErrorCode DeepcgFallbackSetUp(PC, PCType, Mat, Mat, PC *);
PETSC_INTERN PetscErrorCode DeepcgFallbackList(PC, DeepcgFallback[2], PetscInt *, PCType *);
PETSC_INTERN PetscErrorCode DeepcgFallbackStandby(PC, PCType, PetscBool singular, PetscBool *there);
PETSC_INTERN PetscErrorCode DeepcgFallbackApply(PC, DeepcgFallback, Vec, Vec);
PETSC_INTERN PetscErrorCode DeepcgFallbackReset(PC_Deepcg *);
PETSC_INTERN PetscErrorCode DeepcgPythonPC(PC, const char *python, PC *);

PETSC_EXTERN PetscLogEvent DEEPCG_Read, DEEPCG_SetUp, DEEPCG_Apply, DEEPCG_CG;

#define PetscCallDeepcg(comm, ...)                                                                                                         \
  do {                                                                                                                                     \
    const int deepcg_code_ = __VA_ARGS__;                                                                                                  \
    PetscCheck(!deepcg_code_, comm, deepcg_code_ == DCG_OUT_OF_MEMORY ? PETSC_ERR_MEM : PETSC_ERR_LIB, "deepcg: %s", dcg_last_error());    \
  } while (0)

#endif
