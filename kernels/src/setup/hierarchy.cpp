// Set-up of the whole hierarchy.

#include "setup/hierarchy.hpp"

#include <utility>

#include "core/error.hpp"

namespace dcg {

namespace {

// During set-up, x and b lend their memory to two arrays of the set-up alone; a second call swaps them back.
void lend_vectors(Level &finest) {
  std::swap(finest.x, finest.dirichlet[0]);
  std::swap(finest.b, finest.dirichlet[1]);
}

void estimate_widths(const Level &finest, Widths &widths) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  WidthSamples samples(finest.box.n);
  const auto weight = [&](int a, const int64_t at[3], bool high) {
    return finest.weight[a][finest.box.at(at[0], at[1], at[2]) - (high ? 0 : finest.box.offset(a))];
  };
  if (!finest.constant) samples.take(weight, kOrigin, finest.box.n, kOrigin);
  samples.widths(widths);
}

}  // namespace

void check(const dcg_parameters &w) {
  for (const int32_t s : w.sweeps) require(s >= 1 && s <= DCG_SWEEPS, "sweeps: 1 to 4 are needed");
  for (const auto &level : w.omega)
    for (const auto &sweep : level)
      for (const float omega : sweep) require(omega > 0.0f && omega < DCG_OMEGA_BELOW, "omega: values in (0, 3/2) are needed");
  require(w.rough >= 1.0f, "rough: a factor of at least 1 is needed");
  for (const float c : w.relaxation_table) require(c > 1.0f - DCG_FACTOR_SPREAD && c < 1.0f + DCG_FACTOR_SPREAD, "relaxation_table: values in (3/4, 5/4) are needed");
}

Level &Hierarchy::next_level() {
  if (pool.size() <= levels.size()) pool.push_back(std::make_unique<Level>());
  return *pool[levels.size()];
}

void Hierarchy::set_up() {
  levels.clear(), sparse_levels.clear();
  Level &finest = next_level();
  lend_vectors(finest);
  inverse_scale = build_finest(finest, op, largest(op, threads), threads);
  if (!finest.constant) {
    apply_local_factors(finest, parameters, true, threads);
    setup_smoother(finest, true, threads);
  }
  levels.push_back(&finest);
  if (is_rough(finest, parameters.rough, threads)) {
    coarsen_to_sparse_levels(finest);
  } else {
    Widths widths;
    estimate_widths(finest, widths);
    coarsen_on(widths, first_target(finest.box.n, widths));
  }
  lend_vectors(finest);
  finest.dirichlet[2].release(), finest.shift.release();
  for (Field<float> *vector : {&finest.x, &finest.b}) fill(*vector, finest.box.size, 0.0f, threads);
}

void Hierarchy::coarsen_to_sparse_levels(Level &finest) {
  const auto next_level = [&]() -> SparseLevel & {
    if (sparse_pool.size() <= sparse_levels.size()) sparse_pool.push_back(std::make_unique<SparseLevel>());
    SparseLevel &level = *sparse_pool[sparse_levels.size()];
    level.inverse.clear();
    return level;
  };
  sparse_levels.push_back(&next_level());
  coarsen_to_sparse(finest, *sparse_levels.back(), threads);
  find_slack(finest, threads);
  while (sparse_levels.back()->unknowns > kSparseDirect) {
    SparseLevel &coarse = next_level();
    if (!coarsen(*sparse_levels.back(), coarse, threads)) break;
    sparse_levels.push_back(&coarse);
  }
  if (sparse_levels.back()->unknowns <= kSparseDirect) factorise(*sparse_levels.back());
}

void Hierarchy::coarsen_on(Widths &widths, double target) {
  while (levels.back()->unknowns > kDirect && plan_semicoarsening(levels.back()->box.n, levels.back()->coarsening, widths, target)) {
    Level &fine = *levels.back(), &coarse = next_level();
    coarsen(fine, coarse, threads);
    apply_local_factors(coarse, parameters, false, threads);
    setup_smoother(coarse, false, threads);
    subtract_regular_rows(fine, coarse);
    levels.push_back(&coarse);
  }
  factorise(*levels.back());
}

}  // namespace dcg
