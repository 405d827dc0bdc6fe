// A matrix whose faces all have one weight: the operator is then cells, sides and that weight, and no weights are kept in memory.
//
// The quick way through: where it does not fit (another weight, a shift, open faces of another strength, a face closed between two
// unknowns) the general reading begins from the start. What lies beyond the sides of an unknown that lacks neighbours is told by how
// many faces its diagonal counts: all of them open, or none; where only some are, by what other unknowns tell of those sides.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cell_kinds.hpp"
#include "matrix/scan.hpp"

namespace dcg {

class EqualFaces {
 public:
  EqualFaces(const dcg_matrix &m, dcg_rows &rows, const uint8_t *kinds, double rounding, const Processes &processes, uint8_t *cells)
      : m(m), rows(rows), box(m.count, m.shape), padded(m.count), processes(processes), kinds(kinds), rounding(rounding), cells(cells),
        special(rows.odd) {}

  // False on all processes where it does not fit; cells and *found are then to be made anew.
  bool read(dcg_matrix_found &found);

 private:
  const dcg_matrix &m;
  dcg_rows &rows;
  const Frame box;
  const Padded padded;
  const Processes &processes;
  const uint8_t *kinds;
  const double rounding;
  uint8_t *cells;
  std::vector<AlikeRow> &special;
  int32_t periodic = 0, open = 0, closed = 0;  // sides
  int64_t dropped = 0;

  bool agree_on_weight(double sign, double &weight) const;
  void look_around();
  bool all(bool mine) const;
  void place(const AlikeRow &row, int64_t c[3]) const { std::copy(row.cell, row.cell + 3, c); }
  bool lacks(const AlikeRow &row, const int64_t c[3], int side) const;
  bool at_side(const int64_t c[3], int side) const;
  int64_t there(const int64_t c[3], int side) const;
  bool mark(const int64_t c[3], int side, bool is_open);
  int told(const int64_t c[3], int side) const;
  bool mark_certain();
  bool check_rest();
};

}  // namespace dcg
