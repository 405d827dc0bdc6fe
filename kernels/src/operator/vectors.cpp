// Inner product and update in float64. Sums run over fixed blocks, added in order: the result does not depend on the
// number of threads.
//
// Ledger, bytes per value: dot 16, axpy 24, look 9.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cell_kinds.hpp"
#include "core/error.hpp"

using namespace dcg;

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

// of(first, length) for every block, in their order; by as many threads as there are.
template <class Part, class Of>
std::vector<Part> by_blocks(int64_t n, Of &&of) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<Part> parts(blocks);
#pragma omp parallel for schedule(static) if (n >= kParallel)
  for (int64_t k = 0; k < blocks; ++k) parts[k] = of(k * kBlock, std::min(kBlock, n - k * kBlock));
  return parts;
}

struct Look {
  double largest = 0.0, square = 0.0, not_finite = 0.0;
  bool outside = false;
};

Look block_look(const uint8_t *cells, const double *v, int64_t n) {
  double largest = 0.0, not_finite = 0.0;  // a maximum loses NaN, a sum of 0 v does not
  int64_t outside = 0;
#pragma omp simd reduction(max : largest) reduction(+ : not_finite, outside)
  for (int64_t i = 0; i < n; ++i) {
    const double size = std::fabs(v[i]);
    largest = size > largest ? size : largest;
    not_finite += 0.0 * v[i];
    outside += (v[i] != 0.0) & (cells[i] != kFluid);
  }
  return {largest, block_dot(v, v, n), not_finite, outside != 0};
}

}  // namespace

extern "C" int dcg_look(int64_t n, const uint8_t *cells, const double *v, double result[3]) {
  return guarded([&] {
    require(n >= 0 && cells && v && result, "n must be >= 0, cells, v and result not NULL");
    Look all;
    for (const Look &look : by_blocks<Look>(n, [&](int64_t at, int64_t length) { return block_look(cells + at, v + at, length); })) {
      all.largest = std::max(all.largest, look.largest), all.square += look.square;
      all.not_finite += look.not_finite, all.outside |= look.outside;
    }
    result[0] = all.largest + all.not_finite, result[1] = all.square, result[2] = all.outside;
  });
}

extern "C" int dcg_dot(int64_t n, const double *a, const double *b, double *result) {
  return guarded([&] {
    require(n >= 0 && a && b && result, "n must be >= 0, a, b and result not NULL");
    double sum = 0.0;
    for (double part : by_blocks<double>(n, [&](int64_t at, int64_t length) { return block_dot(a + at, b + at, length); })) sum += part;
    *result = sum;
  });
}

extern "C" int dcg_axpy(int64_t n, double alpha, const double *x, double *y) {
  return guarded([&] {
    require(n >= 0 && x && y, "n must be >= 0, x and y not NULL");
#pragma omp parallel for schedule(static) if (n >= kParallel)
    for (int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
  });
}
