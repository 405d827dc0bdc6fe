// Conjugate gradients around the cycle, by all threads of a team from the first iteration to the last.
#pragma once

#include "krylov/krylov_rows.hpp"

namespace dcg {

struct Outcome {
  int64_t iterations = 0;
  int result = DCG_CG_MAXITER;
};

Outcome conjugate_gradients(Cycle &cycle, const System &system, Level &finest, Field<float> &direction, const RowKernels &rows,
                            const Team &team, double target, int64_t maxiter, double *history, double *steps);

}  // namespace dcg
