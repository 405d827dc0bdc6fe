// The learned local factors of a level: of its relaxation, its couplings and its prolongation.

#include <algorithm>

#include "core/clones.hpp"
#include "setup/coarsen.hpp"
#include "setup/coupling_sums.hpp"

namespace dcg {

namespace {

using Row = CouplingSums::Row;

// Whether a row has equal edges on opposite sides and nothing else.
DCG_CLONES bool regular(int64_t n, const float *dirichlet, const float *shift, const float *asymmetry) {
  float any = 0.0f;
#pragma omp simd reduction(+ : any)
  for (int64_t i = 0; i < n; ++i) any += dirichlet[i] + shift[i] + asymmetry[i];
  return any == 0.0f;
}

typedef float Pack __attribute__((vector_size(32)));

inline Pack load(const float *p) {
  Pack v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// The factors along a row, in whole packs.
struct Factors {
  explicit Factors(int64_t n) : values(DCG_OUTPUTS * ((n + kLanes - 1) / kLanes * kLanes)) {
    for (int o = 0; o < DCG_OUTPUTS; ++o) of[o] = values.data() + o * (static_cast<int64_t>(values.size()) / DCG_OUTPUTS);
  }
  std::vector<float> values;
  float *of[DCG_OUTPUTS];
};

// The learned function along a row; 1 where there is no edge. `axes`: bit a for an axis of more than one cell.
DCG_CLONES void evaluate_row(const dcg_parameters &parameters, int axes, int64_t n, const Row &s, float *const *factors) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const auto any = load(s.edges + i) > 0.0f;
    const Pack one = Pack{} + 1.0f, total = load(s.total + i), inverse = 1.0f / (any ? total : one);
    Pack most{}, least = total;
    for (int a = 0; a < 3; ++a) {
      if (!(axes >> a & 1)) continue;
      const Pack along = load(s.axis[a] + i);
      most = along > most ? along : most, least = along < least ? along : least;
    }
    const Pack features[DCG_FEATURES] = {load(s.dirichlet + i) * inverse, load(s.shift + i) * inverse, most * inverse, least * inverse,
                                         load(s.asymmetry + i) * inverse};
    Pack local[DCG_OUTPUTS];
    evaluate(parameters, features, local);
    for (int o = 0; o < DCG_OUTPUTS; ++o) {
      const Pack kept = any ? local[o] : one;
      __builtin_memcpy(factors[o] + i, &kept, sizeof kept);
    }
  }
}

// Odds of interpolating from the neighbour times a factor.
DCG_CLONES void scale_odds(int64_t n, const float *factor, float *__restrict interp_neighbour, float *__restrict interp_parent) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float rescale = 1.0f / (1.0f + interp_neighbour[i] * (factor[i] - 1.0f));
    interp_neighbour[i] *= factor[i] * rescale, interp_parent[i] *= rescale;
  }
}

DCG_CLONES void scale_edges(int64_t n, const float *low, const float *high, float *__restrict weight) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) weight[i] *= low[i] * high[i];
}

// Relaxation factors into omega_dinv. Below the finest level also edge factors into `edge`, and the odds of the prolongation.
void evaluate_level(Level &level, const dcg_parameters &parameters, bool finest, int threads, Field<float> &edge) {
  const bool neutral = std::all_of(parameters.output_bias, parameters.output_bias + DCG_OUTPUTS, [](float bias) { return bias == 0.0f; });
  int axes = 0;
  for (int a = 0; a < 3; ++a) axes |= (level.box.n[a] > 1) << a;
  const CouplingSums sums(level);
  for_unknowns(level, threads, [&](int64_t row, int64_t start, int64_t n) {
    Row s(n);
    sums.sum(start, n, s);
    if (neutral && regular(n, s.dirichlet, s.shift, s.asymmetry)) return;  // all factors are 1 there
    Factors factors(n);
    evaluate_row(parameters, axes, n, s, factors.of);
    std::copy_n(factors.of[kRelaxFactor], n, &level.omega_dinv[start]);
    if (finest) return;
    std::copy_n(factors.of[kEdgeFactor], n, &edge[start]);
    if (row < 0) return;
    for (int a = 0; a < 3; ++a)
      for (int side = 0; side < 2; ++side)
        scale_odds(n, factors.of[kOddsFactor], &level.interp_neighbour[a][side][start], &level.interp_parent[a][side][start]);
  });
}

// Every edge times the factors of both its ends, every Dirichlet coupling times its unknown's squared.
void scale_couplings(Level &level, const Field<float> &edge, int threads) {
  for_unknowns(level, threads, [&](int64_t row, int64_t start, int64_t n) {
    for (int a = 0; a < 3; ++a) {
      if (row >= 0 && level.box.n[a] > 1) scale_edges(n, &edge[start], &edge[start + level.box.offset(a)], &level.weight[a][start]);
      scale_edges(n, &edge[start], &edge[start], &level.dirichlet[a][start]);
    }
  });
  for (Edge &e : level.edges) e.weight *= edge[e.low] * edge[e.high];
}

}  // namespace

void apply_local_factors(Level &level, const dcg_parameters &parameters, bool finest, int threads) {
  Field<float> &edge = level.diagonal;  // its memory serves until setup_smoother() fills it
  for_unknowns(level, threads, [&](int64_t, int64_t start, int64_t n) {
    std::fill_n(&level.omega_dinv[start], n, 1.0f);
    std::fill_n(&edge[start], n, 1.0f);
  });
  if (!parameters.local) return;
  copy_ghosts(level, level.weight);
  evaluate_level(level, parameters, finest, threads, edge);
  if (finest) return;
  copy_ghosts(level, edge);
  scale_couplings(level, edge, threads);
}

}  // namespace dcg
