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

/* Registers both types; -dll_append does it by itself. */
PETSC_EXTERN PetscErrorCode DeepcgRegister(void);

/* ---- the rest is the plugin's own ---------------------------------------------------------------------------------- */

/* Where the rows of a matrix lie on a grid: this rank's box of it. Axes are z, y, x; a 2-D grid is (ny, 1, nx), a 1-D one (1, 1, nx). */
typedef struct {
  PetscInt    dim;
  int64_t     shape[3], first[3], count[3];
  int64_t    *cell;     /* each own row's cell as a flat index into the box; NULL: row i is cell i */
  int32_t     ranks[3]; /* how many boxes there are along each axis, and which of them is this rank's */
  int32_t     place[3];
  int64_t    *starts[3]; /* first cell of each slab of boxes, and the size of the grid */
  const char *source;    /* what told us, for -ksp_view; NULL: nothing is known, or no longer */
} DeepcgGrid;

/* What a preconditioner may know about its grid beside its matrix and DM. */
typedef struct {
  PetscInt   given[3], ngiven; /* -pc_deepcg_grid: nx, ny[, nz] */
  PetscReal *coordinates;      /* PCSetCoordinates: dim values a row */
  PetscInt   dim, nrows;
} DeepcgGridHints;

PETSC_INTERN PetscErrorCode DeepcgGridFind(PC, const DeepcgGridHints *, DeepcgGrid *, char *why, size_t);
PETSC_INTERN PetscErrorCode DeepcgGridReset(DeepcgGrid *);

/* The matrix as the kernels read it, in PETSc's own arrays where its type is AIJ. */
typedef struct {
  Mat                converted; /* AIJ, where the user's matrix is not */
  Mat                part[2];   /* columns of this rank's rows, and of others' */
  const PetscInt    *start[2], *column[2];
  const PetscScalar *value[2];
  int64_t           *ghost;
  dcg_matrix         rows;
} DeepcgMatrix;

PETSC_INTERN PetscErrorCode DeepcgMatrixGet(Mat, const DeepcgGrid *, DeepcgMatrix *);
PETSC_INTERN PetscErrorCode DeepcgMatrixShare(DeepcgMatrix *, MPI_Comm *);
PETSC_INTERN PetscErrorCode DeepcgMatrixRestore(DeepcgMatrix *);
PETSC_INTERN PetscErrorCode DeepcgMatrixReset(DeepcgMatrix *);

typedef struct DeepcgRanks_ *DeepcgRanks; /* message passing between the ranks of a cycle */

/* The preconditioner's context. */
typedef struct {
  /* options */
  char            name[PETSC_MAX_PATH_LEN], fallback[64], python[PETSC_MAX_PATH_LEN];
  PetscInt        threads, gather;
  PetscReal       rounding;
  DeepcgGridHints hints;
  /* the model */
  dcg_weights weights;
  dcg_model   model;
  char        file[PETSC_MAX_PATH_LEN];
  PetscInt    model_dim; /* for which the weights were read; 0: none */
  /* the problem */
  DeepcgGrid       grid;
  DeepcgMatrix     matrix;
  dcg_matrix_scan *rows; /* what the last reading leaves to the next one of the same pattern */
  dcg_matrix_result found;
  dcg_operator     op;
  uint8_t         *kinds, *cells;
  double          *face[3], *shift;
  PetscBool        zero_guess; /* between PCPreSolve and PCPostSolve: the guess was zero before */
  PetscBool        direct;     /* vectors of rows are vectors over cells */
  PetscInt         ndiagonal, nalone, *alone; /* rows that are no unknowns: those that are diagonal only, then those that are zero */
  PetscReal       *diagonal_inverse;
  double          *r, *z; /* over cells, where not direct */
  Vec              work;  /* with a null space: the projected residual */
  dcg_multilevel  *cycle;
  DeepcgRanks      ranks;
  PetscInt         exchanges, bytes; /* of one application on several ranks, from the first one on */
  PC               inner;            /* the fallback, or a model that runs in Python */
  char             why[1024];
} PC_Deepcg;

/* Copies between vectors of rows and vectors over cells (0 where there is no unknown), times `scale`. */
PETSC_INTERN void DeepcgToCells(const PC_Deepcg *, double scale, const double *rows, double *cells);
PETSC_INTERN void DeepcgFromCells(const PC_Deepcg *, double scale, const double *cells, double *rows);

PETSC_INTERN PetscErrorCode PCCreate_Deepcg(PC);
PETSC_INTERN PetscErrorCode PCSetUp_Deepcg(PC);
PETSC_INTERN PetscErrorCode PCView_Deepcg(PC, PetscViewer);
PETSC_INTERN PetscErrorCode DeepcgFreeProblem(PC_Deepcg *);
PETSC_INTERN PetscErrorCode KSPCreate_Deepcg(KSP);
PETSC_INTERN PetscErrorCode DeepcgModelRead(PC_Deepcg *, MPI_Comm, PetscInt dim, PetscBool *python);
PETSC_INTERN PetscErrorCode DeepcgRanksExchangeKinds(PC, const DeepcgGrid *, uint8_t *kinds, DeepcgRanks *);
PETSC_INTERN PetscErrorCode DeepcgRanksCreateCycle(PC, PC_Deepcg *);
PETSC_INTERN PetscErrorCode DeepcgRanksAsymmetry(Mat, const PC_Deepcg *, PetscReal *);
PETSC_INTERN PetscErrorCode DeepcgRanksCount(DeepcgRanks, PetscInt *exchanges, PetscInt *bytes);
PETSC_INTERN PetscErrorCode DeepcgRanksDestroy(DeepcgRanks *);
PETSC_INTERN PetscErrorCode DeepcgPythonPC(PC, const char *python, PC *);
PETSC_INTERN PetscErrorCode DeepcgLibraryFolder(char *, size_t);

PETSC_EXTERN PetscLogEvent DEEPCG_Read, DEEPCG_SetUp, DEEPCG_Apply, DEEPCG_CG;

#define PetscCallDeepcg(comm, ...)                                                                                                         \
  do {                                                                                                                                     \
    const int deepcg_code_ = __VA_ARGS__;                                                                                                  \
    PetscCheck(!deepcg_code_, comm, deepcg_code_ == DCG_OUT_OF_MEMORY ? PETSC_ERR_MEM : PETSC_ERR_LIB, "deepcg: %s", dcg_last_error());    \
  } while (0)

#endif
