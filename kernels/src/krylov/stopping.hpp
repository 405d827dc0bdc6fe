// The stopping rule, once for every iteration and wherever vectors live.
//
// * The true residual b - A x, in difference form, decides convergence; the residual by recurrence only says when to look.
// * It is evaluated every DCG_CHECK_EVERY iterations as well, and replaces the recurrence (van der Vorst and Ye 2000, residual replacement). Where
//   the two differ by more than DCG_DISAGREEMENT, directions built on the recurrence are to be forgotten: the method restarts.
// * Attainable accuracy. Evaluating b - A x errs by a few eps ||A|| ||x|| (Greenbaum 1997: no iteration gets below that). A true residual of that
//   size ends the solve when it no longer halves, or when the recurrence claims less than a tenth of it. Where no bound of ||A|| is known, a
//   recurrence that has drifted from a residual that did not halve twice ends it.
// * The limit of iterations, a breakdown (the method tells), and the caller's own wish to stop.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "deepcg.h"
#include "krylov/linear_system.hpp"
#include "setup/level.hpp"

namespace dcg {

const char *reason_text(int32_t reason);

// x, its residual and how the solve goes; made once a solve and shared by all methods of its chain.
class KrylovState {
 public:
  // r: room for the residual, or nullptr. Evaluates the residual of x.
  KrylovState(LinearSystem &system, const dcg_krylov_options &limits, const double *b, double *x, double *r);

  int32_t reason = DCG_ITERATING;
  int64_t iterations = 0, fallbacks = 0, restarts = 0;
  double condition = 0.0;         // 0: not known
  std::vector<double> residuals;  // of the initial guess, then after each iteration

  LinearSystem &system() const { return system_; }
  double *x() const { return x_; }
  double *r() const { return r_; }
  double r_norm() const { return r_norm_; }  // ||r||_2, whatever norm is recorded
  double target() const { return limits_.target; }
  int threads() const { return threads_; }
  int64_t left() const { return limits_.maxiter - iterations; }
  bool stopped() const { return reason != DCG_ITERATING; }
  void stop(int32_t why) { reason = why; }

  // x += alpha d, r -= alpha A d, then the rule. True: the recurrence had lost the true residual, and directions are to be forgotten.
  bool advance(double alpha, const double *d, const double *Ad);

  // Takes over `count` iterations that were done on x and r elsewhere (history: ||r||_2 after each, by recurrence), then the rule.
  void accept(int64_t count, const double *history);

  double dot(const double *a, const double *b) const;
  double norm2(const double *v) const;

 private:
  void judge(double norm);  // by the true residual
  void look_for_floor(double claimed, bool drifted);
  void record(double norm);

  LinearSystem &system_;
  const dcg_krylov_options limits_;
  const int threads_;
  const double *const b_;
  double *const x_;
  double *r_;
  Field<double> own_, spare_;  // r where the caller has no room; the true residual, before it takes r's place
  double r_norm_ = 0.0;
  double last_true_ = std::numeric_limits<double>::infinity();
  int unhalved_ = 0;  // evaluations in a row that did not halve the smallest one before
};

}  // namespace dcg
