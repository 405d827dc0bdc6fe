// Rows of a level's padded fields: their neighbours, their ghosts, and the threads that have them.
#pragma once

#include "core/team.hpp"
#include "cycle/row_kernels.hpp"
#include "setup/level.hpp"

namespace dcg {

// Rows of a plane for this thread; a plane of one row is shared by columns instead.
struct Share {
  Range rows, columns;
};

inline Share share(const Team &team, int64_t rows, int64_t columns, int64_t grain) {
  if (rows > 1 || team.size == 1) return {team.part(rows), {0, columns}};
  return {{0, 1}, team.part(columns, grain)};
}

// A row that is periodic along x belongs to one thread as a whole.
inline Share share_rows(const Team &team, const Level &level, int64_t columns, int64_t grain) {
  if (level.periodic[2] && level.box.n[1] == 1) return {{0, team.rank == 0 ? 1 : 0}, {0, columns}};
  return share(team, level.box.n[1], columns, grain);
}

// The neighbouring rows of a row of a padded field, from index `at` on; `none` stands for those of an axis of one cell.
template <class T>
Around<T> neighbour_rows(const Level &level, const T *field, int64_t at, const T *none) {
  const Box &box = level.box;
  const T *row = field + at;
  Around<T> n{none, none, none, none};
  if (box.n[0] > 1) n.down = row - box.plane, n.up = row + box.plane;
  if (box.n[1] > 1) n.south = row - box.stride, n.north = row + box.stride;
  return n;
}

// The face weights of a row, likewise.
inline WeightRows weight_rows(const Level &level, int64_t at, const float *none) {
  const Box &box = level.box;
  WeightRows w{none, none, none, none, level.weight[2].data() + at, level.diagonal.data() + at, level.omega_dinv.data() + at, level.slack.data() + at};
  if (box.n[0] > 1) w.z = level.weight[0].data() + at, w.z_low = w.z - box.plane;
  if (box.n[1] > 1) w.y = level.weight[1].data() + at, w.y_low = w.y - box.stride;
  return w;
}

// Adds to a secondary unknown. What it contributes to its primary neighbours' rows is kept in their right-hand sides, so that the
// passes over the cells need not know of it.
inline void change_secondary(Level &level, int64_t e, float change) {
  level.x[level.box.size + e] += change;
  for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m)
    if (level.neighbours[m].unknown < level.box.size) level.b[level.neighbours[m].unknown] += level.neighbours[m].weight * change;
}

// Copies columns of a row that were just written into the ghosts of periodic axes. A thread without columns must not: another thread may
// be writing an end of the row.
template <class T>
void fill_periodic_ghosts(const Level &level, T *field, int64_t k, int64_t j, Range columns) {
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
