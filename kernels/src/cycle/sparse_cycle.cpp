#include "cycle/sparse_cycle.hpp"

#include <utility>

#include "core/clones.hpp"

namespace dcg {

namespace {

constexpr int64_t kSmall = 8192;  // unknowns: a level below is visited by one thread, without barriers

// The sweeps of a level, before and after its correction. Two on the largest level, by Chebyshev's factors for eigenvalues from 0.4 to 2: of size
// 0.285 at most. One below, where the second costs more than it saves.
struct Sweeps {
  int count;
  float omega[2];
};
constexpr Sweeps kFirst{2, {0.566f, 1.577f}}, kBelow{1, {0.85f}};

DCG_CLONES void start(Range part, float omega, const float *b, const float *inverse_diagonal, float *__restrict x) {
#pragma omp simd
  for (int64_t u = part.begin; u < part.end; ++u) x[u] = omega * inverse_diagonal[u] * b[u];
}

void add_children(const SparseLevel &level, Range part, const float *residual, float *__restrict out) {
  for (int64_t c = part.begin; c < part.end; ++c) {
    float sum = 0.0f;
    for (int64_t m = level.first_child[c]; m < level.first_child[c + 1]; ++m) sum += residual[level.child[m]];
    out[c] = sum;
  }
}

void prolong(const SparseLevel &level, Range part, const float *coarse, float *x) {
  for (int64_t u = part.begin; u < part.end; ++u)
    if (level.parent[u] >= 0) x[u] += coarse[level.parent[u]];
}

void solve_directly(SparseLevel &level) {
  const int64_t n = level.unknowns;
  for (int64_t u = 0; u < n; ++u) {
    double sum = 0.0;
    for (int64_t v = 0; v < n; ++v) sum += level.inverse[u * n + v] * level.b[v];
    level.x[u] = static_cast<float>(sum);
  }
}

}  // namespace

void SparseCycle::visits(const Team &team, size_t l) {
  const SparseLevel &level = *levels_[l];
  if (team.size > 1 && (level.unknowns < kSmall || !level.inverse.empty())) {
    if (team.rank == 0) visits(Team{}, l);
    return team.barrier();
  }
  for (int v = 0; v < level.visits; ++v) visit(team, l, v == 0);
}

void SparseCycle::visit(const Team &team, size_t l, bool from_zero) {
  SparseLevel &level = *levels_[l];
  if (!level.inverse.empty()) return solve_directly(level);
  const Sweeps &sweeps = l == 0 ? kFirst : kBelow;
  const Range slices = team.part(level.slices()), part{kLanes * slices.begin, std::min(kLanes * slices.end, level.unknowns)};
  const SparseRows rows{level.slice_start.data(), level.slice_neighbour.data(), level.slice_weight.data(), level.slack.data(), level.inverse_diagonal.data()};
  float *x = level.x.data(), *y = level.y.data();
  const auto sweep = [&](float omega) {
    rows_->relax_sparse(slices.begin, slices.end, rows, x, level.b.data(), omega, y);
    std::swap(x, y);
    team.barrier();
  };
  if (from_zero) {
    std::swap(x, y);  // an odd number of sweeps follows, and ends in level.x
    start(part, sweeps.omega[0], level.b.data(), level.inverse_diagonal.data(), x);
    team.barrier();
  }
  for (int s = from_zero; s < sweeps.count; ++s) sweep(sweeps.omega[s]);
  if (l + 1 < levels_.size()) {
    SparseLevel &coarse = *levels_[l + 1];
    rows_->residual_sparse(slices.begin, slices.end, rows, x, level.b.data(), y);
    team.barrier();
    add_children(level, team.part(coarse.unknowns, kLanes), y, coarse.b.data());
    team.barrier();
    visits(team, l + 1);
    prolong(level, part, coarse.x.data(), x);
    team.barrier();
  }
  for (int s = sweeps.count - 1; s >= 0; --s) sweep(sweeps.omega[s]);
}

}  // namespace dcg
