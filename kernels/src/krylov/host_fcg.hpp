// FCG(m) in float64 around a preconditioner that may be anything, a network for instance.
//
// What makes the answer safe is sufficient decrease. A step along d lowers ||e||_A^2 by (d . r)^2 / d . A d. With D the diagonal of A and
// A <= 2 D (diagonal dominance), Jacobi's direction D^-1 r lowers it by at least (r . D^-1 r) / 2, and
// r . D^-1 r >= lambda_min(D^-1 A) ||e||_A^2. A direction that does not reach DCG_DECREASE * r . D^-1 r, or has no positive finite curvature, is
// not taken: Jacobi's is. So every iteration contracts the error by 1 - DCG_DECREASE lambda_min at least, whatever the preconditioner does.
//
// After DCG_PATIENCE poor directions in a row, DCG_MOST_FAILURES in all, or DCG_STALL iterations that did not halve the residual, the iteration gives
// up: conjugate gradients have a convergence theory that steepest descent has not. So it does where it is slow and a fallback is to come.
#pragma once

#include <deque>

#include "krylov/fcg.hpp"
#include "krylov/pace.hpp"
#include "krylov/stopping.hpp"

namespace dcg {

class HostFcg {
 public:
  HostFcg(KrylovState &state, int64_t window);

  bool stopped() const { return state_.stopped() || gave_up_; }
  void breakdown() { gave_up_ = true; }
  bool propose(int candidate);
  void orthogonalise();
  void product();
  bool accepts(int candidate);
  void advance();

 private:
  struct Direction {
    Field<double> d, Ad;
    double curvature = 0.0;
  };
  Direction &room(int64_t place);

  KrylovState &state_;
  LinearSystem &system_;
  Window window_;
  std::deque<Direction> directions_;  // by place; as many as the iteration got to
  Direction *now_ = nullptr;
  double slope_ = 0.0, needed_ = 0.0;  // d . r; the least decrease
  int in_a_row_ = 0, failures_ = 0;    // poor directions
  Pace pace_;
  bool gave_up_ = false;
};

}  // namespace dcg
