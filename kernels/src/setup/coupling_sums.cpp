// Sums over the couplings of each unknown.

#include "setup/coupling_sums.hpp"

#include <algorithm>
#include <cmath>

#include "core/clones.hpp"

namespace dcg {

namespace {

DCG_CLONES void add_faces(int64_t n, const float *high, const float *low, float *__restrict axis, float *__restrict asymmetry,
                          float *__restrict edges) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float sum = high[i] + low[i];
    axis[i] += sum, edges[i] += sum;
    asymmetry[i] += std::fabs(high[i] - low[i]);
  }
}

DCG_CLONES void add_dirichlet(int64_t n, const float *dirichlet, float *__restrict axis, float *__restrict sum) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) axis[i] += dirichlet[i], sum[i] += dirichlet[i];
}

DCG_CLONES void add_up(int64_t n, const float *edges, const float *dirichlet, const float *shift, float *__restrict total) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) total[i] = edges[i] + dirichlet[i] + shift[i];
}

}  // namespace

CouplingSums::Row::Row(int64_t n) {
  const int64_t whole = (n + kLanes - 1) / kLanes * kLanes;
  values.resize(8 * whole);
  float *next = values.data();
  for (float **p : {&axis[0], &axis[1], &axis[2], &asymmetry, &edges, &dirichlet, &shift, &total}) *p = next, next += whole;
}

CouplingSums::CouplingSums(const Level &level) : level_(level) {
  if (level.edges.empty()) return;
  unstructured_.assign(level.box.size + level.secondary, 0.0f);
  for (const Edge &e : level.edges) unstructured_[e.low] += e.weight, unstructured_[e.high] += e.weight;
}

void CouplingSums::sum(int64_t start, int64_t n, Row &row) const {
  const Box &box = level_.box;
  std::fill(row.values.begin(), row.values.end(), 0.0f);
  if (start < box.size)  // secondary unknowns have unstructured edges only
    for (int a = 0; a < 3; ++a)
      if (box.has_ghosts(a)) {
        const float *high = &level_.weight[a][start];
        add_faces(n, high, high - box.offset(a), row.axis[a], row.asymmetry, row.edges);
      }
  if (!unstructured_.empty())
    for (int64_t i = 0; i < n; ++i) row.edges[i] += unstructured_[start + i];
  for (int a = 0; a < 3; ++a) add_dirichlet(n, &level_.dirichlet[a][start], row.axis[a], row.dirichlet);
  std::copy_n(&level_.shift[start], n, row.shift);
  add_up(n, row.edges, row.dirichlet, row.shift, row.total);
}

}  // namespace dcg
