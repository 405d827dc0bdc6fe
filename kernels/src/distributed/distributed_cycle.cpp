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

#include <algorithm>

#include "distributed/distributed_hierarchy.hpp"

namespace dcg {

class OnRanks::MessageExecutor {
 public:
  MessageExecutor(OnRanks &on, const Team &team) : on_(on), team_(team) {}

  int sweeps(int l) const { return part(l).stages.sweeps(); }
  int passes(int l) const { return part(l).stages.passes(); }

  void begin(int l) {
    part(l).stages.clear(team_);
    team_.barrier();
  }
  void relax(int l, const Pass &pass) {
    part(l).stages.run(team_, {{Stage::kRelax, pass}});
    if (!pass.last) refresh(part(l), pass.number & 1);
  }
  void relax_secondary(int l, bool forward) {
    Part &own = part(l);
    if (!own.divided) return;
    if (team_.rank == 0)
      for (int64_t turn = 0; turn < own.phases; ++turn) {
        if (own.phase == (forward ? turn : own.phases - 1 - turn)) own.stages.relax_secondary(forward);
        refresh_secondary(own);
      }
    team_.barrier();
  }
  void restrict_residual(int l) {
    part(l).stages.run(team_, {{Stage::kResidual, {}}, {Stage::kRestrict, {}}});
    if (team_.rank == 0) part(l).stages.restrict_unstructured();
    reduce(part(l).down, part(l).image, l + 1);
  }
  void prolong(int l) {
    Part &own = part(l);
    broadcast(own.down, own.image, l + 1);
    own.stages.run(team_, {{Stage::kProlong, {}}});
    if (own.divided && team_.rank == 0) {
      own.stages.prolong_secondary();
      refresh_secondary(own);
    }
    refresh(own, 0);  // the first pass reads colour 0 only, and changes colour 1; secondary unknowns read both
    if (own.divided) refresh(own, 1);
  }
  void end(int) {}

  // Adds own residuals in image.b to the b of level l, where its cells live.
  void reduce(const Copies &down, const Level &image, size_t l) {
    Level *next = level(l);
    if (next) {
      const Range part = team_.part(next->b.size(), 16);
      std::fill(next->b.data() + part.begin, next->b.data() + part.end, 0.0f);
    }
    team_.barrier();
    if (team_.rank == 0) down.add_up(image.b.data(), next ? next->b.data() : nullptr);
    team_.barrier();
  }

  // Brings the x of level l to image.x.
  void broadcast(const Copies &down, Level &image, size_t l) {
    team_.barrier();
    if (team_.rank == 0) {
      const Level *next = level(l);
      down.spread<float>(next ? next->x.data() : nullptr, image.x.data());
      const Box &box = image.box;
      const bool periodic = image.periodic[0] || image.periodic[1] || image.periodic[2];
      for (int64_t row = 0; periodic && row < box.n[0] * box.n[1]; ++row)
        fill_periodic_ghosts(image, image.x.data(), row / box.n[1], row % box.n[1], {0, box.n[2]});
    }
    team_.barrier();
  }

 private:
  Part &part(int l) const { return *on_.parts_[l]; }
  Level *level(size_t l) const {  // NULL: this rank has none of its cells
    return l < on_.cut_ ? &on_.parts_[l]->level : on_.gathered_.levels.empty() ? nullptr : on_.gathered_.levels[0];
  }

  // Takes over x beside own cells, of one colour.
  void refresh(Part &own, int colour) {
    if (team_.rank == 0) own.ghosts[colour].spread(own.level.x.data(), own.level.x.data());
    team_.barrier();
  }

  // Takes over other ranks' secondary unknowns, and what they now contribute to own primary ones.
  void refresh_secondary(Part &own) {
    if (!own.coupled) return;
    Level &level = own.level;
    for (size_t m = 0; m < own.before.size(); ++m) own.before[m] = level.x[own.extra_ghosts[m]];
    own.extras.spread(level.x.data(), level.x.data());
    for (size_t m = 0; m < own.before.size(); ++m) {
      const int64_t u = own.extra_ghosts[m];
      const float now = level.x[u], change = now - own.before[m];
      if (change == 0.0f) continue;
      level.x[u] = own.before[m];
      change_secondary(level, u - level.box.size, change);
      level.x[u] = now;
    }
  }

  OnRanks &on_;
  const Team &team_;
};

void OnRanks::cycle(const Team &team) {
  MessageExecutor run(*this, team);
  const auto gathered = [&] {
    if (!gathered_.levels.empty()) gathered_cycle_.run(team);
  };
  if (cut_ > 0) return v_cycle(run, 0, static_cast<int>(cut_), gathered);
  run.reduce(finest_->down, finest_->level, 0);
  gathered();
  run.broadcast(finest_->down, finest_->level, 0);
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
