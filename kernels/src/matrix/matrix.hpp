// A matrix's rows on a grid: index frames, names of rows in messages, refusals that all processes share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/cell_kinds.hpp"
#include "deepcg.h"

namespace dcg {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kEqual = 4.0 * kEps;     // relative: weights that differ by no more are one, as a product with either errs by as much
constexpr double kRowSum = 16.0 * kEps;   // of the diagonal: a sum of a row's entries up to this is rounding of the diagonal, and counts as 0
constexpr double kAsymmetry = 1e-10;      // of the diagonal: what a symmetric matrix may lack at least
constexpr double kNegligible = 1e-2;      // of that: an entry with a forbidden sign or place is left to the correction below it

// Of the diagonal. The entries of a row have a relative rounding each, and sum to about twice the diagonal: a row whose sum is no larger may be
// one that sums to 0, with and without a minus.
inline double noise_of(const dcg_matrix &m) { return std::max(kRowSum, 2.0 * m.rounding); }
// Of the diagonal: how far a_ij and a_ji may be apart.
inline double asymmetry_of(const dcg_matrix &m) { return std::max(kAsymmetry, 4.0 * m.rounding); }

// A box of cells in C order. A step to a neighbour adds a stride, or wraps to the other end of an axis that the box spans.
struct Frame {
  int64_t n[3], stride[3];
  bool whole[3], wraps[3];

  Frame(const int64_t size[3], const int64_t grid[3]) {
    for (int a = 0; a < 3; ++a) n[a] = size[a], whole[a] = size[a] == grid[a], wraps[a] = whole[a] && size[a] > 2;
    stride[2] = 1, stride[1] = n[2], stride[0] = n[1] * n[2];
  }

  int64_t size() const { return n[0] * stride[0]; }
  int64_t flat(const int64_t c[3]) const { return c[0] * stride[0] + c[1] * stride[1] + c[2]; }
  void place(int64_t u, int64_t c[3]) const { c[0] = u / stride[0], c[1] = u / stride[1] % n[1], c[2] = u % n[2]; }

  // The side on which the cell `offset` away from the cell at c is its neighbour: 2 axis + (0 low, 1 high), plus 8 across a wrap; -1 if none.
  int side(int64_t offset, const int64_t c[3]) const {
    for (int a = 2; a >= 0; --a) {
      if (offset == stride[a] && c[a] + 1 < n[a]) return 2 * a + 1;
      if (offset == -stride[a] && c[a] > 0) return 2 * a;
      if (!wraps[a]) continue;
      const int64_t wrap = (n[a] - 1) * stride[a];
      if (offset == -wrap && c[a] == n[a] - 1) return 2 * a + 1 + 8;
      if (offset == wrap && c[a] == 0) return 2 * a + 8;
    }
    return -1;
  }

  // The cell on that side, across the ends of axes that the box spans; -1 where it is another box's.
  int64_t neighbour(const int64_t c[3], int side) const {
    const int a = side >> 1;
    int64_t at[3] = {c[0], c[1], c[2]};
    at[a] += side & 1 ? 1 : -1;
    if (at[a] < 0 || at[a] >= n[a]) {
      if (!whole[a]) return -1;
      at[a] = at[a] < 0 ? n[a] - 1 : 0;
    }
    return flat(at);
  }
};

// Indices of the kinds, which have a layer of ghosts.
struct Padded {
  int64_t stride[3];
  explicit Padded(const int64_t n[3]) : stride{(n[1] + 2) * (n[2] + 2), n[2] + 2, 1} {}
  int64_t at(const int64_t c[3]) const { return (c[0] + 1) * stride[0] + (c[1] + 1) * stride[1] + c[2] + 1; }
};

// Calls body(c) for the cells of a box whose place along an axis is `at`.
template <class Body>
void for_layer(const int64_t n[3], int axis, int64_t at, Body &&body) {
  const int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
  int64_t c[3];
  c[axis] = at;
  for (c[p] = 0; c[p] < n[p]; ++c[p])
    for (c[q] = 0; c[q] < n[q]; ++c[q]) body(c);
}

// Index of the face below cell c along an axis, and the step to the face above it.
inline int64_t face_below(const int64_t n[3], const int64_t c[3], int axis) {
  return (c[0] * (n[1] + (axis == 1)) + c[1]) * (n[2] + (axis == 2)) + c[2];
}
inline int64_t face_step(const int64_t n[3], int axis) { return axis == 0 ? n[1] * n[2] : axis == 1 ? n[2] : 1; }

// The first row (in order of rows) that is refused, and the reason. All processes learn of it in `Processes::sum`.
struct Refusal {
  int64_t row = std::numeric_limits<int64_t>::max();
  std::string text;

  void note(int64_t at, std::string why) {
    if (at < row) row = at, text = std::move(why);
  }
};

class Processes {
 public:
  explicit Processes(const dcg_matrix &m) : m_(m) {}
  // Sums over all processes; throws on all of them if one has a refusal.
  void sum(std::vector<double> &values, const Refusal &refusal) const;
  bool all(bool mine) const;

 private:
  const dcg_matrix &m_;
};

void check(const dcg_matrix &m);

// As messages name them. Rows and columns are numbered from the process's first; u is a cell of the box.
std::string name_row(const dcg_matrix &m, int64_t row);
std::string name_row_of(const dcg_matrix &m, int64_t u);
std::string name_column(const dcg_matrix &m, int block, int64_t column);

// The text for a diagonal that is negative in one row and positive in the other; -1 for a row of another process.
std::string name_signs(const dcg_matrix &m, int64_t negative, int64_t positive);

}  // namespace dcg
