/* The C ABI of deepcg's kernels.
 *
 * Functions return 0, or an error code whose text dcg_last_error() gives (per thread). They never print, exit
 * or throw. Sizes are int64_t; vectors belong to the caller and run over all cells in C order (x fastest), 0 outside FLUID.
 */
#ifndef DEEPCG_H
#define DEEPCG_H

#include <stdint.h>

#if defined(__GNUC__)
#define DCG_API __attribute__((visibility("default")))
#else
#define DCG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DCG_ABI_VERSION 5

enum dcg_error { DCG_OK = 0, DCG_INVALID_ARGUMENT = 1, DCG_OUT_OF_MEMORY = 2, DCG_INTERNAL = 3, DCG_UNSUPPORTED = 4 };

/* The version this library was compiled with; a caller compares it with its own DCG_ABI_VERSION before anything else. */
DCG_API int dcg_abi_version(void);

/* What the last failing call of this thread was refused for. */
DCG_API const char *dcg_last_error(void);

/* *result = sum of a_i b_i, summed in an order that does not depend on the number of threads. */
DCG_API int dcg_dot(int64_t n, const double *a, const double *b, double *result);

/* y += alpha x */
DCG_API int dcg_axpy(int64_t n, double alpha, const double *x, double *y);

/* What a solver must know of a vector that it is given, in one pass: result[0] the largest magnitude (NaN where a value is not finite),
 * result[1] the sum of squares, in an order that does not depend on the number of threads, and result[2] 1 where some value is not 0 in a
 * cell that is not FLUID, else 0. */
DCG_API int dcg_look(int64_t n, const uint8_t *cells, const double *v, double result[3]);

/* ---- the multilevel network: a symmetric positive (semi-)definite approximation of the inverse ------------------- */

enum { DCG_LEVELS = 8, DCG_SWEEPS = 4, DCG_CODES = 16, DCG_FEATURES = 5, DCG_HIDDEN = 8, DCG_OUTPUTS = 3 };

/* The operator. A 2-D grid (ny, nx) is given as (ny, 1, nx). */
typedef struct {
  int64_t shape[3];        /* nz, ny, nx */
  const uint8_t *cells;    /* nz*ny*nx bytes: 0 FLUID, 1 SOLID, 2 OPEN */
  double unit;             /* > 0: every face between a FLUID cell and one that is not SOLID has this weight */
  const double *weights[3]; /* unit == 0: face weights with n+1 entries on their own axis; NULL = no faces across that axis */
  const double *shift;     /* nz*ny*nx values added to the diagonal, or NULL; only with unit == 0 */
  int32_t periodic;        /* bit 0: z, bit 1: y, bit 2: x */
  int32_t open;            /* unit > 0: bit 2a: OPEN cells lie below axis a, bit 2a + 1: above */
} dcg_operator;

/* y = A x, the finite-volume stencil in difference form (deepcg/problem/stencil.py has the formula); y is 0 where not FLUID.
 * threads   OpenMP threads; 0 = as many as OpenMP would take
 */
DCG_API int dcg_apply(const dcg_operator *op, const double *x, double *y, int32_t threads);

/* r = b - A x, *square = r . r; b may not be r. */
DCG_API int dcg_residual(const dcg_operator *op, const double *b, const double *x, double *r, double *square, int32_t threads);

/* Face weights beta * area / distance, beta the harmonic mean of a coefficient per cell (deepcg/problem/stencil.py has the rules).
 *
 * outside      kind of the cells outside, low and high by axis; periodic as above goes first
 * widths       of the cells along each axis; NULL: 1
 * coefficient  nz*ny*nx values, > 0 in FLUID (else DCG_INVALID_ARGUMENT); NULL: 1
 * weights      results, n+1 entries on their own axis; NULL but for the last one: not wanted
 */
DCG_API int dcg_face_weights(const int64_t shape[3], const uint8_t *cells, const uint8_t outside[6], int32_t periodic,
                             const double *const widths[3], const double *coefficient, double *const weights[3]);

/* *bound >= ||A||_2 by Gershgorin's theorem, for unit == 0. */
DCG_API int dcg_norm_bound(const dcg_operator *op, double *bound);

/* The singular components: connected sets of FLUID cells that no OPEN cell and no shift anchors.
 *
 * Their cells are given as runs along x: first cell (flat index), length and component (from 0) of each. *runs and *components
 * are their numbers; at most `capacity` runs are written (first NULL: none), so that a first call with 0 asks for the size.
 * components[0] is their number, components[1] that of all connected components.
 */
DCG_API int dcg_components(const dcg_operator *op, int64_t capacity, int64_t *first, int64_t *length_and_component, int64_t *runs,
                           int64_t components[2]);

/* Takes the mean of every component off v; *removed becomes the 2-norm of what was taken. sizes: cells of each component. */
DCG_API int dcg_project(int64_t runs, const int64_t *first, const int64_t *length_and_component, const int64_t *sizes,
                        int64_t components, double *v, double *removed);

/* The learned weights (deepcg/multigrid/reference/network.py defines them and proves that any within these bounds keep the network SPD). */
typedef struct {
  int32_t sweeps[DCG_LEVELS];          /* per level from the finest, 1..DCG_SWEEPS; the last holds for all below */
  float omega[2][DCG_SWEEPS][2];       /* relaxation on the finest and on coarser levels, by sweep and colour, in (0, 3/2) */
  float codebook[DCG_CODES];           /* factors of it for the finest level's cell codes, in (3/4, 5/4) */
  int32_t local;                       /* 0: the function below is constant, and all its factors 1 */
  float hidden_weight[DCG_HIDDEN][DCG_FEATURES], hidden_bias[DCG_HIDDEN];
  float output_weight[DCG_OUTPUTS][DCG_HIDDEN], output_bias[DCG_OUTPUTS];
} dcg_weights;

typedef struct dcg_multilevel dcg_multilevel;

/* Set-up. threads = 0: as many as OpenMP would take. *handle belongs to the caller; dcg_multilevel_update reuses its memory
 * for another operator of any shape. The operator's arrays must stay valid and unchanged as long as the handle serves it. */
DCG_API int dcg_multilevel_create(const dcg_operator *op, const dcg_weights *weights, int32_t threads, dcg_multilevel **handle);
DCG_API int dcg_multilevel_update(dcg_multilevel *handle, const dcg_operator *op);
DCG_API void dcg_multilevel_destroy(dcg_multilevel *handle);

/* The memory of destroyed handles is kept for the next ones, up to 1 GiB; this gives it back to the system. */
DCG_API int dcg_release_memory(void);

/* One rank's part of a grid that planes cut into boxes, and what the kernels need of a message-passing library.
 *
 * The functions return 0 or the caller's own error code, which ends the call with DCG_INTERNAL. All but `unlink` are collective, and
 * they are called by the thread that called the kernels only. An array of T is one of `bytes` = sizeof(T) = 1, 4 or 8 bytes an element. */
typedef struct {
  int32_t ranks[3];          /* along z, y, x; rank number = (z * ranks[1] + y) * ranks[2] + x, as PETSc's DMDA numbers them */
  int32_t place[3];          /* this rank's */
  const int64_t *starts[3];  /* first cell of each slab of ranks, ascending; ranks[a] + 1 values, the last one the size of the grid */
  int64_t gather;            /* levels of at most so many cells live on rank 0; 0: 32768 */
  void *context;             /* handed to the functions below */

  /* A star forest: place leaf[m] of an array here is a copy of place root[m] of an array of rank owner[m], another one, for m < n. `size`:
   * places of the arrays that have the roots here. A root may have any number of leaves, also several on one rank. */
  int (*link)(void *context, int64_t size, int64_t n, const int64_t *leaf, const int32_t *owner, const int64_t *root, void **links);
  int (*unlink)(void *context, void *links);
  int (*spread)(void *context, void *links, int32_t bytes, const void *roots, void *leaves); /* leaves = roots; may be one array */
  int (*add)(void *context, void *links, const float *leaves, float *roots);                 /* roots += leaves */
  int (*sum)(void *context, int64_t n, double *values);                                      /* each over all ranks, in place */
} dcg_ranks;

/* As dcg_multilevel_create, for this rank's cells of an operator that is spread over ranks: shape, cells, weights (faces on both
 * sides of the cells) and shift are those of its box; unit, periodic and open refer to the whole grid. The network is that of one rank
 * to rounding. A level of which some rank would have no cells, or with a cut periodic axis of odd length, lives on rank 0 whatever its size.
 * Functions of such a handle are collective but for _info, and their vectors run over the rank's own cells; dcg_multilevel_update
 * takes operators of the same shape only. *ranks and what it points to may go, the context must stay. */
DCG_API int dcg_multilevel_create_on_ranks(const dcg_operator *op, const dcg_weights *weights, int32_t threads, const dcg_ranks *ranks,
                                           dcg_multilevel **handle);

/* z = M r, over all cells; what r holds outside FLUID does not count. */
DCG_API int dcg_multilevel_apply(dcg_multilevel *handle, const double *r, double *z);

/* Preconditioned conjugate gradients on A e = r, x += e.
 *
 * x, r       over all cells, updated in place: r follows by recurrence, and is the caller's to check
 * target     stops at ||r||_2 <= target
 * history    maxiter values: ||r||_2 after each iteration
 * steps      2 maxiter values: alpha and beta of each iteration
 * result     0 target reached; 1 maxiter; 2 the direction lost positive curvature or slope (x and r are those before it)
 */
DCG_API int dcg_multilevel_cg(dcg_multilevel *handle, double *x, double *r, double target, int64_t maxiter, double *history,
                              double *steps, int64_t *iterations, int32_t *result);

/* Conjugate directions over a window on A e = r, x += e (Kaneda et al. 2023, algorithm 1): as dcg_multilevel_cg, but each direction is
 * made A-orthogonal to the last `window` ones; beta is the coefficient of the latest. Holds 8 bytes a cell and direction meanwhile. */
DCG_API int dcg_multilevel_directions(dcg_multilevel *handle, int32_t window, double *x, double *r, double target, int64_t maxiter,
                                      double *history, double *steps, int64_t *iterations, int32_t *result);

/* What a handle holds: number of levels, bytes allocated, and per level (at most `capacity` of them) the cells along each
 * axis, the unknowns and the extra unknowns, five values a level. name: the row kernels in use. */
DCG_API int dcg_multilevel_info(const dcg_multilevel *handle, int32_t *levels, int64_t *bytes, int32_t capacity, int64_t *per_level,
                                const char **name);

/* Some vector of a level, for tests: what = 0 diagonal, 1 relax, 2..4 weight z y x, 5..10 keep, 11..16 toward (axis-major,
 * low then high); values over the level's cells, then its extra unknowns. */
DCG_API int dcg_multilevel_vector(const dcg_multilevel *handle, int32_t level, int32_t what, float *values);

/* ---- a problem read from a matrix -------------------------------------------------------------------------------- */

enum dcg_row { DCG_ROW_UNKNOWN = 0, DCG_ROW_DIAGONAL = 1, DCG_ROW_EMPTY = 2, DCG_ROW_NONE = 3 };

/* The rows of a sparse matrix that one process holds, as PETSc keeps them: compressed rows, in one block of columns whose numbers
 * are those of the process's own rows (from 0), and one of all others. The process's rows belong to cells of a box of the grid. */
typedef struct {
  int64_t shape[3];            /* nz, ny, nx of the whole grid */
  int64_t first[3], count[3];  /* the box: its first cell, its cells along each axis */
  int64_t rows, first_row;     /* number of rows; the number that messages give to the first */
  const int64_t *cell;         /* each row's cell as a flat index into the box; NULL: row i is cell i */
  int32_t index_bytes;         /* of start and column: 4 or 8 */
  const void *start[2], *column[2]; /* the second block may be NULL */
  const double *value[2];
  const int64_t *ghost;        /* of each column of the second block: its cell, a flat index into the whole grid */
  int (*sum)(void *context, int64_t n, double *values); /* over all processes, 0 or an error; NULL: there is only this one */
  void *context;
  double alike;                /* weights that differ relatively by no more are taken for one; 0: 1e-9 */
} dcg_matrix;

typedef struct {
  double sign;                 /* the operator is sign * A */
  double unit;                 /* as in dcg_operator, then without weights and shift; 0: not all faces are alike */
  int32_t periodic, open;      /* as in dcg_operator */
  int32_t shifted;             /* whether there is a shift */
  int64_t unknowns, diagonal, empty; /* rows of each kind, all processes' */
  int64_t dropped;             /* couplings to rows that are diagonal only */
} dcg_matrix_found;

/* What one pass over a matrix's rows tells the reading after it, and a matrix with the same columns after that. The caller's. */
typedef struct dcg_rows dcg_rows;

DCG_API int dcg_rows_create(dcg_rows **rows);
DCG_API void dcg_rows_destroy(dcg_rows *rows);

/* What the rows are: coupled to others, diagonal only, or zero. kinds: the box's cells with a layer of ghosts,
 * (nz + 2) (ny + 2) (nx + 2) bytes. The ghosts are NONE, or the cells of the other end where the box is the whole grid along an axis;
 * a caller with several processes copies the others' cells into them before dcg_matrix_read.
 *
 * same_columns  nonzero: start, column, cell, ghost and the sizes hold what they held at the last call with these `rows` */
DCG_API int dcg_matrix_kinds(const dcg_matrix *matrix, dcg_rows *rows, int32_t same_columns, uint8_t *kinds);

/* The operator behind a 5- or 7-point matrix of either sign; deepcg/problem/from_matrix/reader.py has the rules.
 *
 * rows      as dcg_matrix_kinds left them for this matrix; a second reading needs that call again
 * rounding  differences up to this fraction of the diagonal count as none
 * cells     the box's: FLUID where the row is coupled, OPEN beside a row whose diagonal (or one-sided coupling) says so, else SOLID
 * weights   the box's faces, n+1 along their own axis; not all NULL-able: along an axis of one cell too
 * shift     the box's
 *
 * What a diagonal has beyond its couplings, and beyond what rows with all neighbours have, lies in open faces to the neighbours that
 * it lacks; the rest is shift. Collective where there are several processes: it fails on all of them. */
DCG_API int dcg_matrix_read(const dcg_matrix *matrix, dcg_rows *rows, const uint8_t *kinds, double rounding,
                            uint8_t *cells, double *const weights[3], double *shift, dcg_matrix_found *found);

/* ---- model files ------------------------------------------------------------------------------------------------- */

typedef struct {
  char name[64], architecture[32], hash[20];
  int32_t dimension;
} dcg_model;

/* Reads a model file (a safetensors file with a description, see deepcg/io/model_file.py) and checks it against its own hash. Where the
 * architecture is not "multilevel", *model is filled and DCG_UNSUPPORTED returned. */
DCG_API int dcg_weights_read(const char *path, dcg_weights *weights, dcg_model *model);

/* A geometric multigrid cycle: no learned factors. */
DCG_API int dcg_weights_classical(dcg_weights *weights);

#ifdef __cplusplus
}
#endif
#endif
