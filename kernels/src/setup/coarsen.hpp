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

// The width from which plan_semicoarsening() starts: the thinnest cell's.
double first_target(const int64_t shape[3], const Widths &widths);

// The semicoarsening of a level of n cells along each axis: pairs neighbouring cells that are together at most 1.4 times `target` wide. The target doubles until the
// next level is small enough. Returns false for a level of one cell.
bool plan_semicoarsening(const int64_t n[3], AxisCoarsening (&coarsening)[3], Widths &widths, double &target);

// Pairs cells first..first+n-1 of a grid along each axis, whose pairs begin at its even cells. Sparse levels are coarsened so: the strength of couplings,
// not a width, says there what belongs together.
void pair_cells(const int64_t first[3], const int64_t n[3], AxisCoarsening (&coarsening)[3]);

// The unknowns and couplings of the next coarser level; fine.coarsening is given. The coarse level lacks its smoother.
void coarsen(Level &fine, Level &coarse, int threads);

// Learned factors for a level whose couplings are known: scales the couplings and the odds of the prolongation, except on the `finest`
// level, and leaves the factors of the relaxation in omega_dinv.
void apply_local_factors(Level &level, const dcg_parameters &parameters, bool finest, int threads);

// Diagonal and relaxation of a level, from its couplings and the factors in omega_dinv; then neighbours, row extents and all ghosts.
void setup_smoother(Level &level, bool finest, int threads);

// Derives from couplings and relaxation: neighbours of secondary unknowns, ghosts of the weights, row extents, the number of unknowns.
void restore_derived(Level &level, int threads);

// Completes fine.unstructured once the coarse level is set up: subtracts the rows of the regular prolongation.
void subtract_regular_rows(Level &fine, const Level &coarse);

// A generalised inverse of the coarsest level.
void factorise(Level &level);

}  // namespace dcg
