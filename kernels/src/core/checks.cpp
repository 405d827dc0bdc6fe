#include "core/checks.hpp"

#include <cmath>

#include "core/error.hpp"

namespace dcg {

int64_t count_cells(const int64_t shape[3]) {
  double cells = 1.0;  // with the layer of ghosts that some arrays have
  for (int a = 0; a < 3; ++a) {
    require(shape[a] > 0, "shape: every size must be at least 1");
    cells *= static_cast<double>(shape[a]) + 2.0;
  }
  require(cells < 0x1p47, "shape: fewer cells than 2^47 are needed");
  return shape[0] * shape[1] * shape[2];
}

void check(const dcg_operator &op) {
  count_cells(op.shape);
  require(op.cells, "cells must not be NULL");
  require(op.unit >= 0.0 && std::isfinite(op.unit), "unit: a finite weight, or 0 where each face has its own, is needed");
  require(!(op.unit > 0.0 && op.shift), "shift: only with weights");
}

void check_weights(const dcg_operator &op) { require(op.weights[2], "weights: those across x must not be NULL where unit is 0"); }

}  // namespace dcg
