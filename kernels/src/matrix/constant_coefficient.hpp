// A matrix whose faces all have one weight: the operator is then cells, sides and that weight, and no weights are kept in memory.
//
// The quick way through. Where it does not fit (another weight, a shift, open faces of another strength, a face closed between two
// unknowns) the general reading begins from the start. diagonal/weight counts a cell's faces that are no walls. If it equals all faces, every
// missing neighbour is Dirichlet; if only the present ones, all are walls; otherwise other cells on that side decide.
#pragma once

#include <algorithm>
#include <vector>

#include "matrix/box_faces.hpp"
#include "matrix/scan.hpp"

namespace dcg {

class ConstantCoefficient {
 public:
  // faces: without weights; its copy here becomes periodic as the rows are.
  ConstantCoefficient(const BoxFaces &faces, dcg_matrix_scan &scan, const Processes &processes)
      : faces(faces), m(faces.m), scan(scan), processes(processes), irregular(scan.irregular) {}

  // False on all processes where it does not fit; cells and result are then to be made anew.
  bool read(dcg_matrix_result &result);

 private:
  BoxFaces faces;
  const dcg_matrix &m;
  dcg_matrix_scan &scan;
  const Processes &processes;
  std::vector<IrregularRow> &irregular;
  int32_t open = 0, closed = 0;  // sides of the grid
  int64_t dropped = 0;

  bool agree_on_weight(double &weight) const;
  void find_neighbours();
  void fill_cells();
  void finish_cells();
  bool lacks(const IrregularRow &row, const int64_t c[3], int side) const;
  bool mark(const int64_t c[3], int side, bool is_open);
  int known(const int64_t c[3], int side) const;
  bool mark_certain();
  bool check_rest() const;
};

}  // namespace dcg
