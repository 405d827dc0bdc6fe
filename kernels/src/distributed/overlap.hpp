// Cells that other ranks own, fetched from there at set-up: the operator's data, and a level's.
#pragma once

#include "deepcg.h"
#include "distributed/partition.hpp"
#include "setup/coarsen.hpp"

namespace dcg {

// The operator on all the cells that a partition holds here, with arrays of its own.
struct LocalOperator {
  dcg_operator op;
  std::vector<uint8_t> cells;
  std::vector<double> weights[3], shift;
};

// Collective, as what follows. `given` is the operator of each rank's own cells. Beyond the cells held there are walls, except where the
// grid itself ends.
LocalOperator fetch_operator(Ranks &ranks, const dcg_operator &given, const Partition &own, const Partition &held);

// The kinds of cells only.
std::vector<uint8_t> fetch_cell_kinds(Ranks &ranks, const dcg_operator &given, const Partition &own, const Partition &held);

// The level on the cells that `to` holds. `made`: the level as this rank computed it, by the partition `made_on`; the owners' values are taken.
// The transfer to the next level is not fetched. Values are bit for bit the same on every rank that holds them.
void fetch_level(Ranks &ranks, const Level &made, const Partition &made_on, const Partition &to, Level &level);

// Number of each cell's first secondary unknown, by the index of its primary one; -1: it has none.
std::vector<int32_t> first_secondary(const Level &level);

}  // namespace dcg
