// A x = b as the iterations of a session's solve see it: vectors over the cells of this process, and what goes on where the preconditioner fails.
#pragma once

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "krylov/linear_system.hpp"
#include "session/session.hpp"

namespace dcg {

inline int32_t window_of(const dcg_solver &s) { return static_cast<int32_t>(std::min<int64_t>(s.settings.window, std::numeric_limits<int32_t>::max())); }

// Takes the null space off a residual; returns the norm of what was taken, as over rows.
inline double take_off(dcg_solver &s, double *v) {
  if (s.reading->scaling().empty()) return s.null_space->project(v);
  std::vector<double> taken(v, v + s.reading->placement().cells());
  s.null_space->project(v);
  for (size_t u = 0; u < taken.size(); ++u) taken[u] -= v[u];
  return s.norm2(taken.data());
}

// What goes on where the preconditioner fails, in order.
enum class Fallback { kNone, kClassical, kCallers };

inline std::vector<Fallback> fallbacks_of(const dcg_solver &s) {
  const std::string &asked = s.settings.fallback, &model = s.settings.model;
  const bool own = s.preconditioner.apply, plain = !own && !s.levels;  // plain: Jacobi or nothing was asked for
  std::vector<Fallback> made;
  if (asked == "multigrid" || (asked == "auto" && !plain && (own || model != "multigrid"))) made.push_back(Fallback::kClassical);
  if ((asked == "amg" || (asked == "auto" && !plain)) && s.fallback.apply) made.push_back(Fallback::kCallers);
  return made;
}

// What the iterations see: vectors over the cells of this process.
class CellSystem : public LinearSystem {
 public:
  double target = 0.0;       // near which the residual's own rounding is looked at
  double uncertain = 0.0;    // what the operator may lack of A's product with x counts against it there
  double unreachable = 0.0;  // the norm of what the last residual had along the null space, where the operator stands for an A that is not quite singular
  const std::vector<Fallback> fallbacks;
  Fallback now = Fallback::kNone;  // which `precondition` is; kNone: the preconditioner that was asked for

  CellSystem(dcg_solver &s, const double *b, double scale, double unit)
      : fallbacks(fallbacks_of(s)), s(s), b(b), scale(scale), unit(unit), threads(static_cast<int32_t>(s.settings.threads)) {
    n = s.reading->placement().cells();
  }

  void product(const double *x, double *y) override { s.box->product(in_units_of_a(x), y, threads); }
  double residual(const double *b, const double *x, double *r) override {
    x = in_units_of_a(x);
    const double norm = finish_residual(s.box->residual(b, x, r, threads), x, r);
    uncertain = 0.0;
    if (!(measure(r, norm) <= 2.0 * target) || !is_rounding_felt(x)) return norm;
    const double extended = finish_residual(s.box->extended_residual(b, x, r), x, r);
    if (const double unheld = s.reading->unheld(); unheld > 0.0) {
      const double *inverse = s.find_inverse_diagonal();
      std::vector<double> product(n, 0.0);
      for (int64_t u = 0; u < n; ++u)
        if (inverse[u] != 0.0) product[u] = x[u] / inverse[u];
      uncertain = unheld * s.norm2(product.data());
    }
    return s.reading->scaling().empty() ? extended + uncertain : extended;
  }
  double measure(const double *r, double norm) override { return s.reading->scaling().empty() ? norm : s.norm2(r) + uncertain; }
  void project(double *v) override { s.null_space->project(v); }
  void precondition(const double *r, double *z) override {
    switch (now) {
      case Fallback::kNone: s.precondition(r, z); break;
      case Fallback::kClassical: pass_on(dcg_multilevel_apply(s.classical, r, z)); break;
      case Fallback::kCallers: check_callback("fallback.apply", s.fallback.apply(s.fallback.context, r, z)); break;
    }
    if (unit != 1.0)
      for (int64_t u = 0; u < n; ++u) z[u] /= unit;
  }
  bool fall_back() override {
    const Fallback next = fallbacks[next_++];
    if (next == Fallback::kClassical) s.need_classical();
    if (next == Fallback::kCallers) {
      int32_t there = 0;
      const int code = s.fallback.set_up(s.fallback.context, &there);
      double missing = code != 0 || !there;
      if (s.ranks()) missing = s.ranks()->maximum(missing);
      check_callback("fallback.set_up", code);
      if (missing > 0.0) return false;
    }
    now = next;
    return true;
  }
  void sum(double *values, int64_t count) override {
    if (s.ranks()) s.ranks()->allreduce(values, count);
  }
  const double *inverse_diagonal() override {
    const double *inverse = s.find_inverse_diagonal();
    if (unit == 1.0) return inverse;
    inverse_diagonal_.assign(inverse, inverse + n);
    for (double &d : inverse_diagonal_) d /= unit;
    return inverse_diagonal_.data();
  }
  bool run(double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations) override {
    int32_t result = 0;
    target = s.scaled_target(r, target);
    if (const dcg_preconditioner &own = s.preconditioner; own.run)
      check_callback("preconditioner.run", own.run(own.context, x, r, target, maxiter, history, steps, iterations, &result));
    else
      pass_on(s.settings.method == "dcd"
                  ? dcg_multilevel_directions(s.levels, s.settings.window == kAll ? DCG_CHECK_EVERY : window_of(s), x, r,
                                              target, maxiter, history, steps, iterations, &result)
                  : dcg_multilevel_cg(s.levels, x, r, target, maxiter, history, steps, iterations, &result));
    return result != DCG_CG_BREAKDOWN;
  }
  bool observe(int64_t iteration, double norm, const double *x) override {
    if (!s.observed) return true;
    int32_t stop = 0;
    const int code = s.observer.observe ? show(iteration, norm, x, &stop) : 0;
    double said = code ? kFailed : stop != 0;
    if (s.ranks()) said = s.ranks()->maximum(said);  // all ranks go on, or none
    check_callback("observe", code);
    if (said == kFailed) throw std::runtime_error("observe: another process's observer failed");
    return said == 0.0;
  }

 private:
  static constexpr double kFailed = 2.0;
  static constexpr double kFelt = 1e-2;  // of the target: rounding of the residual itself below it decides nothing

  int show(int64_t iteration, double norm, const double *x, int32_t *stop) {
    const double *rows = x;
    if (!s.direct() || unit / scale != 1.0 || !s.reading->lone().row.empty()) {
      s.seen.resize(s.reading->rows());
      s.from_cells(unit / scale, x, s.seen.data());
      s.solve_lone_rows(b, s.seen.data());
      rows = s.seen.data();
    }
    return s.observer.observe(s.observer.context, iteration, norm / scale, rows, stop);
  }

  dcg_solver &s;
  const double *const b, scale, unit;  // b over rows; it is multiplied by `scale`, x by scale / unit and A by `unit`, powers of two
  const int32_t threads;
  std::vector<double> scaled_, inverse_diagonal_;
  size_t next_ = 0;

  // r, of which r . r is `square`, with the judge's correction and without its part along the null space; the 2-norm.
  double finish_residual(double square, const double *x, double *r) {
    const bool corrected = s.reading->correct(x, r);
    if (corrected || !s.null_space->empty()) {
      unreachable = take_off(s, r);
      pass_on(dcg_dot(n, r, r, &square));
    }
    return std::sqrt(s.ranks() ? s.ranks()->allreduce(square) : square);
  }

  // Whether evaluating A x in double precision errs by a part of the target that counts. x: in units of A.
  bool is_rounding_felt(const double *x) {
    double square;
    pass_on(dcg_dot(n, x, x, &square));
    if (s.ranks()) square = s.ranks()->allreduce(square);
    return std::numeric_limits<double>::epsilon() * s.norm_bound * std::sqrt(square) > kFelt * target;
  }

  const double *in_units_of_a(const double *x) {  // without overflow in norms and inner products: ||A|| times `unit` is moderate
    if (unit == 1.0) return x;
    scaled_.assign(x, x + n);
    for (double &value : scaled_) value *= unit;
    return scaled_.data();
  }
};

}  // namespace dcg
