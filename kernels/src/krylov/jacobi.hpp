// Jacobi's direction D^-1 r, D the diagonal of A: what an iteration falls back on.
#pragma once

#include "krylov/stopping.hpp"
#include "operator/vectors.hpp"

namespace dcg {

inline void jacobi_direction(const KrylovState &state, double *z) {
  LinearSystem &system = state.system();
  if (const double *inverse = system.inverse_diagonal()) {
    multiply(system.n, inverse, state.r(), z, state.threads());
  } else {
    copy(system.n, state.r(), z, state.threads());
  }
}

// r . D^-1 r
inline double jacobi_slope(const KrylovState &state) {
  LinearSystem &system = state.system();
  const double *inverse = system.inverse_diagonal();
  if (!inverse) return state.r_norm() * state.r_norm();
  double value = weighted_square(system.n, inverse, state.r(), state.threads());
  system.sum(&value, 1);
  return value;
}

}  // namespace dcg
