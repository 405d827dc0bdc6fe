// The finest level, from the user's cells and coefficients.
#pragma once

#include "deepcg.h"
#include "setup/coarsen.hpp"

namespace dcg {

// The largest face weight, and the largest shift; 0 where there are none. Refuses weights that are negative or not finite, and such shifts.
struct Largest {
  double weight = 0.0, shift = 0.0;
};
Largest largest(const dcg_operator &op, int threads);

// Cells, weights and Dirichlet couplings of the finest level, whose operator is the returned factor times the user's. `largest`: of the whole grid.
double build_finest(Level &level, const dcg_operator &op, const Largest &largest, int threads);

}  // namespace dcg
