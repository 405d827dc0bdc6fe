// x, r and the direction p are in double precision, z = M r in single. A p is computed twice instead of being stored.
//
// Ledger, bytes per cell and iteration beside the cycle, constant coefficient: direction 20, curvature 1, advance 45 = 66; to store A p would
// make it 90.

#include "krylov/team_cg.hpp"

#include <algorithm>

#include "krylov/cg.hpp"

namespace dcg {

namespace {

class TeamSpace : public CgOnHost<TeamSpace> {
 public:
  TeamSpace(Cycle &cycle, const System &system, Level &finest, Field<double> &direction, const RowKernels &rows, const Team &team)
      : cycle_(cycle), finest_(finest), direction_(direction), rows_(rows), team_(team), own_(system, finest, rows, team) {}

  double residual_square() { return own_.residual_square(); }

  void load() {
    own_.load_residual(cg.scale);
    const Range part = team_.part(direction_.size());
    std::fill(direction_.data() + part.begin, direction_.data() + part.end, 0.0);
    team_.barrier();
  }

  double precondition() { return cycle_.run(team_); }

  // The curvature follows the direction by two planes, whose neighbours are then done. Where planes are periodic, it waits for the last.
  double conjugate() {
    const float *z = finest_.x.data();
    double *p = direction_.data();
    const bool periodic = finest_.periodic[0];
    const int64_t planes = finest_.box.n[0], lag = periodic ? planes : 2;
    double curvature = 0.0;
    for (int64_t step = 0; step < planes + lag; ++step) {
      if (step < planes) {
        own_.each(step, [&](int64_t at, int64_t n) { rows_.direction(n, z + at, cg.beta, p + at); });
        own_.wrap(p, step);
      }
      if (step >= lag) curvature += own_.curvature(p, step - lag);
      if (!periodic || step == planes - 1) team_.barrier();
    }
    return team_.sum(curvature) * own_.scale();
  }

  double advance() { return own_.advance(cg.alpha, direction_.data(), cg.scale); }

 private:
  Cycle &cycle_;
  Level &finest_;
  Field<double> &direction_;
  const RowKernels &rows_;
  const Team &team_;
  const KrylovRows own_;
};

}  // namespace

Outcome conjugate_gradients(Cycle &cycle, const System &system, Level &finest, Field<double> &direction, const RowKernels &rows, const Team &team,
                            double target, int64_t maxiter, double *history, double *steps) {
  TeamSpace space(cycle, system, finest, direction, rows, team);
  space.cg.target = target, space.cg.maxiter = maxiter;
  if (team.rank == 0) space.cg.history = history, space.cg.steps = steps;
  conjugate_gradients(space);
  return {space.cg.iterations, space.cg.result};
}

}  // namespace dcg
