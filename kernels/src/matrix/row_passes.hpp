// Going over the rows of a matrix and their entries.
#pragma once

#include "core/region.hpp"
#include "matrix/matrix.hpp"

namespace dcg {

// Calls body(column, value, block) for every entry of a row. Matrix: dcg_matrix or dcg_csr.
template <class Index, class Matrix, class Body>
void for_entries(const Matrix &m, int64_t row, Body &&body) {
  for (int block = 0; block < 2; ++block) {
    if (!m.start[block]) continue;
    const Index *start = static_cast<const Index *>(m.start[block]);
    const Index *column = static_cast<const Index *>(m.column[block]);
    for (Index e = start[row]; e < start[row + 1]; ++e) body(static_cast<int64_t>(column[e]), m.value[block][e], block);
  }
}

// The side on which an off-diagonal entry's column lies of the cell u at c, as Frame::side has it. grid: the frame of the whole grid.
inline int side_of(const dcg_matrix &m, const Frame &box, const Frame &grid, int64_t u, const int64_t c[3], int block, int64_t column) {
  if (block == 0) return box.side((m.cell ? m.cell[column] : column) - u, c);
  const int64_t g[3] = {c[0] + m.first[0], c[1] + m.first[1], c[2] + m.first[2]};
  return grid.side(m.ghost[column] - grid.flat(g), g);
}

// Calls body(row, cell, place of the cell in the box) for every row, by planes where rows are cells.
template <class Body>
void for_rows(const dcg_matrix &m, Body &&body) {
  const Frame box(m.count, m.shape);
  if (m.cell) {
    return parallel_for(m.rows, m.rows > 16384, [&](int64_t row) {
      int64_t c[3];
      box.place(m.cell[row], c);
      body(row, m.cell[row], c);
    });
  }
  parallel_for(m.count[0] * m.count[1], m.rows > 16384, [&](int64_t line) {
    int64_t c[3] = {line / m.count[1], line % m.count[1], 0};
    for (int64_t row = line * m.count[2]; c[2] < m.count[2]; ++c[2], ++row) body(row, row, c);
  });
}

// The columns of a cell's row, where they ascend and rows are cells: the neighbours on some sides, and the diagonal. Most rows are so.
struct Pattern {
  int count = 0;
  int64_t offset[7];
  int side[7];  // -1: the diagonal

  explicit Pattern(const Frame &box, int sides = 63) {
    const auto add = [&](int64_t o, int s) { offset[count] = o, side[count++] = s; };
    for (int a = 0; a < 3; ++a)
      if (box.n[a] > 1 && sides >> (2 * a) & 1) add(-box.stride[a], 2 * a);
    add(0, -1);
    for (int a = 2; a >= 0; --a)
      if (box.n[a] > 1 && sides >> (2 * a + 1) & 1) add(box.stride[a], 2 * a + 1);
  }

  // The row's values in this order, or NULL where it has other columns.
  template <class Index>
  const double *match(const dcg_matrix &m, const Frame &box, int64_t row, const int64_t c[3]) const {
    if (m.cell) return nullptr;
    for (int a = 0; a < 3; ++a)
      if (box.n[a] > 1 && (c[a] == 0 || c[a] == box.n[a] - 1)) return nullptr;
    const Index *start = static_cast<const Index *>(m.start[0]);
    if (start[row + 1] - start[row] != count) return nullptr;
    if (m.start[1]) {
      const Index *other = static_cast<const Index *>(m.start[1]);
      if (other[row + 1] != other[row]) return nullptr;
    }
    const Index *column = static_cast<const Index *>(m.column[0]) + start[row];
    return (count == 7 ? same<7>(column, row) : same<0>(column, row)) ? m.value[0] + start[row] : nullptr;
  }

  template <int N, class Index>  // the count where it is known when compiling
  bool same(const Index *column, int64_t row) const {
    int same = 1;
    for (int e = 0; e < (N ? N : count); ++e) same &= column[e] - row == offset[e];
    return same;
  }
};

}  // namespace dcg
