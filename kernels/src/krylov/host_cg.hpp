// Conjugate gradients in float64 around any preconditioner that is linear and symmetric positive definite, or nearly so.
//
// Guards against a preconditioner that is not what it was said to be:
//
// * For an SPD M the cosine between r and z = M r is at least 2 sqrt(k) / (1 + k), k the condition number of M (Wielandt). One below
//   DCG_ALIGNMENT is rounding, or M is not positive: Jacobi's direction is taken instead.
// * In exact arithmetic p . r = r . z. Where they differ by more than a factor of two, conjugacy is lost: restart with p = z. The step along p is
//   exact either way.
// * After DCG_PATIENCE poor directions, DCG_MOST_FAILURES losses of conjugacy, or evaluations of the residual that did not halve it, the iteration
//   gives up; so it does where it is slow and a fallback is to come. With Jacobi it never does.
// * A direction p with p . A p < 0 beyond rounding proves that A is not positive definite, whatever M is: the solve ends.
#pragma once

#include <vector>

#include "krylov/cg.hpp"
#include "krylov/pace.hpp"
#include "krylov/stopping.hpp"

namespace dcg {

class HostCg : public CgOnHost<HostCg> {
 public:
  // kFlexible: beta of Polak and Ribiere, r . z less r_before . z (Golub and Ye 1999), at the price of one vector and one product.
  // kJacobi: M is the inverse of A's diagonal.
  enum Kind { kPlain, kFlexible, kJacobi };

  HostCg(KrylovState &state, Kind kind);

  bool stopped() const { return cg.stopped() || state_.stopped() || gave_up(); }
  double residual_square() { return state_.r_norm() * state_.r_norm(); }
  void load();
  double precondition();
  double conjugate();
  double advance();

  double condition() const;  // of M A, by the iterations since the last restart; 0: not known

 private:
  bool gave_up() const {
    return kind_ != kJacobi && (failures_ >= DCG_PATIENCE || lost_ >= DCG_MOST_FAILURES || state_.stalled() || state_.slow());
  }
  double jacobi();            // z = D^-1 r; r . z
  double take_jacobi();       // the same, and the directions before are forgotten
  void combine(double beta);  // p = z + beta p, and p . r
  double product();           // A p, and p . A p

  KrylovState &state_;
  LinearSystem &system_;
  const Kind kind_;
  Pace pace_;
  Field<double> z_, p_, product_, before_;
  double along_ = 0.0;  // p . r
  bool by_jacobi_ = false;
  int failures_ = 0, lost_ = 0;
  std::vector<double> alphas_, betas_;  // beta: none of the first iteration
};

}  // namespace dcg
