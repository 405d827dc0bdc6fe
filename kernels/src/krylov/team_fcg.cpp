// The passes of FCG(m) over the rows of the finest level. With the symmetric M here one earlier direction would do in exact arithmetic; a window
// keeps conjugacy where rounding spoils it. x, r, directions and their products are in double precision, as in team_cg.cpp.

#include "krylov/team_fcg.hpp"

#include <cmath>
#include <new>

#include "krylov/fcg.hpp"

namespace dcg {

namespace {

constexpr double kAgain = 1e-2;  // of the decrease of ||e||_A^2 by the new step: an earlier direction that promises more is stepped along again

// Every thread has its own; they share `kept` and the vectors. The scalars are those of conjugate gradients; beta is the latest direction's factor.
class TeamFcg {
 public:
  CgRecurrence cg;

  TeamFcg(Cycle &cycle, const System &system, Level &finest, std::vector<Direction> &kept, const RowKernels &rows, const Team &team)
      : cycle_(cycle), finest_(finest), kept_(kept), rows_(rows), team_(team), mine_(system, finest, rows, team), window_(static_cast<int64_t>(kept.size()) - 1) {}

  void load() {
    cg.accept(CgSum::kResidual, mine_.residual_square());
    mine_.load_residual(cg.scale);
    team_.barrier();
  }

  bool stopped() const { return cg.stopped(); }
  void breakdown() {
    if (!cg.stopped()) cg.end(DCG_CG_BREAKDOWN);
  }

  bool propose(int candidate) { return candidate == 0 && std::isfinite(cycle_.run(team_)); }

  void orthogonalise() {
    const float *z = finest_.x.data(), *b = finest_.b.data();
    const int64_t earlier = window_.count();
    factors_.assign(earlier, 0.0), left_.assign(earlier, 0.0);
    for (int64_t n = 0; n < earlier; ++n) {
      double overlap = 0.0, slope = 0.0;
      mine_.each([&](int64_t at, int64_t length) {
        overlap += rows_.dot_wide(length, z + at, before(n).product.data() + at);
        slope += rows_.dot_wide(length, b + at, before(n).direction.data() + at);
      });
      factors_[n] = team_.sum(overlap) / before(n).curvature;
      left_[n] = team_.sum(slope);
    }
    if (team_.rank == 0) make_room();
    team_.barrier();
    if (now().product.empty()) return cg.end(DCG_CG_BREAKDOWN);
    double *p = now().direction.data();
    slope_ = 0.0;
    for (int64_t k = 0; k < finest_.box.n[0]; ++k) {
      mine_.each(k, [&](int64_t at, int64_t length) {
        rows_.direction(length, z + at, 0.0, p + at);
        for (int64_t n = 0; n < earlier; ++n) rows_.add(length, factors_[n], before(n).direction.data() + at, p + at);
        slope_ += rows_.dot_wide(length, b + at, p + at);
      });
      mine_.wrap(p, k);
    }
    slope_ = team_.sum(slope_);  // and every thread's part of p is there
  }

  void product() {
    if (cg.stopped()) return;
    const double *p = now().direction.data();
    curvature_ = 0.0;
    for (int64_t k = 0; k < finest_.box.n[0]; ++k) curvature_ += mine_.product(p, k, now().product.data());
    curvature_ = team_.sum(curvature_);
    cg.accept(CgSum::kSlope, slope_);
    if (!cg.stopped()) cg.accept(CgSum::kCurvature, curvature_ * mine_.scale());
  }

  bool accepts(int) const { return !cg.stopped(); }

  void advance() {
    if (team_.rank == 0) now().curvature = curvature_;
    for (int64_t n = 0; n < window_.count(); ++n)
      if (left_[n] * left_[n] / before(n).curvature > kAgain * slope_ * slope_ / curvature_)
        mine_.advance(left_[n] / (cg.scale * mine_.scale() * before(n).curvature), before(n).direction.data(), cg.scale);
    cg.beta = window_.count() ? factors_[0] : 0.0;
    const double square = mine_.advance(cg.alpha, now().direction.data(), cg.scale);
    window_.keep();
    cg.accept(CgSum::kNorm, square);
  }

 private:
  // A team cannot throw: where memory ends, there is no product.
  void make_room() {
    try {
      for (Field<double> *f : {&now().direction, &now().product})
        if (f->empty()) fill(*f, finest_.box.size, 0.0, 1);
    } catch (const std::bad_alloc &) {
      now().product.release();
    }
  }
  Direction &now() { return kept_[window_.next()]; }
  const Direction &before(int64_t n) const { return kept_[window_.earlier(n)]; }

  Cycle &cycle_;
  Level &finest_;
  std::vector<Direction> &kept_;
  const RowKernels &rows_;
  const Team &team_;
  const KrylovRows mine_;
  Window window_;
  std::vector<double> factors_;  // of the earlier directions in d, the latest first
  std::vector<double> left_;     // r . d of the earlier directions d: 0 but for rounding, which counts where d is very smooth
  double slope_ = 0.0, curvature_ = 0.0;  // curvatures are of the level's operator, as the products
};

}  // namespace

Outcome flexible_conjugate_gradients(Cycle &cycle, const System &system, Level &finest, std::vector<Direction> &kept, const RowKernels &rows,
                                     const Team &team, double target, int64_t maxiter, double *history, double *steps) {
  TeamFcg space(cycle, system, finest, kept, rows, team);
  space.cg.target = target, space.cg.maxiter = maxiter;
  if (team.rank == 0) space.cg.history = history, space.cg.steps = steps;
  space.load();
  flexible_conjugate_gradients(space);
  return {space.cg.iterations, space.cg.result};
}

}  // namespace dcg
