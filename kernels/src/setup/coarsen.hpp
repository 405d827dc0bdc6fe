// Set-up: from a level to the next coarser one.
#pragma once

#include <functional>

#include "setup/level.hpp"
#include "setup/parameters.hpp"

namespace dcg {

// Widths of the cells along each axis, relative to each other: semicoarsening starts with the thin ones.
using Widths = std::vector<double>[3];

// On periodic axes, the ghosts of one field or of three.
void copy_ghosts(const Level &level, Field<float> &f);
void copy_ghosts(const Level &level, Field<float> (&fields)[3]);

// An estimate of the cells' widths relative to each other from the finest level's weights alone.
struct WidthSamples {
  int64_t n[3];
  std::vector<int> axes;  // of more than one cell
  std::vector<double> sum[3], count[3];  // by layer along each axis

  explicit WidthSamples(const int64_t shape[3]);

  // Samples cells begin..end, the first of which is the grid's cell `first`. weight(axis, cell, high): of the face towards a neighbour on
  // that side, 0 where there is none; in single precision relative to the largest.
  using Weight = std::function<float(int axis, const int64_t at[3], bool high)>;
  void take(const Weight &weight, const int64_t begin[3], const int64_t end[3], const int64_t first[3]);

  void widths(Widths &widths) const;
};

// The width from which plan_merges starts: the thinnest cell's.
double first_target(const int64_t shape[3], const Widths &widths);

// The semicoarsening of a level: merges pairs of cells not wider than 1.4 times `target`, which doubles until some are. Returns false where
// nothing is left to merge.
bool plan_semicoarsening(Level &level, Widths &widths, double &target);

// The next coarser level as a network of resistors: fine.coarsening is given, coarse is built (all but its relaxation).
void coarsen(Level &fine, Level &coarse, int threads);

// Diagonal, learned local factors, relaxation, transfer weights, ghosts and row extents of a level whose couplings are
// known. `finest` levels keep their couplings as they are.
void finish(Level &level, const dcg_parameters &weights, bool finest, int threads);

// The rest of a level whose couplings, diagonal and relaxation are given: what it holds of them by unknown, ghosts and row extents.
void restore_derived(Level &level);

// Completes fine.unstructured once the coarse level is finished: takes off what the regular prolongation would give.
void add_regular_rows(Level &fine, const Level &coarse);

// A generalised inverse of the coarsest level.
void factorise(Level &level);

}  // namespace dcg
