#include "session/placement.hpp"

#include <algorithm>

#include "core/cell_kinds.hpp"
#include "core/checks.hpp"
#include "core/error.hpp"
#include "matrix/row_numbering.hpp"

namespace dcg {

namespace {

// Sizes in the order of the rows, the slowest first, as they were given.
std::string text_of(const Grid &grid) {
  std::string text;
  for (int a = 0; a < 3; ++a)
    if (grid.dim == 3 || a == 2 || (a == 0 && grid.dim == 2)) text += (text.empty() ? "" : " x ") + std::to_string(grid.shape[a]);
  return text;
}

}  // namespace

void Grid::set_shape(int32_t given_dim, const int64_t *sizes, const uint8_t *kinds) {
  require(given_dim >= 1 && given_dim <= 3, "dim: 1, 2 or 3 is needed");
  require(sizes, "shape must not be NULL");
  Grid made;
  made.dim = given_dim;
  made.shape[2] = sizes[given_dim - 1];
  if (given_dim > 1) made.shape[0] = sizes[0];
  if (given_dim > 2) made.shape[1] = sizes[1];
  const int64_t size = count_cells(made.shape);
  if (kinds) {
    made.cells.assign(kinds, kinds + size);
    require(*std::max_element(made.cells.begin(), made.cells.end()) <= kOpen, "cells: 0 (FLUID), 1 (SOLID) and 2 (OPEN) are needed");
  }
  *this = std::move(made);
}

void Grid::set_coordinates(int32_t given_dim, int64_t given_rows, const double *centres) {
  RowNumbering found = place_rows(given_dim, given_rows, centres);
  Grid made;
  std::copy(found.shape, found.shape + 3, made.shape);
  if (!found.in_order) made.cell = std::move(found.cell);
  std::move(found.widths, found.widths + 3, made.widths);
  made.dim = given_dim, made.rows = given_rows, made.source = "coordinates";
  *this = std::move(made);
}

Placement::Placement(const Grid &grid, int64_t rows, const RowNumbers *numbers, int32_t rank) {
  require(grid.dim > 0, "grid: nothing says on what grid the rows lie; call dcg_solver_set_grid or dcg_solver_set_coordinates first");
  require(!numbers || grid.rows < 0, "coordinates say where the rows lie on one process only; give the grid's sizes on several");
  require(!numbers || grid.cells.empty(), "cells: on several ranks every cell of a box has a row; give NULL");
  std::copy(grid.shape, grid.shape + 3, shape), std::copy(grid.shape, grid.shape + 3, count), std::fill(first, first + 3, 0);
  if (numbers) {
    numbers->box(rank, first, count);
    first_row = numbers->first(rank);
  }
  if (grid.rows >= 0) {
    if (rows != grid.rows)
      throw std::invalid_argument("rows: " + std::to_string(rows) + " given for " + std::to_string(grid.rows) + " coordinates; they must agree");
    cell = grid.cell;
    return;
  }
  const int64_t fluid = grid.cells.empty() ? cells() : std::count(grid.cells.begin(), grid.cells.end(), kFluid);
  if (rows != cells() && rows != fluid)
    throw std::invalid_argument("rows: " + std::to_string(rows) + " given for " + (numbers ? "a box of " : "a grid of ") +
                                (numbers ? std::to_string(cells()) : text_of(grid)) + " cells" +
                                (fluid < cells() ? ", " + std::to_string(fluid) + " of them FLUID; a row for every cell or for every FLUID cell is needed"
                                                 : "; a row for every cell is needed"));
  if (rows == cells()) return;
  cell.reserve(fluid);
  for (int64_t u = 0; u < cells(); ++u)
    if (grid.cells[u] == kFluid) cell.push_back(u);
}

}  // namespace dcg
