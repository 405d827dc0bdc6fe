#include "matrix/row_numbering.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "core/error.hpp"

namespace dcg {

namespace {

// Gaps between the sorted coordinates of an axis are noise or lie between levels. Spacings may be graded over any range, so that no fraction of
// the box tells: noise ends where the gaps jump, and no two rows share a cell of the levels.
constexpr double kJump = 4.0;         // the next larger gap after the last that may be noise is more than so many times as wide
constexpr double kRounded = 2e-5;     // of the largest coordinate: what six digits leave of it; larger gaps are no noise,
constexpr double kLevelGap = 1e-4;    // unless they are below this part of the axis's widest gap
constexpr double kLevelFloor = 1e-7;  // or this part of the box's largest extent
constexpr double kExact = 1e-13;      // of the largest coordinate: smaller gaps are rounding errors of double precision
constexpr size_t kTries = 6;          // jumps looked at, the widest gaps first
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

// What may be the widest gap within a level, the widest first: all that precede a jump, and rounding errors.
std::vector<double> find_noise(const std::vector<double> &distinct, double extent) {
  const double largest = std::max(std::fabs(distinct.front()), std::fabs(distinct.back())), exact = kExact * largest;
  std::vector<double> gaps, noise;
  for (size_t i = 1; i < distinct.size(); ++i) gaps.push_back(distinct[i] - distinct[i - 1]);
  std::sort(gaps.begin(), gaps.end());
  const double most = gaps.empty() ? 0.0 : std::max({kLevelGap * gaps.back(), kLevelFloor * extent, kRounded * largest});
  for (size_t i = gaps.size(); i-- > 0 && gaps[i] > exact && noise.size() < kTries;)
    if (gaps[i] <= most && (i + 1 == gaps.size() || gaps[i + 1] > kJump * gaps[i])) noise.push_back(gaps[i]);
  noise.push_back(exact);
  return noise;
}

Levels find_levels(const std::vector<double> &distinct, double noise) {
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

// The number of the first row whose cell an earlier one has; that of all rows where each has its own.
int64_t find_shared(const std::vector<int64_t> &cell, int64_t cells) {
  std::vector<uint8_t> taken(cells, 0);
  size_t i = 0;
  while (i < cell.size() && !taken[cell[i]]) taken[cell[i++]] = 1;
  return static_cast<int64_t>(i);
}

[[noreturn]] void refuse_shared(int32_t dim, const double *centres, const std::vector<int64_t> &cell, int64_t row) {
  const auto first = std::find(cell.begin(), cell.end(), cell[row]) - cell.begin();
  std::string place;
  for (int32_t d = 0; d < dim; ++d) {
    char text[32];
    std::snprintf(text, sizeof text, "%s%.10g", d ? ", " : "", centres[row * dim + d]);
    place += text;
  }
  throw std::invalid_argument("coordinates: rows " + std::to_string(first) + " and " + std::to_string(row) + " have the same cell centre, (" +
                              place + "); every row needs a cell of its own");
}

// The rows' cells between these levels. Returns whether row i is cell i.
bool number_rows(int32_t dim, int64_t rows, const double *centres, const Levels levels[3], RowNumbering &placed) {
  for (int a = 0; a < 3; ++a) placed.shape[a] = std::max<int64_t>(levels[a].size(), 1);
  placed.cell.resize(rows);
  int64_t out_of_order = 0;
#pragma omp parallel for schedule(static) reduction(+ : out_of_order) if (rows > 16384)
  for (int64_t i = 0; i < rows; ++i) {
    int64_t at[3] = {0, 0, 0};
    for (int32_t d = 0; d < dim; ++d) at[axis_of(dim, d)] = levels[axis_of(dim, d)].of(centres[i * dim + d]);
    placed.cell[i] = (at[0] * placed.shape[1] + at[1]) * placed.shape[2] + at[2];
    out_of_order += placed.cell[i] != i;
  }
  return out_of_order == 0;
}

}  // namespace

RowNumbering place_rows(int32_t dim, int64_t rows, const double *centres) {
  require(dim >= 1 && dim <= 3, "coordinates: 1, 2 or 3 values a row are needed");
  require(rows >= 1 && centres, "coordinates: at least one row is needed");
  std::vector<double> distinct[3];
  double extent = 0.0;
  for (int32_t d = 0; d < dim; ++d) {
    std::vector<double> &values = distinct[axis_of(dim, d)];
    values = sort_distinct(rows, centres + d, dim);
    extent = std::max(extent, values.back() - values.front());
  }
  std::vector<double> noise[3];
  size_t tries = 0;
  for (int a = 0; a < 3; ++a) {
    noise[a] = distinct[a].empty() ? std::vector<double>{0.0} : find_noise(distinct[a], extent);
    tries += noise[a].size() - 1;
  }
  // The widest noise first: levels that merge without two rows in a cell are one. Where they are several, cells side by side collide.
  RowNumbering placed;
  Levels levels[3];
  int64_t shared = rows;
  bool sparse = false;
  for (size_t sum = 0; sum <= tries; ++sum)
    for (size_t z = 0; z < noise[0].size(); ++z)
      for (size_t y = 0; y < noise[1].size(); ++y) {
        const size_t x = sum - z - y, pick[3] = {z, y, x};  // wraps where sum is less than z + y
        if (x >= noise[2].size()) continue;
        double cells = 1.0;
        for (int a = 0; a < 3; ++a) {
          levels[a] = find_levels(distinct[a], noise[a][pick[a]]);
          cells *= static_cast<double>(std::max<int64_t>(levels[a].size(), 1));
        }
        sparse = cells > kSparsest * static_cast<double>(rows);
        if (sparse) continue;
        placed.in_order = number_rows(dim, rows, centres, levels, placed) && static_cast<int64_t>(cells) == rows;
        shared = find_shared(placed.cell, static_cast<int64_t>(cells));
        if (shared < rows) continue;
        for (int a = 0; a < 3; ++a) placed.widths[a] = levels[a].size() ? estimate_widths(levels[a].mean) : std::vector<double>{1.0};
        return placed;
      }
  if (sparse) refuse_sparse(dim, rows, levels);  // the narrowest noise came last
  refuse_shared(dim, centres, placed.cell, shared);
}

}  // namespace dcg
