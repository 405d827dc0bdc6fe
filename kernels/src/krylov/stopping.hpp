// The stopping rule, once for every iteration and wherever vectors live.
//
// * The true residual b - A x, in difference form, decides convergence; the residual by recurrence only says when to look.
// * It is evaluated every DCG_CHECK_EVERY iterations as well, and replaces the recurrence (van der Vorst and Ye 2000, residual replacement). Where
//   the two differ by more than DCG_DISAGREEMENT, directions built on the recurrence are to be forgotten: the method restarts.
// * Attainable accuracy. x is known to rounding, so b - A x cannot be told from 0 below about DCG_ROUNDING || |A| |x| + |b| ||_2, row by row
//   (Higham 2002, section 7.1). A true residual of that size ends the solve when it no longer halves, or when the recurrence claims less than a
//   tenth of it. As iterations add their own rounding, each evaluation that did not halve it doubles what counts, 2^kPatient times at most. Where
//   the diagonal of A is not known, a recurrence that has drifted from a residual that did not halve twice ends it.
// * The limit of iterations, a breakdown (the method tells), and the caller's own wish to stop.
// * A method that is slow is left where a fallback is to come: see leave_for_fallback().
//
// A solve that does not converge ends with the best x that a true residual was evaluated for, and no method starts from a worse one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "deepcg.h"
#include "krylov/linear_system.hpp"
#include "setup/level.hpp"

namespace dcg {

const char *reason_text(int32_t reason);

// The residual at which a solve has converged; norm: of what rtol refers to.
inline double target_of(double rtol, double atol, double norm) { return std::max(rtol * norm, atol); }

// x, its residual and how the solve goes; made once a solve and shared by all methods of its chain.
class KrylovState {
 public:
  // r: room for the residual, or nullptr. Evaluates the residual of x.
  KrylovState(LinearSystem &system, const dcg_krylov_options &limits, const double *b, double *x, double *r);

  int32_t reason = DCG_ITERATING;
  int64_t iterations = 0, fallbacks = 0, restarts = 0;
  double condition = 0.0;         // 0: not known
  std::array<int64_t, DCG_CHAIN> done{};  // iterations by each entry of the chain
  std::vector<double> residuals;  // of the initial guess, then after each iteration; the last one is x's at the end

  LinearSystem &system() const { return system_; }
  double *x() const { return x_; }
  double *r() const { return r_; }
  double r_norm() const { return r_norm_; }  // ||r||_2, whatever norm is recorded
  double target() const { return target_; }
  int threads() const { return threads_; }
  int64_t left() const { return limits_.maxiter - iterations; }
  bool stopped() const { return reason != DCG_ITERATING; }
  bool stalled() const { return unhalved_ >= kPatient; }  // the true residual
  void stop(int32_t why) { reason = why; }

  // x += alpha d, r -= alpha A d, then the rule. True: the recurrence had lost the true residual, and directions are to be forgotten.
  bool advance(double alpha, const double *d, const double *Ad);

  // Takes over `count` iterations that were done on x and r elsewhere (history: ||r||_2 after each, by recurrence), then the rule.
  void accept(int64_t count, const double *history);

  // Before another method starts, and at the end: the true residual, and the best x if that is another one.
  void settle();

  // Whether the method that runs should be left: a fallback is to come, and with a residual that shrinks by `ratio` in `iterations` the target is
  // more than DCG_FURTHER iterations away. A residual that may be rounding is no reason. The state keeps the answer.
  bool leave_for_fallback(double ratio, int64_t iterations);
  bool slow() const { return slow_; }
  // Before a method starts. followed: a fallback is to come.
  void start(bool followed) { followed_ = followed, slow_ = false; }

  // Whether d . A d < 0 is more than rounding, so that A is not positive semidefinite; then the solve ends.
  bool indefinite(const double *d, double curvature);

  double dot(const double *a, const double *b) const;
  double norm2(const double *v) const;

 private:
  static constexpr int kPatient = 5;
  static constexpr double kGenerous = 10.0;  // an A that is not diagonally dominant has larger rows than its diagonal tells

  double evaluate();        // the true residual into r, and what is recorded of it
  void judge(double norm);  // by the true residual
  void look_for_floor(double claimed, bool drifted);
  void record(double norm);
  void keep(double norm);   // x, where it is the best so far
  double go_back();         // to it; what is recorded of it
  bool find_diagonal(const double *&inverse) const;  // false: not known on some rank
  bool near_rounding() const;  // whether r may be of the size of rounding, by a bound that needs no product
  bool may_be_rounding();      // the same, by |A| |x| + |b|
  double magnitude();       // || |A| |x| + |b| ||_2; negative: not known
  bool magnitudes(const double *v, std::vector<double> &rows);  // |A| |v|, off-diagonals <= 0; false: not known

  LinearSystem &system_;
  const dcg_krylov_options limits_;
  double target_ = 0.0;  // converged: a residual of at most this
  const int threads_;
  const double *const b_;
  double *const x_;
  double *r_;
  Field<double> own_, recurrence_;  // r where the caller has no room; what it was by recurrence, beside the true residual
  double r_norm_ = 0.0;
  bool exact_ = true;          // r is the true residual
  double last_true_ = std::numeric_limits<double>::infinity();
  bool followed_ = false, slow_ = false;
  int unhalved_ = 0;  // evaluations in a row that did not halve the smallest one before
  double best_ = std::numeric_limits<double>::infinity();  // what is recorded of the best x
  bool best_is_zero_ = false;
  Field<double> best_x_;
};

}  // namespace dcg
