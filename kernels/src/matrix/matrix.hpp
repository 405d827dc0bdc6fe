// A matrix's rows on a grid: frames of indices, what a pass over the rows finds, refusals that all processes share.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "deepcg.h"

namespace dcg {

constexpr double kNegligible = 1e-2;  // of `rounding`: an entry with a forbidden sign or place counts as 0 below it

// A box of cells in C order. A step to a neighbour adds a stride, or turns to the other end of an axis that the frame spans.
struct Frame {
  int64_t n[3], stride[3];
  bool turns[3];

  Frame(const int64_t size[3], const int64_t whole[3]) {
    for (int a = 0; a < 3; ++a) n[a] = size[a], turns[a] = size[a] == whole[a] && size[a] > 2;
    stride[2] = 1, stride[1] = n[2], stride[0] = n[1] * n[2];
  }

  int64_t size() const { return n[0] * stride[0]; }
  int64_t flat(const int64_t c[3]) const { return c[0] * stride[0] + c[1] * stride[1] + c[2]; }
  void place(int64_t u, int64_t c[3]) const { c[0] = u / stride[0], c[1] = u / stride[1] % n[1], c[2] = u % n[2]; }

  // Which neighbour lies `offset` away from the cell at c: 2 axis + side, plus 8 across a turn; -1 if none.
  int side(int64_t offset, const int64_t c[3]) const {
    for (int a = 2; a >= 0; --a) {
      if (offset == stride[a] && c[a] + 1 < n[a]) return 2 * a + 1;
      if (offset == -stride[a] && c[a] > 0) return 2 * a;
      if (!turns[a]) continue;
      const int64_t turn = (n[a] - 1) * stride[a];
      if (offset == -turn && c[a] == n[a] - 1) return 2 * a + 1 + 8;
      if (offset == turn && c[a] == 0) return 2 * a + 8;
    }
    return -1;
  }
};

// Indices of the kinds, which have a layer of ghosts.
struct Padded {
  int64_t stride[3];
  explicit Padded(const int64_t n[3]) : stride{(n[1] + 2) * (n[2] + 2), n[2] + 2, 1} {}
  int64_t at(const int64_t c[3]) const { return (c[0] + 1) * stride[0] + (c[1] + 1) * stride[1] + c[2] + 1; }
};

// The first row (in order of rows) that cannot be served, and why. All processes learn of it in `Processes::sum`.
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

 private:
  const dcg_matrix &m_;
};

void check(const dcg_matrix &m);

std::string name_row(const dcg_matrix &m, int64_t row, const int64_t c[3]);

// Couplings, as positive weights, of every unknown to its six neighbours.
struct Couplings {
  double *up[3];                // where the caller wants the face weights: at each cell's high face
  std::vector<double> down[3];  // at each cell
  std::vector<double> excess;   // what the diagonal has beyond their sum; 0 up to rounding
  std::vector<double> diagonal;
  double least = std::numeric_limits<double>::infinity(), most = 0.0;
  int64_t wraps[3] = {0, 0, 0};
  int64_t dropped = 0;
};

// The pass over the rows. diagonal: |a_ii|.
void read_rows(const dcg_matrix &m, const uint8_t *kinds, double sign, double rounding, Couplings &couplings, Refusal &refusal);

// Index of the face below cell c along an axis.
inline int64_t face_below(const int64_t n[3], const int64_t c[3], int axis) {
  return (c[0] * (n[1] + (axis == 1)) + c[1]) * (n[2] + (axis == 2)) + c[2];
}
inline int64_t face_step(const int64_t n[3], int axis) { return axis == 0 ? n[1] * n[2] : axis == 1 ? n[2] : 1; }

}  // namespace dcg
