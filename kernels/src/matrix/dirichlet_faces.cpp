// Couplings to fixed values that are no rows are in the excess of a diagonal over its row's couplings, which says how strong they are and not
// where. Where a cell lacks neighbours we give its excess to open faces on those sides, so that the coarsening keeps its place. The excess that
// cells with all neighbours have (a mass term) is taken off first, and stays shift. The operator is the same either way.

#include "matrix/dirichlet_faces.hpp"

#include <algorithm>
#include <cmath>

namespace dcg {

namespace {

constexpr double kPenalty = 1e6;  // of a row's couplings: an excess above it fixes the cell itself, and is no face's
constexpr int kObstacle = 6;  // the class of missing neighbours inside the grid; 0..5: beyond that side of the grid

}  // namespace

bool DirichletFaces::place(int64_t unknowns, const Refusal &refusal, std::vector<RowSum> &row_sums) {
  find_common(unknowns, refusal);
  count_sides();
  double shifted = 0.0;
  for (const ExcessCell &cell : cells) {
    const double beyond = beyond_common(cell);
    if (beyond > 0.0) {
      const int sharing = sharing_sides(cell);
      int64_t c[3];
      faces.box.place(cell.u, c);
      for (int side = 0; side < 6; ++side)
        if (sharing >> side & 1) faces.at(c, side) = beyond / __builtin_popcount(sharing);
    }
    const double left = cell.excess - beyond;
    if (std::fabs(left) > noise * couplings.diagonal[cell.u]) {
      shift[cell.u] = left, shifted = 1.0;
    } else if (left != 0.0) {
      row_sums.push_back({cell.u, left});
    }
  }
  std::vector<double> values = {shifted};
  processes.sum(values, refusal);
  for (int a = 0; a < 3; ++a) join_ends(a);
  mark_open_cells();
  return values[0] > 0.0;
}

void DirichletFaces::find_common(int64_t unknowns, const Refusal &refusal) {
  std::vector<double> values = {0.0, 0.0, 0.0};  // cells that lack neighbours; of the others: the sum of excesses, how many have one
  for (const ExcessCell &cell : cells) {
    values[0] += cell.missing != 0;
    if (cell.missing == 0 && std::fabs(cell.excess) > noise * couplings.diagonal[cell.u]) values[1] += cell.excess, ++values[2];
  }
  processes.sum(values, refusal);
  // of a few cells only (a porous body, a fixed value) it is not common
  common = 2.0 * values[2] > static_cast<double>(unknowns) - values[0] ? values[1] / values[2] : 0.0;
}

// Cells that lack one neighbour say whether their side is open.
void DirichletFaces::count_sides() {
  sides.assign(14, 0.0);
  for (const ExcessCell &cell : cells) {
    if (!cell.missing || cell.missing & (cell.missing - 1)) continue;
    const bool open = beyond_common(cell) > 0.0;
    sides[2 * class_of(cell.u, __builtin_ctz(cell.missing)) + !open] += 1.0;
  }
  processes.sum(sides, {});
}

int DirichletFaces::class_of(int64_t u, int side) const {
  int64_t c[3];
  faces.box.place(u, c);
  return faces.at_side(c, side) ? side : kObstacle;
}

// The excess of a cell that lacks neighbours, less the common one; 0 up to rounding.
double DirichletFaces::beyond_common(const ExcessCell &cell) const {
  const double beyond = cell.excess - common;
  const double diagonal = couplings.diagonal[cell.u];
  if (!cell.missing || !(beyond > noise * diagonal)) return 0.0;
  return beyond > kPenalty * (diagonal - cell.excess) && diagonal > cell.excess ? 0.0 : beyond;
}

// A cell that lacks several neighbours shares its excess among the sides that are not known to be closed, or among all.
int DirichletFaces::sharing_sides(const ExcessCell &cell) const {
  int sharing = 0;
  for (int side = 0; side < 6; ++side) {
    if (!(cell.missing >> side & 1)) continue;
    const double *count = &sides[2 * class_of(cell.u, side)];
    if (!(count[0] == 0.0 && count[1] > 0.0)) sharing |= 1 << side;
  }
  return sharing ? sharing : cell.missing;
}

// On a periodic axis the first and the last layer of faces are the same; an open face was written to one of them.
void DirichletFaces::join_ends(int axis) {
  if (!faces.box.wraps[axis] || !(faces.periodic >> axis & 1)) return;
  faces.for_ends(axis, [&](const int64_t first[3], const int64_t last[3]) {
    double &low = faces.at(first, 2 * axis), &high = faces.at(last, 2 * axis + 1);
    low = high = std::max(low, high);
  });
}

void DirichletFaces::mark_open_cells() {
  faces.for_cells([&](int64_t u, const int64_t c[3]) {
    if (faces.cells[u] == kFluid) return;
    for (int s = 0; s < 6; ++s)
      if (faces.at(c, s) > 0.0) faces.cells[u] = kOpen;
  });
}

}  // namespace dcg
