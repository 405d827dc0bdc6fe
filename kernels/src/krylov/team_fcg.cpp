// The passes of FCG(m) over the rows of the finest level. With the symmetric M here one earlier direction would do in exact arithmetic; a window
// keeps conjugacy where rounding spoils it. Directions and their products are in single precision, x and r in double, as in team_cg.cpp.

#include "krylov/team_fcg.hpp"

#include <cmath>

#include "krylov/fcg.hpp"

namespace dcg {

namespace {

constexpr double kAgain = 1e-2;  // of the decrease of ||e||_A^2 by the new step: an earlier direction that promises more is stepped along again

// Every thread has its own; they share `kept` and the vectors.
class TeamFcg {
 public:
  Outcome out;

  TeamFcg(Cycle &cycle, const System &system, Level &finest, std::vector<Direction> &kept, const RowKernels &rows, const Team &team, double target,
          int64_t maxiter, double *history, double *steps)
      : cycle_(cycle), system_(system), finest_(finest), kept_(kept), rows_(rows), team_(team), mine_(system, finest, rows, team), target_(target),
        maxiter_(maxiter), history_(history), steps_(steps), window_(static_cast<int64_t>(kept.size()) - 1) {
    norm_ = std::sqrt(mine_.residual_square());
    inverse_ = norm_ > 0.0 ? 1.0 / norm_ : 1.0;  // keeps what the cycle sees near 1 at the start
    mine_.load_residual(inverse_);
    team_.barrier();
    out.result = norm_ <= target_ ? DCG_CG_CONVERGED : DCG_CG_MAXITER;
  }

  bool stopped() const { return out.result != DCG_CG_MAXITER || out.iterations >= maxiter_; }
  void breakdown() { out.result = DCG_CG_BREAKDOWN; }

  bool propose(int candidate) { return candidate == 0 && std::isfinite(cycle_.run(team_)); }

  void orthogonalise() {
    const float *z = finest_.x.data(), *b = finest_.b.data();
    const int64_t earlier = window_.count();
    factors_.assign(earlier, 0.0f), left_.assign(earlier, 0.0);
    for (int64_t n = 0; n < earlier; ++n) {
      double overlap = 0.0, slope = 0.0;
      mine_.each([&](int64_t at, int64_t length) {
        overlap += rows_.dot(length, z + at, before(n).product.data() + at);
        slope += rows_.dot(length, b + at, before(n).direction.data() + at);
      });
      factors_[n] = static_cast<float>(team_.sum(overlap) / before(n).curvature);
      left_[n] = team_.sum(slope);
    }
    if (team_.rank == 0)
      for (Field<float> *f : {&now().direction, &now().product})
        if (f->empty()) fill(*f, finest_.box.size, 0.0f, 1);
    team_.barrier();
    float *p = now().direction.data();
    slope_ = 0.0;
    for (int64_t k = 0; k < finest_.box.n[0]; ++k) {
      mine_.each(k, [&](int64_t at, int64_t length) {
        rows_.direction(length, z + at, 0.0f, p + at);
        for (int64_t n = 0; n < earlier; ++n) rows_.add(length, factors_[n], before(n).direction.data() + at, p + at);
        slope_ += rows_.dot(length, p + at, b + at);
      });
      mine_.wrap(p, k);
    }
    slope_ = team_.sum(slope_);  // and every thread's part of p is there
  }

  void product() {
    const float *p = now().direction.data();
    curvature_ = 0.0;
    for (int64_t k = 0; k < finest_.box.n[0]; ++k) {
      curvature_ += mine_.curvature(p, k);
      mine_.product(p, k, now().product.data());
    }
    curvature_ = team_.sum(curvature_);
  }

  bool accepts(int) const { return slope_ > 0.0 && curvature_ > 0.0 && std::isfinite(slope_) && std::isfinite(curvature_); }

  void advance() {
    if (team_.rank == 0) now().curvature = curvature_;
    for (int64_t n = 0; n < window_.count(); ++n)
      if (left_[n] * left_[n] / before(n).curvature > kAgain * slope_ * slope_ / curvature_)
        step(left_[n], before(n).curvature, before(n).direction.data());
    const double alpha = step(slope_, curvature_, now().direction.data());
    if (team_.rank == 0) {
      history_[out.iterations] = norm_;
      steps_[2 * out.iterations] = alpha, steps_[2 * out.iterations + 1] = window_.count() ? factors_[0] : 0.0;
    }
    ++out.iterations;
    window_.keep();
    if (norm_ <= target_) out.result = DCG_CG_CONVERGED;
  }

 private:
  Direction &now() { return kept_[window_.next()]; }
  const Direction &before(int64_t n) const { return kept_[window_.earlier(n)]; }

  double step(double slope, double curvature, const float *direction) {
    const double alpha = slope / (inverse_ * system_.scale * curvature);
    norm_ = std::sqrt(mine_.advance(alpha, direction, inverse_));
    return alpha;
  }

  Cycle &cycle_;
  const System &system_;
  Level &finest_;
  std::vector<Direction> &kept_;
  const RowKernels &rows_;
  const Team &team_;
  const KrylovRows mine_;
  const double target_;
  const int64_t maxiter_;
  double *const history_, *const steps_;
  Window window_;
  std::vector<float> factors_;  // of the earlier directions in d, the latest first
  std::vector<double> left_;    // r . d of the earlier directions d: 0 but for rounding to single precision
  double norm_ = 0.0, inverse_ = 1.0, slope_ = 0.0, curvature_ = 0.0;
};

}  // namespace

Outcome flexible_conjugate_gradients(Cycle &cycle, const System &system, Level &finest, std::vector<Direction> &kept, const RowKernels &rows,
                                     const Team &team, double target, int64_t maxiter, double *history, double *steps) {
  TeamFcg space(cycle, system, finest, kept, rows, team, target, maxiter, history, steps);
  flexible_conjugate_gradients(space);
  return space.out;
}

}  // namespace dcg
