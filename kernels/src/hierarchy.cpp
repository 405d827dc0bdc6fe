// Set-up of the whole hierarchy.

#include "hierarchy.hpp"

#include <algorithm>

#include "error.hpp"

namespace dcg {

namespace {

constexpr int64_t kDirect = 64;  // unknowns that are solved for directly

Level &level_at(std::vector<std::unique_ptr<Level>> &pool, size_t l) {
  while (pool.size() <= l) pool.push_back(std::make_unique<Level>());
  return *pool[l];
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
  for (auto &anchor : levels[0]->anchor) anchor.release();  // what only the set-up needs, where it is large
  levels[0]->shift.release();
}

}  // namespace dcg
