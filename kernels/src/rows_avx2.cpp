// The row kernels for AVX2 and FMA.

#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#endif
#define DCG_ROWS kAvx2Rows
#define DCG_ROWS_NAME "avx2"
#include "rows.inc"
