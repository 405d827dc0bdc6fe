// The row kernels for AVX2 and FMA; the generic ones again where there are none.

#if defined(__x86_64__)
#include <immintrin.h>

#include "cycle/row_kernels.hpp"
#define DCG_AVX2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#endif
#define DCG_ROWS kAvx2Rows
#define DCG_ROWS_NAME "avx2"
#include "cycle/row_kernels.inc"
#if defined(__clang__) && defined(DCG_AVX2)
#pragma clang attribute pop
#endif
