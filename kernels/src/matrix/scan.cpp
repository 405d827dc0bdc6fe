// The pass over the rows of a matrix: the kind of each, and whether all couplings may have one weight (constant_coefficient.hpp). It reads
// every entry once, and most of them eight rows at a time.
//
// Ledger, bytes per row of seven entries with 32-bit indices: values 56, columns 28, starts 4; 56 where the columns are known from before.

#include "matrix/scan.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "matrix/row_groups.hpp"
#include "matrix/row_kind.hpp"
#include "matrix/row_passes.hpp"

namespace dcg {

namespace {

constexpr int64_t kNoRow = std::numeric_limits<int64_t>::max();

template <class Index>
class Scan {
 public:
  Scan(const dcg_matrix &m, dcg_matrix_scan &scan, uint8_t *kinds)
      : m(m), scan(scan), box(m.count, m.shape), grid(m.shape, m.shape), padded(m.count), kinds(kinds), needed(sides_of_grid(m)),
        all_faces(__builtin_popcount(needed)), equal(find_example()),
        group(Pattern(box), equal, all_faces) {
    for (int sides = 0; sides < 64; ++sides) patterns.emplace_back(box, sides);
  }

  void run() {
    const int64_t lines = m.cell ? 0 : m.count[0] * m.count[1];
    scan.regular_lines.resize(lines, 0);
    std::vector<Part> parts(m.rows > 16384 ? choose_threads(0) : 1);
    parts[0].irregular.swap(scan.irregular);  // its memory
    parts[0].irregular.clear();
    for (Part &part : parts) part.constant = equal.weight > 0.0 || scan.example < 0;
    const int threads = static_cast<int>(parts.size());
    parallel_for(lines, threads > 1, threads, [&](int64_t line) { scan_line(line, parts[omp_get_thread_num()]); });
    parallel_for(m.cell ? m.rows : 0, threads > 1, threads, [&](int64_t row) {
      Part &mine = parts[omp_get_thread_num()];
      int64_t c[3];
      box.place(m.cell[row], c);
      ++mine.count[kinds[padded.at(c)] = scan_row<false>(row, m.cell[row], c, nullptr, mine)];
    });
    scan.irregular.swap(parts[0].irregular);
    scan.constant = true;
    std::fill(scan.count, scan.count + 3, 0);
    int64_t infinite = kNoRow, opposed = kNoRow, broken = kNoRow;
    for (const Part &part : parts) {
      scan.constant &= part.constant;
      for (int k = 0; k < 3; ++k) scan.count[k] += part.count[k];
      if (&part != &parts[0]) scan.irregular.insert(scan.irregular.end(), part.irregular.begin(), part.irregular.end());
      infinite = std::min(infinite, part.infinite), opposed = std::min(opposed, part.opposed);
      broken = std::min(broken, part.broken);
    }
    if (broken != kNoRow) refuse_broken(broken);
    refuse(infinite, opposed);
    if (m.keep_uncoupled) keep_uncoupled();
  }

 private:
  struct Part {  // a thread's
    int64_t count[3] = {0, 0, 0};
    bool constant = false;
    std::vector<IrregularRow> irregular;
    int64_t infinite = kNoRow, opposed = kNoRow;  // the first row with a number that is not finite; with a diagonal of the other sign
    int64_t broken = kNoRow;                      // the first row of which something is not there
  };

  const dcg_matrix &m;
  dcg_matrix_scan &scan;
  const Frame box, grid;
  const Padded padded;
  uint8_t *kinds;
  const int needed, all_faces;
  const Equal equal;
  const Group<Index> group;
  std::vector<Pattern> patterns;  // by the sides on which the box goes on

  const Index *start(int block) const { return static_cast<const Index *>(m.start[block]); }
  const Index *column() const { return static_cast<const Index *>(m.column[0]); }

  // Whether the entries of n rows lie one after the other within those of all.
  bool has_entries(int block, int64_t row, int64_t n) const {
    const Index *begin = start(block) + row;
    int descends = begin[0] < 0 || begin[n] > start(block)[m.rows];
    for (int64_t i = 0; i < n; ++i) descends |= begin[i + 1] < begin[i];
    return !descends;
  }
  bool has_entries(int64_t row, int64_t n) const { return has_entries(0, row, n) && (!m.start[1] || has_entries(1, row, n)); }

  // Of a line in which every row has its pattern's columns.
  int64_t entries_of_line(int sides) const {
    const int64_t n = m.count[2];
    return n == 1 ? patterns[sides].count : patterns[sides | 32].count + (n - 2) * patterns[sides | 48].count + patterns[sides | 16].count;
  }

  int64_t place(int64_t row, int64_t c[3]) const {
    const int64_t u = m.cell ? m.cell[row] : row;
    box.place(u, c);
    return u;
  }

  Equal find_example() {
    scan.example = -1, scan.diagonal = scan.weight = 0.0;
    for (int64_t row = 0; row < m.rows && scan.example < 0; ++row) {
      int64_t c[3];
      const int64_t u = place(row, c);
      RowSums sums;
      if (!add_row(row, u, c, sums)) break;  // refused later
      if (sums.coupling() == 0.0 || sums.diagonal == 0.0 || sums.kind() != DCG_ROW_UNKNOWN) continue;
      scan.example = row, scan.diagonal = sums.diagonal, scan.weight = sums.coupling();
    }
    return {scan.diagonal < 0.0 ? -1.0 : 1.0, scan.weight, kEqual * scan.weight};
  }

  // False where the row is broken.
  bool add_row(int64_t row, int64_t u, const int64_t c[3], RowSums &sums) const {
    if (!has_entries(row, 1)) return false;
    bool whole = true;
    for_entries<Index>(m, row, [&](int64_t column, double entry, int block) {
      if (column < 0 || column >= (block ? m.ghosts : m.rows)) whole = false;
      else if (block == 0 && column == row) sums.add_diagonal(entry);
      else sums.add(entry, entry == 0.0 ? 0 : side_of(m, box, grid, u, c, block, column));
    });
    return whole;
  }

  void scan_line(int64_t line, Part &part) {
    const int64_t n = m.count[2], first = line * n;
    int64_t c[3] = {line / m.count[1], line % m.count[1], 0};
    int sides = 0;
    for (int s = 0; s < 4; ++s) sides |= (s & 1 ? c[s >> 1] + 1 < m.count[s >> 1] : c[s >> 1] > 0) << s;
    uint8_t *kind = kinds + padded.at(c);
    const bool known = scan.regular_lines[line] && start(0)[first + n] - start(0)[first] == entries_of_line(sides);
    if (!known && !has_entries(first, n)) {
      part.broken = std::min(part.broken, first);  // or a later row of the line
      return;
    }
    const bool alone = !m.start[1] || start(1)[first + n] == start(1)[first];  // no columns of other processes
    bool regular = alone;
    const double *value = m.value[0] + start(0)[first];
    const bool in_groups = alone && equal.weight > 0.0 && group.count == 1 + all_faces && group.count == patterns[sides | 3 << 4].count &&
                           (group.count == 7 || group.count == 5);
    for (int64_t i = 0; i < n;) {
      if (in_groups && part.constant && i > 0 && i + kGroup < n) {
        const int64_t groups = count_groups_from(first + i, (n - 1 - i) / kGroup, known, value), length = groups * kGroup;
        std::fill(kind + i, kind + i + length, uint8_t{DCG_ROW_UNKNOWN});
        part.count[DCG_ROW_UNKNOWN] += length, value += length * group.count, i += length;
      }
      for (const int64_t end = i == 0 ? 1 : std::min(i + kGroup, n); i < end; ++i) {
        const Pattern &pattern = patterns[sides | (i > 0) << 4 | (i + 1 < n) << 5];
        c[2] = i;
        if (known || (alone && has_columns(pattern, first + i))) {
          kind[i] = scan_row<true>(first + i, first + i, c, value, part, &pattern);
          value += pattern.count;
        } else {
          kind[i] = scan_row<false>(first + i, first + i, c, nullptr, part);
          value = m.value[0] + start(0)[first + i + 1], regular = false;
        }
        ++part.count[kind[i]];
      }
    }
    scan.regular_lines[line] = regular;
  }

  int64_t count_groups_from(int64_t row, int64_t most, bool known, const double *value) const {
    const Index *begin = known ? nullptr : start(0) + row, *columns = known ? nullptr : column() + *begin;
    return count_groups(group, most, begin, columns, value, static_cast<Index>(row));
  }

  bool has_columns(const Pattern &pattern, int64_t row) const {
    const Index *begin = start(0) + row;
    if (begin[1] - begin[0] != pattern.count) return false;
    int same = 1;
    for (int e = 0; e < pattern.count; ++e) same &= column()[begin[0] + e] - row == pattern.offset[e];
    return same;
  }

  // The kind of a row; if it is an unknown, whether its couplings may be those of a constant coefficient. Known: its columns are the pattern's.
  template <bool Known>
  uint8_t scan_row(int64_t row, int64_t u, const int64_t c[3], const double *value, Part &part, const Pattern *pattern = nullptr) const {
    RowSums sums(equal);
    if (Known) {
      for (int e = 0; e < pattern->count; ++e) {
        const int side = pattern->side[e];
        if (side < 0) sums.add_diagonal(value[e]);
        else if (part.constant) sums.add(value[e], side);
        else sums.add_at_face(value[e]);
      }
    } else {
      if (!add_row(row, u, c, sums)) {
        part.broken = std::min(part.broken, row);
        return DCG_ROW_UNKNOWN;
      }
    }
    if (!std::isfinite(sums.magnitude)) part.infinite = std::min(part.infinite, row);
    const uint8_t kind = sums.kind();
    if (kind != DCG_ROW_UNKNOWN) return kind;
    if (equal.sign * sums.diagonal < 0.0) part.opposed = std::min(part.opposed, row);
    if (!part.constant) return kind;
    const double faces = equal.sign * sums.diagonal / equal.weight;
    const double whole = std::round(std::min(std::max(faces, -1.0), 100.0));
    part.constant = sums.fits && std::fabs(faces - whole) <= kEqual * std::max(faces, 1.0);
    if (part.constant && (sums.coupled != needed || whole != all_faces || sums.wrapped))
      part.irregular.push_back({{static_cast<int32_t>(c[0]), static_cast<int32_t>(c[1]), static_cast<int32_t>(c[2])},
                                static_cast<uint8_t>(sums.coupled), 0, static_cast<uint8_t>(sums.wrapped), static_cast<int8_t>(whole)});
    return kind;
  }

  // The refusal waits in the scan: the reader sends it to all processes with its first sum.
  void refuse(int64_t infinite, int64_t opposed) {
    scan.refusal = {};
    if (infinite != kNoRow) refuse_infinite(infinite);
    if (scan.refusal.text.empty() && opposed != kNoRow && scan.example >= 0) refuse_signs(opposed);
    if (!scan.refusal.text.empty() || !m.cells) return;
    int64_t misplaced = kNoRow;
    for_rows(m, [&](int64_t row, int64_t u, const int64_t c[3]) {
      if (m.cells[u] == kFluid || kinds[padded.at(c)] != DCG_ROW_UNKNOWN) return;
      const std::lock_guard<std::mutex> lock(scan.noting);
      misplaced = std::min(misplaced, row);
    });
    if (misplaced != kNoRow)
      scan.refusal.note(misplaced, "cells: " + name_row(m, misplaced) +
                                       " is not FLUID but its row of the matrix has off-diagonal entries; the rows of cells that are not "
                                       "FLUID must be diagonal only");
  }

  // The first broken row from this one on.
  [[noreturn]] void refuse_broken(int64_t row) {
    scan.regular_lines.clear();
    for (;; ++row) {
      for (int block = 0; block < 2; ++block) {
        if (!m.start[block]) continue;
        const Index *begin = start(block) + row;
        if (!has_entries(block, row, 1))
          throw std::invalid_argument("start: the entries of " + name_row(m, row) + " begin at " + std::to_string(begin[0]) + " and end at " +
                                      std::to_string(begin[1]) + ", those of all rows at " + std::to_string(start(block)[m.rows]) +
                                      "; starts that ascend from 0 on are needed");
        const Index *columns = static_cast<const Index *>(m.column[block]);
        const int64_t all = block ? m.ghosts : m.rows;
        for (int64_t e = begin[0]; e < begin[1]; ++e)
          if (columns[e] < 0 || columns[e] >= all)
            throw std::invalid_argument("column: " + name_row(m, row) + " has an entry in column " + std::to_string(columns[e]) +
                                        (block ? " of the second block" : "") + "; a number from 0 to below " + std::to_string(all) + " is needed");
      }
    }
  }

  void refuse_signs(int64_t opposed) {
    scan.refusal.note(opposed, scan.diagonal < 0.0 ? name_signs(m, scan.example, opposed) : name_signs(m, opposed, scan.example));
  }

  void refuse_infinite(int64_t row) {
    for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
      if (std::isfinite(value) || !scan.refusal.text.empty()) return;
      const std::string where = block == 0 ? "column " + std::to_string(m.first_row + column) : name_column(m, block, column);
      scan.refusal.note(row, "the entry in row " + std::to_string(m.first_row + row) + ", " + where + " is " +
                                 (std::isnan(value) ? "nan" : value > 0.0 ? "inf" : "-inf") + "; finite numbers are needed");
    });
  }

  // Rows of FLUID cells that are unknowns without couplings: zero rows, and where that leaves no unknown, all.
  void keep_uncoupled() {
    if (!scan.refusal.text.empty()) return;
    if (scan.example < 0) find_sign_of_diagonals();
    if (scan.count[DCG_ROW_EMPTY] > 0) keep(DCG_ROW_EMPTY);
    if (scan.count[DCG_ROW_UNKNOWN] == 0) keep(DCG_ROW_DIAGONAL);
  }

  bool is_fluid(int64_t u) const { return !m.cells || m.cells[u] == kFluid; }

  // Where no row is coupled, all rows of FLUID cells say which sign the matrix has.
  void find_sign_of_diagonals() {
    int64_t opposed = -1;
    for (int64_t row = 0; row < m.rows && opposed < 0; ++row) {
      int64_t c[3];
      const int64_t u = place(row, c);
      if (!is_fluid(u)) continue;
      RowSums sums;
      add_row(row, u, c, sums);
      if (scan.diagonal == 0.0 && sums.diagonal != 0.0) scan.example = row, scan.diagonal = sums.diagonal;
      if (scan.diagonal * sums.diagonal < 0.0) opposed = row;
    }
    if (opposed >= 0) refuse_signs(opposed);
  }

  void keep(uint8_t kept) {
    for (int64_t row = 0; row < m.rows; ++row) {
      int64_t c[3];
      const int64_t u = place(row, c);
      uint8_t &kind = kinds[padded.at(c)];
      if (kind != kept || !is_fluid(u)) continue;
      --scan.count[kind], ++scan.count[DCG_ROW_UNKNOWN];
      kind = DCG_ROW_UNKNOWN;
      scan.constant = false;
    }
  }
};

// Along an axis of which the box is all, ghosts are the other end's cells.
void wrap_kinds(const dcg_matrix &m, uint8_t *kinds) {
  const Padded padded(m.count);
  for (int a = 0; a < 3; ++a) {
    if (m.count[a] != m.shape[a]) continue;
    const int64_t wrap = (m.count[a] - 1) * padded.stride[a];
    for_layer(m.count, a, 0, [&](const int64_t c[3]) {
      const int64_t first = padded.at(c);
      kinds[first - padded.stride[a]] = kinds[first + wrap];
      kinds[first + wrap + padded.stride[a]] = kinds[first];
    });
  }
}

}  // namespace

}  // namespace dcg

extern "C" int dcg_matrix_scan_create(dcg_matrix_scan **scan) {
  return dcg::guarded([&] {
    dcg::require(scan, "scan must not be NULL");
    *scan = new dcg_matrix_scan;
  });
}

extern "C" void dcg_matrix_scan_destroy(dcg_matrix_scan *scan) { delete scan; }

extern "C" int dcg_matrix_scan_rows(const dcg_matrix *matrix, dcg_matrix_scan *scan, int32_t same_columns, uint8_t *kinds) {
  return dcg::guarded([&] {
    dcg::require(matrix && scan && kinds, "matrix, scan and kinds must not be NULL");
    dcg::check(*matrix);
    const int64_t *n = matrix->count;
    if (!same_columns) scan->regular_lines.clear();
    scan->rows = -1;
    std::fill(kinds, kinds + (n[0] + 2) * (n[1] + 2) * (n[2] + 2), uint8_t{DCG_ROW_NONE});
    matrix->index_bytes == 4 ? dcg::Scan<int32_t>(*matrix, *scan, kinds).run() : dcg::Scan<int64_t>(*matrix, *scan, kinds).run();
    if (matrix->rows) dcg::wrap_kinds(*matrix, kinds);
    scan->rows = matrix->rows;
  });
}
