// Conjugate directions around the cycle, over a window, by all threads of a team from the first iteration to the last.
#pragma once

#include <vector>

#include "krylov/team_cg.hpp"

namespace dcg {

// A direction and -A times it, single precision, with what the next ones need of it.
struct Kept {
  Field<float> direction, product;
  double curvature = 0.0;
};

// Over the last `kept.size()` directions.
Outcome conjugate_directions(Cycle &cycle, const System &system, Level &finest, std::vector<Kept> &kept, const RowKernels &rows,
                             const Team &team, double target, int64_t maxiter, double *history, double *steps);

}  // namespace dcg
