// How fast an iteration converges, by stretches of DCG_STALL iterations: the smallest residual of a stretch against the smallest one before it.
// Single residuals say little, as conjugate gradients do not make them fall in every step.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "krylov/stopping.hpp"

namespace dcg {

class Pace {
 public:
  explicit Pace(KrylovState &state) : state_(state), before_(state.residuals.back()) {}

  // After an iteration: whether a stretch is complete.
  bool take() {
    least_ = std::min(least_, state_.residuals.back());
    if (++since_ < DCG_STALL) return false;
    ratio_ = least_ / before_;
    before_ = std::min(before_, least_), least_ = std::numeric_limits<double>::infinity(), since_ = 0;
    return true;
  }
  bool halved() const { return ratio_ <= 0.5; }  // the last stretch
  // Whether the last stretch says that a fallback should go on.
  bool slow() const { return state_.leave_for_fallback(ratio_, DCG_STALL); }

 private:
  KrylovState &state_;
  double before_, least_ = std::numeric_limits<double>::infinity();
  double ratio_ = 0.0;
  int since_ = 0;
};

}  // namespace dcg
