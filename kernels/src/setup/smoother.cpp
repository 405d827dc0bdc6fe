// A level's diagonal and relaxation; neighbours of secondary unknowns, ghosts and row extents for the cycle.

#include <algorithm>
#include <atomic>

#include "core/clones.hpp"
#include "setup/coarsen.hpp"
#include "setup/coupling_sums.hpp"

namespace dcg {

namespace {

// omega_dinv: relaxation factors in, factor / diagonal out; 0 where `coupled` is.
DCG_CLONES void set_row(int64_t n, const float *coupled, const float *total, float *__restrict diagonal, float *__restrict omega_dinv) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    diagonal[i] = total[i];
    omega_dinv[i] = coupled[i] > 0.0f ? omega_dinv[i] / total[i] : 0.0f;
  }
}

// The edges of each secondary unknown, from the list of all edges.
void list_neighbours(Level &level) {
  level.neighbour_start.assign(level.secondary + 1, 0);
  const auto each = [&](auto &&body) {
    for (const Edge &e : level.edges) {
      if (e.low >= level.box.size) body(e.low - level.box.size, e.high, e.weight);
      if (e.high >= level.box.size) body(e.high - level.box.size, e.low, e.weight);
    }
  };
  each([&](int64_t e, int64_t, float) { ++level.neighbour_start[e + 1]; });
  for (int64_t e = 0; e < level.secondary; ++e) level.neighbour_start[e + 1] += level.neighbour_start[e];
  level.neighbours.resize(level.neighbour_start[level.secondary]);
  std::vector<int64_t> next(level.neighbour_start.begin(), level.neighbour_start.end());
  each([&](int64_t e, int64_t u, float w) { level.neighbours[next[e]++] = {u, w}; });
}

// The columns with unknowns of every row, and the number of unknowns.
void find_extents(Level &level, int threads) {
  const int64_t rows = level.box.n[0] * level.box.n[1];
  level.row_begin.assign(rows, 0), level.row_end.assign(rows, 0);
  std::atomic<int64_t> unknowns{0};
  for_unknowns(level, threads, [&](int64_t row, int64_t start, int64_t n) {
    const float *omega_dinv = &level.omega_dinv[start];
    int64_t first = 0, last = n, in_use = 0;
    for (int64_t i = 0; i < n; ++i) in_use += omega_dinv[i] != 0.0f;
    unknowns += in_use;
    if (!in_use || row < 0) return;
    while (omega_dinv[first] == 0.0f) ++first;
    while (omega_dinv[last - 1] == 0.0f) --last;
    level.row_begin[row] = static_cast<int32_t>(first / kLanes * kLanes);
    level.row_end[row] = static_cast<int32_t>((last + kLanes - 1) / kLanes * kLanes);
  });
  level.unknowns = unknowns;
}

}  // namespace

void restore_derived(Level &level, int threads) {
  list_neighbours(level);
  copy_ghosts(level, level.weight);
  find_extents(level, threads);
}

void setup_smoother(Level &level, bool finest, int threads) {
  copy_ghosts(level, level.weight);
  const CouplingSums sums(level);
  for_unknowns(level, threads, [&](int64_t, int64_t start, int64_t n) {
    CouplingSums::Row s(n);
    sums.sum(start, n, s);
    // A coarse unknown without edges has nothing left to solve for.
    set_row(n, finest ? s.total : s.edges, s.total, &level.diagonal[start], &level.omega_dinv[start]);
  });
  list_neighbours(level);
  find_extents(level, threads);
  for (int a = 0; a < 3; ++a)
    for (int side = 0; side < 2; ++side)
      if (!level.interp_parent[a][side].empty()) copy_ghosts(level, level.interp_parent[a][side]), copy_ghosts(level, level.interp_neighbour[a][side]);
}

}  // namespace dcg
