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

#define DCG_ABI_VERSION 1

enum dcg_error { DCG_OK = 0, DCG_INVALID_ARGUMENT = 1, DCG_OUT_OF_MEMORY = 2, DCG_INTERNAL = 3 };

/* The version this library was compiled with; a caller compares it with its own DCG_ABI_VERSION before anything else. */
DCG_API int dcg_abi_version(void);

/* What the last failing call of this thread was refused for. */
DCG_API const char *dcg_last_error(void);

/* y = A x, the finite-volume stencil in difference form (deepcg/stencil.py has the formula).
 *
 * shape     nz, ny, nx; nz = 1 in 2-D (with weights_z all zero or NULL)
 * cells     nz*ny*nx bytes: 0 FLUID, 1 SOLID, 2 OPEN; y is 0 where not FLUID
 * weights_* face weights with n+1 entries on their own axis; NULL = no faces across that axis
 * shift     nz*ny*nx values added to the diagonal, or NULL
 * periodic  bit 0: z, bit 1: y, bit 2: x
 * threads   OpenMP threads; 0 = as many as OpenMP would take
 */
DCG_API int dcg_stencil_apply(const int64_t shape[3], const uint8_t *cells, const double *weights_z,
                              const double *weights_y, const double *weights_x, const double *shift, int32_t periodic,
                              const double *x, double *y, int32_t threads);

/* *result = sum of a_i b_i, summed in an order that does not depend on the number of threads. */
DCG_API int dcg_dot(int64_t n, const double *a, const double *b, double *result);

/* y += alpha x */
DCG_API int dcg_axpy(int64_t n, double alpha, const double *x, double *y);

#ifdef __cplusplus
}
#endif
#endif
