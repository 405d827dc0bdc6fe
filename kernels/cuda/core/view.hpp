// The levels as the kernels see them: sizes and device pointers, passed by value.
#pragma once

#include <vector>

#include "cuda/core/launch.hpp"

namespace dcg::cuda {

// Indices of cells (dcg::Box) and of their neighbours. Neighbours across a periodic seam are found by index: on the device ghosts are
// always 0.
struct Grid {
  int n[3], plane, stride, origin, size;
  bool periodic[3];

  DCG_BOTH Extent extent() const { return {n[0], n[1], n[2]}; }
  DCG_BOTH int at(int k, int j, int i) const { return origin + k * plane + j * stride + i; }
  DCG_BOTH int offset(int axis) const { return axis == 0 ? plane : axis == 1 ? stride : 1; }
  DCG_BOTH bool has_ghosts(int axis) const { return axis == 2 || n[axis] > 1; }
  DCG_BOTH int below(int axis, int at, int c) const {
    return periodic[axis] && c == 0 ? at + (n[axis] - 1) * offset(axis) : at - offset(axis);
  }
  DCG_BOTH int above(int axis, int at, int c) const {
    return periodic[axis] && c + 1 == n[axis] ? at - (n[axis] - 1) * offset(axis) : at + offset(axis);
  }
};

// See dcg::AxisCoarsening.
struct AxisCoarseningView {
  const int *parent, *side, *first;
};

struct LevelView {
  Grid grid;
  bool constant;
  int sweeps, passes, odd_axes;  // bit a: axis a is periodic and odd, its last layer has passes of its own
  float omega[4][2];             // by sweep and colour
  const float *factors;          // constant coefficient: relaxation factor / diagonal, [sweep][colour][stencil type]
  const uint8_t *stencil_type;
  const float *weight[3], *diagonal, *omega_dinv;  // variable coefficient
  float *x, *b;                                    // over grid.size + secondary

  AxisCoarseningView coarsening[3];                           // to the next level
  const float *interp_parent[3][2], *interp_neighbour[3][2];  // to the finer level
  float *lines;                                               // scratch: residuals restricted along x

  // Secondary unknowns in batches: those of one batch are not coupled, and one batch after another has the order of the CPU.
  int secondary, batches;
  const int *batch_start, *batch;
  const int *neighbour_start, *neighbour;
  const float *neighbour_weight;
  float *change;
  // Cells coupled to secondary unknowns: the contribution of these is kept in their right-hand sides.
  int touched;
  const int *touched_cell, *touched_start, *touched_secondary;
  const float *touched_weight;

  // The unstructured part of the prolongation from the next level, by rows (fine) and by columns (coarse).
  int rows, columns;
  const int *row_unknown, *row_start, *row_coarse, *column_unknown, *column_start, *column_row;
  const float *row_weight, *column_weight;
  float *row_residual;

  int direct;  // unknowns of the coarsest level
  const int *direct_unknown;
  const double *inverse;
};

struct Levels {
  std::vector<LevelView> views;          // finest first
  const LevelView *on_device = nullptr;  // the same
  int first_small = 0;                   // from here on, one block does all of a level's work
};

}  // namespace dcg::cuda
