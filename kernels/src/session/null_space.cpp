#include "session/null_space.hpp"

#include "core/error.hpp"

namespace dcg {

void NullSpace::find(const dcg_operator &op) {
  int64_t runs = 0, components[2];
  pass_on(dcg_components(&op, 0, nullptr, nullptr, &runs, components));
  first_.resize(runs), length_and_component_.resize(2 * runs), sizes_.assign(components[0], 0);
  if (!runs) return;
  pass_on(dcg_components(&op, runs, first_.data(), length_and_component_.data(), &runs, components));
  for (int64_t n = 0; n < runs; ++n) sizes_[length_and_component_[2 * n + 1]] += length_and_component_[2 * n];
}

double NullSpace::project(double *v) const {
  double removed = 0.0;
  if (!empty())
    pass_on(dcg_project(static_cast<int64_t>(first_.size()), first_.data(), length_and_component_.data(), sizes_.data(),
                        static_cast<int64_t>(sizes_.size()), v, &removed));
  return removed;
}

}  // namespace dcg
