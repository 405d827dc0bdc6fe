// The multigrid cycle that the network is: one symmetric V over the levels, z = M r.
#pragma once

#include <vector>

#include "core/team.hpp"
#include "cycle/row_kernels.hpp"
#include "deepcg.h"
#include "setup/level.hpp"

namespace dcg {

class Cycle {
 public:
  // Sizes the buffers for levels that are set up; call it again after they changed.
  void prepare(std::vector<Level *> levels, const dcg_weights &weights, const RowKernels &rows, int threads);

  // levels[0]->x = M levels[0]->b by all threads of the team; returns the inner product of both.
  double run(const Team &team);

  int64_t bytes() const;

 private:
  friend class OnRanks;  // runs the stages of a level one by one, exchanging ghosts in between

  struct Stage {
    enum Kind { kRelax, kResidual, kRestrict, kProlong, kDot } kind;
    int sweep = 0, pass = 0;
    bool first = false;
  };

  void visit(size_t l, const Team &team);
  void smooth_down(size_t l, const Team &team);
  void smooth_up(size_t l, const Team &team);
  void solve_directly(Level &level);
  void waves(size_t l, const Team &team, const std::vector<Stage> &stages, bool fused);
  void run_stage(size_t l, const Team &team, const Stage &stage, int64_t k);

  void relax(Level &level, size_t l, const Team &team, const Stage &stage, int64_t k);
  void residual(Level &level, size_t l, const Team &team, int64_t k);
  void restrict_plane(Level &level, size_t l, const Team &team, int64_t k);
  void prolong(Level &level, size_t l, const Team &team, int64_t k);
  double dot(const Level &level, const Team &team, int64_t k) const;

  void relax_row(Level &level, size_t l, int sweep, int pass, bool first, int64_t k, int64_t j, Range columns);
  void relax_extras(Level &level, bool forward);
  void restrict_listed(Level &level, Level &coarse);
  void prolong_listed(Level &level, const Level &coarse, int64_t begin, int64_t end);

  int sweeps(size_t l) const;

  struct Buffers {  // of one level
    std::vector<float> lines[2];                         // residuals of a plane, merged along x
    std::vector<Stage> down, up;
    bool fused = false;  // extra unknowns and boxes that turn round along z forbid it
    int passes = 2;
    std::vector<int> odd_axes;  // periodic axes of odd length: their last layer is relaxed in passes of its own
  };

  std::vector<Level *> levels_;
  std::vector<Buffers> buffers_;
  std::vector<std::vector<float>> scratch_;  // per thread
  std::vector<float> zeros_;
  std::vector<double> dots_;  // per thread, one cache line each
  dcg_weights weights_{};
  float factors_[DCG_SWEEPS][2][DCG_CODES];  // relaxation factor over diagonal, by code of the unit level
  const RowKernels *rows_ = nullptr;
};

// Rows of a plane for this thread; a plane of one row is shared by columns instead.
struct Share {
  Range rows, columns;
};

inline Share share(const Team &team, int64_t rows, int64_t columns, int64_t grain) {
  if (rows > 1 || team.size == 1) return {team.part(rows), {0, columns}};
  return {{0, 1}, team.part(columns, grain)};
}

// Where rows turn round, the thread that has the row has all of it.
inline Share share_rows(const Team &team, const Level &level, int64_t columns, int64_t grain) {
  if (level.periodic[2] && level.box.n[1] == 1) return {{0, team.rank == 0 ? 1 : 0}, {0, columns}};
  return share(team, level.box.n[1], columns, grain);
}

// The rows beside a row of a padded field, from a place in it on; `none` stands for those of an axis of one cell.
inline Around<float> rows_beside(const Level &level, const float *field, int64_t at, const float *none) {
  const Box &box = level.box;
  const float *row = field + at;
  Around<float> n{none, none, none, none};
  if (box.n[0] > 1) n.down = row - box.plane, n.up = row + box.plane;
  if (box.n[1] > 1) n.south = row - box.stride, n.north = row + box.stride;
  return n;
}

// The weights round a row, from a place in it on; `none` as above.
inline WeightRows weight_rows(const Level &level, int64_t at, const float *none) {
  const Box &box = level.box;
  WeightRows w{none, none, none, none, level.weight[2].data() + at, level.diagonal.data() + at, level.relax.data() + at};
  if (box.n[0] > 1) w.z = level.weight[0].data() + at, w.z_low = w.z - box.plane;
  if (box.n[1] > 1) w.y = level.weight[1].data() + at, w.y_low = w.y - box.stride;
  return w;
}

// Changes an extra unknown. What it gives its primary neighbours is kept in their right-hand sides, so that the sweeps
// need not know of it.
inline void change_extra(Level &level, int64_t e, float change) {
  level.x[level.box.size + e] += change;
  for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m)
    if (level.neighbours[m].unknown < level.box.size) level.b[level.neighbours[m].unknown] += level.neighbours[m].weight * change;
}

// Copies columns of a row that were just written into the ghosts of periodic axes. A thread without columns must not: an end of the row
// may be another's, who is writing it.
template <class T>
void wrap_row(const Level &level, T *field, int64_t k, int64_t j, Range columns) {
  if (columns.begin >= columns.end) return;
  const Box &box = level.box;
  T *row = field + box.at(k, j);
  if (level.periodic[2]) {
    if (columns.begin == 0) row[box.n[2]] = row[0];
    if (columns.end == box.n[2]) row[-1] = row[box.n[2] - 1];
  }
  const auto copy = [&](int64_t offset) {
    for (int64_t i = columns.begin; i < columns.end; ++i) row[i + offset] = row[i];
  };
  if (level.periodic[1] && box.n[1] > 1) {
    if (j == 0) copy(box.n[1] * box.stride);
    if (j == box.n[1] - 1) copy(-box.n[1] * box.stride);
  }
  if (level.periodic[0] && box.n[0] > 1) {
    if (k == 0) copy(box.n[0] * box.plane);
    if (k == box.n[0] - 1) copy(-box.n[0] * box.plane);
  }
}

}  // namespace dcg
