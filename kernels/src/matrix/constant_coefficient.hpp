// A matrix whose faces all have one weight: the operator is then cells, sides and that weight, and no weights are kept in memory.
//
// The quick way through. Where it does not fit (another weight, a shift, open faces of another strength, a face closed between two
// unknowns) the general reading begins from the start. diagonal/weight counts a cell's faces that are no walls. If it equals all faces, every
// missing neighbour is Dirichlet; if only the present ones, all are walls; otherwise other cells on that side decide.
#pragma once

#include <algorithm>
#include <vector>

#include "matrix/scan.hpp"

namespace dcg {

class ConstantCoefficient {
 public:
  ConstantCoefficient(const dcg_matrix &m, dcg_matrix_scan &scan, const uint8_t *kinds, const Processes &processes, uint8_t *cells)
      : m(m), scan(scan), box(m.count, m.shape), padded(m.count), processes(processes), kinds(kinds), cells(cells), irregular(scan.irregular) {}

  // False on all processes where it does not fit; cells and result are then to be made anew.
  bool read(dcg_matrix_result &result);

 private:
  const dcg_matrix &m;
  dcg_matrix_scan &scan;
  const Frame box;
  const Padded padded;
  const Processes &processes;
  const uint8_t *kinds;
  uint8_t *cells;
  std::vector<IrregularRow> &irregular;
  int32_t periodic = 0, open = 0, closed = 0;  // open, closed: sides of the grid
  int64_t dropped = 0;

  bool agree_on_weight(double &weight) const;
  void find_neighbours();
  void fill_cells();
  void finish_cells();
  bool at_side(const int64_t c[3], int side) const { return at_grid_side(m, periodic, c, side); }
  bool lacks(const IrregularRow &row, const int64_t c[3], int side) const;
  bool is_wall(const int64_t c[3], int side) const;
  bool mark(const int64_t c[3], int side, bool is_open);
  int known(const int64_t c[3], int side) const;
  bool mark_certain();
  bool check_rest() const;
};

}  // namespace dcg
