// The hierarchy that both backends run on: every level, built on the host.
#pragma once

#include <memory>
#include <vector>

#include "core/checks.hpp"
#include "setup/finest.hpp"
#include "setup/sparse_coarsening.hpp"

namespace dcg {

constexpr int64_t kDirect = 64;  // unknowns that are solved for directly

// Refuses parameters that set_up() cannot work with.
void check(const dcg_parameters &parameters);

struct Hierarchy {
  dcg_operator op;
  dcg_parameters parameters;
  int threads;
  double inverse_scale;  // the finest level's operator is this times the user's
  std::vector<std::unique_ptr<Level>> pool;
  std::vector<Level *> levels;  // finest first
  std::vector<std::unique_ptr<SparseLevel>> sparse_pool;
  std::vector<SparseLevel *> sparse_levels;  // those below, where the finest level is rough

  // Builds every level for `op` in the pool's memory.
  void set_up();

  // Memory for the level after those that there are.
  Level &next_level();
  // Builds sparse levels below this grid level.
  void coarsen_to_sparse_levels(Level &finest);
  // Builds the levels below the last one, whose cells have these widths.
  void coarsen_on(Widths &widths, double target);
};

}  // namespace dcg
