// A level that is cut into boxes, as one rank has it: its own cells, a halo around them, and its exchanges with other ranks.
#pragma once

#include <unordered_map>
#include <vector>

#include "cycle/stages.hpp"
#include "distributed/overlap.hpp"

namespace dcg {

inline bool is_unknown(const Level &level, int64_t u) { return level.constant ? level.stencil_type[u] != 0 : level.omega_dinv[u] != 0.0f; }

struct LocalLevel {
  Partition partition, coarse_partition;
  int64_t begin[3], end[3];  // own cells among those held

  // `coarse` is the next level as far as it can be computed from the cells held; its own cells are computed as one rank would.
  // The cycle relaxes own cells only: elsewhere stencil types and relaxation factors are 0.
  Level level, coarse;
  LevelStages stages;

  // Where the next level is sparse, and so on rank 0 as a whole: its unknowns that own cells belong to, with x and b only.
  bool above_sparse = false;
  SparseLevel sparse;

  Halo ghosts[2];  // x of the cells next to own ones, by colour
  Halo to_coarse;  // leaves: unknowns of `coarse`, or of `sparse`; roots: those of the next level

  bool has_secondary = false;      // some rank has secondary unknowns
  bool couples_secondary = false;  // some of them are coupled to other ranks' unknowns
  Halo secondary;                  // x of those
  std::vector<int64_t> secondary_ghosts;
  std::vector<float> before;         // their values before an exchange
  int64_t phase = 0, phases = 1;     // when this rank relaxes its secondary unknowns

  // Takes cells of other ranks out of the passes and of the transfers.
  void deactivate_ghosts();
  // Collective, as what follows.
  void create_ghost_halos(Ranks &ranks);
  // An own cell interpolates from neighbours of own coarse cells, and from no others.
  // The same for a sparse level, from the number of each own cell's unknown there.
  void create_sparse_halo(Ranks &ranks, int64_t unknowns);
  void create_coarse_halo(Ranks &ranks, const Level &next, const Partition &next_partition);

  int64_t bytes() const;

 private:
  void create_secondary_halo(Ranks &ranks, const std::unordered_map<int64_t, Home> &homes);
};

// Links the unknowns of cells begin..end-1 of a level to the same level as another partition has it, which is `theirs` on this rank.
void create_level_halo(Ranks &ranks, Halo &halo, const Level &mine, const Partition &partition, const int64_t begin[3], const int64_t end[3],
                       const Level &theirs, const Partition &their_partition);

}  // namespace dcg
