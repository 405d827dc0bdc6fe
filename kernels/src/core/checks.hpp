// What every function demands of a grid and of an operator.
#pragma once

#include <cstdint>

#include "deepcg.h"

namespace dcg {

// The number of cells. Refuses sizes that no grid has, and more cells than memory has addresses for.
int64_t count_cells(const int64_t shape[3]);

// Refuses an operator whose members do not go together; the values of its arrays are not looked at.
void check(const dcg_operator &op);
// For functions that read the weights across x without asking whether there are any.
void check_weights(const dcg_operator &op);

}  // namespace dcg
