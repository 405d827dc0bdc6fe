// Preconditioned conjugate gradients (Hestenes and Stiefel 1952; Saad 2003, algorithm 9.1), once for every place where vectors live.
// A Space owns the vectors x, r, z = M r and p, and makes the passes over them:
//
//   residual_square()  r . r
//   load()             hands scale * r to the preconditioner and sets p = 0
//   precondition()     z = M (scale * r), and its product with scale * r: the slope
//   conjugate()        p = z + beta p, and p . A p: the curvature
//   advance()          x += alpha p, r -= alpha A p, hands scale * r to the preconditioner, and r . r
//   step(sum, pass)    unless the iteration stopped: makes the pass and gives its sum to the recurrence
//   stopped()          whether to end. A GPU may look late: steps after the end do nothing.
//
// Single precision is enough for z, which only has to be near M r, but not for p = z + beta p: there its rounding is noise of size eps |p| in a
// smooth direction, hence eps |A| |p| in the residual, however small that is by then.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.hpp"
#include "deepcg.h"

namespace dcg {

enum class CgSum { kResidual, kSlope, kCurvature, kNorm };

struct Outcome {
  int64_t iterations = 0;
  int result = DCG_CG_MAXITER;
};

// The scalars of the iteration, and what follows from each sum.
struct CgRecurrence {
  double target = 0.0;
  int64_t maxiter = 0;
  double *history = nullptr, *steps = nullptr;  // per iteration: norm of r; alpha and beta. NULL: not recorded
  bool scaled = true;                           // false: scale stays 1

  double norm = 0.0, scale = 1.0;  // scale * r starts with norm 1, so that single precision suffices for the cycle
  double slope = 0.0, previous_slope = 0.0, curvature = 0.0, alpha = 0.0, beta = 0.0;
  int stop = 0, result = DCG_CG_MAXITER;
  int64_t iterations = 0;

  DCG_BOTH bool stopped() const { return stop != 0; }
  DCG_BOTH void end(int why) { stop = 1, result = why; }

  DCG_BOTH void accept(CgSum which, double sum) {
    switch (which) {
      case CgSum::kResidual:
        norm = std::sqrt(sum);
        scale = scaled && norm > 0.0 ? 1.0 / norm : 1.0;
        return end_by_norm();
      case CgSum::kSlope:
        if (!positive(sum)) return end(DCG_CG_BREAKDOWN);
        beta = previous_slope > 0.0 ? sum / previous_slope : 0.0;
        slope = sum;
        return;
      case CgSum::kCurvature:
        if (!positive(sum)) return end(DCG_CG_BREAKDOWN);
        curvature = sum;
        alpha = slope / (scale * curvature);
        return;
      case CgSum::kNorm:
        norm = std::sqrt(sum);
        previous_slope = slope;
        if (history) history[iterations] = norm;
        if (steps) steps[2 * iterations] = alpha, steps[2 * iterations + 1] = beta;
        ++iterations;
        return end_by_norm();
    }
  }

 private:
  DCG_BOTH static bool positive(double value) { return value > 0.0 && value <= 1.7976931348623157e308; }  // and finite
  DCG_BOTH void end_by_norm() {
    if (norm <= target) return end(DCG_CG_CONVERGED);
    if (iterations >= maxiter) end(DCG_CG_MAXITER);
  }
};

template <class Space>
void conjugate_gradients(Space &space) {
  space.step(CgSum::kResidual, &Space::residual_square);
  space.load();
  while (!space.stopped()) {
    space.step(CgSum::kSlope, &Space::precondition);
    space.step(CgSum::kCurvature, &Space::conjugate);
    space.step(CgSum::kNorm, &Space::advance);
  }
}

// Base of the spaces whose passes return their sums to the caller.
template <class Space>
class CgOnHost {
 public:
  CgRecurrence cg;

  void step(CgSum which, double (Space::*pass)()) {
    if (!cg.stopped()) cg.accept(which, (static_cast<Space &>(*this).*pass)());
  }
  bool stopped() const { return cg.stopped(); }
};

}  // namespace dcg
