// Ledger, bytes per value: dot 16, add 24, step 48.

#include "operator/vectors.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/threads.hpp"

namespace dcg {

namespace {

constexpr int64_t kBlock = 8192;      // values per partial sum
constexpr int64_t kParallel = 65536;  // below this a barrier costs more than it saves
constexpr int kLanes = 8;             // independent sums: as many as hide the latency of an addition

// The sum of term(i) for i from `first` on.
template <class Term>
[[gnu::always_inline]] inline double block_sum(int64_t first, int64_t n, Term &&term) {
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lane[l] += term(first + i + l);
  for (; i < n; ++i) lane[0] += term(first + i);
  double sum = 0.0;
  for (double value : lane) sum += value;
  return sum;
}

// The sum of of(first, length) over all blocks, in their order.
template <class Of>
double sum_by_blocks(int64_t n, int threads, Of &&of) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> parts(blocks);
#pragma omp parallel for schedule(static) num_threads(threads) if (n >= kParallel)
  for (int64_t k = 0; k < blocks; ++k) parts[k] = of(k * kBlock, std::min(kBlock, n - k * kBlock));
  double sum = 0.0;
  for (const double part : parts) sum += part;
  return sum;
}

template <class Body>
void each(int64_t n, int threads, Body &&body) {
#pragma omp parallel for schedule(static) num_threads(threads) if (n >= kParallel)
  for (int64_t i = 0; i < n; ++i) body(i);
}

}  // namespace

double dot(int64_t n, const double *a, const double *b, int threads) {
  return sum_by_blocks(n, threads, [=](int64_t at, int64_t length) { return block_sum(at, length, [=](int64_t i) { return a[i] * b[i]; }); });
}

double distance_square(int64_t n, const double *a, const double *b, int threads) {
  return sum_by_blocks(n, threads, [=](int64_t at, int64_t length) {
    return block_sum(at, length, [=](int64_t i) { return (a[i] - b[i]) * (a[i] - b[i]); });
  });
}

double weighted_square(int64_t n, const double *w, const double *a, int threads) {
  return sum_by_blocks(n, threads, [=](int64_t at, int64_t length) { return block_sum(at, length, [=](int64_t i) { return a[i] * (w[i] * a[i]); }); });
}

void copy(int64_t n, const double *from, double *to, int threads) {
  each(n, threads, [=](int64_t i) { to[i] = from[i]; });
}

void multiply(int64_t n, const double *a, const double *b, double *to, int threads) {
  each(n, threads, [=](int64_t i) { to[i] = a[i] * b[i]; });
}

void add(int64_t n, double alpha, const double *x, double *y, int threads) {
  each(n, threads, [=](int64_t i) { y[i] += alpha * x[i]; });
}

void scale_and_add(int64_t n, double beta, const double *z, double *p, int threads) {
  each(n, threads, [=](int64_t i) { p[i] = beta * p[i] + z[i]; });
}

double step(int64_t n, double alpha, const double *d, const double *Ad, double *x, double *r, int threads) {
  return sum_by_blocks(n, threads, [=](int64_t at, int64_t length) {
    for (int64_t i = at; i < at + length; ++i) x[i] += alpha * d[i], r[i] -= alpha * Ad[i];
    return block_sum(at, length, [=](int64_t i) { return r[i] * r[i]; });
  });
}

}  // namespace dcg

extern "C" int dcg_dot(int64_t n, const double *a, const double *b, double *result) {
  return dcg::guarded([&] {
    dcg::require(n >= 0 && a && b && result, "n must be >= 0, a, b and result not NULL");
    *result = dcg::dot(n, a, b, dcg::choose_threads(0));
  });
}

extern "C" int dcg_axpy(int64_t n, double alpha, const double *x, double *y) {
  return dcg::guarded([&] {
    dcg::require(n >= 0 && x && y, "n must be >= 0, x and y not NULL");
    dcg::add(n, alpha, x, y, dcg::choose_threads(0));
  });
}
