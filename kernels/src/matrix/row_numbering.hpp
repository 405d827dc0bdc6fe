// Where the rows of a matrix lie on the rectilinear grid that the centres of their cells span.
#pragma once

#include <cstdint>
#include <vector>

namespace dcg {

struct RowNumbering {
  int64_t shape[3] = {1, 1, 1};  // z, y, x; a 2-D grid is (ny, 1, nx)
  std::vector<int64_t> cell;     // each row's
  std::vector<double> widths[3]; // of the cells along each axis
  bool in_order = false;         // row i is cell i, and every cell has a row
};

// centres: dim values a row, x first. Throws std::invalid_argument where they are no cell centres of such a grid.
RowNumbering place_rows(int32_t dim, int64_t rows, const double *centres);

}  // namespace dcg
