#include "matrix/couplings.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "matrix/row_passes.hpp"

namespace dcg {

namespace {

// A sum without rounding but for the last one (Knuth 1998, section 4.2.2: two_sum).
class ExactSum {
 public:
  void add(double value) {
    const double sum = high_ + value, part = sum - high_;
    low_ += (high_ - (sum - part)) + (value - part);
    high_ = sum;
  }
  double value() const { return high_ + low_; }

 private:
  double high_ = 0.0, low_ = 0.0;
};

// One row's entries sorted to its six sides.
struct Row {
  double side[6] = {0, 0, 0, 0, 0, 0}, diagonal = 0.0;
  ExactSum sum;                   // of all entries, times the sign
  double far = 0.0, wrong = 0.0;  // the largest magnitudes of entries at no face, and at a face but of the diagonal's sign
  int64_t far_column = 0, wrong_column = 0;
  int far_block = 0, wrong_block = 0;
  int wrapped = 0;  // bit a: across the ends of axis a
};

template <class Index>
Row sort_row(const dcg_matrix &m, const Frame &box, const Frame &grid, const Pattern &pattern, double sign, int64_t row, int64_t u,
             const int64_t c[3]) {
  Row r;
  if (const double *value = pattern.match<Index>(m, box, row, c)) {
    bool positive = true;
    for (int e = 0; e < pattern.count; ++e) {
      r.sum.add(sign * value[e]);
      if (pattern.side[e] < 0) {
        r.diagonal = sign * value[e];
      } else {
        r.side[pattern.side[e]] = -sign * value[e];
        positive &= r.side[pattern.side[e]] >= 0.0;
      }
    }
    if (positive) return r;
    r = {};
  }
  for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
    r.sum.add(sign * value);
    if (block == 0 && column == row) {
      r.diagonal += sign * value;
      return;
    }
    const double weight = -sign * value;
    if (weight == 0.0) return;
    const int side = side_of(m, box, grid, u, c, block, column);
    if (side < 0) {
      if (std::fabs(weight) > r.far) r.far = std::fabs(weight), r.far_column = column, r.far_block = block;
    } else if (weight < 0.0) {
      if (-weight > r.wrong) r.wrong = -weight, r.wrong_column = column, r.wrong_block = block;
    } else {
      r.side[side & 7] += weight;
      if (side & 8) r.wrapped |= 1 << ((side & 7) >> 1);
    }
  });
  return r;
}

std::string why_not(const dcg_matrix &m, const dcg_matrix_scan &scan, const Row &r, int64_t row) {
  const double negligible = asymmetry_of(m) * kNegligible * std::fabs(r.diagonal);
  if (r.far > negligible)
    return name_row(m, row) + " and " + name_column(m, r.far_block, r.far_column) +
           " are coupled but no face neighbours; a 5-point (2-D) or 7-point (3-D) matrix is needed, its rows in C order of the grid or "
           "with the coordinates of their cells";
  if (r.wrong > negligible)
    return name_row(m, row) + " and " + name_column(m, r.wrong_block, r.wrong_column) +
           " are coupled by an off-diagonal entry of the diagonal's sign (positive, in a positive definite matrix); a Poisson-type "
           "matrix has none";
  if (r.diagonal < 0.0) return scan.diagonal > 0.0 ? name_signs(m, row, scan.example) : name_signs(m, scan.example, row);
  if (r.diagonal == 0.0 && *std::max_element(r.side, r.side + 6) > 0.0)
    return "indefinite: " + name_row(m, row) + " couples to others and has a zero diagonal; a positive (semi-)definite matrix is needed";
  return {};
}

// The entries of a row that are no couplings.
template <class Index>
void note_corrections(const dcg_matrix &m, const Frame &box, const Frame &grid, const uint8_t *kinds, double sign, int64_t row, int64_t u,
                      const int64_t c[3], std::vector<Correction> &corrections) {
  const Padded padded(m.count);
  for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
    const double weight = -sign * value;
    if ((block == 0 && column == row) || weight == 0.0 || (side_of(m, box, grid, u, c, block, column) >= 0 && weight > 0.0)) return;
    int64_t there = Correction::kGhost + column, place[3];
    if (block == 0) {
      there = m.cell ? m.cell[column] : column;
      box.place(there, place);
      if (kinds[padded.at(place)] != DCG_ROW_UNKNOWN) there = Correction::kZero;
    }
    corrections.push_back({u, there, weight});
  });
}

template <class Index>
void read(const dcg_matrix &m, dcg_matrix_scan &scan, const uint8_t *kinds, double sign, Couplings &out, Refusal &refusal) {
  const Frame box(m.count, m.shape), grid(m.shape, m.shape);
  const Padded padded(m.count);
  const Pattern pattern(box);
  int64_t wrapped[3] = {0, 0, 0}, dropped = 0;
  double unheld = 0.0;
  const int threads = choose_threads(0);
  Thrown thrown;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : wrapped[:3], dropped) reduction(max : unheld) if (m.rows > 16384)
  for (int64_t row = 0; row < m.rows; ++row) thrown.keep([&] {
    const int64_t u = m.cell ? m.cell[row] : row;
    int64_t c[3];
    box.place(u, c);
    const uint8_t *kind = kinds + padded.at(c);
    if (*kind != DCG_ROW_UNKNOWN) return;
    const Row r = sort_row<Index>(m, box, grid, pattern, sign, row, u, c);
    bool to_zero = false;
    for (int s = 0; s < 6; ++s) {
      const double w = r.side[s];
      if (w == 0.0) continue;
      const uint8_t beyond = kind[(s & 1 ? 1 : -1) * padded.stride[s >> 1]];
      dropped += beyond != DCG_ROW_UNKNOWN;
      to_zero |= beyond >= DCG_ROW_EMPTY;
    }
    std::string why = why_not(m, scan, r, row);
    if (to_zero && why.empty())
      why = "not symmetric: " + name_row(m, row) + " couples to a row that is zero; give that row a diagonal, or take the coupling away";
    if (!why.empty()) {
      const std::lock_guard<std::mutex> lock(scan.noting);
      refusal.note(m.first_row + row, std::move(why));
    } else if (r.far > 0.0 || r.wrong > 0.0) {
      const std::lock_guard<std::mutex> lock(scan.noting);
      note_corrections<Index>(m, box, grid, kinds, sign, row, u, c, scan.corrections);
    }
    for (int a = 0; a < 3; ++a) {
      out.down[a][u] = r.side[2 * a];
      out.up[a][face_below(m.count, c, a) + face_step(m.count, a)] = r.side[2 * a + 1];
      wrapped[a] += r.wrapped >> a & 1;
    }
    const double excess = r.sum.value(), size = std::fabs(excess);
    out.excess[u] = size > kRowSum * r.diagonal ? excess : 0.0;
    if (size <= kRowSum * r.diagonal && size > unheld * r.diagonal) unheld = size / r.diagonal;
    out.diagonal[u] = r.diagonal;
  });
  thrown.throw_again();
  out.dropped = dropped, scan.unheld = unheld;
  std::copy(wrapped, wrapped + 3, out.wraps);
}

}  // namespace

void read_rows(const dcg_matrix &m, dcg_matrix_scan &scan, const uint8_t *kinds, double sign, Couplings &couplings, Refusal &refusal) {
  if (m.rows == 0) return;
  m.index_bytes == 4 ? read<int32_t>(m, scan, kinds, sign, couplings, refusal) : read<int64_t>(m, scan, kinds, sign, couplings, refusal);
}

}  // namespace dcg
