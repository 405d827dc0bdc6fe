// Sums over the couplings of each unknown: the diagonal follows from them, and the learned function sees them.
#pragma once

#include <vector>

#include "core/region.hpp"
#include "setup/level.hpp"

namespace dcg {

// body(row, first index, number of unknowns): every row of cells, then the secondary unknowns, one at a time as row -1.
template <class Body>
void for_unknowns(const Level &level, int threads, Body &&body) {
  const Box &box = level.box;
  parallel_for(box.n[0] * box.n[1], box.cells() > 4096, threads,
               [&](int64_t row) { body(row, box.at(row / box.n[1], row % box.n[1]), box.n[2]); });
  for (int64_t e = 0; e < level.secondary; ++e) body(int64_t{-1}, box.size + e, int64_t{1});
}

class CouplingSums {
 public:
  // The sums of a row of cells, or of one secondary unknown, in arrays of whole packs.
  struct Row {
    explicit Row(int64_t n);
    std::vector<float> values;
    float *axis[3];     // edges and Dirichlet couplings along each axis
    float *asymmetry;   // differences between opposite faces
    float *edges, *dirichlet, *shift, *total;
  };

  // The weights' ghosts must be up to date; the level must outlive the object.
  explicit CouplingSums(const Level &level);

  // The sums of n unknowns from index `start` on.
  void sum(int64_t start, int64_t n, Row &row) const;

 private:
  const Level &level_;
  std::vector<float> unstructured_;  // sum of unstructured edges by unknown; empty where there are none
};

}  // namespace dcg
