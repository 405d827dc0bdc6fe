// Conjugate gradients on many ranks, pass by pass over this rank's own cells. Beside the cycle, an iteration exchanges p's ghosts twice (once per
// colour) and sums over all ranks three times.

#include <algorithm>

#include "distributed/distributed_hierarchy.hpp"
#include "krylov/cg.hpp"
#include "krylov/krylov_rows.hpp"

namespace dcg {

void DistributedHierarchy::load_residual(const double *r, double scale, const Team &team) {
  for_own_rows(team, [&](int64_t row, int64_t at, int64_t n) {
    load_row(n, scale, r + row * n, &finest_->level.cells[at], &finest_->level.b[at]);
  });
}

class DistributedHierarchy::RankSpace : public CgOnHost<RankSpace> {
 public:
  RankSpace(DistributedHierarchy &on, double *x, double *r, const Team &team)
      : on_(on), level_(on.finest_->level), team_(team), system_{on.op_, x, r}, p_(on.direction_.data()), own_(system_, level_, rows_, team) {}

  double residual_square() {
    return sum([&](int64_t row, int64_t at, int64_t n) { return square_row(n, system_.r + row * n, &level_.cells[at]); });
  }

  void load() {
    on_.load_residual(system_.r, cg.scale, team_);
    const Range part = team_.part(on_.direction_.size());
    std::fill(p_ + part.begin, p_ + part.end, 0.0);
    team_.barrier();
  }

  double precondition() {
    on_.cycle(team_);
    return sum([&](int64_t, int64_t at, int64_t n) { return rows_.dot(n, level_.x.data() + at, level_.b.data() + at); });
  }

  double conjugate() {
    const LocalLevel &local = *on_.finest_;
    const int64_t ny = local.end[1] - local.begin[1];
    on_.for_own_rows(team_, [&](int64_t row, int64_t at, int64_t n) {
      rows_.direction(n, level_.x.data() + at, cg.beta, p_ + at);
      fill_periodic_ghosts(level_, p_, local.begin[0] + row / ny, local.begin[1] + row % ny, {0, level_.box.n[2]});
    });
    team_.barrier();
    if (team_.rank == 0)
      for (const Halo &halo : local.ghosts) halo.broadcast(p_, p_);
    team_.barrier();
    return own_.scale() * sum([&](int64_t row, int64_t at, int64_t n) { return own_.curvature_row(p_, row, 0, at, n); });
  }

  double advance() {
    return sum([&](int64_t row, int64_t at, int64_t n) { return own_.advance_row(cg.alpha, p_, cg.scale, row, 0, at, n); });
  }

 private:
  template <class Body>
  double sum(const Body &body) {
    double own = 0.0;
    on_.for_own_rows(team_, [&](int64_t row, int64_t at, int64_t n) { own += body(row, at, n); });
    return on_.sum(own, team_);
  }

  DistributedHierarchy &on_;
  Level &level_;
  const Team &team_;
  const RowKernels &rows_ = best_rows();
  const System system_;
  double *const p_;
  const KrylovRows own_;
};

Outcome DistributedHierarchy::conjugate_gradients(double *x, double *r, double target, int64_t maxiter, double *history, double *steps) {
  Outcome outcome;
  ranks_.check();  // that earlier messages worked
  const Ranks::Quiet quiet(ranks_);
  with_team(threads_, [&](const Team &team) {
    RankSpace space(*this, x, r, team);
    space.cg.target = target, space.cg.maxiter = maxiter;
    if (team.rank == 0) space.cg.history = history, space.cg.steps = steps;
    dcg::conjugate_gradients(space);
    if (team.rank == 0) outcome = {space.cg.iterations, space.cg.result};
  });
  ranks_.check();
  return outcome;
}

void DistributedHierarchy::apply(const double *r, double *z) {
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
