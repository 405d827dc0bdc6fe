// The V on many ranks: the stages of a cut level one after the other, ghosts refreshed after each pass by messages to the ranks beside;
// no sum over all ranks. What own cells give to blocks of other ranks is added up there, and what they take comes from there.
//
// A pass relaxes one colour everywhere, so it is that of a single rank. Extra unknowns are relaxed one after the other, in order of their
// cells. Only the order of those that are joined matters, and these lie in cells side by side: so it is the same when every rank relaxes its own in that
// order, and ranks take turns in the order of their places along the axes across which extra unknowns are joined. The network is then
// that of a single rank, symmetric and positive definite as it is.
//
// Ledger, rounds of messages per cut level and cycle with s sweeps: a spread after each of 4 s passes but the last, one after the prolongation;
// one add down, one spread up. Extra unknowns add one spread per turn and sweep, and two after the prolongation.

#include "distributed/distributed_hierarchy.hpp"

#include <algorithm>

#include "cycle/cycle.hpp"

namespace dcg {

namespace {

void clear(float *values, int64_t n, const Team &team) {
  const Range mine = team.part(n, 16);
  std::fill(values + mine.begin, values + mine.end, 0.0f);
}

}  // namespace

void OnRanks::refresh(const Copies &copies, float *values, const Team &team) {
  if (team.rank == 0) copies.spread(values, values);
  team.barrier();
}

void OnRanks::visit(size_t l, const Team &team) {
  if (l == cut_) {
    if (gathered_.levels.empty()) return;
    return gathered_cycle_.visit(0, team);
  }
  Part &part = *parts_[l];
  Level &level = part.level, &image = part.image;
  Cycle &cycle = part.cycle;
  const auto &own = cycle.buffers_[0];

  // The first pass starts from 0 where it comes, and ghosts are read after they were refreshed; but not on axes of odd length.
  const int64_t kept = own.odd_axes.empty() ? level.box.size : 0;
  clear(level.x.data() + kept, level.box.size + level.extras - kept, team);
  clear(image.b.data(), image.b.size(), team);
  team.barrier();
  for (const auto &stage : own.down) {
    if (stage.kind != Cycle::Stage::kRelax) break;
    cycle.waves(0, team, {stage}, false);
    refresh(part.ghosts[stage.pass & 1], level.x.data(), team);
    if (stage.pass + 1 == own.passes) relax_extras(part, true, team);
  }
  cycle.waves(0, team, {{Cycle::Stage::kResidual}, {Cycle::Stage::kRestrict}}, true);
  if (team.rank == 0) cycle.restrict_listed(level, image);

  below(part.down, image, l + 1, team);

  for (const auto &stage : own.up) {
    if (stage.kind == Cycle::Stage::kDot) break;
    if (stage.kind == Cycle::Stage::kRelax && stage.pass + 1 == own.passes) relax_extras(part, false, team);
    cycle.waves(0, team, {stage}, false);
    if (stage.kind == Cycle::Stage::kProlong && part.divided && team.rank == 0) {
      cycle.prolong_listed(level, image, level.box.size, level.box.size + level.extras);
      refresh_extras(part);
    }
    if (stage.kind == Cycle::Stage::kProlong) {  // the first pass reads colour 0 only, and changes colour 1; extra unknowns read both
      refresh(part.ghosts[0], level.x.data(), team);
      if (part.divided) refresh(part.ghosts[1], level.x.data(), team);
    } else if (stage.sweep > 0 || stage.pass > 0) {  // nobody looks beside after the last pass
      refresh(part.ghosts[stage.pass & 1], level.x.data(), team);
    }
  }
}

// The correction that level `l` gives to residuals in image.b, in image.x.
void OnRanks::below(const Copies &down, Level &image, size_t l, const Team &team) {
  Level *next = l < cut_ ? &parts_[l]->level : gathered_.levels.empty() ? nullptr : gathered_.levels[0];
  if (next) clear(next->b.data(), next->b.size(), team);
  team.barrier();
  if (team.rank == 0) down.add_up(image.b.data(), next ? next->b.data() : nullptr);
  team.barrier();
  visit(l, team);
  team.barrier();
  if (team.rank == 0) {
    down.spread<float>(next ? next->x.data() : nullptr, image.x.data());
    const Box &box = image.box;
    const bool turns = image.periodic[0] || image.periodic[1] || image.periodic[2];
    for (int64_t row = 0; turns && row < box.n[0] * box.n[1]; ++row)
      wrap_row(image, image.x.data(), row / box.n[1], row % box.n[1], {0, box.n[2]});
  }
  team.barrier();
}

void OnRanks::relax_extras(Part &part, bool forward, const Team &team) {
  if (!part.divided) return;
  if (team.rank == 0)
    for (int64_t turn = 0; turn < part.phases; ++turn) {
      if (part.phase == (forward ? turn : part.phases - 1 - turn)) part.cycle.relax_extras(part.level, forward);
      refresh_extras(part);
    }
  team.barrier();
}

// Takes over other ranks' extra unknowns, and what they now give to own primary ones.
void OnRanks::refresh_extras(Part &part) {
  if (!part.coupled) return;
  Level &level = part.level;
  for (size_t m = 0; m < part.before.size(); ++m) part.before[m] = level.x[part.extra_ghosts[m]];
  part.extras.spread(level.x.data(), level.x.data());
  for (size_t m = 0; m < part.before.size(); ++m) {
    const int64_t u = part.extra_ghosts[m];
    const float now = level.x[u], change = now - part.before[m];
    if (change == 0.0f) continue;
    level.x[u] = part.before[m];
    change_extra(level, u - level.box.size, change);
    level.x[u] = now;
  }
}

void OnRanks::cycle(const Team &team) {
  if (cut_ > 0) return visit(0, team);
  below(finest_->down, finest_->level, 0, team);
}

// Over all threads and ranks.
double OnRanks::sum(double value, const Team &team) {
  const double mine = team.sum(value);
  if (team.rank == 0) shared_ = ranks_.sum(mine);
  team.barrier();
  const double total = shared_;
  team.barrier();
  return total;
}

}  // namespace dcg
