// The levels as the kernels see them: sizes and device pointers, passed by value.
#pragma once

#include <vector>

#include "cuda/core/launch.hpp"

namespace dcg::cuda {

// Where cells lie (dcg::Box), and their neighbours. Axes that turn round are followed by index: ghosts are not kept up on the device,
// and read 0 where nothing lies beyond.
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

// How an axis is merged, see dcg::Merge.
struct MergeView {
  const int *parent, *side, *first;
};

struct LevelView {
  Grid grid;
  bool unit;
  int sweeps, passes, odd_axes;  // bit a: axis a is periodic and odd, its last layer has passes of its own
  float omega[4][2];             // by sweep and colour
  const float *factors;          // unit: relaxation factor / diagonal, [sweep][colour][code]
  const uint8_t *code;           // unit
  const float *weight[3], *diagonal, *relax;  // not unit
  float *x, *b;                  // over grid.size + extras

  MergeView merge[3];                       // to the next level
  const float *keep[3][2], *toward[3][2];  // of this level's children
  float *lines;                             // scratch: residuals merged along x

  // Extra unknowns in waves: those of one wave are not neighbours, and all of them after another are the sequence of the CPU.
  int extras, waves;
  const int *wave_start, *wave;
  const int *neighbour_start, *neighbour;
  const float *neighbour_weight;
  float *change;
  // Cells beside extra unknowns: what those give them is kept in their right-hand sides.
  int touched;
  const int *touched_cell, *touched_start, *touched_extra;
  const float *touched_weight;

  // The listed part of the prolongation from the next level, by rows (fine) and by columns (coarse).
  int rows, columns;
  const int *row_unknown, *row_start, *row_coarse, *column_unknown, *column_start, *column_row;
  const float *row_weight, *column_weight;
  float *row_residual;

  int direct;  // unknowns of the coarsest level
  const int *direct_unknown;
  const float *inverse;
};

struct Levels {
  std::vector<LevelView> views;          // finest first
  const LevelView *on_device = nullptr;  // the same
  int first_small = 0;                   // from here on, one block does all of a level's work
};

}  // namespace dcg::cuda
