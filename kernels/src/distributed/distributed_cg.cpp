// Conjugate gradients on many ranks: the iteration of krylov/cg.cpp, pass by pass over this rank's own cells. Per iteration and beside the cycle: two
// exchanges of p's ghosts (one per colour) and three sums over all ranks.

#include <algorithm>
#include <cmath>

#include "distributed/distributed_hierarchy.hpp"
#include "krylov/krylov_rows.hpp"

namespace dcg {

// r . r over this thread's rows
double OnRanks::residual_square(const double *r, const Team &team) {
  double square = 0.0;
  for_own_rows(team, [&](int64_t row, int64_t at, int64_t n) { square += square_row(n, r + row * n, &finest_->level.cells[at]); });
  return square;
}

void OnRanks::load_residual(const double *r, double inverse, const Team &team) {
  for_own_rows(team, [&](int64_t row, int64_t at, int64_t n) {
    load_row(n, inverse, r + row * n, &finest_->level.cells[at], &finest_->level.b[at]);
  });
}

Outcome OnRanks::iterate(double *x, double *r, const Team &team, double target, int64_t maxiter, double *history, double *steps) {
  const Part &part = *finest_;
  const Level &level = part.level;
  const Box &box = level.box;
  const RowKernels &rows = best_rows();
  const int64_t ny = part.end[1] - part.begin[1];
  const std::vector<float> zeros(box.stride + 2 * kLanes, 0.0f);
  float *p = direction_.data();
  const auto around = [&](int64_t at) { return rows_beside(level, p, at, zeros.data() + kLanes); };

  double norm = std::sqrt(sum(residual_square(r, team), team));
  const double inverse = norm > 0.0 ? 1.0 / norm : 1.0;  // keeps what the cycle sees near 1 at the start
  load_residual(r, inverse, team);
  const Range all = team.part(direction_.size());
  std::fill(p + all.begin, p + all.end, 0.0f);
  team.barrier();

  Outcome out;
  double rho = 0.0;
  for (; out.iterations < maxiter; ++out.iterations) {
    if (norm <= target) break;
    cycle(team);
    double product = 0.0;
    for_own_rows(team, [&](int64_t, int64_t at, int64_t n) { product += rows.dot(n, level.x.data() + at, level.b.data() + at); });
    const double rho_new = sum(product, team);
    if (!(rho_new > 0.0) || !std::isfinite(rho_new)) return {out.iterations, 2};
    const float beta = rho > 0.0 ? static_cast<float>(rho_new / rho) : 0.0f;
    for_own_rows(team, [&](int64_t row, int64_t at, int64_t n) {
      rows.direction(n, level.x.data() + at, beta, p + at);
      wrap_row(level, p, part.begin[0] + row / ny, part.begin[1] + row % ny, {0, box.n[2]});
    });
    team.barrier();
    for (const Copies &ghosts : part.ghosts) refresh(ghosts, p, team);
    double curvature = 0.0;
    for_own_rows(team, [&](int64_t, int64_t at, int64_t n) {
      curvature += level.unit ? rows.curvature_unit(n, p + at, around(at), level.code.data() + at)
                              : rows.curvature_weighted(n, p + at, around(at), weight_rows(level, at, zeros.data() + kLanes));
    });
    curvature = sum(curvature, team) / inverse_scale_;
    if (!(curvature > 0.0) || !std::isfinite(curvature)) return {out.iterations, 2};
    const double alpha = rho_new / (inverse * curvature);
    double square = 0.0;
    for_own_rows(team, [&](int64_t row, int64_t at, int64_t n) {
      float *b = finest_->level.b.data() + at;
      square += level.unit ? rows.advance_unit(n, alpha, op_.unit, p + at, around(at), level.code.data() + at, x + row * n, r + row * n, inverse, b)
                           : rows.advance_weighted(n, alpha, p + at, around(at), weights_round(op_, row, 0), x + row * n, r + row * n, inverse, b);
    });
    norm = std::sqrt(sum(square, team));
    if (team.rank == 0) {
      history[out.iterations] = norm;
      steps[2 * out.iterations] = alpha, steps[2 * out.iterations + 1] = beta;
    }
    rho = rho_new;
  }
  out.result = norm <= target ? 0 : 1;
  return out;
}

Outcome OnRanks::conjugate_gradients(double *x, double *r, double target, int64_t maxiter, double *history, double *steps) {
  Outcome outcome;
  ranks_.check();  // that earlier messages worked
  const Ranks::Quiet quiet(ranks_);
  with_team(threads_, [&](const Team &team) {
    const Outcome mine = iterate(x, r, team, target, maxiter, history, steps);
    if (team.rank == 0) outcome = mine;
  });
  ranks_.check();
  return outcome;
}

void OnRanks::apply(const double *r, double *z) {
  ranks_.check();  // that earlier messages worked
  const Ranks::Quiet quiet(ranks_);
  with_team(threads_, [&](const Team &team) {
    load_residual(r, 1.0, team);
    team.barrier();
    cycle(team);
    team.barrier();
    for_own_rows(team, [&](int64_t row, int64_t at, int64_t n) {
      const float *from = finest_->level.x.data() + at;
      for (int64_t i = 0; i < n; ++i) z[row * n + i] = inverse_scale_ * from[i];
    });
  });
  ranks_.check();
}

}  // namespace dcg
