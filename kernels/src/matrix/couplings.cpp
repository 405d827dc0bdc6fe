// The general pass over the rows of a matrix: to which neighbours each couples how strongly.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.hpp"
#include "matrix/row_passes.hpp"

namespace dcg {

namespace {

// One row's entries sorted to its six sides.
struct Row {
  double side[6] = {0, 0, 0, 0, 0, 0}, diagonal = 0.0, far = 0.0, wrong = 0.0;
  int64_t far_column = 0, wrong_column = 0;
  int turned = 0;  // bit a: across the ends of axis a
};

template <class Index>
Row sort_row(const dcg_matrix &m, const Frame &box, const Frame &grid, const Pattern &pattern, double sign, int64_t row, int64_t u,
             const int64_t c[3]) {
  Row r;
  if (const double *value = pattern.match<Index>(m, box, row, c)) {
    bool positive = true;
    for (int e = 0; e < pattern.count; ++e) {
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
  const int64_t g[3] = {c[0] + m.first[0], c[1] + m.first[1], c[2] + m.first[2]};
  const int64_t v = grid.flat(g);
  for_entries<Index>(m, row, [&](int64_t column, double value, int block) {
    if (block == 0 && column == row) {
      r.diagonal += sign * value;
      return;
    }
    const double weight = -sign * value;
    if (weight == 0.0) return;
    if (weight < r.wrong) r.wrong = weight, r.wrong_column = block == 0 ? column + m.first_row : -1;
    if (weight < 0.0) return;
    const int side = block == 0 ? box.side((m.cell ? m.cell[column] : column) - u, c) : grid.side(m.ghost[column] - v, g);
    if (side < 0) {
      if (!(weight <= r.far)) r.far = weight, r.far_column = block == 0 ? column + m.first_row : -1;
      return;
    }
    r.side[side & 7] += weight;
    if (side & 8) r.turned |= 1 << ((side & 7) >> 1);
  });
  return r;
}

std::string other(int64_t column) { return column < 0 ? "a column of another process" : "column " + std::to_string(column); }

std::string why_not(const dcg_matrix &m, const Row &r, int64_t row, const int64_t c[3], double excess, double rounding) {
  const double least = rounding * kNegligible * std::fabs(r.diagonal);
  double sum = std::fabs(r.diagonal) + r.far + std::fabs(r.wrong);
  for (const double w : r.side) sum += w;
  if (!std::isfinite(sum)) return name_row(m, row, c) + " has an entry that is infinite or no number; finite numbers are needed";
  if (r.far > least)
    return name_row(m, row, c) + " and " + other(r.far_column) +
           " are coupled but no face neighbours; a 5-point (2-D) or 7-point (3-D) matrix is needed, its rows in the order of the grid";
  if (-r.wrong > least)
    return name_row(m, row, c) + " and " + other(r.wrong_column) +
           " are coupled by an off-diagonal entry of the diagonal's sign (positive, in a positive definite matrix); a Poisson-type "
           "matrix has none";
  if (r.diagonal < 0.0)
    return "indefinite: its diagonal has the other sign in " + name_row(m, row, c) + "; a positive or a negative (semi-)definite matrix is needed";
  if (excess < -rounding * r.diagonal) {
    char text[160];
    std::snprintf(text, sizeof text, ": the diagonal is %.6g, the magnitudes of its off-diagonals sum to %.6g", r.diagonal,
                  r.diagonal - excess);
    return "not diagonally dominant in " + name_row(m, row, c) + text + "; not a Poisson-type M-matrix (perhaps indefinite)";
  }
  return {};
}

template <class Index>
void read(const dcg_matrix &m, const uint8_t *kinds, double sign, double rounding, Couplings &out, Refusal &refusal) {
  const Frame box(m.count, m.shape), grid(m.shape, m.shape);
  const Padded padded(m.count);
  const Pattern pattern(box);
  int64_t turned[3] = {0, 0, 0}, dropped = 0;
  double least = out.least, most = out.most;
#pragma omp parallel for schedule(static) reduction(+ : turned[:3], dropped) reduction(min : least) reduction(max : most) if (m.rows > 16384)
  for (int64_t row = 0; row < m.rows; ++row) {
    const int64_t u = m.cell ? m.cell[row] : row;
    int64_t c[3];
    box.place(u, c);
    const uint8_t *kind = kinds + padded.at(c);
    if (*kind != DCG_ROW_UNKNOWN) continue;
    const Row r = sort_row<Index>(m, box, grid, pattern, sign, row, u, c);
    double excess = r.diagonal;
    for (int s = 0; s < 6; ++s) {
      const double w = r.side[s];
      if (w == 0.0) continue;
      excess -= w;
      least = std::min(least, w), most = std::max(most, w);
      dropped += kind[(s & 1 ? 1 : -1) * padded.stride[s >> 1]] != DCG_ROW_UNKNOWN;
    }
    std::string why = why_not(m, r, row, c, excess, rounding);
    for (int s = 0; s < 6 && why.empty(); ++s)
      if (r.side[s] > 0.0 && kind[(s & 1 ? 1 : -1) * padded.stride[s >> 1]] >= DCG_ROW_EMPTY)
        why = name_row(m, row, c) + " couples to a row that is zero; give that row a diagonal, or take the coupling away";
    if (!why.empty()) {
#pragma omp critical(dcg_matrix_refusal)
      refusal.note(m.first_row + row, std::move(why));
    }
    for (int a = 0; a < 3; ++a) {
      out.down[a][u] = r.side[2 * a];
      out.up[a][face_below(m.count, c, a) + face_step(m.count, a)] = r.side[2 * a + 1];
      turned[a] += r.turned >> a & 1;
    }
    out.excess[u] = std::fabs(excess) > rounding * r.diagonal ? excess : 0.0;
    out.diagonal[u] = r.diagonal;
  }
  out.least = least, out.most = most, out.dropped = dropped;
  std::copy(turned, turned + 3, out.wraps);
}

}  // namespace

void check(const dcg_matrix &m) {
  int64_t cells = 1;
  for (int a = 0; a < 3; ++a) {
    require(m.shape[a] > 0, "shape: every size must be at least 1");
    require(m.first[a] >= 0 && m.count[a] >= 0 && m.first[a] + m.count[a] <= m.shape[a], "first, count: the box lies in the grid");
    cells *= m.count[a];
  }
  require(m.index_bytes == 4 || m.index_bytes == 8, "index_bytes: 4 or 8 is needed");
  require(m.rows >= 0 && (m.cell ? m.rows <= cells : m.rows == cells), "rows: one for every cell of the box is needed");
  require(m.rows == 0 || (m.start[0] && m.column[0] && m.value[0]), "start, column and value must not be NULL");
  require(!m.start[1] || m.rows == 0 || m.ghost, "ghost: needed where there is a second block of columns");
}

std::string name_row(const dcg_matrix &m, int64_t row, const int64_t c[3]) {
  std::string cell;
  for (int a = 0; a < 3; ++a) cell += (a ? ", " : "") + std::to_string(m.first[a] + c[a]);
  return "row " + std::to_string(m.first_row + row) + " (cell (" + cell + "))";
}

void Processes::sum(std::vector<double> &values, const Refusal &refusal) const {
  const bool mine = !refusal.text.empty();
  values.push_back(mine);
  if (m_.sum && m_.sum(m_.context, static_cast<int64_t>(values.size()), values.data()))
    throw std::runtime_error("a message-passing function failed");
  const bool any = values.back() > 0.0;
  values.pop_back();
  if (mine) throw std::invalid_argument(refusal.text);
  if (any) throw std::invalid_argument("another process refused its rows");
}

void read_rows(const dcg_matrix &m, const uint8_t *kinds, double sign, double rounding, Couplings &couplings, Refusal &refusal) {
  if (m.rows == 0) return;
  m.index_bytes == 4 ? read<int32_t>(m, kinds, sign, rounding, couplings, refusal)
                     : read<int64_t>(m, kinds, sign, rounding, couplings, refusal);
}

}  // namespace dcg
