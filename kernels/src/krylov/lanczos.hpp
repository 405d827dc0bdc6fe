// Conjugate gradients are Lanczos's process in disguise: their coefficients are the entries of a tridiagonal matrix whose eigenvalues approach
// those of the preconditioned operator from inside (Saad 2003, section 6.7.3).
#pragma once

#include <cstdint>

namespace dcg {

// The condition number of that matrix; 0 from fewer than two iterations, or where alpha <= 0 or beta < 0.
// alpha, beta: of the n iterations, `stride` values apart; the first beta does not count.
double lanczos_condition(int64_t n, const double *alpha, const double *beta, int64_t stride);

}  // namespace dcg
