// The pass over the rows of a matrix whose faces may all have one weight (equal_faces.hpp).

#include <algorithm>
#include <atomic>
#include <cmath>

#include "row_passes.hpp"

namespace dcg {

namespace {

// What such a row holds inside a grid with equal faces, and around it.
struct Inside {
  int count;
  double value[7], tolerance[7];
  int64_t beside[7];

  Inside(const Pattern &pattern, const Padded &padded, const Alike &alike, int faces) : count(pattern.count) {
    for (int e = 0; e < count; ++e) {
      const int s = pattern.side[e];
      value[e] = alike.sign * alike.weight * (s < 0 ? faces : -1);
      tolerance[e] = alike.tolerance * (s < 0 ? faces : 1);
      beside[e] = s < 0 ? 0 : (s & 1 ? 1 : -1) * padded.stride[s >> 1];
    }
  }

  template <int N>  // the count where it is known when compiling
  bool fits(const double *v, const uint8_t *kind) const {
    int same = 1;
    for (int e = 0; e < (N ? N : count); ++e) same &= (std::fabs(v[e] - value[e]) <= tolerance[e]) & (kind[beside[e]] == DCG_ROW_UNKNOWN);
    return same;
  }
};

// The row's couplings, as far as a grid with equal faces may have them.
template <class Index>
bool is_alike(const dcg_matrix &m, const uint8_t *kind, const Frame &box, const Frame &grid, const Padded &padded, const Alike &alike,
              int64_t row, int64_t u, const int64_t c[3], AlikeRow &out) {
  double diagonal = 0.0;
  int coupled = 0;
  bool fits = true;
  for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
    if (block == 0 && column == row) {
      diagonal += alike.sign * value;
      return;
    }
    if (value == 0.0) return;
    fits &= std::fabs(-alike.sign * value - alike.weight) <= alike.tolerance;
    int side;
    if (block == 0) {
      side = box.side((m.cell ? m.cell[column] : column) - u, c);
    } else {
      const int64_t g[3] = {c[0] + m.first[0], c[1] + m.first[1], c[2] + m.first[2]};
      side = grid.side(m.ghost[column] - grid.flat(g), g);
    }
    if (side < 0 || coupled >> (side & 7) & 1) {
      fits = false;
      return;
    }
    coupled |= 1 << (side & 7);
    if (side & 8) out.turned |= 1 << ((side & 7) >> 1);
  });
  if (!fits) return false;
  out.coupled = coupled, out.unknown = 0;
  for (int s = 0; s < 6; ++s) out.unknown |= (kind[(s & 1 ? 1 : -1) * padded.stride[s >> 1]] == DCG_ROW_UNKNOWN) << s;
  const double faces = diagonal / alike.weight;
  out.faces = static_cast<int>(std::lround(std::min(std::max(faces, -1.0), 100.0)));
  return std::fabs(faces - out.faces) <= alike.relative * std::max(faces, 1.0);
}

template <class Index>
bool read_all_alike(const dcg_matrix &m, const uint8_t *kinds, const Alike &alike, std::vector<AlikeRow> &special) {
  const Frame box(m.count, m.shape), grid(m.shape, m.shape);
  const Padded padded(m.count);
  int needed = 0;  // sides that an axis has at all
  for (int s = 0; s < 6; ++s) needed |= (m.shape[s >> 1] > 1) << s;
  const int faces = __builtin_popcount(needed);
  const Pattern pattern(box);
  const Inside inside(pattern, padded, alike, faces);
  std::atomic<bool> fits{true};
  for_rows(m, [&](int64_t row, int64_t u, const int64_t c[3]) {
    const uint8_t *kind = kinds + padded.at(c);
    if (*kind != DCG_ROW_UNKNOWN || !fits.load(std::memory_order_relaxed)) return;
    if (const double *value = pattern.match<Index>(m, box, row, c))
      if (inside.count == 7 ? inside.fits<7>(value, kind) : inside.fits<0>(value, kind)) return;
    AlikeRow r{};
    r.u = u;
    if (!is_alike<Index>(m, kind, box, grid, padded, alike, row, u, c, r)) {
      fits.store(false, std::memory_order_relaxed);
      return;
    }
    if (r.coupled == needed && r.faces == faces && r.unknown == 63 && !r.turned) return;  // most rows
#pragma omp critical(dcg_matrix_special)
    special.push_back(r);
  });
  return fits;
}

template <class Index>
void find_example(const dcg_matrix &m, const uint8_t *kinds, double &diagonal, double &weight) {
  const Frame box(m.count, m.shape);
  const Padded padded(m.count);
  diagonal = weight = 0.0;
  for (int64_t row = 0; row < m.rows && weight == 0.0; ++row) {
    int64_t c[3];
    box.place(m.cell ? m.cell[row] : row, c);
    if (kinds[padded.at(c)] != DCG_ROW_UNKNOWN) continue;
    diagonal = 0.0;
    for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
      if (block == 0 && column == row) {
        diagonal += value;
      } else if (std::fabs(value) > std::fabs(weight)) {
        weight = value;
      }
    });
  }
}

}  // namespace

void find_example(const dcg_matrix &m, const uint8_t *kinds, double &diagonal, double &weight) {
  m.index_bytes == 4 ? find_example<int32_t>(m, kinds, diagonal, weight) : find_example<int64_t>(m, kinds, diagonal, weight);
}

bool read_all_alike(const dcg_matrix &m, const uint8_t *kinds, const Alike &alike, std::vector<AlikeRow> &special) {
  return m.index_bytes == 4 ? read_all_alike<int32_t>(m, kinds, alike, special) : read_all_alike<int64_t>(m, kinds, alike, special);
}

}  // namespace dcg
