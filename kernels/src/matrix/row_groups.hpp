// Rows of a matrix that couple to all their neighbours with one weight, compared eight at a time.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "matrix/row_passes.hpp"

namespace dcg {

constexpr int kGroup = 8;  // rows that are compared at once

// The weight of all couplings.
struct Equal {
  double sign, weight, tolerance;
};

// The entries of a group of such rows, one after the other; columns and starts relative to the first row's.
template <class Index>
struct Group {
  int count;
  Index start[kGroup + 1], column[7 * kGroup];
  double value[7 * kGroup], tolerance[7 * kGroup];

  Group(const Pattern &pattern, const Equal &equal, int faces) : count(pattern.count) {
    for (int r = 0; r <= kGroup; ++r) start[r] = static_cast<Index>(r * count);
    for (int r = 0; r < kGroup; ++r) {
      for (int e = 0; e < count; ++e) {
        const int t = r * count + e, times = pattern.side[e] < 0 ? faces : -1;
        column[t] = static_cast<Index>(pattern.offset[e] + r);
        value[t] = equal.sign * equal.weight * times, tolerance[t] = equal.tolerance * std::abs(times);
      }
    }
  }
};

// The number of groups of rows of seven or five entries that are so, one after the other from the first on. `start` is that of the first row,
// `column` and `value` its first entries'; start NULL: the columns are known.
int64_t count_groups(const Group<int32_t> &group, int64_t most, const int32_t *start, const int32_t *column, const double *value, int32_t row);
int64_t count_groups(const Group<int64_t> &group, int64_t most, const int64_t *start, const int64_t *column, const double *value, int64_t row);

}  // namespace dcg
