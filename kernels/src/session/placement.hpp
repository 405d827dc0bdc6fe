// Where this process's rows lie on the grid.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "session/messages.hpp"

namespace dcg {

// What the caller says of the grid.
struct Grid {
  int32_t dim = 0;  // 0: nothing yet
  int64_t shape[3] = {1, 1, 1};
  std::vector<uint8_t> cells;   // the kinds, if given
  std::vector<int64_t> cell;    // from coordinates: each row's cell
  int64_t rows = -1;            // from coordinates: how many
  std::vector<double> widths[3];  // from coordinates: of the cells
  const char *source = "sizes";

  void set_shape(int32_t dim, const int64_t *shape, const uint8_t *cells);
  void set_coordinates(int32_t dim, int64_t rows, const double *centres);
};

struct Placement {
  int64_t shape[3], first[3], count[3];  // the grid, and this process's box of it
  int64_t first_row = 0;
  std::vector<int64_t> cell;             // each row's cell in the box; empty: row i is cell i

  Placement() = default;
  // Refuses numbers of rows that do not fit the grid.
  Placement(const Grid &grid, int64_t rows, const RowNumbers *numbers, int32_t rank);

  int64_t cells() const { return count[0] * count[1] * count[2]; }
  const int64_t *cell_of_rows() const { return cell.empty() ? nullptr : cell.data(); }
};

}  // namespace dcg
