// The null space of an operator over the cells of one process: constants on each component that nothing anchors.
#pragma once

#include <cstdint>
#include <vector>

#include "deepcg.h"

namespace dcg {

class NullSpace {
 public:
  void find(const dcg_operator &op);

  bool empty() const { return sizes_.empty(); }
  // Takes the mean of every such component off v; returns the 2-norm of what was taken.
  double project(double *v) const;

 private:
  std::vector<int64_t> first_, length_and_component_, sizes_;
};

}  // namespace dcg
