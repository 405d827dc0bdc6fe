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

#define DCG_ABI_VERSION 8

enum dcg_error { DCG_OK = 0, DCG_INVALID_ARGUMENT = 1, DCG_OUT_OF_MEMORY = 2, DCG_INTERNAL = 3, DCG_UNSUPPORTED = 4, DCG_INCONSISTENT = 5 };

/* What a cell is. Faces between a FLUID cell and one that is not SOLID belong to the operator; the value in OPEN cells is 0. */
enum dcg_cell { DCG_FLUID = 0, DCG_SOLID = 1, DCG_OPEN = 2 };

/* The version this library was compiled with; a caller compares it with its own DCG_ABI_VERSION before anything else. */
DCG_API int dcg_abi_version(void);

/* What the last failing call of this thread was refused for. */
DCG_API const char *dcg_last_error(void);

/* *result = sum of a_i b_i, summed in an order that does not depend on the number of threads. */
DCG_API int dcg_dot(int64_t n, const double *a, const double *b, double *result);

/* y += alpha x */
DCG_API int dcg_axpy(int64_t n, double alpha, const double *x, double *y);

/* ---- the multilevel network: a symmetric positive (semi-)definite approximation of the inverse ------------------- */

enum { DCG_LEVELS = 8, DCG_SWEEPS = 4, DCG_STENCIL_TYPES = 16, DCG_FEATURES = 5, DCG_HIDDEN = 8, DCG_OUTPUTS = 3 };

/* Bounds of the learned parameters, exclusive. Any within them keep the network SPD: the relaxation factor of a pass stays below
 * DCG_OMEGA_BELOW (1 + DCG_FACTOR_SPREAD) = 15/8 < 2. */
#define DCG_ROUGH 10.0f         /* dcg_parameters.rough, unless it is said otherwise */
#define DCG_OMEGA_BELOW 1.5f    /* relaxation is above 0 and below this */
#define DCG_FACTOR_SPREAD 0.25f /* factors of relaxation and of edges are within this of 1: in (3/4, 5/4) */
#define DCG_ODDS_SPREAD 0.5f    /* factors of the odds of interpolating from the parent's neighbour likewise: in (1/2, 3/2) */

/* The operator. A 2-D grid (ny, nx) is given as (ny, 1, nx). */
typedef struct {
  int64_t shape[3];        /* nz, ny, nx */
  const uint8_t *cells;    /* nz*ny*nx of enum dcg_cell */
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

/* Face weights beta * area / distance, beta the harmonic mean of a coefficient per cell (deepcg/problem/face_weights.py has the rules).
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

/* The singular components: connected sets of FLUID cells that touch no OPEN cell and have no shift. A vanishes on their constants.
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

/* The learned parameters (deepcg/multigrid/reference/network.py defines them and proves that any within these bounds keep the network SPD). */
typedef struct {
  int32_t sweeps[DCG_LEVELS];          /* per level from the finest, 1..DCG_SWEEPS; the last holds for all below */
  float omega[2][DCG_SWEEPS][2];       /* relaxation on the finest and on coarser levels, by sweep and colour, in (0, DCG_OMEGA_BELOW) */
  float relaxation_table[DCG_STENCIL_TYPES];           /* factors of it by the finest level's stencil types, within DCG_FACTOR_SPREAD of 1 */
  float rough;                         /* where weights on opposite faces of a cell differ by more than this factor, levels below the finest are sparse */
  int32_t local;                       /* 0: the function below is constant, and all its factors 1 */
  float hidden_weight[DCG_HIDDEN][DCG_FEATURES], hidden_bias[DCG_HIDDEN];
  float output_weight[DCG_OUTPUTS][DCG_HIDDEN], output_bias[DCG_OUTPUTS];
} dcg_parameters;

typedef struct dcg_multilevel dcg_multilevel;

/* Set-up. threads = 0: as many as OpenMP would take. *handle belongs to the caller; dcg_multilevel_update reuses its memory
 * for another operator of any shape. The operator's arrays must stay valid and unchanged as long as the handle serves it. */
DCG_API int dcg_multilevel_create(const dcg_operator *op, const dcg_parameters *parameters, int32_t threads, dcg_multilevel **handle);
DCG_API int dcg_multilevel_update(dcg_multilevel *handle, const dcg_operator *op);
DCG_API void dcg_multilevel_destroy(dcg_multilevel *handle);

/* The memory of destroyed handles is kept for the next ones, up to 1 GiB; this gives it back to the system. */
DCG_API int dcg_release_memory(void);

/* One rank's part of a grid that planes cut into boxes, and what the kernels need of a message-passing library.
 *
 * The functions return 0 or the caller's own error code, which ends the call with DCG_INTERNAL. All but `destroy` are collective, and
 * only the thread that called the kernels calls them. An array of T is one of `bytes` = sizeof(T) = 1, 4 or 8 bytes an element. */
typedef struct {
  int32_t ranks[3];          /* along z, y, x; rank number = (z * ranks[1] + y) * ranks[2] + x, as PETSc's DMDA numbers them */
  int32_t place[3];          /* this rank's */
  const int64_t *starts[3];  /* first cell of each slab of ranks, ascending; ranks[a] + 1 values, the last one the size of the grid */
  int64_t gather;            /* levels of at most so many cells live on rank 0; 0: 32768 */
  void *context;             /* handed to the functions below */

  /* A star forest, as PETSc's PetscSF: for m < n, entry leaf[m] of an array here is a copy of entry root[m] of an array of another rank,
   * owner[m]. size: of the arrays here whose entries are roots. A root may have any number of leaves, also several on one rank. */
  int (*create)(void *context, int64_t size, int64_t n, const int64_t *leaf, const int32_t *owner, const int64_t *root, void **halo);
  int (*destroy)(void *context, void *halo);
  int (*broadcast)(void *context, void *halo, int32_t bytes, const void *roots, void *leaves); /* leaves = roots; may be one array */
  int (*reduce)(void *context, void *halo, const float *leaves, float *roots);                 /* roots += leaves */
  int (*allreduce)(void *context, int64_t n, double *values);                                  /* sums over all ranks, in place */
} dcg_ranks;

/* As dcg_multilevel_create, for this rank's cells of an operator that is spread over ranks: shape, cells, weights (faces on both
 * sides of the cells) and shift are those of its box; unit, periodic and open refer to the whole grid. The network is that of one rank
 * to rounding. A level of which some rank would have no cells, or with a cut periodic axis of odd length, lives on rank 0 whatever its size.
 * Functions of such a handle are collective but for _info, and their vectors run over the rank's own cells; dcg_multilevel_update
 * takes operators of the same shape only. *ranks and what it points to may go, the context must stay. */
DCG_API int dcg_multilevel_create_on_ranks(const dcg_operator *op, const dcg_parameters *parameters, int32_t threads, const dcg_ranks *ranks,
                                           dcg_multilevel **handle);

/* z = M r, over all cells; what r holds outside FLUID does not count. */
DCG_API int dcg_multilevel_apply(dcg_multilevel *handle, const double *r, double *z);

/* Preconditioned conjugate gradients on A e = r, x += e.
 *
 * x, r       over all cells, updated in place: r follows by recurrence, and is the caller's to check
 * target     stops at ||r||_2 <= target
 * history    maxiter values: ||r||_2 after each iteration
 * steps      2 maxiter values: alpha and beta of each iteration
 * result     enum dcg_cg_result
 */
enum dcg_cg_result {
  DCG_CG_CONVERGED = 0, /* target reached */
  DCG_CG_MAXITER = 1,
  DCG_CG_BREAKDOWN = 2 /* the direction lost positive curvature or slope; x and r are those before it */
};
DCG_API int dcg_multilevel_cg(dcg_multilevel *handle, double *x, double *r, double target, int64_t maxiter, double *history,
                              double *steps, int64_t *iterations, int32_t *result);

/* Truncated flexible conjugate gradients, FCG(window) (Notay 2000; the conjugate directions of Kaneda et al. 2023, algorithm 1), on A e = r,
 * x += e: as dcg_multilevel_cg, but each direction is made A-orthogonal to the last `window` ones; beta is the coefficient of the latest.
 * Holds 8 bytes a cell and direction meanwhile. */
DCG_API int dcg_multilevel_directions(dcg_multilevel *handle, int32_t window, double *x, double *r, double target, int64_t maxiter,
                                      double *history, double *steps, int64_t *iterations, int32_t *result);

/* What a handle holds: number of levels, bytes allocated, and per level (at most `capacity` of them) the cells along each
 * axis, the unknowns and the secondary ones among them, five values a level. name: the row kernels in use. */
DCG_API int dcg_multilevel_info(const dcg_multilevel *handle, int32_t *levels, int64_t *bytes, int32_t capacity, int64_t *per_level,
                                const char **name);

/* The vectors of a level. Weights are of the face above a cell, z y x; what interpolation takes of the parent and of the parent's
 * neighbour is axis-major, low half then high half. */
enum dcg_level_vector {
  DCG_LEVEL_DIAGONAL = 0,
  DCG_LEVEL_OMEGA_DINV = 1,
  DCG_LEVEL_WEIGHT = 2,            /* 3 of them */
  DCG_LEVEL_INTERP_PARENT = 5,     /* 6 */
  DCG_LEVEL_INTERP_NEIGHBOUR = 11, /* 6 */
  DCG_LEVEL_VECTORS = 17
};

/* Some vector of a level, for tests: what = enum dcg_level_vector; values over the level's cells, then its secondary unknowns. */
DCG_API int dcg_multilevel_vector(const dcg_multilevel *handle, int32_t level, int32_t what, float *values);

/* A sparse level, which a handle has below a grid of rough coefficients: its rows (A x)_u = sum of weight (x_u - x_neighbour) + slack x_u. The arrays
 * are the handle's, until it is updated or destroyed. */
typedef struct {
  int64_t unknowns;
  int32_t visits;          /* in one visit of the level above */
  const int64_t *cell;     /* of each unknown, z-major */
  const int64_t *start;    /* of each row's entries; unknowns + 1 values */
  const int32_t *neighbour;
  const float *weight, *slack;
} dcg_sparse_level;
DCG_API int dcg_multilevel_sparse_level(const dcg_multilevel *handle, int32_t level, dcg_sparse_level *out);

/* The unknown of the next level, a sparse one, that each cell of the finest level or each unknown of a sparse one belongs to; -1 where none. */
DCG_API int dcg_multilevel_parents(const dcg_multilevel *handle, int32_t level, int32_t *parents);

/* ---- Krylov iterations around any preconditioner ------------------------------------------------------------------ */

/* Why a solve ended. */
enum dcg_reason {
  DCG_ITERATING = -1,
  DCG_CONVERGED = 0,
  DCG_ATTAINABLE = 1, /* rounding forbids a smaller residual */
  DCG_MAXITER = 2,
  DCG_BREAKDOWN = 3,  /* a direction of non-positive curvature: A is not positive definite */
  DCG_STOPPED = 4,    /* by the caller's `judge` or `observe` */
  DCG_STALLED = 5     /* the last method of the chain gave up */
};

/* Its text in English, "" for DCG_ITERATING and unknown numbers. */
DCG_API const char *dcg_reason_text(int32_t reason);

enum {
  DCG_CHECK_EVERY = 50,  /* iterations between evaluations of b - A x */
  DCG_WINDOW = 32,       /* of FCG(m) by default; the paper keeps 2. Beside an evaluation of its network more cost little, and save iterations */
  DCG_PATIENCE = 3,      /* poor directions in a row after which a method gives up */
  DCG_MOST_FAILURES = 10, /* poor directions in all, likewise */
  DCG_STALL = 30,        /* iterations in which the residual must halve, or FCG(m) gives up */
  DCG_FURTHER = 200      /* iterations that a method's rate over the last DCG_STALL ones may promise; with more it is left for a fallback */
};
#define DCG_DISAGREEMENT 0.1      /* of b - A x by which the recurrence may be off before its directions are forgotten */
#define DCG_DECREASE 0.05         /* of the decrease that Jacobi's direction promises: less is a poor direction */
#define DCG_ALIGNMENT 1e-12       /* of the cosine between r and M r: less is a poor direction */
#define DCG_ROUNDING 1.1102230246251565e-16 /* eps / 2: b - A x of at most this times || |A| |x| + |b| ||_2 is rounding */
#define DCG_CONSISTENT 1e-12      /* of ||b||: what rounding leaves of b outside the range of a singular A */
#define DCG_WORST_GUESS 1e8       /* of ||b||: a guess that leaves more is dropped for 0, as rounding it leaves more than 1e-8 ||b|| */

/* What an iteration needs of A x = b. Vectors have n values; the functions return 0 or an error code, which ends the solve with DCG_INTERNAL.
 * A member is NULL where its comment says so, or where no method of the chain needs it. */
typedef struct {
  int64_t n;     /* values of a vector here: on several ranks, this rank's */
  void *context; /* handed to all functions */

  int (*product)(void *context, const double *x, double *y); /* y = A x */
  int (*residual)(void *context, const double *b, const double *x, double *r, double *norm); /* r = b - A x less its null-space part, ||r||_2 */
  int (*project)(void *context, double *v);                       /* takes the null space off v; NULL: there is none */
  int (*precondition)(void *context, const double *r, double *z); /* z = M r */

  /* An iteration that the preconditioner brings along, as dcg_multilevel_cg; for DCG_COMPILED. */
  int (*run)(void *context, double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations,
             int32_t *result);

  int (*sum)(void *context, int64_t n, double *values);                 /* each over all ranks, in place; NULL: there is one rank */
  int (*keep)(void *context, int32_t back); /* where vectors are not in the host's memory: 0: keeps a copy of x; 1: x becomes that; else NULL */
  int (*measure)(void *context, const double *r, double *norm);         /* the norm of r that is judged and recorded; NULL: ||r||_2 */
  int (*judge)(void *context, int64_t iteration, double norm, int32_t *verdict); /* 1: small enough, -1: stop, 0: go on; NULL: by `target` */
  int (*observe)(void *context, int64_t iteration, double norm, const double *x, int32_t *stop); /* from iteration 0 on; or NULL */

  /* Called when they are needed first. */
  int (*inverse_diagonal)(void *context, const double **values); /* of A, for Jacobi's direction; NULL: 1 */
  int (*magnitude)(void *context, const double *b, const double *x, double *norm); /* || |A| |x| + |b| ||_2; NULL: by product and the
                                                                   * diagonal, for off-diagonals <= 0; not known where vectors are elsewhere */

  /* For DCG_FALLBACK_CG: from here on `precondition` is the next one of the caller's fallbacks. *there becomes 0 where that cannot be had;
   * `precondition` then stays what it was, and the chain goes on. On several ranks all say the same. */
  int (*fall_back)(void *context, int32_t *there);
} dcg_system;

/* An iteration that gives up leaves the solve to the next one of its chain.
 *
 * One that is merely slow gives up too, where a fallback is to come: where its rate over DCG_STALL iterations promises more than DCG_FURTHER further
 * ones, and the residual is more than rounding. The chain then goes on with the next fallback; where none of them can be had, the slow iteration
 * goes on itself. */
enum dcg_method {
  DCG_COMPILED = 1,  /* `run`, DCG_CHECK_EVERY iterations at a time; gives up where these do not halve the residual */
  DCG_CG = 2,        /* M linear, symmetric positive definite */
  DCG_FLEXIBLE_CG = 3, /* M nearly so (Golub and Ye 1999) */
  DCG_FCG = 4,       /* FCG(window): M may be anything */
  DCG_JACOBI_CG = 5, /* never gives up; its iterations count as fallbacks */
  DCG_FALLBACK_CG = 6 /* DCG_FLEXIBLE_CG around the next fallback of `fall_back`; its iterations count as fallbacks */
};
enum { DCG_CHAIN = 6 };

typedef struct {
  int32_t chain[DCG_CHAIN]; /* enum dcg_method, in order; 0 ends it */
  int32_t window;           /* of DCG_FCG: earlier directions that each new one is made A-orthogonal to; negative: all */
  int32_t from_zero;        /* x is 0, so that b is its residual */
  int32_t threads;          /* 0: as many as OpenMP would take */
  int32_t followed;         /* nonzero: where this chain gives up, the caller goes on with a fallback of its own */
  int64_t maxiter;          /* of all methods together */
  double rtol, atol;        /* converged: ||b - A x||_2 <= max(rtol norm, atol) */
  double norm;              /* ||b||_2; negative: the residual of the guess */
  double worst_guess;       /* x is set to 0 where its residual is larger than this times norm; 0: never */
} dcg_krylov_options;

typedef struct {
  int32_t reason; /* enum dcg_reason */
  int64_t iterations;
  int64_t fallbacks; /* iterations whose direction was Jacobi's or a fallback's instead of M r */
  int64_t done[DCG_CHAIN]; /* iterations by each entry of the chain */
  int64_t restarts;  /* how often the recurrence had lost b - A x */
  double condition;  /* of M A, as Lanczos sees it through CG's coefficients; 0: not known, or a fallback came */
  int64_t count;     /* iterations + 1 */
  const double *residuals; /* of the initial guess, then after each iteration */
} dcg_report;

/* Solves A x = b. r: n values of the caller's for the residual, or NULL. *report is the caller's, to be destroyed. */
DCG_API int dcg_krylov(const dcg_system *system, const dcg_krylov_options *options, const double *b, double *x, double *r, dcg_report **report);
DCG_API void dcg_report_destroy(dcg_report *report);

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
  int64_t ghosts;              /* how many columns the second block has */
  const int64_t *ghost;        /* of each of them: its cell, a flat index into the whole grid */
  int (*sum)(void *context, int64_t n, double *values); /* over all processes, 0 or an error; NULL: there is only this one */
  void *context;
  double rounding;             /* of the entries, relative: 6e-8 of numbers from single precision. 0: they are double precision's */
  const uint8_t *cells;        /* the box's cells where the caller knows them: rows of cells that are not FLUID must be diagonal only, and
                                * a diagonal says nothing of faces to SOLID cells; NULL: nothing is known */
  int32_t dim;                 /* 2: messages name a cell by (y, x); 0 or 3: by (z, y, x) */
  int32_t keep_uncoupled;      /* nonzero, with one process only: zero rows of FLUID cells are unknowns, singular components of their own;
                                * where there is no unknown then, all rows of FLUID cells are */
} dcg_matrix;

typedef struct {
  double sign;                 /* the operator is sign * A */
  double unit;                 /* as in dcg_operator, then without weights and shift; 0: faces have weights of their own */
  int32_t periodic, open;      /* as in dcg_operator */
  int32_t shifted;             /* whether there is a shift */
  int64_t unknowns, diagonal, empty; /* rows of each kind, all processes' */
  int64_t dropped;             /* couplings to rows that are diagonal only */
} dcg_matrix_result;

/* What the pass over a matrix's entries keeps for dcg_matrix_read, and for the next matrix with the same columns. The caller's. */
typedef struct dcg_matrix_scan dcg_matrix_scan;

DCG_API int dcg_matrix_scan_create(dcg_matrix_scan **scan);
DCG_API void dcg_matrix_scan_destroy(dcg_matrix_scan *scan);

/* The kinds of the rows: coupled to others, diagonal only, or zero. kinds: the box's cells with a layer of ghosts,
 * (nz + 2) (ny + 2) (nx + 2) bytes. The ghosts are NONE, or the cells of the other end where the box is the whole grid along an axis;
 * a caller with several processes copies the others' cells into them before dcg_matrix_read.
 *
 * same_columns  nonzero: start, column, cell, ghost and the sizes hold what they held at the last call with this scan
 *
 * Starts that do not ascend, columns and cells that do not exist are refused with the row. */
DCG_API int dcg_matrix_scan_rows(const dcg_matrix *matrix, dcg_matrix_scan *scan, int32_t same_columns, uint8_t *kinds);

/* The operator behind a 5- or 7-point matrix of either sign.
 *
 * A row is a cell's. Off-diagonals are minus the face weights, and must be symmetric. A row that is diagonal only is no unknown: couplings
 * to it are faces to an OPEN cell. An axis is periodic where a weight joins its two ends; one of two cells has both faces in one weight.
 * The diagonal may exceed the sum of a row's couplings. The excess that rows with all neighbours have in common is shift. The rest
 * lies in open faces where neighbours are missing, and is shift elsewhere. The diagonal may fall short of that sum too; the shift is then negative,
 * and whether the matrix is definite is for the iteration to find. Any other matrix is refused with the row and the reason.
 *
 * Sums of rows are evaluated without rounding, and kept however small they are, up to what the rounding of the entries explains.
 *
 * scan      as dcg_matrix_scan_rows left it for this matrix; a second reading needs that call again
 * cells     the box's: FLUID unknowns, OPEN beside an open face, else as matrix->cells has it; SOLID where that says FLUID or is NULL
 * weights   the box's faces, n+1 along their own axis. None may be NULL, even for an axis of one cell. Undefined where unit > 0
 * shift     the box's; undefined where unit > 0
 *
 * Collective where there are several processes: it fails on all of them. */
DCG_API int dcg_matrix_read(const dcg_matrix *matrix, dcg_matrix_scan *scan, const uint8_t *kinds, uint8_t *cells,
                            double *const weights[3], double *shift, dcg_matrix_result *result);

/* ---- model files ------------------------------------------------------------------------------------------------- */

enum { DCG_MODEL_FORMAT = 2 }; /* that is written; in format 1 the relaxation table was called codebook */

typedef struct {
  char name[64], architecture[32], hash[20];
  int32_t dimension;
  int32_t format; /* of the file, up to DCG_MODEL_FORMAT; 0: not from a file */
} dcg_model;

/* Reads a model file (a safetensors file with a description, see deepcg/io/model_file.py) and checks it against its own hash. Where the
 * architecture is not "multilevel", *model is filled and DCG_UNSUPPORTED returned. */
DCG_API int dcg_parameters_read(const char *path, dcg_parameters *parameters, dcg_model *model);

/* A geometric multigrid cycle: no learned factors. */
DCG_API int dcg_parameters_classical(dcg_parameters *parameters);

/* ---- a solver session: a matrix in, solutions out ----------------------------------------------------------------
 *
 * All that a program needs to solve its pressure equation A x = b, A the 5-point (2-D) or 7-point (3-D) matrix of a grid:
 *
 *     dcg_solver *s;
 *     dcg_solver_create(&s);
 *     dcg_solver_set_grid(s, 3, (int64_t[]){nz, ny, nx}, NULL);    the grid whose cells the rows of A are, x fastest
 *     dcg_solver_set_matrix(s, &A, 0);                             compressed rows, 32- or 64-bit indices
 *     dcg_solver_solve(s, b, x, &result);                          x: the guess before, the solution after
 *     dcg_solver_destroy(s);
 *
 * A must be symmetric and positive or negative (semi-)definite, with off-diagonals of one sign. Boundary conditions, holes, coefficients and the
 * null space are read from its entries; a matrix that is no such one is refused with the row and the reason. Every function returns 0 or a
 * dcg_error, whose text is dcg_last_error(). One session serves one thread at a time. Functions that a solve calls may read its
 * session, not change it: they are refused. integrations/c has a program.
 *
 * Rows. A row that couples to others is an unknown. A row that is diagonal only is solved on its own, x_i = b_i / a_ii, and what other rows have of
 * it moves to the right-hand side. A row that is zero is left out: its b does not count and its x is 0.
 *
 * Vectors run over the rows, in the order of the rows. With dcg_solver_set_operator they run over the cells. */
typedef struct dcg_solver dcg_solver;

DCG_API int dcg_solver_create(dcg_solver **solver);
/* Within a callback of its own solve, the session goes when the solve ends; the result's residuals are then NULL. */
DCG_API void dcg_solver_destroy(dcg_solver *solver);

/* Options, by name, as text. rounding, scaling and keep_uncoupled count from the next matrix on, all others from the next solve on.
 *
 *   model          auto: the shipped network of the grid's dimension; multigrid: the same cycle without learned factors; jacobi; none;
 *                  the name of a shipped model; or a model file                                                                  (auto)
 *   models         the folder of the shipped models              (models/ beside the library, or ../share/deepcg/models from there)
 *   method         cg: conjugate gradients; dcd: truncated flexible conjugate gradients; auto: cg                               (auto)
 *   window         of dcd: how many earlier directions each new one is made A-orthogonal to; all                                 (32)
 *   rtol, atol     converged means ||b - A x||_2 <= max(rtol ||b||_2, atol), evaluated, not by recurrence                   (1e-6, 0)
 *   maxiter        most iterations of a solve; 0: only judge the guess; default: ten for every unknown                      (default)
 *   inconsistent   of a singular A, a b outside its range: project: solve for its part inside; error: refuse                (project)
 *   threads        OpenMP threads; 0: as many as OpenMP would take                                                                (0)
 *   rounding       relative rounding of the matrix's entries; rows whose sums it explains may be those of a singular matrix        (0)
 *   scaling        1: on one process, a matrix that becomes symmetric, or closer to dominant, by a diagonal scaling is solved in its scaled form;
 *                  residuals stay those of the matrix that was given. 0: the former is refused                                    (1)
 *   fallback       what goes on where the preconditioner breaks down, stalls or is slow (see dcg_method). auto: the cycle without learned factors,
 *                  where the preconditioner is another one; then that of dcg_solver_set_fallback; then jacobi. For the models jacobi and none: jacobi.
 *                  multigrid: that cycle, then jacobi. amg: that of dcg_solver_set_fallback, then jacobi. jacobi: conjugate gradients with Jacobi,
 *                  where the preconditioner gave up. none: the solve ends there                                                (auto)
 *   keep_uncoupled 1: zero rows of FLUID cells are unknowns, each a singular component of its own; where no row couples to another, all
 *                  rows of FLUID cells are unknowns. For one process                                                             (0)
 *   gather         on several ranks: levels of at most so many cells live on one of them; 0: 32768                                 (0)
 *   source         what dcg_solver_view says the grid is from */
DCG_API int dcg_solver_set_option(dcg_solver *solver, const char *name, const char *value);

/* The grid whose cells the rows are. Set it once, before the first matrix.
 *
 * shape   the numbers of cells, the slowest axis of the rows' order first: nz, ny, nx; ny, nx; or nx
 * cells   NULL: there is a row for every cell. Else an enum dcg_cell for every cell: the rows are then those of the FLUID cells,
 *         or of all cells, where those of the others are diagonal only */
DCG_API int dcg_solver_set_grid(dcg_solver *solver, int32_t dim, const int64_t *shape, const uint8_t *cells);

/* The same by the centres of the rows' cells, dim values (x, y, z) of one row after the other, rows in any order. The cells of the rectilinear
 * grid through them that have no row are walls. For one process. */
DCG_API int dcg_solver_set_coordinates(dcg_solver *solver, int32_t dim, int64_t rows, const double *centres);

/* The processes among which planes cut the grid into boxes (see dcg_ranks), and their messages; NULL: there is only this one. Each has the rows of
 * its box's cells, x fastest, and rows are numbered by ranks: those of rank 0 first. All functions but set_option, set_grid, set_coordinates
 * and destroy are then collective. *ranks and what it points to may go, the context must stay. */
DCG_API int dcg_solver_set_ranks(dcg_solver *solver, const dcg_ranks *ranks);

/* A matrix by compressed rows.
 *
 * Block 0 holds the columns of this process's own rows, numbered from 0: the entries of row i are value[0][e] in column[0][e], for e from
 * start[0][i] to start[0][i + 1] - 1, in any order. A program on one process fills in rows, index_bytes and block 0, and leaves the rest 0.
 *
 * Block 1, on several ranks, holds the entries in other ranks' columns. They are numbered from 0 too, in any order: column c belongs to row
 * ghost[c] of the whole matrix. */
typedef struct {
  int64_t rows;       /* of this process */
  int32_t index_bytes; /* of start, column and ghost: 4 (int32_t) or 8 (int64_t) */
  const void *start[2], *column[2];
  const double *value[2];
  int64_t ghosts;     /* how many columns block 1 has */
  const void *ghost;
} dcg_csr;

/* The matrix. It is read once; the arrays are the caller's again afterwards. After a refusal the session has no matrix.
 *
 * same_pattern   nonzero: only values differ from the last matrix, so that columns are not looked at again */
DCG_API int dcg_solver_set_matrix(dcg_solver *solver, const dcg_csr *matrix, int32_t same_pattern);

/* Instead of grid and matrix, an operator over cells. Its arrays must stay valid and unchanged as long as it is served. */
DCG_API int dcg_solver_set_operator(dcg_solver *solver, const dcg_operator *op);

/* Instead, the matrix or operator that another session has, as that one read it; both on one process. */
DCG_API int dcg_solver_share(dcg_solver *solver, dcg_solver *other);

/* A preconditioner of the caller's own, instead of a model. Vectors run over cells and are 0 where there is no unknown; it serves facts.sign * A,
 * which is positive (semi-)definite (see dcg_solver_read). The functions return 0 or an error code, which ends the solve with DCG_INTERNAL. */
typedef struct {
  void *context; /* handed to the functions */
  int (*apply)(void *context, const double *r, double *z); /* z = M r */
  /* The iteration that `method` names, where M brings it along compiled: as dcg_multilevel_cg. NULL: none */
  int (*run)(void *context, double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations,
             int32_t *result);
  int32_t trusted; /* nonzero: linear, symmetric positive definite by construction. 0: cg takes the flexible beta */
} dcg_preconditioner;

/* NULL: the model again. The context must stay. */
DCG_API int dcg_solver_set_preconditioner(dcg_solver *solver, const dcg_preconditioner *preconditioner);

/* A preconditioner that takes over where the session's own fails: an algebraic multigrid, say. Vectors as dcg_preconditioner has them. M need not be
 * symmetric to the last digit: conjugate gradients take the flexible beta. */
typedef struct {
  void *context;                                           /* handed to the functions */
  const char *name;                                        /* what reports call it; the text must stay */
  int (*set_up)(void *context, int32_t *there);            /* before a solve applies it first; *there becomes 0 where it cannot be had */
  int (*apply)(void *context, const double *r, double *z); /* z = M r */
} dcg_fallback;

/* NULL: there is none. The context must stay. Of several processes all have one, or none has. */
DCG_API int dcg_solver_set_fallback(dcg_solver *solver, const dcg_fallback *fallback);

/* Sees the guess and x after every iteration, over rows; a nonzero *stop ends the solve. Compiled iterations are not taken then. Of several
 * processes some may have one: where one of them stops, all do. */
typedef struct {
  void *context;
  int (*observe)(void *context, int64_t iteration, double norm, const double *x, int32_t *stop);
} dcg_observer;

/* NULL: nobody. The context must stay. */
DCG_API int dcg_solver_set_observer(dcg_solver *solver, const dcg_observer *observer);

/* Builds the preconditioner for the matrix; what needs one does this itself, so that a program calls it only to see its time apart. */
DCG_API int dcg_solver_set_up(dcg_solver *solver);

/* A fallback, "jacobi" for Jacobi's, and the iterations that it did. */
typedef struct {
  const char *name;
  int64_t iterations;
} dcg_step;

/* What a solve reports. Texts, steps and residuals are the session's, until the next solve. */
typedef struct {
  int32_t reason;              /* enum dcg_reason; 0: converged */
  const char *text;            /* the same in words */
  int64_t iterations;
  int64_t fallbacks;           /* iterations along other directions than the preconditioner's: the steps', and Jacobi's in place of poor ones */
  const dcg_step *step;        /* the fallbacks that did iterations, in order */
  int64_t steps;               /* how many */
  const double *residuals;     /* ||b - A x||_2 of the guess and after every iteration: iterations + 1 values */
  double projected;            /* 2-norm of what was taken off b, for A is singular; else 0 */
  double condition;            /* of the preconditioned matrix, as cg's coefficients show it; 0: not known */
  double setup_seconds, solve_seconds;
} dcg_result;

/* Solves A x = b, where b is not x. x holds the guess: zeros where there is none. The function returns 0 (DCG_OK) where the iteration ended,
 * converged or not: result->reason says which. It returns DCG_INCONSISTENT where b has a part outside the range of A and the option
 * inconsistent is `error`. result may be NULL. Of a singular A, x has zero mean on every component. */
DCG_API int dcg_solver_solve(dcg_solver *solver, const double *b, double *x, dcg_result *result);

/* ---- the parts of a session, for programs that iterate themselves -------------------------------------------------- */

/* z = M r: one application of the preconditioner, which is symmetric and has the matrix's sign. Rows that are diagonal only: r_i / a_ii. */
DCG_API int dcg_solver_apply(dcg_solver *solver, const double *r, double *z);

/* The same by the cycle without learned factors, which is set up at the first call for a matrix: a fallback for other preconditioners. */
DCG_API int dcg_solver_apply_classical(dcg_solver *solver, const double *r, double *z);

/* The preconditioner's own iteration on A e = r, x += e: dcg_multilevel_cg where window is 1, else dcg_multilevel_directions. x and r run over rows;
 * on return r is undefined, and rows that are no unknowns are as they were in x. */
DCG_API int dcg_solver_iterate(dcg_solver *solver, int32_t window, double *x, double *r, double target, int64_t maxiter, double *history,
                               double *steps, int64_t *iterations, int32_t *result);

/* Takes off a vector over rows what no x can change in b - A x: the mean on every component on which A is singular, and the values in rows that are
 * zero.
 *
 * rows      NULL: there is only to count
 * count     of such components, and of such rows, of the whole matrix; may be NULL
 * removed   2-norm of what was taken; may be NULL
 *
 * Collective where there are several processes. */
DCG_API int dcg_solver_project(dcg_solver *solver, double *rows, int64_t *count, double *removed);

/* The model that the option names, for a grid of this dimension: fills *model and, if parameters is not NULL, *parameters. DCG_UNSUPPORTED where it runs
 * in Python only (*model is filled). */
DCG_API int dcg_solver_model(dcg_solver *solver, int32_t dim, dcg_parameters *parameters, dcg_model *model);

/* What was read from the matrix: facts, the operator over cells, and the rows that are no unknowns, those that are diagonal only first, with
 * 1 / a_ii for each of those. Pointers may be NULL; what they get is the session's, until the next matrix. */
typedef struct {
  dcg_matrix_result facts;
  dcg_operator op;             /* times facts.sign: R A C */
  const int64_t *cell;         /* each row's cell, a flat index; NULL: row i is cell i */
  int64_t diagonal, alone;     /* how many of this process's rows are diagonal only, and how many are no unknowns */
  const int64_t *row;
  const double *inverse;
  const double *row_scale, *column_scale; /* R and C by rows, where the operator is that of R A C; NULL: 1 */
  const double *widths[3];     /* of the cells along z, y, x, where coordinates were given; else NULL */
} dcg_read;
DCG_API int dcg_solver_read(const dcg_solver *solver, dcg_read *read);

/* Vectors over rows to vectors over cells, 0 where there is no unknown: a right-hand side of A x = b becomes that of the operator, with its sign and
 * without the rows that are diagonal only. A guess stays as it is. */
enum dcg_vector { DCG_RHS = 0, DCG_GUESS = 1 };
DCG_API int dcg_solver_to_cells(dcg_solver *solver, int32_t what, const double *rows, double *cells);

/* Vectors over cells to vectors over rows; rows that are no unknowns get their solution for b, or 0 where b is NULL. */
DCG_API int dcg_solver_from_cells(dcg_solver *solver, const double *cells, const double *b, double *rows);

/* Lines of text about model, grid, matrix, levels and memory, at most `size` bytes with the final 0. */
DCG_API int dcg_solver_view(dcg_solver *solver, char *text, int64_t size);

#ifdef __cplusplus
}
#endif
#endif
