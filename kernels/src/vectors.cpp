// Inner product and update in float64. Sums run over fixed blocks, added in order: the result does not depend on the
// number of threads.
//
// Ledger, bytes per value: dot 16, axpy 24.

#include <omp.h>

#include <algorithm>
#include <vector>

#include "error.hpp"

namespace {

constexpr int64_t kBlock = 8192;      // values per partial sum
constexpr int64_t kParallel = 65536;  // below this a barrier costs more than it saves
constexpr int kLanes = 8;             // independent sums: as many as hide the latency of an addition

double block_dot(const double *a, const double *b, int64_t n) {
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lane[l] += a[i + l] * b[i + l];
  for (; i < n; ++i) lane[0] += a[i] * b[i];
  double sum = 0.0;
  for (double value : lane) sum += value;
  return sum;
}

}  // namespace

extern "C" int dcg_dot(int64_t n, const double *a, const double *b, double *result) {
  return dcg::guarded([&] {
    dcg::require(n >= 0 && a && b && result, "n must be >= 0, a, b and result not NULL");
    const int64_t blocks = (n + kBlock - 1) / kBlock;
    std::vector<double> partial(blocks);
#pragma omp parallel for schedule(static) if (n >= kParallel)
    for (int64_t k = 0; k < blocks; ++k)
      partial[k] = block_dot(a + k * kBlock, b + k * kBlock, std::min(kBlock, n - k * kBlock));
    double sum = 0.0;
    for (double value : partial) sum += value;
    *result = sum;
  });
}

extern "C" int dcg_axpy(int64_t n, double alpha, const double *x, double *y) {
  return dcg::guarded([&] {
    dcg::require(n >= 0 && x && y, "n must be >= 0, x and y not NULL");
#pragma omp parallel for schedule(static) if (n >= kParallel)
    for (int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
  });
}
