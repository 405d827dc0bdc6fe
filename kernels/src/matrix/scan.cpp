// The pass over the rows of a matrix: what kind each is, and whether all couplings may have one weight (equal_faces.hpp). It reads every
// entry once, and most of them eight rows at a time.
//
// Ledger, bytes per row of seven entries with 32-bit indices: values 56, columns 28, starts 4; 56 where the columns are known from before.

#include "matrix/scan.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "matrix/row_groups.hpp"
#include "matrix/row_passes.hpp"

namespace dcg {

namespace {

uint8_t kind_of(double diagonal, double strongest) {
  if (!(strongest <= 1e-12 * std::fabs(diagonal)) || !std::isfinite(diagonal)) return DCG_ROW_UNKNOWN;
  return diagonal != 0.0 ? DCG_ROW_DIAGONAL : DCG_ROW_EMPTY;
}

// A row's diagonal and its strongest entry elsewhere.
template <class Index>
void find_strongest(const dcg_matrix &m, int64_t row, double &diagonal, double &strongest) {
  diagonal = strongest = 0.0;
  for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
    if (block == 0 && column == row) {
      diagonal += value;
    } else if (std::fabs(value) > std::fabs(strongest)) {
      strongest = value;
    }
  });
}

template <class Index>
class Notes {
 public:
  Notes(const dcg_matrix &m, dcg_rows &rows, uint8_t *kinds)
      : m(m), rows(rows), box(m.count, m.shape), grid(m.shape, m.shape), padded(m.count), kinds(kinds), needed(rows_needed(m)),
        all_faces(__builtin_popcount(needed)), alike(find_example()), group(Pattern(box), alike, all_faces) {
    for (int sides = 0; sides < 64; ++sides) patterns.emplace_back(box, sides);
  }

  void run() {
    const int64_t lines = m.cell ? 0 : m.count[0] * m.count[1];
    rows.known.resize(lines, 0);
    std::vector<Found> found(m.rows > 16384 ? omp_get_max_threads() : 1);
    found[0].odd.swap(rows.odd);  // its memory
    found[0].odd.clear();
#pragma omp parallel num_threads(static_cast<int>(found.size()))
    {
      Found &mine = found[omp_get_thread_num()];
      mine.alike = alike.weight > 0.0 || rows.weight == 0.0;
#pragma omp for schedule(static)
      for (int64_t line = 0; line < lines; ++line) note_line(line, mine);
#pragma omp for schedule(static)
      for (int64_t row = 0; row < (m.cell ? m.rows : 0); ++row) {
        int64_t c[3];
        box.place(m.cell[row], c);
        ++mine.count[kinds[padded.at(c)] = look<false>(row, m.cell[row], c, nullptr, mine)];
      }
    }
    rows.odd.swap(found[0].odd);
    rows.alike = true;
    std::fill(rows.count, rows.count + 3, 0);
    for (const Found &part : found) {
      rows.alike &= part.alike;
      for (int k = 0; k < 3; ++k) rows.count[k] += part.count[k];
      if (&part != &found[0]) rows.odd.insert(rows.odd.end(), part.odd.begin(), part.odd.end());
    }
  }

 private:
  struct Found {  // by a thread
    int64_t count[3] = {0, 0, 0};
    bool alike = false;
    std::vector<AlikeRow> odd;
  };

  const dcg_matrix &m;
  dcg_rows &rows;
  const Frame box, grid;
  const Padded padded;
  uint8_t *kinds;
  const int needed, all_faces;
  const Alike alike;
  const Group<Index> group;
  std::vector<Pattern> patterns;  // by the sides on which the box goes on

  const Index *start(int block) const { return static_cast<const Index *>(m.start[block]); }
  const Index *column() const { return static_cast<const Index *>(m.column[0]); }

  Alike find_example() {
    rows.diagonal = rows.weight = 0.0;
    for (int64_t row = 0; row < m.rows; ++row) {
      double diagonal, strongest;
      find_strongest<Index>(m, row, diagonal, strongest);
      if (kind_of(diagonal, std::fabs(strongest)) != DCG_ROW_UNKNOWN || strongest == 0.0) continue;
      rows.diagonal = diagonal, rows.weight = strongest;
      break;
    }
    const double sign = rows.diagonal < 0.0 ? -1.0 : 1.0, weight = -sign * rows.weight;
    return {sign, weight, alike_by(m) * weight};
  }

  void note_line(int64_t line, Found &found) {
    const int64_t n = m.count[2], first = line * n;
    int64_t c[3] = {line / m.count[1], line % m.count[1], 0};
    int sides = 0;
    for (int s = 0; s < 4; ++s) sides |= (s & 1 ? c[s >> 1] + 1 < m.count[s >> 1] : c[s >> 1] > 0) << s;
    uint8_t *kind = kinds + padded.at(c);
    const bool known = rows.known[line];
    const bool alone = !m.start[1] || start(1)[first + n] == start(1)[first];  // no columns of other processes
    bool regular = alone;
    const double *value = m.value[0] + start(0)[first];
    const bool in_groups = alone && alike.weight > 0.0 && group.count == 1 + all_faces && group.count == patterns[sides | 3 << 4].count &&
                           (group.count == 7 || group.count == 5);
    for (int64_t i = 0; i < n;) {
      if (in_groups && found.alike && i > 0 && i + kGroup < n) {
        const int64_t groups = look_at_groups(first + i, (n - 1 - i) / kGroup, known, value), length = groups * kGroup;
        std::fill(kind + i, kind + i + length, uint8_t{DCG_ROW_UNKNOWN});
        found.count[DCG_ROW_UNKNOWN] += length, value += length * group.count, i += length;
      }
      for (const int64_t end = i == 0 ? 1 : std::min(i + kGroup, n); i < end; ++i) {
        const Pattern &pattern = patterns[sides | (i > 0) << 4 | (i + 1 < n) << 5];
        c[2] = i;
        if (known || (alone && has(pattern, first + i))) {
          kind[i] = look<true>(first + i, first + i, c, value, found, &pattern);
          value += pattern.count;
        } else {
          kind[i] = look<false>(first + i, first + i, c, nullptr, found);
          value = m.value[0] + start(0)[first + i + 1], regular = false;
        }
        ++found.count[kind[i]];
      }
    }
    rows.known[line] = regular;
  }

  int64_t look_at_groups(int64_t row, int64_t most, bool known, const double *value) const {
    const Index *begin = known ? nullptr : start(0) + row, *columns = known ? nullptr : column() + *begin;
    return group.count == 7 ? count_sevens(group, most, begin, columns, value, static_cast<Index>(row))
                            : count_fives(group, most, begin, columns, value, static_cast<Index>(row));
  }

  bool has(const Pattern &pattern, int64_t row) const {
    const Index *begin = start(0) + row;
    if (begin[1] - begin[0] != pattern.count) return false;
    int same = 1;
    for (int e = 0; e < pattern.count; ++e) same &= column()[begin[0] + e] - row == pattern.offset[e];
    return same;
  }

  // The kind of a row; if it is an unknown, whether its couplings are as a grid with equal faces may have them. Known: by its pattern.
  template <bool Known>
  uint8_t look(int64_t row, int64_t u, const int64_t c[3], const double *value, Found &found, const Pattern *pattern = nullptr) const {
    double diagonal = 0.0, strongest = 0.0;
    int coupled = 0, turned = 0;
    bool fits = true;
    const auto couple = [&](double entry, auto &&find_side) {
      strongest = std::max(strongest, std::fabs(entry));
      if (entry == 0.0) return;
      fits &= std::fabs(-alike.sign * entry - alike.weight) <= alike.tolerance;
      const int side = find_side();
      if (side < 0 || coupled >> (side & 7) & 1) {
        fits = false;
        return;
      }
      coupled |= 1 << (side & 7);
      if (side & 8) turned |= 1 << ((side & 7) >> 1);
    };
    if (Known) {
      for (int e = 0; e < pattern->count; ++e) {
        const int side = pattern->side[e];
        if (side < 0) diagonal = value[e];
        else couple(value[e], [=] { return side; });
      }
    } else {
      for_entries<Index>(m, row, [&](int64_t column, double entry, int block) {
        if (block == 0 && column == row) {
          diagonal += entry;
          return;
        }
        couple(entry, [&] {
          if (block == 0) return box.side((m.cell ? m.cell[column] : column) - u, c);
          const int64_t g[3] = {c[0] + m.first[0], c[1] + m.first[1], c[2] + m.first[2]};
          return grid.side(m.ghost[column] - grid.flat(g), g);
        });
      });
    }
    const uint8_t kind = kind_of(diagonal, strongest);
    if (kind != DCG_ROW_UNKNOWN || !found.alike) return kind;
    const double faces = alike.sign * diagonal / alike.weight;
    const double whole = std::round(std::min(std::max(faces, -1.0), 100.0));
    found.alike = fits && std::fabs(faces - whole) <= alike_by(m) * std::max(faces, 1.0);
    if (!found.alike) return kind;
    if (coupled != needed || whole != all_faces || turned)
      found.odd.push_back({{static_cast<int32_t>(c[0]), static_cast<int32_t>(c[1]), static_cast<int32_t>(c[2])},
                           static_cast<uint8_t>(coupled), 0, static_cast<uint8_t>(turned), static_cast<int8_t>(whole)});
    return kind;
  }
};

// Along an axis of which the box is all, ghosts are the other end's cells.
void turn_kinds(const dcg_matrix &m, uint8_t *kinds) {
  const Padded padded(m.count);
  for (int a = 0; a < 3; ++a) {
    if (m.count[a] != m.shape[a]) continue;
    const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;
    const int64_t turn = (m.count[a] - 1) * padded.stride[a];
    for (int64_t i = 0; i < m.count[p]; ++i)
      for (int64_t j = 0; j < m.count[q]; ++j) {
        int64_t c[3];
        c[a] = 0, c[p] = i, c[q] = j;
        const int64_t first = padded.at(c);
        kinds[first - padded.stride[a]] = kinds[first + turn];
        kinds[first + turn + padded.stride[a]] = kinds[first];
      }
  }
}

}  // namespace

}  // namespace dcg

extern "C" int dcg_rows_create(dcg_rows **rows) {
  return dcg::guarded([&] {
    dcg::require(rows, "rows must not be NULL");
    *rows = new dcg_rows;
  });
}

extern "C" void dcg_rows_destroy(dcg_rows *rows) { delete rows; }

extern "C" int dcg_matrix_kinds(const dcg_matrix *matrix, dcg_rows *rows, int32_t same_columns, uint8_t *kinds) {
  return dcg::guarded([&] {
    dcg::require(matrix && rows && kinds, "matrix, rows and kinds must not be NULL");
    dcg::check(*matrix);
    const int64_t *n = matrix->count;
    if (!same_columns) rows->known.clear();
    std::fill(kinds, kinds + (n[0] + 2) * (n[1] + 2) * (n[2] + 2), uint8_t{DCG_ROW_NONE});
    matrix->index_bytes == 4 ? dcg::Notes<int32_t>(*matrix, *rows, kinds).run() : dcg::Notes<int64_t>(*matrix, *rows, kinds).run();
    if (matrix->rows) dcg::turn_kinds(*matrix, kinds);
  });
}
