#include "matrix/equal_faces.hpp"

#include <algorithm>

#include "core/clones.hpp"

namespace dcg {

namespace {

constexpr uint8_t kToldSolid = 3;  // while it is being found out: a cell that some unknown says is closed

// Of the unknowns in a row: those beside a cell that is none. Whether there are any.
DCG_CLONES bool find_beside_others(int64_t n, const uint8_t *kind, int64_t plane, int64_t stride, uint8_t *__restrict found) {
  static_assert(DCG_ROW_UNKNOWN == 0, "kinds are joined by or");
  uint8_t any = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t around = kind[i - 1] | kind[i + 1] | kind[i - stride] | kind[i + stride] | kind[i - plane] | kind[i + plane];
    found[i] = (kind[i] == DCG_ROW_UNKNOWN) & (around != DCG_ROW_UNKNOWN);
    any |= found[i];
  }
  return any;
}

}  // namespace

bool EqualFaces::all(bool mine) const {
  std::vector<double> against = {double(!mine)};
  processes.sum(against, {});
  return against[0] == 0.0;
}

// One weight for all processes, from an example of each that has any.
bool EqualFaces::agree_on_weight(double sign, double &weight) const {
  const double example = rows.weight;
  std::vector<double> values = {double(example != 0.0), -sign * example};
  processes.sum(values, {});
  weight = values[0] > 0.0 ? values[1] / values[0] : 0.0;
  return all(rows.alike && weight > 0.0 && (example == 0.0 || std::fabs(-sign * example - weight) <= alike_by(m) * weight));
}

// Which neighbours of the odd rows are unknowns; and rows that are odd because a neighbour to which they are coupled is none.
void EqualFaces::look_around() {
  if (m.cell) std::sort(special.begin(), special.end(), [](const AlikeRow &a, const AlikeRow &b) {
    return std::lexicographical_compare(a.cell, a.cell + 3, b.cell, b.cell + 3);
  });
  const int needed = rows_needed(m);
  const int64_t n = m.count[2];
  std::vector<AlikeRow> more;
  std::vector<uint8_t> beside_others(n);
  size_t next = 0;
  for (int64_t line = 0; line < m.count[0] * m.count[1]; ++line) {
    const int64_t c[3] = {line / m.count[1], line % m.count[1], 0};
    const uint8_t *kind = kinds + padded.at(c);
    const auto unknown = [&](int64_t i) {
      int sides = 0;
      for (int s = 0; s < 6; ++s) sides |= (kind[i + (s & 1 ? 1 : -1) * padded.stride[s >> 1]] == DCG_ROW_UNKNOWN) << s;
      return static_cast<uint8_t>(sides);
    };
    const bool any = find_beside_others(n, kind, padded.stride[0], padded.stride[1], beside_others.data());
    for (; next < special.size() && special[next].cell[0] == c[0] && special[next].cell[1] == c[1]; ++next) {
      special[next].unknown = unknown(special[next].cell[2]);
      beside_others[special[next].cell[2]] = 0;
    }
    if (!any) continue;
    for (int64_t i = 0; i < n; ++i)
      if (beside_others[i])
        more.push_back({{static_cast<int32_t>(c[0]), static_cast<int32_t>(c[1]), static_cast<int32_t>(i)}, static_cast<uint8_t>(needed),
                        unknown(i), 0, static_cast<int8_t>(__builtin_popcount(needed))});
  }
  special.insert(special.end(), more.begin(), more.end());
}

bool EqualFaces::read(dcg_matrix_found &found) {
  double weight;
  if (!agree_on_weight(found.sign, weight)) return false;
  look_around();
  int32_t turned = 0;
  for (const AlikeRow &row : special) turned |= row.turned;
  std::vector<double> axes = {double(turned & 1), double(turned >> 1 & 1), double(turned >> 2 & 1)};
  processes.sum(axes, {});
  for (int a = 0; a < 3; ++a) periodic |= int32_t{axes[a] > 0.0} << a;

#pragma omp parallel for schedule(static) if (box.size() > 16384)
  for (int64_t line = 0; line < m.count[0] * m.count[1]; ++line) {
    const int64_t c[3] = {line / m.count[1], line % m.count[1], 0};
    const uint8_t *kind = kinds + padded.at(c);
    for (int64_t i = 0; i < m.count[2]; ++i) cells[line * m.count[2] + i] = kind[i] == DCG_ROW_UNKNOWN ? kFluid : kSolid;
  }
  bool fits = mark_certain();
  std::vector<double> sides(13, 0.0);
  for (int s = 0; s < 6; ++s) sides[s] = open >> s & 1, sides[6 + s] = closed >> s & 1;
  sides[12] = static_cast<double>(dropped);
  processes.sum(sides, {});
  for (int s = 0; s < 6; ++s) {
    open |= int32_t{sides[s] > 0.0} << s, closed |= int32_t{sides[6 + s] > 0.0} << s;
  }
  if (!all(fits && !(open & closed) && check_rest())) return false;
  for (const AlikeRow &row : special) {  // whose neighbours may have been marked
    int64_t c[3];
    place(row, c);
    for (int s = 0; s < 6; ++s)
      if (lacks(row, c, s) && !at_side(c, s) && there(c, s) >= 0 && cells[there(c, s)] == kToldSolid) cells[there(c, s)] = kSolid;
  }
  found.unit = weight, found.periodic = periodic, found.open = open, found.shifted = 0;
  found.dropped = static_cast<int64_t>(sides[12]);
  return true;
}

bool EqualFaces::at_side(const int64_t c[3], int side) const {
  const int a = side >> 1;
  return !(periodic >> a & 1) && m.first[a] + c[a] == (side & 1 ? m.shape[a] - 1 : 0);
}

// Whether there is no unknown on that side (of an axis that has sides).
bool EqualFaces::lacks(const AlikeRow &row, const int64_t c[3], int side) const {
  return m.shape[side >> 1] > 1 && (at_side(c, side) || !(row.unknown >> side & 1));
}

// The cell on that side, within this box; -1 where it is another process's.
int64_t EqualFaces::there(const int64_t c[3], int side) const {
  const int a = side >> 1;
  int64_t n[3] = {c[0], c[1], c[2]};
  n[a] += side & 1 ? 1 : -1;
  if (n[a] < 0 || n[a] >= m.count[a]) {
    if (m.count[a] != m.shape[a]) return -1;
    n[a] = n[a] < 0 ? m.count[a] - 1 : 0;
  }
  return box.flat(n);
}

// Notes what lies beyond a side; false where it contradicts what was told before.
bool EqualFaces::mark(const int64_t c[3], int side, bool is_open) {
  if (at_side(c, side)) {
    (is_open ? open : closed) |= 1 << side;
    return true;
  }
  const int64_t u = there(c, side);
  if (u < 0) return !is_open;  // its owner would have to know that it is open
  const uint8_t kind = is_open ? kOpen : kToldSolid;
  if (cells[u] != kSolid && cells[u] != kind) return false;
  cells[u] = kind;
  return true;
}

// 1 open, 0 closed, -1 nobody has said.
int EqualFaces::told(const int64_t c[3], int side) const {
  if (at_side(c, side)) return open >> side & 1 ? 1 : closed >> side & 1 ? 0 : -1;
  const int64_t u = there(c, side);
  if (u < 0) return 0;
  return cells[u] == kOpen ? 1 : cells[u] == kToldSolid ? 0 : -1;
}

// Rows that leave no doubt: couplings to rows that are diagonal only, and diagonals that count all faces or none beyond the couplings.
bool EqualFaces::mark_certain() {
  bool fits = true;
  for (const AlikeRow &row : special) {
    int64_t c[3];
    place(row, c);
    int lacking = 0, coupled_there = 0;
    for (int s = 0; s < 6; ++s) {
      if (!lacks(row, c, s)) {
        fits &= m.shape[s >> 1] == 1 || row.coupled >> s & 1;  // no face is closed between two unknowns
        continue;
      }
      if (row.coupled >> s & 1) {
        fits &= !at_side(c, s) && mark(c, s, true);
        ++coupled_there, ++dropped;
      } else {
        ++lacking;
      }
    }
    const int beyond = row.faces - __builtin_popcount(row.coupled);  // faces that are open without a coupling
    if (beyond < 0 || beyond > lacking) return false;
    if (beyond != 0 && beyond != lacking) continue;
    for (int s = 0; s < 6; ++s)
      if (lacks(row, c, s) && !(row.coupled >> s & 1)) fits &= mark(c, s, beyond > 0);
  }
  return fits;
}

// Every row's count against what is known now.
bool EqualFaces::check_rest() {
  for (const AlikeRow &row : special) {
    int64_t c[3];
    place(row, c);
    int beyond = row.faces - __builtin_popcount(row.coupled);
    for (int s = 0; s < 6; ++s) {
      if (!lacks(row, c, s) || row.coupled >> s & 1) continue;
      const int known = told(c, s);
      if (known < 0) return false;
      beyond -= known;
    }
    if (beyond != 0) return false;
  }
  return true;
}

}  // namespace dcg
