// The row kernels for AVX2 and FMA; the generic ones again where there are none.

#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include <immintrin.h>
#define DCG_AVX2
#endif
#define DCG_ROWS kAvx2Rows
#define DCG_ROWS_NAME "avx2"
#include "cycle/row_kernels.inc"
