// Set-up of the network on many ranks: level by level, until what is left is small enough for one.
//
// How far the next level's values at an own block reach, once parts, faces and anchors of blocks follow from cells held (setup/coarsening.hpp):
//   its diagonal takes the edges on both sides, each with the learned factors of both ends (setup/finish.cpp),  one block
//   and a factor depends on the edges on both sides of its block, which go from one block's middle to another's.  two blocks
// The same holds for keep and toward of the blocks beside own ones, which own cells lean on. So with two more blocks on every side,
// and all data of their cells, which come from their owners, own values are bit for bit those of a single rank.

#include "distributed/distributed_hierarchy.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "cycle/cycle.hpp"

namespace dcg {

OnRanks::OnRanks(const dcg_ranks &ranks, const dcg_operator &op, const dcg_parameters &weights, int threads)
    : ranks_(ranks), weights_(weights), threads_(threads) {
  set_up(op);
}

OnRanks::Part &OnRanks::part(size_t number) {
  while (parts_.size() <= number) parts_.push_back(std::make_unique<Part>());
  return *parts_[number];
}

// Refuses together what one rank refuses.
void OnRanks::agree_on(const dcg_operator &op) {
  std::string refusal;
  try {
    check(op);
    for (int a = 0; a < 3; ++a)
      require(op.shape[a] == ranks_.starts[a][ranks_.place[a] + 1] - ranks_.starts[a][ranks_.place[a]],
              "shape: not that of this rank's cells by ranks.starts");
  } catch (const std::invalid_argument &e) {
    refusal = e.what();
  }
  double told[2] = {refusal.empty() ? 0.0 : 1.0, op.unit};
  ranks_.sum(told, 2);
  require(refusal.empty(), refusal.c_str());
  require(told[0] == 0.0, "the operator was refused on another rank");
  require(std::fabs(told[1] - ranks_.count * op.unit) <= 1e-9 * told[1], "unit: the same value is needed on every rank");
}

// The finest level on what a layout holds here.
double OnRanks::build(Level &level, const Layout &own, const Layout &held, const Largest &largest) {
  const HeldOperator on = hold_operator(ranks_, op_, own, held);
  if (!held.here) return level.box.reset(on.op.shape), 1.0;
  const double factor = build_finest(level, on.op, largest, threads_);
  for (Field<float> *vector : {&level.x, &level.b}) fill(*vector, level.box.size, 0.0f, threads_);
  if (!level.unit) finish(level, weights_, true, threads_);
  return factor;
}

// Which cells are unknowns, and how much they relax, from their owners: at the edge of what is held here neighbours are missing.
void OnRanks::share_activity(Part &part) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  Level &level = part.level;
  Copies cells;
  for_homes(part.layout, part.layout, kOrigin, level.box.n, [&](const int64_t at[3], const Home &home) {
    if (home.rank != ranks_.number || !inside(at, part.begin, part.end))
      cells.add(level.box.at(at[0], at[1], at[2]), home.rank, home.in_box(), ranks_.number);
  });
  cells.link(ranks_, level.box.size);
  if (level.unit) cells.spread(level.code.data(), level.code.data());
  if (!level.unit) cells.spread(level.relax.data(), level.relax.data());
}

// Whether a level can be cut as its owners are: everyone has cells, no seam joins cells of one colour, no block is its own neighbour.
bool OnRanks::can_be_cut(const Layout &own, const Merge (&merge)[3]) const {
  for (int a = 0; a < 3; ++a) {
    for (size_t s = 0; s + 1 < own.starts[a].size(); ++s)
      if (own.starts[a][s] == own.starts[a][s + 1]) return false;
    if (own.cut(a) && own.periodic[a] && (own.n[a] % 2 || merge[a].coarse() < 2)) return false;
  }
  return true;
}

// Unknowns of a level's own cells on all ranks, and how many of them are extra ones.
void OnRanks::count(const Level &level, const int64_t begin[3], const int64_t end[3], LevelSize &size) {
  double numbers[2] = {0.0, 0.0};
  for_cells(begin, end, [&](const int64_t at[3]) { numbers[0] += active(level, level.box.at(at[0], at[1], at[2])); });
  for (int64_t e = 0; e < level.extras; ++e) {
    int64_t c[3];
    level.box.coordinates(level.extra_cell[e], c);
    if (inside(c, begin, end)) numbers[0] += active(level, level.box.size + e), numbers[1] += 1.0;
  }
  ranks_.sum(numbers, 2);
  size.unknowns = static_cast<int64_t>(numbers[0]), size.extras = static_cast<int64_t>(numbers[1]);
}

// The relative widths of the whole grid's cells, from every rank's samples of its own.
void OnRanks::find_widths(const Layout &own, double scale, Widths &widths) {
  WidthSamples samples(own.n);
  if (!(op_.unit > 0.0)) {
    const Layout near = own.widened(1);
    const std::vector<uint8_t> cells = hold_cells(ranks_, op_, own, near);
    int64_t shape[3], begin[3], end[3];
    near.held(shape), near.own(begin, end);
    const auto fluid = [&](const int64_t at[3]) { return cells[(at[0] * shape[1] + at[1]) * shape[2] + at[2]] == 0; };
    const auto weight = [&](int a, const int64_t at[3], bool high) {
      int64_t beside[3] = {at[0], at[1], at[2]}, face[3], n[3];
      beside[a] += high ? 1 : -1;
      if (near.turns(a)) beside[a] = (beside[a] + shape[a]) % shape[a];
      if (beside[a] < 0 || beside[a] == shape[a] || !op_.weights[a] || !fluid(at) || !fluid(beside)) return 0.0f;
      for (int b = 0; b < 3; ++b) face[b] = at[b] - begin[b] + (a == b && high), n[b] = end[b] - begin[b] + (a == b);
      return static_cast<float>(op_.weights[a][(face[0] * n[1] + face[1]) * n[2] + face[2]] * scale);
    };
    const int64_t first[3] = {own.low[0][own.place[0]], own.low[1][own.place[1]], own.low[2][own.place[2]]};
    samples.take(weight, begin, end, first);
    for (int a = 0; a < 3; ++a) ranks_.sum(samples.sum[a].data(), own.n[a]), ranks_.sum(samples.count[a].data(), own.n[a]);
  }
  samples.widths(widths);
}

void OnRanks::set_up(const dcg_operator &op) {
  agree_on(op);
  op_ = op;
  sizes_.clear();
  Layout cells = Layout::own(ranks_, op.periodic);
  Largest most = largest(op, threads_);
  most = {ranks_.largest(most.weight), ranks_.largest(most.shift)};
  Widths widths;
  find_widths(cells, most.weight > 0.0 ? 1.0 / most.weight : 1.0, widths);
  double target = first_target(cells.n, widths);
  const Part *above = nullptr;
  LevelSize size{{cells.n[0], cells.n[1], cells.n[2]}, 0, 0};
  for (cut_ = 0;; ++cut_) {
    Level whole;
    whole.box.reset(cells.n);
    Widths wider = {widths[0], widths[1], widths[2]};
    double next_target = target;
    if (cells.cells() <= ranks_.gather || (above && size.unknowns <= kDirect) || !plan_merges(whole, wider, next_target)) break;
    if (!can_be_cut(cells, whole.merge)) break;
    const Merged plan = merged(cells, whole.merge);
    Part &made = part(cut_);
    made.layout = plan.fine, made.blocks = plan.blocks;
    made.layout.own(made.begin, made.end);
    if (above) {
      hold_level(ranks_, above->image, above->blocks, made.layout, made.level);
      link_down(*parts_[cut_ - 1], made.level, made.layout);
    } else {
      inverse_scale_ = build(made.level, cells, made.layout, most);
      share_activity(made);
      count(made.level, made.begin, made.end, size);
      if (size.unknowns <= kDirect) break;
    }
    sizes_.push_back(size);
    add_part(made, plan, cut_);
    int64_t begin[3], end[3];
    plan.blocks.own(begin, end);
    count(made.image, begin, end, size);
    for (int a = 0; a < 3; ++a) widths[a] = wider[a];
    target = next_target;
    cells = plan.blocks.bare();
    std::copy(cells.n, cells.n + 3, size.n);
    above = &made;
  }

  gather(cells, most, widths, target);
  for (size_t l = 0; l < cut_; ++l) {  // what only the set-up needs
    Level &image = parts_[l]->image;
    for (int a = 0; a < 3; ++a) image.weight[a].release(), image.anchor[a].release();
    image.diagonal.release(), image.relax.release(), image.shift.release();
  }
  direction_.resize(finest_->level.box.size);
  share_sizes();
}

// The first level that is not cut, and all below, on rank 0. `cells`: whose it was.
void OnRanks::gather(const Layout &cells, const Largest &most, Widths &widths, double target) {
  const Part *above = cut_ > 0 ? parts_[cut_ - 1].get() : nullptr;
  const Layout gathered = cells.gathered(ranks_);
  gathered_.weights = weights_, gathered_.threads = threads_;
  gathered_.levels.clear();
  Level &last = gathered_.next_level();
  if (above) {
    hold_level(ranks_, above->image, above->blocks, gathered, last);
    link_down(*parts_[cut_ - 1], last, gathered);
    finest_ = parts_[0].get();
  } else {
    build(last, cells, gathered, most);
    outer_.layout = cells.widened(1);
    outer_.layout.own(outer_.begin, outer_.end);
    inverse_scale_ = build(outer_.level, cells, outer_.layout, most);
    link_down(outer_.down, outer_.level, outer_.layout, outer_.begin, outer_.end, last, gathered);
    keep_own(outer_);
    link_ghosts(outer_);
    finest_ = &outer_;
  }
  if (gathered.here) {
    gathered_.levels.push_back(&last);
    gathered_.coarsen_on(widths, target);
    gathered_cycle_.prepare(gathered_.levels, weights_, cut_, best_rows(), threads_);
  }
}

// Builds the next level as far as it can be computed here, and makes the level ready for the cycle.
void OnRanks::add_part(Part &part, const Merged &plan, size_t number) {
  Level &level = part.level;
  for (int a = 0; a < 3; ++a) level.merge[a] = plan.merge[a];
  coarsen(level, part.image, threads_);
  finish(part.image, weights_, false, threads_);
  add_regular_rows(level, part.image);
  for (auto &anchor : level.anchor) anchor.release();
  level.shift.release();
  keep_own(part);
  link_ghosts(part);
  part.stages.prepare(level, &part.image, weights_, number, best_rows(), threads_);
}

// What the levels on rank 0 are, for everybody.
void OnRanks::share_sizes() {
  const size_t below = static_cast<size_t>(ranks_.sum(static_cast<double>(gathered_.levels.size())));
  std::vector<double> table(5 * below, 0.0);
  for (size_t l = 0; l < gathered_.levels.size(); ++l) {
    const Level &level = *gathered_.levels[l];
    for (int a = 0; a < 3; ++a) table[5 * l + a] = static_cast<double>(level.box.n[a]);
    table[5 * l + 3] = static_cast<double>(level.unknowns), table[5 * l + 4] = static_cast<double>(level.extras);
  }
  ranks_.sum(table.data(), static_cast<int64_t>(table.size()));
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  for (size_t l = 0; l < below; ++l) {
    const double *of = &table[5 * l];
    sizes_.push_back({{whole(of[0]), whole(of[1]), whole(of[2])}, whole(of[3]), whole(of[4])});
  }
}

int64_t OnRanks::bytes() const {
  int64_t n = direction_.bytes() + outer_.level.bytes() + outer_.down.bytes() + gathered_cycle_.bytes();
  for (const auto &level : gathered_.pool) n += level->bytes();
  for (const auto &part : parts_) {
    n += part->level.bytes() + part->image.bytes() + part->stages.bytes() + part->down.bytes() + part->extras.bytes();
    for (const Copies &ghosts : part->ghosts) n += ghosts.bytes();
  }
  return n;
}

}  // namespace dcg
