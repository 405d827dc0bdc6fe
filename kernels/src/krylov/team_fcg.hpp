// FCG(m) around the cycle, by all threads of a team from the first iteration to the last.
#pragma once

#include <vector>

#include "krylov/team_cg.hpp"

namespace dcg {

// A direction and -A times it, with what the next ones need of it.
struct Direction {
  Field<double> direction, product;
  double curvature = 0.0;
};

// m + 1 = kept.size().
Outcome flexible_conjugate_gradients(Cycle &cycle, const System &system, Level &finest, std::vector<Direction> &kept, const RowKernels &rows,
                                     const Team &team, double target, int64_t maxiter, double *history, double *steps);

}  // namespace dcg
