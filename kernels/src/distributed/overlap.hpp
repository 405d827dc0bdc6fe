// What a rank holds of its neighbours' cells: the operator's data, and a level's.
#pragma once

#include "deepcg.h"
#include "distributed/partition.hpp"
#include "setup/coarsen.hpp"

namespace dcg {

// The operator on all the cells that a layout holds here, with arrays of its own.
struct HeldOperator {
  dcg_operator op;
  std::vector<uint8_t> cells;
  std::vector<double> weights[3], shift;
};

// Collective. What lies outside the held cells is a wall, but where the grid itself ends there. `given` is that of each rank's own cells.
HeldOperator hold_operator(Ranks &ranks, const dcg_operator &given, const Layout &own, const Layout &held);

// Collective. The kinds of cells only.
std::vector<uint8_t> hold_cells(Ranks &ranks, const dcg_operator &given, const Layout &own, const Layout &held);

// Collective. A level on the cells that `to` holds, from those who own its cells as `blocks` has them, `made` in their hands: all but
// what the transfer to the next level needs. Bit for bit the same wherever it is held.
void hold_level(Ranks &ranks, const Level &made, const Layout &blocks, const Layout &to, Level &level);

// Index of each cell's first extra unknown among all of a level, for all places of its box; -1: it has none.
std::vector<int32_t> first_extras(const Level &level);

}  // namespace dcg
