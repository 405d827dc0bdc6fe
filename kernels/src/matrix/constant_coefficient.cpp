#include "matrix/constant_coefficient.hpp"

#include <algorithm>
#include <cmath>

#include "core/clones.hpp"

namespace dcg {

namespace {

constexpr uint8_t kWall = 3;  // during the reading: a cell that is SOLID by some row, or by what the caller knows; kSolid: nothing is known yet

// Marks the unknowns in a line that have a neighbour that is none; whether there are any.
DCG_CLONES bool find_edges(int64_t n, const uint8_t *kind, int64_t plane, int64_t stride, uint8_t *__restrict edge) {
  static_assert(DCG_ROW_UNKNOWN == 0, "kinds are joined by or");
  uint8_t any = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t around = kind[i - 1] | kind[i + 1] | kind[i - stride] | kind[i + stride] | kind[i - plane] | kind[i + plane];
    edge[i] = (kind[i] == DCG_ROW_UNKNOWN) & (around != DCG_ROW_UNKNOWN);
    any |= edge[i];
  }
  return any;
}

}  // namespace

// One weight for all processes, from an example of each that has any.
bool ConstantCoefficient::agree_on_weight(double &weight) const {
  const double example = scan.weight;
  std::vector<double> values = {double(example != 0.0), example};
  processes.sum(values, {});
  weight = values[0] > 0.0 ? values[1] / values[0] : 0.0;
  return processes.all(scan.constant && weight > 0.0 && (example == 0.0 || std::fabs(example - weight) <= kEqual * weight));
}

// Notes which neighbours of the irregular rows are unknowns. Rows that couple to all sides are irregular too where a neighbour is none.
void ConstantCoefficient::find_neighbours() {
  if (m.cell) std::sort(irregular.begin(), irregular.end(), [](const IrregularRow &a, const IrregularRow &b) {
    return std::lexicographical_compare(a.cell, a.cell + 3, b.cell, b.cell + 3);
  });
  const int needed = sides_of_grid(m);
  const int64_t n = m.count[2];
  std::vector<IrregularRow> more;
  std::vector<uint8_t> edge(n);
  size_t next = 0;
  for (int64_t line = 0; line < m.count[0] * m.count[1]; ++line) {
    const int64_t c[3] = {line / m.count[1], line % m.count[1], 0};
    const uint8_t *kind = faces.kinds + faces.padded.at(c);
    const auto unknown = [&](int64_t i) {
      int sides = 0;
      for (int s = 0; s < 6; ++s) sides |= (kind[i + (s & 1 ? 1 : -1) * faces.padded.stride[s >> 1]] == DCG_ROW_UNKNOWN) << s;
      return static_cast<uint8_t>(sides);
    };
    const bool any = find_edges(n, kind, faces.padded.stride[0], faces.padded.stride[1], edge.data());
    for (; next < irregular.size() && irregular[next].cell[0] == c[0] && irregular[next].cell[1] == c[1]; ++next) {
      irregular[next].unknown = unknown(irregular[next].cell[2]);
      edge[irregular[next].cell[2]] = 0;
    }
    if (!any) continue;
    for (int64_t i = 0; i < n; ++i)
      if (edge[i])
        more.push_back({{static_cast<int32_t>(c[0]), static_cast<int32_t>(c[1]), static_cast<int32_t>(i)}, static_cast<uint8_t>(needed),
                        unknown(i), 0, static_cast<int8_t>(__builtin_popcount(needed))});
  }
  irregular.insert(irregular.end(), more.begin(), more.end());
}

bool ConstantCoefficient::read(dcg_matrix_result &result) {
  double weight;
  if (!agree_on_weight(weight)) return false;
  find_neighbours();
  int32_t wrapped = 0;
  for (const IrregularRow &row : irregular) wrapped |= row.wrapped;
  std::vector<double> axes = {double(wrapped & 1), double(wrapped >> 1 & 1), double(wrapped >> 2 & 1)};
  processes.sum(axes, {});
  for (int a = 0; a < 3; ++a) faces.periodic |= int32_t{axes[a] > 0.0} << a;

  fill_cells();
  bool fits = mark_certain();
  std::vector<double> sides(13, 0.0);
  for (int s = 0; s < 6; ++s) sides[s] = open >> s & 1, sides[6 + s] = closed >> s & 1;
  sides[12] = static_cast<double>(dropped);
  processes.sum(sides, {});
  for (int s = 0; s < 6; ++s) {
    open |= int32_t{sides[s] > 0.0} << s, closed |= int32_t{sides[6 + s] > 0.0} << s;
  }
  if (!processes.all(fits && !(open & closed) && check_rest())) return false;
  finish_cells();
  result.unit = weight, result.periodic = faces.periodic, result.open = open, result.shifted = 0;
  result.dropped = static_cast<int64_t>(sides[12]);
  return true;
}

void ConstantCoefficient::fill_cells() {
  faces.for_lines([&](int64_t first, const int64_t c[3]) {
    const uint8_t *kind = faces.kinds + faces.padded.at(c);
    for (int64_t i = 0; i < m.count[2]; ++i) {
      const uint8_t other = m.cells && m.cells[first + i] == kSolid ? kWall : kSolid;
      faces.cells[first + i] = kind[i] == DCG_ROW_UNKNOWN ? kFluid : other;
    }
  });
}

void ConstantCoefficient::finish_cells() {
  if (m.cells) {
#pragma omp parallel for schedule(static) if (faces.box.size() > 16384)
    for (int64_t u = 0; u < faces.box.size(); ++u)
      if (faces.cells[u] == kSolid || faces.cells[u] == kWall) faces.cells[u] = m.cells[u] == kOpen ? kOpen : kSolid;
    return;
  }
  for (const IrregularRow &row : irregular) {  // whose neighbours may have been marked
    const int64_t c[3] = {row.cell[0], row.cell[1], row.cell[2]};
    for (int s = 0; s < 6; ++s) {
      const int64_t u = lacks(row, c, s) && !faces.at_side(c, s) ? faces.box.neighbour(c, s) : -1;
      if (u >= 0 && faces.cells[u] == kWall) faces.cells[u] = kSolid;
    }
  }
}

// Whether there is no unknown on that side (of an axis that has sides).
bool ConstantCoefficient::lacks(const IrregularRow &row, const int64_t c[3], int side) const {
  return m.shape[side >> 1] > 1 && (faces.at_side(c, side) || !(row.unknown >> side & 1));
}

// Notes that a side is open or closed; false where that contradicts another row, or the caller's cells.
bool ConstantCoefficient::mark(const int64_t c[3], int side, bool is_open) {
  if (faces.at_side(c, side)) {
    (is_open ? open : closed) |= 1 << side;
    return true;
  }
  const int64_t u = faces.box.neighbour(c, side);
  if (u < 0) return !is_open;  // its owner would have to know that it is open
  const uint8_t kind = is_open ? kOpen : kWall;
  if (faces.cells[u] != kSolid && faces.cells[u] != kind) return false;
  if (!is_open && m.cells && m.cells[u] == kOpen) return false;
  faces.cells[u] = kind;
  return true;
}

// 1 open, 0 closed, -1 no row has said.
int ConstantCoefficient::known(const int64_t c[3], int side) const {
  if (faces.at_side(c, side)) return open >> side & 1 ? 1 : closed >> side & 1 ? 0 : -1;
  const int64_t u = faces.box.neighbour(c, side);
  if (u < 0) return 0;
  return faces.cells[u] == kOpen ? 1 : faces.cells[u] == kWall ? 0 : -1;
}

// Rows that leave no doubt: couplings to rows that are diagonal only, and diagonals that count all faces or none beyond the couplings.
bool ConstantCoefficient::mark_certain() {
  bool fits = true;
  for (const IrregularRow &row : irregular) {
    const int64_t c[3] = {row.cell[0], row.cell[1], row.cell[2]};
    int lacking = 0, walls = 0;  // walls: sides known to be closed before any row was asked
    for (int s = 0; s < 6; ++s) {
      if (!lacks(row, c, s)) {
        fits &= m.shape[s >> 1] == 1 || row.coupled >> s & 1;  // no face is closed between two unknowns
      } else if (row.coupled >> s & 1) {
        fits &= !faces.at_side(c, s) && mark(c, s, true);
        ++dropped;
      } else if (faces.has_wall(c, s)) {
        walls |= 1 << s;
      } else {
        ++lacking;
      }
    }
    const int beyond = row.faces - __builtin_popcount(row.coupled);  // faces that are open without a coupling
    if (beyond < 0 || beyond > lacking) return false;
    if (beyond != 0 && beyond != lacking) continue;
    for (int s = 0; s < 6; ++s)
      if (lacks(row, c, s) && !((row.coupled | walls) >> s & 1)) fits &= mark(c, s, beyond > 0);
  }
  return fits;
}

// Compares every row's count with the kinds known now.
bool ConstantCoefficient::check_rest() const {
  for (const IrregularRow &row : irregular) {
    const int64_t c[3] = {row.cell[0], row.cell[1], row.cell[2]};
    int beyond = row.faces - __builtin_popcount(row.coupled);
    for (int s = 0; s < 6; ++s) {
      if (!lacks(row, c, s) || row.coupled >> s & 1) continue;
      const int face = known(c, s);
      if (face < 0) return false;
      beyond -= face;
    }
    if (beyond != 0) return false;
  }
  return true;
}

}  // namespace dcg
