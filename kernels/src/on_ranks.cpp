// Set-up of the network on many ranks: level by level, until what is left is small enough for one.
//
// How far the next level's values at an own block reach, once parts, faces and anchors of blocks follow from cells held (coarsening.hpp):
//   its diagonal takes the edges on both sides, each with the learned factors of both ends (finish.cpp),        one block
//   and a factor depends on the edges on both sides of its block, which go from one block's middle to another's.  two blocks
// The same holds for keep and toward of the blocks beside own ones, which own cells lean on. So with two more blocks on every side,
// and all data of their cells, which come from their owners, own values are bit for bit those of a single rank.

#include "on_ranks.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "cycle.hpp"
#include "error.hpp"

namespace dcg {

namespace {

bool inside(const int64_t at[3], const int64_t begin[3], const int64_t end[3]) {
  for (int a = 0; a < 3; ++a)
    if (at[a] < begin[a] || at[a] >= end[a]) return false;
  return true;
}

template <class Body>
void for_cells(const int64_t begin[3], const int64_t end[3], Body &&body) {
  int64_t at[3];
  for (at[0] = begin[0]; at[0] < end[0]; ++at[0])
    for (at[1] = begin[1]; at[1] < end[1]; ++at[1])
      for (at[2] = begin[2]; at[2] < end[2]; ++at[2]) body(at);
}

bool active(const Level &level, int64_t u) { return level.unit ? level.code[u] != 0 : level.relax[u] != 0.0f; }

// Takes what other ranks relax out of a level, and out of its transfers.
void keep_own(Level &level, const int64_t begin[3], const int64_t end[3]) {
  const Box &box = level.box;
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  const auto own = [&](int64_t u) {
    int64_t c[3];
    box.coordinates(u < box.size ? u : level.extra_cell[u - box.size], c);
    return inside(c, begin, end);
  };
  for_cells(kOrigin, box.n, [&](const int64_t at[3]) {
    if (inside(at, begin, end)) return;
    const int64_t u = box.at(at[0], at[1], at[2]);
    if (level.unit) level.code[u] = 0;
    if (!level.unit) level.relax[u] = 0.0f;
  });
  for (int64_t e = 0; e < level.extras; ++e)
    if (!own(box.size + e)) level.relax[box.size + e] = 0.0f;
  level.sparse.erase(std::remove_if(level.sparse.begin(), level.sparse.end(), [&](const Entry &e) { return !own(e.fine); }),
                     level.sparse.end());
  for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row) {
    const int64_t start = box.at(row / box.n[1], row % box.n[1]);
    int64_t first = box.n[2], last = 0;
    for (int64_t i = 0; i < box.n[2]; ++i)
      if (active(level, start + i)) first = std::min(first, i), last = i + 1;
    level.row_begin[row] = static_cast<int32_t>(last ? first / kLanes * kLanes : 0);
    level.row_end[row] = static_cast<int32_t>((last + kLanes - 1) / kLanes * kLanes);
  }
}

// The weights as they are for the levels from number `l` on.
dcg_weights from_level(const dcg_weights &weights, size_t l) {
  dcg_weights w = weights;
  for (size_t m = 0; m < DCG_LEVELS; ++m) w.sweeps[m] = weights.sweeps[std::min<size_t>(l + m, DCG_LEVELS - 1)];
  if (l > 0) std::copy(&weights.omega[1][0][0], &weights.omega[1][0][0] + 2 * DCG_SWEEPS, &w.omega[0][0][0]);
  return w;
}

}  // namespace

OnRanks::OnRanks(const dcg_ranks &ranks, const dcg_operator &op, const dcg_weights &weights, int threads)
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
double OnRanks::build(Level &level, const dcg_operator &op, const Layout &own, const Layout &held, const Largest &largest) {
  const HeldOperator on = hold_operator(ranks_, op, own, held);
  if (!held.here) return level.box.reset(on.op.shape), 1.0;
  const double factor = build_finest(level, on.op, largest, threads_);
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
int64_t OnRanks::count(const Level &level, const int64_t begin[3], const int64_t end[3], int64_t &extras) {
  double numbers[2] = {0.0, 0.0};
  for_cells(begin, end, [&](const int64_t at[3]) { numbers[0] += active(level, level.box.at(at[0], at[1], at[2])); });
  for (int64_t e = 0; e < level.extras; ++e) {
    int64_t c[3];
    level.box.coordinates(level.extra_cell[e], c);
    if (inside(c, begin, end)) numbers[0] += active(level, level.box.size + e), numbers[1] += 1.0;
  }
  ranks_.sum(numbers, 2);
  extras = static_cast<int64_t>(numbers[1]);
  return static_cast<int64_t>(numbers[0]);
}

void OnRanks::set_up(const dcg_operator &op) {
  agree_on(op);
  op_ = op;
  const Layout own = Layout::own(ranks_, op.periodic);
  Largest most = largest(op, threads_);
  most = {ranks_.largest(most.weight), ranks_.largest(most.shift)};

  // Own cells and what is next to them: for the size of the problem, and the widths.
  outer_.layout = own.widened(1);
  outer_.layout.own(outer_.begin, outer_.end);
  inverse_scale_ = build(outer_.level, op, own, outer_.layout, most);
  WidthSamples samples(own.n);
  const int64_t first[3] = {own.starts[0][own.place[0]], own.starts[1][own.place[1]], own.starts[2][own.place[2]]};
  samples.take(outer_.level, outer_.begin, outer_.end, first);
  for (int a = 0; a < 3; ++a) {
    ranks_.sum(samples.sum[a].data(), own.n[a]);
    ranks_.sum(samples.count[a].data(), own.n[a]);
  }
  Widths widths;
  samples.widths(widths);
  double target = first_target(own.n, widths);
  int64_t extras = 0, unknowns = count(outer_.level, outer_.begin, outer_.end, extras);

  sizes_.clear();
  Layout cells = own;
  const Part *above = nullptr;
  for (cut_ = 0;; ++cut_) {
    Level whole;
    whole.box.reset(cells.n);
    Widths wider = {widths[0], widths[1], widths[2]};
    double next_target = target;
    if (cells.cells() <= ranks_.gather || unknowns <= kDirect || !plan_merges(whole, wider, next_target)) break;
    if (!can_be_cut(cells, whole.merge)) break;
    sizes_.push_back({{cells.n[0], cells.n[1], cells.n[2]}, unknowns, extras});
    for (int a = 0; a < 3; ++a) widths[a] = wider[a];
    target = next_target;
    const Merged plan = merged(cells, whole.merge);
    Part &made = part(cut_);
    made.layout = plan.fine, made.blocks = plan.blocks;
    made.layout.own(made.begin, made.end);
    if (above) {
      hold_level(ranks_, above->image, above->blocks, made.layout, made.level);
      link_down(*parts_[cut_ - 1], made.level, made.layout);
    } else {
      build(made.level, op, own, made.layout, most);
      share_activity(made);
    }
    add_part(made, plan, cut_);
    int64_t begin[3], end[3];
    plan.blocks.own(begin, end);
    unknowns = count(made.image, begin, end, extras);
    cells = plan.blocks;
    for (int a = 0; a < 3; ++a) {
      cells.low[a].assign(cells.starts[a].begin(), cells.starts[a].end() - 1);
      cells.high[a].assign(cells.starts[a].begin() + 1, cells.starts[a].end());
    }
    above = &made;
  }

  // The rest on rank 0.
  const Layout gathered = cells.gathered(ranks_);
  gathered_.weights = weights_, gathered_.threads = threads_;
  gathered_.levels.clear();
  Level &last = gathered_.next_level();
  if (above) {
    hold_level(ranks_, above->image, above->blocks, gathered, last);
    link_down(*parts_[cut_ - 1], last, gathered);
    finest_ = parts_[0].get();
  } else {
    build(last, op, own, gathered, most);
    link_down(outer_.down, outer_.level, outer_.layout, outer_.begin, outer_.end, last, gathered);
    keep_own(outer_.level, outer_.begin, outer_.end);
    link_ghosts(outer_);
    finest_ = &outer_;
  }
  if (gathered.here) {
    gathered_.levels.push_back(&last);
    gathered_.coarsen_on(widths, target);
    gathered_cycle_.prepare(gathered_.levels, from_level(weights_, cut_), best_rows(), threads_);
  }
  for (size_t l = 0; l < cut_; ++l) {  // what only the set-up needs
    Level &image = parts_[l]->image;
    for (int a = 0; a < 3; ++a) image.weight[a].release(), image.anchor[a].release();
    image.diagonal.release(), image.relax.release(), image.shift.release();
  }
  if (cut_ > 0) outer_.level = Level();
  direction_.resize(finest_->level.box.size);
  share_sizes();
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
  keep_own(level, part.begin, part.end);
  link_ghosts(part);
  part.cycle.prepare({&level, &part.image}, from_level(weights_, number), best_rows(), threads_);
}

// The cells next to own ones across planes that cut the grid. Rows of 5 or 7 points need no others.
void OnRanks::link_ghosts(Part &part) {
  Level &level = part.level;
  int64_t first[3];
  part.layout.first(first);
  level.colour = static_cast<int>((first[0] + first[1] + first[2]) & 1);
  std::unordered_map<int64_t, Home> homes;
  for (Copies &copies : part.ghosts) copies.clear();
  for (int a = 0; a < 3; ++a)
    for (const int64_t layer : {part.begin[a] - 1, part.end[a]}) {
      if (!part.layout.cut(a) || layer < 0 || layer >= level.box.n[a]) continue;
      int64_t begin[3], end[3];
      std::copy(part.begin, part.begin + 3, begin), std::copy(part.end, part.end + 3, end);
      begin[a] = layer, end[a] = layer + 1;
      for_homes(part.layout, part.layout, begin, end, [&](const int64_t at[3], const Home &home) {
        const int64_t u = level.box.at(at[0], at[1], at[2]);
        part.ghosts[(at[0] + at[1] + at[2] + level.colour) & 1].add(u, home.rank, home.in_box(), ranks_.number);
        if (level.extras) homes[u] = home;
      });
    }
  for (Copies &copies : part.ghosts) copies.link(ranks_, level.box.size);
  link_extras(part, homes);
}

// The same for extra unknowns that are joined to own unknowns; and in which order the ranks relax theirs (ranks_cycle.cpp).
void OnRanks::link_extras(Part &part, const std::unordered_map<int64_t, Home> &homes) {
  Level &level = part.level;
  const Box &box = level.box;
  part.extras.clear(), part.extra_ghosts.clear();
  part.phase = 0, part.phases = 1, part.coupled = false;
  part.divided = ranks_.sum(static_cast<double>(level.extras)) > 0.0;
  if (!part.divided) return;
  const std::vector<int32_t> here = first_extras(level);
  std::vector<int32_t> there = here;
  for (const Copies &copies : part.ghosts) copies.spread(there.data(), there.data());
  const auto cell = [&](int64_t u) { return u < box.size ? u : level.extra_cell[u - box.size]; };
  const auto own = [&](int64_t u) {
    int64_t c[3];
    box.coordinates(cell(u), c);
    return inside(c, part.begin, part.end);
  };
  double crossing[4] = {0.0, 0.0, 0.0, 0.0};  // per axis: pairs of extra unknowns that a cut divides; extra unknowns to be told of
  for (int64_t e = 0; e < level.extras; ++e) {
    if (own(box.size + e)) continue;
    bool joined = false;
    for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m) {
      const int64_t v = level.neighbours[m].unknown;
      if (!own(v)) continue;
      joined = true;
      if (v < box.size) continue;
      int64_t c[3], d[3];
      box.coordinates(cell(box.size + e), c), box.coordinates(cell(v), d);
      for (int a = 0; a < 3; ++a) crossing[a] += c[a] != d[a];
    }
    if (!joined) continue;
    const int64_t u = cell(box.size + e);
    const Home &home = homes.at(u);
    Box box_there;
    box_there.reset(home.size);
    part.extras.add(box.size + e, home.rank, box_there.size + there[u] + e - here[u], ranks_.number);
    part.extra_ghosts.push_back(box.size + e), crossing[3] += 1.0;
  }
  part.extras.link(ranks_, box.size + level.extras);
  part.before.resize(part.extra_ghosts.size());
  ranks_.sum(crossing, 4);
  part.coupled = crossing[3] > 0.0;
  for (int a = 0; a < 3; ++a)
    if (crossing[a] > 0.0) part.phase += ranks_.place[a], part.phases += ranks_.ranks[a] - 1;
}

// Where the unknowns of cells begin..end of `image` live in the next level; `layout`: of the next level, which is `next` here.
void OnRanks::link_down(Copies &down, const Level &image, const Layout &blocks, const int64_t begin[3], const int64_t end[3],
                        const Level &next, const Layout &layout) {
  const int64_t size = layout.here ? next.box.size : 0;
  const bool divided = ranks_.sum(static_cast<double>(image.extras)) > 0.0;
  std::vector<int32_t> there(image.box.size, -1);
  if (divided) {
    Copies cells;
    for_homes(blocks, layout, begin, end, [&](const int64_t at[3], const Home &home) {
      cells.add(image.box.at(at[0], at[1], at[2]), home.rank, home.in_box(), ranks_.number);
    });
    cells.link(ranks_, size);
    cells.spread(first_extras(next).data(), there.data());
  }
  const std::vector<int32_t> here = first_extras(image);
  down.clear();
  for_homes(blocks, layout, begin, end, [&](const int64_t at[3], const Home &home) {
    const int64_t u = image.box.at(at[0], at[1], at[2]);
    down.add(u, home.rank, home.in_box(), ranks_.number);
    Box box_there;
    box_there.reset(home.size);
    for (int64_t e = here[u]; e >= 0 && e < image.extras && image.extra_cell[e] == u; ++e)
      down.add(image.box.size + e, home.rank, box_there.size + there[u] + e - here[u], ranks_.number);
  });
  down.link(ranks_, layout.here ? size + next.extras : 0);
}

// Own cells lean on blocks beside own ones, and no further.
void OnRanks::link_down(Part &part, const Level &next, const Layout &layout) {
  int64_t begin[3], end[3];
  part.blocks.own(begin, end);
  for (int a = 0; a < 3; ++a)
    begin[a] = std::max<int64_t>(begin[a] - 1, 0), end[a] = std::min(end[a] + 1, part.image.box.n[a]);
  link_down(part.down, part.image, part.blocks, begin, end, next, layout);
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
    n += part->level.bytes() + part->image.bytes() + part->cycle.bytes() + part->down.bytes() + part->extras.bytes();
    for (const Copies &ghosts : part->ghosts) n += ghosts.bytes();
  }
  return n;
}

}  // namespace dcg
