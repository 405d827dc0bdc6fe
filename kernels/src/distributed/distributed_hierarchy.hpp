// The multilevel network on many ranks: the finer levels cut into boxes, the coarser ones on rank 0 as on a single rank.
#pragma once

#include <memory>
#include <vector>

#include "cycle/cycle.hpp"
#include "distributed/local_level.hpp"
#include "krylov/team_cg.hpp"
#include "setup/hierarchy.hpp"

namespace dcg {

struct LevelSize {
  int64_t n[3], unknowns, secondary;
};

class DistributedHierarchy {
 public:
  DistributedHierarchy(const dcg_ranks &ranks, const dcg_operator &op, const dcg_parameters &parameters, int threads);

  // All collective. Vectors run over this rank's own cells.
  void set_up(const dcg_operator &op);
  void apply(const double *r, double *z);
  Outcome conjugate_gradients(double *x, double *r, double target, int64_t maxiter, double *history, double *steps);

  const std::vector<LevelSize> &sizes() const { return sizes_; }  // of the whole levels
  int64_t bytes() const;

 private:
  class MessageExecutor;  // the V's stages (distributed_cycle.cpp)
  class RankSpace;        // conjugate gradients' vectors (distributed_cg.cpp)

  // set-up (distributed_hierarchy.cpp)
  Largest check_on_all_ranks(const dcg_operator &op);
  double build(Level &level, const Partition &own, const Partition &held, const Largest &largest);
  void fetch_activity(LocalLevel &local);
  void find_widths(const Partition &own, double scale, Widths &widths);
  bool can_be_cut(const Partition &own, const AxisCoarsening (&coarsening)[3]) const;
  void add_level(LocalLevel &local, const CoarsenedPartition &plan, size_t number);
  void agglomerate(const Partition &cells, const Largest &most, Widths &widths, double target);
  void add_sparse_levels(LocalLevel &finest, const Partition &cells, const Largest &most);
  void collect_sizes();
  void count(const Level &level, const int64_t begin[3], const int64_t end[3], LevelSize &size);
  LocalLevel &local(size_t number);

  void cycle(const Team &team);                                         // x = M b on the finest level
  double sum(double value, const Team &team);                           // over all threads and ranks
  void load_residual(const double *r, double scale, const Team &team);  // finest level's b = scale r
  // body(row of the vectors, index of its first own cell in the finest level, number of its own cells): this thread's rows
  template <class Body>
  void for_own_rows(const Team &team, Body &&body) const {
    const LocalLevel &local = *finest_;
    const int64_t ny = local.end[1] - local.begin[1], nx = local.end[2] - local.begin[2];
    const Range rows = team.part((local.end[0] - local.begin[0]) * ny);
    for (int64_t row = rows.begin; row < rows.end; ++row)
      body(row, local.level.box.at(local.begin[0] + row / ny, local.begin[1] + row % ny, local.begin[2]), nx);
  }

  Ranks ranks_;
  dcg_operator op_{};
  dcg_parameters parameters_;
  int threads_;
  double inverse_scale_ = 1.0;
  std::vector<std::unique_ptr<LocalLevel>> levels_;  // cut into boxes
  size_t cut_ = 0;                                   // how many of them are in use
  LocalLevel own_cells_;                             // of the vectors, where no level is cut
  LocalLevel *finest_ = nullptr;
  Hierarchy agglomerated_;  // the levels below, on rank 0
  Cycle agglomerated_cycle_;
  Field<double> direction_;
  std::vector<LevelSize> sizes_;
  double shared_ = 0.0;  // a sum, from the thread that has it to the others
};

}  // namespace dcg
