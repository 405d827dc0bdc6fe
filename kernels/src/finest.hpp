// The finest level, from the user's cells and coefficients.
#pragma once

#include "coarsen.hpp"
#include "deepcg.h"

namespace dcg {

// Cells, weights and anchors of the finest level, and the relative widths of its cells. Returns the factor by which the level's
// operator is the user's.
double build_finest(Level &level, const dcg_operator &op, Widths &widths, int threads);

}  // namespace dcg
