#include "cycle/sparse_cycle.hpp"

#include <utility>

#include "core/clones.hpp"

namespace dcg {

namespace {

constexpr int64_t kSmall = 8192;  // unknowns: a level below is visited by one thread, without barriers
constexpr float kOmega[2] = {0.566f, 1.577f};  // Chebyshev's for eigenvalues of D^-1 A from 0.4 to 2

DCG_CLONES void start(Range part, float omega, const float *b, const float *inverse_diagonal, float *__restrict x) {
#pragma omp simd
  for (int64_t u = part.begin; u < part.end; ++u) x[u] = omega * inverse_diagonal[u] * b[u];
}

inline float residual(const SparseLevel &level, const float *x, int64_t u) {
  const float here = x[u];
  float r = level.b[u] - level.slack[u] * here;
  for (int64_t e = level.start[u]; e < level.start[u + 1]; ++e) r += level.weight[e] * (x[level.neighbour[e]] - here);
  return r;
}

void relax(const SparseLevel &level, Range part, float omega, const float *x, float *__restrict out) {
  for (int64_t u = part.begin; u < part.end; ++u) out[u] = x[u] + omega * level.inverse_diagonal[u] * residual(level, x, u);
}

void restrict_residual(const SparseLevel &level, Range part, const float *x, float *__restrict out) {
  for (int64_t c = part.begin; c < part.end; ++c) {
    float sum = 0.0f;
    for (int64_t m = level.first_child[c]; m < level.first_child[c + 1]; ++m) sum += residual(level, x, level.child[m]);
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
  const bool last = l + 1 == levels_.size();
  const Range part = team.part(level.unknowns, 16);
  float *x = level.x.data(), *y = level.y.data();
  const auto sweep = [&](float omega) {
    relax(level, part, omega, x, y);
    std::swap(x, y);
    team.barrier();
  };
  if (from_zero) {
    std::swap(x, y);  // three sweeps follow, and end in level.x
    start(part, kOmega[0], level.b.data(), level.inverse_diagonal.data(), x);
    team.barrier();
  } else {
    sweep(kOmega[0]);
  }
  sweep(kOmega[1]);
  if (!last) {
    SparseLevel &coarse = *levels_[l + 1];
    restrict_residual(level, team.part(coarse.unknowns, 16), x, coarse.b.data());
    team.barrier();
    visits(team, l + 1);
    prolong(level, part, coarse.x.data(), x);
    team.barrier();
  }
  sweep(kOmega[1]);
  sweep(kOmega[0]);
}

}  // namespace dcg
