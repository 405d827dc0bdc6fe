// Functions of the set-up that are worth compiling twice: for AVX2 machines and for all others; the loader picks one.
// Without contraction into fused multiply-adds both compute the same.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define DCG_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define DCG_CLONES
#endif
