#include "matrix/row_numbering.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "core/error.hpp"

namespace dcg {

namespace {

constexpr double kLevelGap = 1e-4;    // of the widest gap between centres along an axis: closer coordinates are the same level
constexpr double kLevelFloor = 1e-7;  // of the box's largest extent: likewise, and what decides in a plane of one level
constexpr double kSparsest = 100.0;   // cells of the bounding grid per row, beyond which centres are taken for unstructured

// The distinct coordinates along an axis up to noise, ascending.
struct Levels {
  std::vector<double> highest, mean;  // the largest value of each level, and the mean of its distinct values

  int64_t size() const { return static_cast<int64_t>(mean.size()); }
  int64_t of(double value) const { return std::lower_bound(highest.begin(), highest.end(), value) - highest.begin(); }
};

std::vector<double> sort_distinct(int64_t rows, const double *first, int32_t stride) {
  std::vector<double> values;
  for (int64_t i = 0; i < rows; ++i) {
    const double value = first[i * stride];
    require(std::isfinite(value), "coordinates: contains NaN or infinity");
    if (values.empty() || value != values.back()) values.push_back(value);  // along most axes they come in runs
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// Gaps below `floor`, or small against the axis's widest gap, are noise.
Levels find_levels(const std::vector<double> &distinct, double floor) {
  double widest = 0.0;
  for (size_t i = 1; i < distinct.size(); ++i) widest = std::max(widest, distinct[i] - distinct[i - 1]);
  const double noise = std::max(kLevelGap * widest, floor);
  Levels levels;
  for (size_t i = 0, count = 0; i < distinct.size(); ++i) {
    if (i == 0 || distinct[i] - distinct[i - 1] > noise) levels.highest.push_back(0.0), levels.mean.push_back(0.0), count = 0;
    levels.highest.back() = distinct[i];
    levels.mean.back() += distinct[i];
    ++count;
    if (i + 1 == distinct.size() || distinct[i + 1] - distinct[i] > noise) levels.mean.back() /= static_cast<double>(count);
  }
  return levels;
}

// Faces are taken half-way between the centres: exact on uniform grids, and the operator does not depend on it.
std::vector<double> estimate_widths(const std::vector<double> &centres) {
  const size_t n = centres.size();
  std::vector<double> widths(n, 1.0);
  for (size_t i = 0; n > 1 && i < n; ++i) {
    const size_t below = std::max<size_t>(i, 1), above = std::min(i + 1, n - 1);
    widths[i] = 0.5 * ((centres[below] - centres[below - 1]) + (centres[above] - centres[above - 1]));
  }
  return widths;
}

int axis_of(int32_t dim, int32_t d) { return d == 0 ? 2 : d == 1 && dim == 3 ? 1 : 0; }

[[noreturn]] void refuse_sparse(int32_t dim, int64_t rows, const Levels levels[3]) {
  std::string sizes;
  for (int32_t d = dim - 1; d >= 0; --d) sizes += std::to_string(levels[axis_of(dim, d)].size()) + (d ? " x " : "");
  throw std::invalid_argument("coordinates: the " + std::to_string(rows) + " centres take " + sizes + " different coordinates along " +
                              (dim == 3 ? "z, y, x" : dim == 2 ? "y, x" : "x") + "; cell centres of a rectilinear grid are needed");
}

// Two rows in one cell are refused.
void check_own_cells(int32_t dim, const double *centres, const std::vector<int64_t> &cell, int64_t cells) {
  std::vector<uint8_t> taken(cells, 0);
  for (size_t i = 0; i < cell.size(); ++i) {
    if (!taken[cell[i]]++) continue;
    const auto first = std::find(cell.begin(), cell.end(), cell[i]) - cell.begin();
    std::string place;
    for (int32_t d = 0; d < dim; ++d) {
      char text[32];
      std::snprintf(text, sizeof text, "%s%.10g", d ? ", " : "", centres[i * dim + d]);
      place += text;
    }
    throw std::invalid_argument("coordinates: rows " + std::to_string(first) + " and " + std::to_string(i) +
                                " have the same cell centre, (" + place + "); every row needs a cell of its own");
  }
}

}  // namespace

RowNumbering place_rows(int32_t dim, int64_t rows, const double *centres) {
  require(dim >= 1 && dim <= 3, "coordinates: 1, 2 or 3 values a row are needed");
  require(rows >= 1 && centres, "coordinates: at least one row is needed");
  std::vector<double> distinct[3];
  double extent = 0.0, cells = 1.0;
  for (int32_t d = 0; d < dim; ++d) {
    std::vector<double> &values = distinct[axis_of(dim, d)];
    values = sort_distinct(rows, centres + d, dim);
    extent = std::max(extent, values.back() - values.front());
  }
  RowNumbering placed;
  Levels levels[3];
  for (int a = 0; a < 3; ++a) {
    placed.widths[a] = {1.0};
    if (distinct[a].empty()) continue;
    levels[a] = find_levels(distinct[a], kLevelFloor * extent);
    placed.shape[a] = levels[a].size();
    placed.widths[a] = estimate_widths(levels[a].mean);
    cells *= static_cast<double>(levels[a].size());
  }
  if (cells > kSparsest * static_cast<double>(rows)) refuse_sparse(dim, rows, levels);

  placed.cell.resize(rows);
  int64_t out_of_order = 0;
#pragma omp parallel for schedule(static) reduction(+ : out_of_order) if (rows > 16384)
  for (int64_t i = 0; i < rows; ++i) {
    int64_t at[3] = {0, 0, 0};
    for (int32_t d = 0; d < dim; ++d) at[axis_of(dim, d)] = levels[axis_of(dim, d)].of(centres[i * dim + d]);
    placed.cell[i] = (at[0] * placed.shape[1] + at[1]) * placed.shape[2] + at[2];
    out_of_order += placed.cell[i] != i;
  }
  check_own_cells(dim, centres, placed.cell, static_cast<int64_t>(cells));
  placed.in_order = out_of_order == 0 && static_cast<int64_t>(cells) == rows;
  return placed;
}

}  // namespace dcg
