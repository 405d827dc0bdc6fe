/* The C ABI of deepcg's CUDA kernels: the multilevel network of deepcg.h on vectors that live on the GPU.
 *
 * Conventions are those of deepcg.h. Set-up runs on the host and is then copied; afterwards a whole solve stays on the device. Vectors
 * are device pointers to doubles over all cells, work goes to the given stream (a cudaStream_t; NULL: the default one), and
 * the current device is used: the one that was current at dcg_cuda_create.
 */
#ifndef DEEPCG_CUDA_H
#define DEEPCG_CUDA_H

#include "deepcg.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DCG_CUDA_ABI_VERSION 3

typedef struct dcg_cuda dcg_cuda;

DCG_API int dcg_cuda_abi_version(void);
DCG_API const char *dcg_cuda_last_error(void);

/* How many GPUs there are; 0 without a driver. */
DCG_API int dcg_cuda_devices(int32_t *count);

/* Set-up from the operator's arrays on the host; nothing of them is kept. threads: of the set-up, 0 = as many as OpenMP would take.
 * Up to 2^31 cells with their ghosts. */
DCG_API int dcg_cuda_create(const dcg_operator *op, const dcg_parameters *parameters, int32_t threads, dcg_cuda **handle);
DCG_API int dcg_cuda_update(dcg_cuda *handle, const dcg_operator *op);
DCG_API void dcg_cuda_destroy(dcg_cuda *handle);

/* z = M r. Returns before it is done. */
DCG_API int dcg_cuda_apply(dcg_cuda *handle, const double *r, double *z, void *stream);

/* As dcg_multilevel_cg: x and r on the device, history and steps on the host. Waits for the end. */
DCG_API int dcg_cuda_cg(dcg_cuda *handle, double *x, double *r, double target, int64_t maxiter, double *history, double *steps,
                        int64_t *iterations, int32_t *result, void *stream);

/* The singular components' cells, as dcg_components gives them; needed by the next function only, and anew after an update. */
DCG_API int dcg_cuda_set_components(dcg_cuda *handle, int64_t runs, const int64_t *first, const int64_t *length_and_component,
                                    int64_t components);

/* r = b - A x in difference form (x NULL: b), 0 outside FLUID, less the mean of every singular component. *norm = ||r||_2, *removed the
 * 2-norm of what was taken off. r may be b. Waits for the end. */
DCG_API int dcg_cuda_residual(dcg_cuda *handle, const double *b, const double *x, double *r, double *norm, double *removed,
                              void *stream);

/* || |A| |x| + |b| ||_2 over the unknowns: what rounding in x and b is measured by. Waits for the end. */
DCG_API int dcg_cuda_magnitude(dcg_cuda *handle, const double *b, const double *x, double *norm, void *stream);

/* What a handle holds: levels, how many of them one block serves, bytes on the device, the device's name (valid until destroy). */
DCG_API int dcg_cuda_info(const dcg_cuda *handle, int32_t *levels, int32_t *small, int64_t *bytes, const char **name);

enum { DCG_CUDA_COPY = 0, DCG_CUDA_SWEEP = 1, DCG_CUDA_CYCLE = 2 };

/* For benchmarks: seconds (the median of `repeats`) of a copy within the device's memory, of one sweep over the finest level, or of a whole
 * cycle; bytes: read and written at least, 0 for the cycle. */
DCG_API int dcg_cuda_time(dcg_cuda *handle, int32_t what, int32_t repeats, double *seconds, int64_t *bytes);

/* Device memory for vectors that come from the host, and copies either way: told apart by their addresses. The stream's work before
 * a copy is done after it. */
DCG_API int dcg_cuda_allocate(int64_t bytes, void **memory);
DCG_API void dcg_cuda_free(void *memory);
DCG_API int dcg_cuda_copy(void *to, const void *from, int64_t bytes, void *stream);

#ifdef __cplusplus
}
#endif
#endif
