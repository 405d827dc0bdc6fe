// A level whose unknowns are joined by any edges at all: the form of all levels below a grid with rough coefficients. Several unknowns may lie in
// one cell, and none in another.
#pragma once

#include <cstdint>
#include <vector>

#include "setup/level.hpp"

namespace dcg {

struct SparseLevel {
  int64_t n[3] = {1, 1, 1};  // cells along z, y, x
  bool periodic[3] = {false, false, false};
  int64_t unknowns = 0;
  int visits = 1;  // in one visit of the level above
  Field<int64_t> cell;  // of each unknown, z-major

  // The rows of the operator: row u has the edges start[u]..start[u+1]-1, and (A x)_u = sum of weight (x_u - x_neighbour) + slack x_u. Differences keep
  // what a strongly joined group of unknowns loses to its surroundings, which single precision cannot tell from a diagonal.
  Field<int64_t> start;
  Field<int32_t> neighbour;
  Field<float> weight, slack, inverse_diagonal;  // 0 where a row is empty
  Field<float> anchor, shift;  // of the slack: couplings to fixed values; the rest

  // The same rows for the sweeps, eight at a time (the sliced format of Kreutzer et al. 2014): slice s has the edges slice_start[s]..slice_start[s+1]-1
  // of each of its rows, row by row of eight; what a row has fewer are edges of weight 0 to itself.
  std::vector<int64_t> slice_start;
  Field<int32_t> slice_neighbour;
  Field<float> slice_weight;

  Field<float> x, y, b;  // in whole slices. y: the next x while a sweep reads the last one, or the residual

  // To the next level: the unknown there that each one here belongs to, -1 where none, and the same by that unknown.
  Field<int32_t> parent;
  std::vector<int64_t> first_child;
  Field<int32_t> child;
  AxisCoarsening coarsening[3];

  std::vector<double> inverse;  // of the coarsest level

  int64_t slices() const { return (unknowns + kLanes - 1) / kLanes; }
  int64_t entries() const { return unknowns ? start[unknowns] : 0; }
  int64_t bytes() const {
    return cell.bytes() + start.bytes() + neighbour.bytes() + weight.bytes() + slack.bytes() + inverse_diagonal.bytes() + anchor.bytes() + shift.bytes() +
           x.bytes() + y.bytes() + b.bytes() + parent.bytes() + child.bytes() + slice_neighbour.bytes() + slice_weight.bytes() + static_cast<int64_t>(8 * first_child.capacity() + 8 * slice_start.capacity() + 8 * inverse.capacity());
  }
};

}  // namespace dcg
