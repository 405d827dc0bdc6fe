// The V on many ranks: the stages of a cut level one after another, with ghosts refreshed by messages to neighbouring ranks after each pass. No
// sum over all ranks.
//
// A pass relaxes one colour everywhere, so it is that of a single rank. Secondary unknowns are relaxed one after another in the order of their
// cells. Only the order of coupled ones matters, and coupled unknowns lie in neighbouring cells. So the order is that of a single rank where each
// rank relaxes its own in that order, and ranks take turns by their places along the axes across which secondary unknowns are coupled.
// The network is then that of a single rank, symmetric and positive definite.
//
// Ledger, messages per cut level and cycle with s sweeps: a broadcast after each of 4 s passes but the last, and one after the prolongation;
// one reduction down, one broadcast up. Secondary unknowns add one broadcast per turn and sweep, and two after the prolongation.

#include <algorithm>

#include "distributed/distributed_hierarchy.hpp"

namespace dcg {

class DistributedHierarchy::MessageExecutor {
 public:
  MessageExecutor(DistributedHierarchy &on, const Team &team) : on_(on), team_(team) {}

  int sweeps(int l) const { return local(l).stages.sweeps(); }
  int passes(int l) const { return local(l).stages.passes(); }

  void begin(int l) {
    local(l).stages.clear(team_);
    team_.barrier();
  }
  void relax(int l, const Pass &pass) {
    local(l).stages.run(team_, {{Stage::kRelax, pass}});
    if (!pass.last) refresh(local(l), pass.number & 1);
  }
  void relax_secondary(int l, bool forward) {
    LocalLevel &own = local(l);
    if (!own.has_secondary) return;
    if (team_.rank == 0)
      for (int64_t turn = 0; turn < own.phases; ++turn) {
        if (own.phase == (forward ? turn : own.phases - 1 - turn)) own.stages.relax_secondary(forward);
        refresh_secondary(own);
      }
    team_.barrier();
  }
  void restrict_residual(int l) {
    local(l).stages.run(team_, {{Stage::kResidual, {}}, {Stage::kRestrict, {}}});
    if (local(l).above_sparse) return reduce_to_sparse(local(l));
    if (team_.rank == 0) local(l).stages.restrict_unstructured();
    reduce(local(l).to_coarse, local(l).coarse, l + 1);
  }
  void prolong(int l) {
    LocalLevel &own = local(l);
    if (own.above_sparse) {
      broadcast_from_sparse(own);
    } else {
      broadcast(own.to_coarse, own.coarse, l + 1);
    }
    own.stages.run(team_, {{Stage::kProlong, {}}});
    if (own.has_secondary && team_.rank == 0) {
      own.stages.prolong_secondary();
      refresh_secondary(own);
    }
    refresh(own, 0);  // the first pass changes colour 1 and reads colour 0 only; secondary unknowns read both
    if (own.has_secondary) refresh(own, 1);
  }
  void end(int) {}

  // Adds own residuals in coarse.b to the b of level l, where its cells live.
  void reduce(const Halo &to_coarse, const Level &coarse, size_t l) {
    Level *next = level(l);
    if (next) {
      const Range part = team_.part(next->b.size(), 16);
      std::fill(next->b.data() + part.begin, next->b.data() + part.end, 0.0f);
    }
    team_.barrier();
    if (team_.rank == 0) to_coarse.reduce(coarse.b.data(), next ? next->b.data() : nullptr);
    team_.barrier();
  }

  // Brings the x of level l to coarse.x.
  void broadcast(const Halo &to_coarse, Level &coarse, size_t l) {
    team_.barrier();
    if (team_.rank == 0) {
      const Level *next = level(l);
      to_coarse.broadcast<float>(next ? next->x.data() : nullptr, coarse.x.data());
      const Box &box = coarse.box;
      const bool periodic = coarse.periodic[0] || coarse.periodic[1] || coarse.periodic[2];
      for (int64_t row = 0; periodic && row < box.n[0] * box.n[1]; ++row)
        fill_periodic_ghosts(coarse, coarse.x.data(), row / box.n[1], row % box.n[1], {0, box.n[2]});
    }
    team_.barrier();
  }

  // The same to and from a sparse level, which rank 0 has as a whole.
  void reduce_to_sparse(const LocalLevel &own) {
    if (team_.rank == 0) {
      SparseLevel *next = sparse();
      if (next) std::fill(next->b.data(), next->b.data() + next->unknowns, 0.0f);
      own.to_coarse.reduce(own.sparse.b.data(), next ? next->b.data() : nullptr);
    }
    team_.barrier();
  }
  void broadcast_from_sparse(LocalLevel &own) {
    if (team_.rank == 0) own.to_coarse.broadcast<float>(sparse() ? sparse()->x.data() : nullptr, own.sparse.x.data());
    team_.barrier();
  }

 private:
  SparseLevel *sparse() const { return on_.agglomerated_.sparse_levels.empty() ? nullptr : on_.agglomerated_.sparse_levels[0]; }
  LocalLevel &local(int l) const { return *on_.levels_[l]; }
  Level *level(size_t l) const {  // NULL: this rank has none of its cells
    return l < on_.cut_ ? &on_.levels_[l]->level : on_.agglomerated_.levels.empty() ? nullptr : on_.agglomerated_.levels[0];
  }

  // x of the cells next to own ones, of one colour
  void refresh(LocalLevel &own, int colour) {
    if (team_.rank == 0) own.ghosts[colour].broadcast(own.level.x.data(), own.level.x.data());
    team_.barrier();
  }

  // Other ranks' secondary unknowns, and their changed contribution to own primary ones
  void refresh_secondary(LocalLevel &own) {
    if (!own.couples_secondary) return;
    Level &level = own.level;
    for (size_t m = 0; m < own.before.size(); ++m) own.before[m] = level.x[own.secondary_ghosts[m]];
    own.secondary.broadcast(level.x.data(), level.x.data());
    for (size_t m = 0; m < own.before.size(); ++m) {
      const int64_t u = own.secondary_ghosts[m];
      const float now = level.x[u], change = now - own.before[m];
      if (change == 0.0f) continue;
      level.x[u] = own.before[m];
      change_secondary(level, u - level.box.size, change);
      level.x[u] = now;
    }
  }

  DistributedHierarchy &on_;
  const Team &team_;
};

void DistributedHierarchy::cycle(const Team &team) {
  MessageExecutor run(*this, team);
  const auto agglomerated = [&] {
    if (!agglomerated_.levels.empty() || !agglomerated_.sparse_levels.empty()) agglomerated_cycle_.run(team);
  };
  if (cut_ > 0) return v_cycle(run, 0, static_cast<int>(cut_), agglomerated);
  run.reduce(finest_->to_coarse, finest_->level, 0);
  agglomerated();
  run.broadcast(finest_->to_coarse, finest_->level, 0);
}

double DistributedHierarchy::sum(double value, const Team &team) {
  const double mine = team.sum(value);
  if (team.rank == 0) shared_ = ranks_.allreduce(mine);
  team.barrier();
  const double total = shared_;
  team.barrier();
  return total;
}

}  // namespace dcg
