// The multigrid cycle that the network is, by the threads of a team: one symmetric V over the levels, z = M r.
#pragma once

#include <vector>

#include "cycle/sparse_cycle.hpp"
#include "cycle/stages.hpp"

namespace dcg {

class Cycle {
 public:
  // Sizes the buffers for levels that are set up; call it again after they changed. first: the number of levels[0] in the hierarchy.
  void prepare(const std::vector<Level *> &levels, const std::vector<SparseLevel *> &sparse, const dcg_parameters &parameters, size_t first, const RowKernels &rows, int threads);

  // levels[0]->x = M levels[0]->b by all threads of the team; returns the inner product of both.
  double run(const Team &team);

  int64_t bytes() const;

 private:
  std::vector<LevelStages> levels_;
  SparseCycle sparse_;  // below them; empty: the last one is solved directly
};

}  // namespace dcg
