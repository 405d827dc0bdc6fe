// Set-up of the whole hierarchy.

#include "hierarchy.hpp"

#include <algorithm>
#include <utility>

#include "error.hpp"

namespace dcg {

namespace {

constexpr int64_t kDirect = 64;  // unknowns that are solved for directly

Level &level_at(std::vector<std::unique_ptr<Level>> &pool, size_t l) {
  while (pool.size() <= l) pool.push_back(std::make_unique<Level>());
  return *pool[l];
}

// What only the set-up needs is kept where the vectors of the iteration will be, or are again after a second call.
void lend_vectors(Level &finest, Field<float> &direction) {
  std::swap(finest.x, finest.anchor[0]);
  std::swap(finest.b, finest.anchor[1]);
  std::swap(direction, finest.shift);
}

}  // namespace

void check(const dcg_operator &op) {
  require(op.shape[0] > 0 && op.shape[1] > 0 && op.shape[2] > 0, "shape: every size must be at least 1");
  require(op.cells, "cells must not be NULL");
  require(op.unit > 0.0 || op.weights[2], "weights: those across x must not be NULL where unit is 0");
  require(!(op.unit > 0.0 && op.shift), "shift: only with weights");
}

void check(const dcg_weights &w) {
  for (const int32_t s : w.sweeps) require(s >= 1 && s <= DCG_SWEEPS, "sweeps: 1 to 4 are needed");
  for (const auto &level : w.omega)
    for (const auto &sweep : level)
      for (const float omega : sweep) require(omega > 0.0f && omega < 1.5f, "omega: values in (0, 3/2) are needed");
  for (const float c : w.codebook) require(c > 0.75f && c < 1.25f, "codebook: values in (3/4, 5/4) are needed");
}

void Hierarchy::set_up() {
  Widths widths;
  levels.clear();
  Level *fine = &level_at(pool, 0);
  lend_vectors(*fine, direction);
  inverse_scale = build_finest(*fine, op, widths, threads);
  if (!fine->unit) finish(*fine, weights, true, threads);
  levels.push_back(fine);
  double target = 1e300;
  for (int a = 0; a < 3; ++a)
    if (fine->box.n[a] > 1) target = std::min(target, *std::min_element(widths[a].begin(), widths[a].end()));
  while (fine->unknowns > kDirect && plan_merges(*fine, widths, target)) {
    Level &coarse = level_at(pool, levels.size());
    coarsen(*fine, coarse, threads);
    finish(coarse, weights, false, threads);
    add_regular_rows(*fine, coarse);
    levels.push_back(&coarse);
    fine = &coarse;
  }
  factorise(*fine);
  lend_vectors(*levels[0], direction);
  levels[0]->anchor[2].release();
  for (Field<float> *vector : {&levels[0]->x, &levels[0]->b, &direction}) fill(*vector, levels[0]->box.size, 0.0f, threads);
}

}  // namespace dcg
