// The operator while it is read: the box's cells and face weights, and the neighbour on each side of a cell.
#pragma once

#include "core/region.hpp"
#include "matrix/matrix.hpp"

namespace dcg {

struct BoxFaces {
  const dcg_matrix &m;
  const Frame box;
  const Padded padded;
  const uint8_t *kinds;
  uint8_t *cells;
  double *weight[3];
  int32_t periodic = 0;  // bit a: a weight joins the ends of axis a

  BoxFaces(const dcg_matrix &m, const uint8_t *kinds, uint8_t *cells, double *const weights[3])
      : m(m), box(m.count, m.shape), padded(m.count), kinds(kinds), cells(cells), weight{weights[0], weights[1], weights[2]} {}

  double &at(const int64_t c[3], int side) const {
    const int a = side >> 1;
    return weight[a][face_below(m.count, c, a) + (side & 1 ? face_step(m.count, a) : 0)];
  }

  bool is_unknown(const int64_t c[3]) const { return kinds[padded.at(c)] == DCG_ROW_UNKNOWN; }

  // Whether a side of the cell is a side of the whole grid.
  bool at_side(const int64_t c[3], int side) const {
    const int a = side >> 1;
    return !(periodic >> a & 1) && m.first[a] + c[a] == (side & 1 ? m.shape[a] - 1 : 0);
  }

  // Across the ends of an axis that the box spans, too; has_unknown: only where the axis is periodic.
  bool neighbour_is_unknown(const int64_t c[3], int side) const {
    return kinds[padded.at(c) + (side & 1 ? 1 : -1) * padded.stride[side >> 1]] == DCG_ROW_UNKNOWN;
  }
  bool has_unknown(const int64_t c[3], int side) const { return !at_side(c, side) && neighbour_is_unknown(c, side); }

  // Whether the caller knows that the cell on that side is SOLID.
  bool has_wall(const int64_t c[3], int side) const {
    if (!m.cells || at_side(c, side)) return false;
    const int64_t u = box.neighbour(c, side);
    return u >= 0 && m.cells[u] == kSolid;
  }

  // Calls body(first cell, its place) for every line along x.
  template <class Body>
  void for_lines(Body &&body) const {
    parallel_for(m.count[0], box.size() > 16384, [&](int64_t k) {
      for (int64_t j = 0; j < m.count[1]; ++j) {
        const int64_t c[3] = {k, j, 0};
        body(box.flat(c), c);
      }
    });
  }

  // Calls body(cell, its place) for every cell of the box, by planes.
  template <class Body>
  void for_cells(Body &&body) const {
    for_lines([&](int64_t first, const int64_t line[3]) {
      int64_t c[3] = {line[0], line[1], 0};
      for (; c[2] < m.count[2]; ++c[2]) body(first + c[2], c);
    });
  }

  // Calls body(first, last) with the places at both ends of every line along an axis.
  template <class Body>
  void for_ends(int axis, Body &&body) const {
    for_layer(m.count, axis, 0, [&](const int64_t first[3]) {
      int64_t last[3] = {first[0], first[1], first[2]};
      last[axis] = m.count[axis] - 1;
      body(first, last);
    });
  }
};

}  // namespace dcg
