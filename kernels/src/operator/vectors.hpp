// Passes over vectors in float64. Sums run over fixed blocks, added in order: they do not depend on the number of threads.
//
// Not BLAS: OpenBLAS keeps its own threads, which spin against those of the kernels and of PyTorch (on two cores an inner product of 32,768
// values was seen to take milliseconds instead of microseconds), and its sums depend on the number of threads.
#pragma once

#include <cstdint>

namespace dcg {

double dot(int64_t n, const double *a, const double *b, int threads);
double distance_square(int64_t n, const double *a, const double *b, int threads);              // (a - b) . (a - b)
double weighted_square(int64_t n, const double *w, const double *a, int threads);              // a . (w a)
void copy(int64_t n, const double *from, double *to, int threads);
void multiply(int64_t n, const double *a, const double *b, double *to, int threads);            // to = a b, value by value
void add(int64_t n, double alpha, const double *x, double *y, int threads);                     // y += alpha x
void scale_and_add(int64_t n, double beta, const double *z, double *p, int threads);            // p = beta p + z
double step(int64_t n, double alpha, const double *d, const double *Ad, double *x, double *r, int threads);  // x += alpha d, r -= alpha Ad; r . r

}  // namespace dcg
