// Marks functions that nvcc compiles for the host and for the device; any other compiler sees an inline function.
#pragma once

#if defined(__CUDACC__)
#define DCG_BOTH __host__ __device__ __forceinline__
// Before a template for both sides that may be instantiated with what exists on the host only.
#define DCG_EITHER _Pragma("nv_exec_check_disable")
#else
#define DCG_BOTH inline
#define DCG_EITHER
#endif
