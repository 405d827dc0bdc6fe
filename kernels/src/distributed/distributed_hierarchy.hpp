// The multilevel network on many ranks: the finer levels cut into boxes, the coarser ones on rank 0 as on a single rank.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "distributed/overlap.hpp"
#include "krylov/team_cg.hpp"
#include "setup/hierarchy.hpp"

namespace dcg {

struct LevelSize {
  int64_t n[3], unknowns, extras;
};

inline bool active(const Level &level, int64_t u) { return level.unit ? level.code[u] != 0 : level.relax[u] != 0.0f; }

class OnRanks {
 public:
  OnRanks(const dcg_ranks &ranks, const dcg_operator &op, const dcg_parameters &weights, int threads);

  // All collective. Vectors run over this rank's own cells.
  void set_up(const dcg_operator &op);
  void apply(const double *r, double *z);
  Outcome conjugate_gradients(double *x, double *r, double target, int64_t maxiter, double *history, double *steps);

  const std::vector<LevelSize> &sizes() const { return sizes_; }  // of the whole levels
  int64_t bytes() const;

 private:
  // A level that is cut into boxes. Its cells are this rank's and a few around them, so that what the set-up computes of the next level's
  // own cells is what one rank would compute; `image` is that next level, as far as it can be computed here. The cycle relaxes own
  // cells only: elsewhere code and relaxation are 0. It refreshes x in cells next to own ones.
  struct Part {
    Layout layout, blocks;
    Level level, image;
    LevelStages stages;     // over both
    Copies ghosts[2];       // x beside own cells, by colour
    Copies down;            // the image's unknowns, which live in the next level
    bool divided = false;   // there are extra unknowns, on some rank
    bool coupled = false;   // some are joined to other ranks' unknowns
    Copies extras;          // x of those
    std::vector<int64_t> extra_ghosts;
    std::vector<float> before;
    int64_t phase = 0, phases = 1;  // when this rank relaxes its extra unknowns
    int64_t begin[3], end[3];       // its own cells
  };

  // set-up (distributed_hierarchy.cpp)
  void agree_on(const dcg_operator &op);
  double build(Level &level, const Layout &own, const Layout &held, const Largest &largest);
  void share_activity(Part &part);
  void find_widths(const Layout &own, double scale, Widths &widths);
  bool can_be_cut(const Layout &own, const Merge (&merge)[3]) const;
  void add_part(Part &part, const Merged &plan, size_t number);
  void gather(const Layout &cells, const Largest &most, Widths &widths, double target);
  void share_sizes();
  void count(const Level &level, const int64_t begin[3], const int64_t end[3], LevelSize &size);
  Part &part(size_t number);

  // who needs whose unknowns (distributed_links.cpp)
  void keep_own(Part &part);
  void link_ghosts(Part &part);
  void link_extras(Part &part, const std::unordered_map<int64_t, Home> &homes);
  void link_down(Part &part, const Level &next, const Layout &layout);
  void link_down(Copies &down, const Level &image, const Layout &blocks, const int64_t begin[3], const int64_t end[3], const Level &next,
                 const Layout &layout);

  // the cycle (distributed_cycle.cpp)
  void cycle(const Team &team);  // x = M b on the finest level
  class MessageExecutor;
  double sum(double value, const Team &team);
  // body(row of the vectors, place of its first own cell in the finest level, number of its own cells)
  template <class Body>
  void for_own_rows(const Team &team, Body &&body) const {
    const Part &part = *finest_;
    const int64_t ny = part.end[1] - part.begin[1], nx = part.end[2] - part.begin[2];
    const Range rows = team.part((part.end[0] - part.begin[0]) * ny);
    for (int64_t row = rows.begin; row < rows.end; ++row)
      body(row, part.level.box.at(part.begin[0] + row / ny, part.begin[1] + row % ny, part.begin[2]), nx);
  }

  // vectors (distributed_cg.cpp)
  class RankSpace;
  void load_residual(const double *r, double scale, const Team &team);  // of this thread's rows

  Ranks ranks_;
  dcg_operator op_{};
  dcg_parameters weights_;
  int threads_;
  double inverse_scale_ = 1.0;
  std::vector<std::unique_ptr<Part>> parts_;  // of the levels that are cut
  size_t cut_ = 0;                            // how many are in use
  Part outer_;      // where no level is cut: the own cells of the vectors
  Part *finest_ = nullptr;
  Hierarchy gathered_;
  Cycle gathered_cycle_;
  Field<float> direction_;
  std::vector<LevelSize> sizes_;
  double shared_ = 0.0;  // a sum, from the thread that has it to the others
};

}  // namespace dcg
