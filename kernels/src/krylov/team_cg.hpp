// Conjugate gradients around the cycle, by all threads of a team from the first iteration to the last.
#pragma once

#include "krylov/cg.hpp"
#include "krylov/krylov_rows.hpp"

namespace dcg {

// `direction`: over the level's cells.
Outcome conjugate_gradients(Cycle &cycle, const System &system, Level &finest, Field<double> &direction, const RowKernels &rows, const Team &team,
                            double target, int64_t maxiter, double *history, double *steps);

}  // namespace dcg
