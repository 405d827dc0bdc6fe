// The null space of an operator: constants on each connected component that nothing anchors. On several ranks a component may lie on many.
#pragma once

#include <cstdint>
#include <vector>

#include "session/box_operator.hpp"

namespace dcg {

class NullSpace {
 public:
  // Collective. messages NULL: there is one process.
  void find(const BoxOperator &op, Messages *messages);

  bool empty() const { return sizes_.empty(); }
  size_t count() const { return sizes_.size(); }
  // Takes the mean of every such component off v; returns the 2-norm of what was taken. Collective.
  double project(double *v) const;
  // Which of the box's cells belong to such components.
  std::vector<bool> mask(int64_t cells) const;

 private:
  int64_t join(const BoxOperator &op, int64_t count);

  Ranks *ranks_ = nullptr;
  std::vector<int64_t> first_, length_and_component_, sizes_;
};

}  // namespace dcg
