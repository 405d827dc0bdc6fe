// Set-up of the network on many ranks: level by level, until one is small enough for a single rank.
//
// An owned coarse cell depends on coarse cells at most two away, so each rank holds a halo of two:
//   its diagonal takes the faces on both sides, each with the learned factors of both ends                     one coarse cell
//   and a factor depends on the faces on both sides of its cell, which go from one cell's middle to another's.  two
// The same holds for the interpolation of its neighbours' children. Children of the halo come from their owners with all that belongs to
// them, so owned values are bit for bit those of a single rank.

#include "distributed/distributed_hierarchy.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "cycle/cycle.hpp"

namespace dcg {

DistributedHierarchy::DistributedHierarchy(const dcg_ranks &ranks, const dcg_operator &op, const dcg_parameters &parameters, int threads)
    : ranks_(ranks), parameters_(parameters), threads_(threads) {
  set_up(op);
}

LocalLevel &DistributedHierarchy::local(size_t number) {
  while (levels_.size() <= number) levels_.push_back(std::make_unique<LocalLevel>());
  return *levels_[number];
}

// The largest values on all ranks. Where one rank refuses the operator, all do.
Largest DistributedHierarchy::check_on_all_ranks(const dcg_operator &op) {
  std::string refusal;
  Largest most;
  try {
    check(op);
    for (int a = 0; a < 3; ++a)
      require(op.shape[a] == ranks_.starts[a][ranks_.place[a] + 1] - ranks_.starts[a][ranks_.place[a]],
              "shape: not that of this rank's cells by ranks.starts");
    most = largest(op, threads_);
  } catch (const std::invalid_argument &e) {
    refusal = e.what();
  }
  double sums[2] = {refusal.empty() ? 0.0 : 1.0, op.unit};
  ranks_.allreduce(sums, 2);
  require(refusal.empty(), refusal.c_str());
  require(sums[0] == 0.0, "the operator was refused on another rank");
  require(std::fabs(sums[1] - ranks_.count * op.unit) <= 1e-9 * sums[1], "unit: the same value is needed on every rank");
  return {ranks_.maximum(most.weight), ranks_.maximum(most.shift)};
}

// The finest level on the cells held here; returns its scale.
double DistributedHierarchy::build(Level &level, const Partition &own, const Partition &held, const Largest &largest) {
  const LocalOperator on = fetch_operator(ranks_, op_, own, held);
  if (!held.here) return level.box.reset(on.op.shape), 1.0;
  const double factor = build_finest(level, on.op, largest, threads_);
  for (Field<float> *vector : {&level.x, &level.b}) fill(*vector, level.box.size, 0.0f, threads_);
  if (!level.constant) {
    apply_local_factors(level, parameters_, true, threads_);
    setup_smoother(level, true, threads_);
  }
  return factor;
}

// Which cells are unknowns, and their relaxation factors, from their owners: cells at the edge of those held lack neighbours here.
void DistributedHierarchy::fetch_activity(LocalLevel &local) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  Level &level = local.level;
  Halo cells(ranks_);
  for_homes(local.partition, local.partition, kOrigin, level.box.n, [&](const int64_t at[3], const Home &home) {
    if (home.rank != ranks_.number || !inside(at, local.begin, local.end))
      cells.add(level.box.at(at[0], at[1], at[2]), home.rank, home.primary());
  });
  cells.create(level.box.size);
  if (level.constant) cells.broadcast(level.stencil_type.data(), level.stencil_type.data());
  if (!level.constant) cells.broadcast(level.omega_dinv.data(), level.omega_dinv.data());
}

// Whether a level can be cut: every rank owns cells, no cut of a periodic axis joins cells of one colour, no coarse cell neighbours itself.
bool DistributedHierarchy::can_be_cut(const Partition &own, const AxisCoarsening (&coarsening)[3]) const {
  for (int a = 0; a < 3; ++a) {
    for (size_t s = 0; s + 1 < own.starts[a].size(); ++s)
      if (own.starts[a][s] == own.starts[a][s + 1]) return false;
    if (own.cut(a) && own.periodic[a] && (own.n[a] % 2 || coarsening[a].coarse() < 2)) return false;
  }
  return true;
}

// Unknowns of a level's own cells on all ranks, and how many of them are secondary ones.
void DistributedHierarchy::count(const Level &level, const int64_t begin[3], const int64_t end[3], LevelSize &size) {
  double numbers[2] = {0.0, 0.0};
  for_cells(begin, end, [&](const int64_t at[3]) { numbers[0] += is_unknown(level, level.box.at(at[0], at[1], at[2])); });
  for (int64_t e = 0; e < level.secondary; ++e) {
    int64_t c[3];
    level.box.coordinates(level.secondary_cell[e], c);
    if (inside(c, begin, end)) numbers[0] += is_unknown(level, level.box.size + e), numbers[1] += 1.0;
  }
  ranks_.allreduce(numbers, 2);
  size.unknowns = static_cast<int64_t>(numbers[0]), size.secondary = static_cast<int64_t>(numbers[1]);
}

// The relative widths of the whole grid's cells, from every rank's samples of its own.
void DistributedHierarchy::find_widths(const Partition &own, double scale, Widths &widths) {
  WidthSamples samples(own.n);
  if (!(op_.unit > 0.0)) {
    const Partition near = own.widened(1);
    const std::vector<uint8_t> cells = fetch_cell_kinds(ranks_, op_, own, near);
    int64_t shape[3], begin[3], end[3];
    near.held(shape), near.own(begin, end);
    const auto fluid = [&](const int64_t at[3]) { return cells[(at[0] * shape[1] + at[1]) * shape[2] + at[2]] == 0; };
    const auto weight = [&](int a, const int64_t at[3], bool high) {
      int64_t neighbour[3] = {at[0], at[1], at[2]}, face[3], n[3];
      neighbour[a] += high ? 1 : -1;
      if (near.periodic_here(a)) neighbour[a] = (neighbour[a] + shape[a]) % shape[a];
      if (neighbour[a] < 0 || neighbour[a] == shape[a] || !op_.weights[a] || !fluid(at) || !fluid(neighbour)) return 0.0f;
      for (int b = 0; b < 3; ++b) face[b] = at[b] - begin[b] + (a == b && high), n[b] = end[b] - begin[b] + (a == b);
      return static_cast<float>(op_.weights[a][(face[0] * n[1] + face[1]) * n[2] + face[2]] * scale);
    };
    const int64_t first[3] = {own.low[0][own.place[0]], own.low[1][own.place[1]], own.low[2][own.place[2]]};
    samples.take(weight, begin, end, first);
    for (int a = 0; a < 3; ++a) ranks_.allreduce(samples.sum[a].data(), own.n[a]), ranks_.allreduce(samples.count[a].data(), own.n[a]);
  }
  samples.widths(widths);
}

void DistributedHierarchy::set_up(const dcg_operator &op) {
  const Largest most = check_on_all_ranks(op);
  op_ = op;
  sizes_.clear();
  Partition cells = Partition::own(ranks_, op.periodic);
  Widths widths;
  find_widths(cells, most.weight > 0.0 ? 1.0 / most.weight : 1.0, widths);
  double target = first_target(cells.n, widths);
  const LocalLevel *above = nullptr;
  LevelSize size{{cells.n[0], cells.n[1], cells.n[2]}, 0, 0};
  bool rough = false;
  for (cut_ = 0; !rough; ++cut_) {
    Level whole;
    whole.box.reset(cells.n);
    Widths wider = {widths[0], widths[1], widths[2]};
    double next_target = target;
    if (cells.cells() <= ranks_.gather || (above && size.unknowns <= kDirect) || !plan_semicoarsening(whole.box.n, whole.coarsening, wider, next_target)) break;
    if (!can_be_cut(cells, whole.coarsening)) break;
    const CoarsenedPartition plan = coarsened(cells, whole.coarsening);
    LocalLevel &made = local(cut_);
    made.above_sparse = false;
    made.partition = plan.fine, made.coarse_partition = plan.coarse;
    made.partition.own(made.begin, made.end);
    if (above) {
      fetch_level(ranks_, above->coarse, above->coarse_partition, made.partition, made.level);
      levels_[cut_ - 1]->create_coarse_halo(ranks_, made.level, made.partition);
    } else {
      inverse_scale_ = build(made.level, cells, made.partition, most);
      fetch_activity(made);
      count(made.level, made.begin, made.end, size);
      if (size.unknowns <= kDirect) break;
      rough = ranks_.maximum(is_rough(made.level, parameters_.rough, threads_)) > 0.0;
    }
    sizes_.push_back(size);
    if (rough) {
      add_sparse_levels(made, cells, most);
      continue;
    }
    add_level(made, plan, cut_);
    int64_t begin[3], end[3];
    plan.coarse.own(begin, end);
    count(made.coarse, begin, end, size);
    for (int a = 0; a < 3; ++a) widths[a] = wider[a];
    target = next_target;
    cells = plan.coarse.bare();
    std::copy(cells.n, cells.n + 3, size.n);
    above = &made;
  }

  if (!rough) agglomerate(cells, most, widths, target);
  for (size_t l = 0; l < cut_; ++l) {  // only the set-up needs these
    Level &coarse = levels_[l]->coarse;
    for (int a = 0; a < 3; ++a) coarse.weight[a].release(), coarse.dirichlet[a].release();
    coarse.diagonal.release(), coarse.omega_dinv.release(), coarse.shift.release();
  }
  direction_.resize(finest_->level.box.size);
  collect_sizes();
}

// The first level that is not cut, and all below, on rank 0. `cells`: the ranks' own cells of that level.
void DistributedHierarchy::agglomerate(const Partition &cells, const Largest &most, Widths &widths, double target) {
  const LocalLevel *above = cut_ > 0 ? levels_[cut_ - 1].get() : nullptr;
  const Partition on_one = cells.agglomerated(ranks_);
  agglomerated_.parameters = parameters_, agglomerated_.threads = threads_;
  agglomerated_.levels.clear(), agglomerated_.sparse_levels.clear();
  Level &last = agglomerated_.next_level();
  if (above) {
    fetch_level(ranks_, above->coarse, above->coarse_partition, on_one, last);
    levels_[cut_ - 1]->create_coarse_halo(ranks_, last, on_one);
    finest_ = levels_[0].get();
  } else {
    build(last, cells, on_one, most);
    own_cells_.partition = cells.widened(1);
    own_cells_.partition.own(own_cells_.begin, own_cells_.end);
    inverse_scale_ = build(own_cells_.level, cells, own_cells_.partition, most);
    create_level_halo(ranks_, own_cells_.to_coarse, own_cells_.level, own_cells_.partition, own_cells_.begin, own_cells_.end, last, on_one);
    own_cells_.deactivate_ghosts();
    own_cells_.create_ghost_halos(ranks_);
    finest_ = &own_cells_;
  }
  if (on_one.here) {
    agglomerated_.levels.push_back(&last);
    if (!above && is_rough(last, parameters_.rough, threads_)) {
      agglomerated_.coarsen_to_sparse_levels(last);
    } else {
      agglomerated_.coarsen_on(widths, target);
    }
    agglomerated_cycle_.prepare(agglomerated_.levels, agglomerated_.sparse_levels, parameters_, cut_, best_rows(), threads_);
  }
}

// All levels below the finest, on rank 0: an unknown may belong to a block of another rank.
void DistributedHierarchy::add_sparse_levels(LocalLevel &finest, const Partition &cells, const Largest &most) {
  const Partition on_one = cells.agglomerated(ranks_);
  Level whole, &level = finest.level;
  build(whole, cells, on_one, most);
  agglomerated_.parameters = parameters_, agglomerated_.threads = threads_;
  agglomerated_.levels.clear(), agglomerated_.sparse_levels.clear();
  if (on_one.here) {
    agglomerated_.coarsen_to_sparse_levels(whole);
    agglomerated_cycle_.prepare(agglomerated_.levels, agglomerated_.sparse_levels, parameters_, 1, best_rows(), threads_);
  }
  fill(level.sparse_parent, level.box.size, int32_t{-1}, threads_);
  Halo parents;
  create_level_halo(ranks_, parents, level, finest.partition, finest.begin, finest.end, whole, on_one);
  parents.broadcast<int32_t>(whole.sparse_parent.data(), level.sparse_parent.data());
  finest.create_sparse_halo(ranks_, on_one.here ? agglomerated_.sparse_levels[0]->unknowns : 0);
  int64_t first[3];
  finest.partition.first(first);
  pair_cells(first, level.box.n, level.coarsening);
  level.unstructured.clear();
  find_slack(level, threads_);
  for (auto &dirichlet : level.dirichlet) dirichlet.release();
  level.shift.release();
  finest.deactivate_ghosts();
  finest.create_ghost_halos(ranks_);
  finest.above_sparse = true;
  finest.stages.prepare(level, nullptr, &finest.sparse, parameters_, 0, best_rows(), threads_);
  finest_ = &finest;
}

// Builds the next level as far as it can be computed here, and makes the level ready for the cycle.
void DistributedHierarchy::add_level(LocalLevel &local, const CoarsenedPartition &plan, size_t number) {
  Level &level = local.level;
  for (int a = 0; a < 3; ++a) level.coarsening[a] = plan.coarsening[a];
  coarsen(level, local.coarse, threads_);
  apply_local_factors(local.coarse, parameters_, false, threads_);
  setup_smoother(local.coarse, false, threads_);
  subtract_regular_rows(level, local.coarse);
  for (auto &dirichlet : level.dirichlet) dirichlet.release();
  level.shift.release();
  local.deactivate_ghosts();
  local.create_ghost_halos(ranks_);
  local.stages.prepare(level, &local.coarse, nullptr, parameters_, number, best_rows(), threads_);
}

// The sizes of the levels on rank 0, for all ranks.
void DistributedHierarchy::collect_sizes() {
  const size_t grids = agglomerated_.levels.size();
  const size_t below = static_cast<size_t>(ranks_.allreduce(static_cast<double>(grids + agglomerated_.sparse_levels.size())));
  std::vector<double> table(5 * below, 0.0);
  for (size_t l = 0; l < agglomerated_.sparse_levels.size(); ++l) {
    const SparseLevel &level = *agglomerated_.sparse_levels[l];
    double *of = &table[5 * (grids + l)];
    for (int a = 0; a < 3; ++a) of[a] = static_cast<double>(level.n[a]);
    of[3] = static_cast<double>(level.unknowns);
  }
  for (size_t l = 0; l < grids; ++l) {
    const Level &level = *agglomerated_.levels[l];
    for (int a = 0; a < 3; ++a) table[5 * l + a] = static_cast<double>(level.box.n[a]);
    table[5 * l + 3] = static_cast<double>(level.unknowns), table[5 * l + 4] = static_cast<double>(level.secondary);
  }
  ranks_.allreduce(table.data(), static_cast<int64_t>(table.size()));
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  for (size_t l = 0; l < below; ++l) {
    const double *of = &table[5 * l];
    sizes_.push_back({{whole(of[0]), whole(of[1]), whole(of[2])}, whole(of[3]), whole(of[4])});
  }
}

int64_t DistributedHierarchy::bytes() const {
  int64_t n = direction_.bytes() + own_cells_.bytes() + agglomerated_cycle_.bytes();
  for (const auto &level : agglomerated_.pool) n += level->bytes();
  for (const auto &level : agglomerated_.sparse_pool) n += level->bytes();
  for (const auto &level : levels_) n += level->bytes();
  return n;
}

}  // namespace dcg
