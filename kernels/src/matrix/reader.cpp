// From couplings to an operator: faces that both their cells agree on, and what the diagonals have beyond them.
//
// The couplings to fixed values that are no rows (Dirichlet conditions folded into the diagonal) are in the excess of a diagonal
// over its row's off-diagonals. Where a cell lacks neighbours that excess is given to open faces on those sides, so that the
// coarsening keeps its place; what cells with all neighbours have (a mass term) is taken off first, and stays shift.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.hpp"
#include "matrix/equal_faces.hpp"

namespace dcg {

namespace {

constexpr int kObstacle = 6;     // the class of faces beside cells inside the grid; 0..5: the grid's sides

// A cell that lacks neighbours, or has an excess.
struct Special {
  int64_t u;
  double excess;
  int missing;  // bit s: side s has neither a coupling nor an unknown
};

class Reader {
 public:
  Reader(const dcg_matrix &matrix, dcg_rows &rows, const uint8_t *kinds, double rounding, uint8_t *cells, double *const weights[3], double *shift)
      : m(matrix), rows(rows), box(m.count, m.shape), padded(m.count), processes(m), kinds(kinds), cells(cells), shift(shift), rounding(rounding) {
    for (int a = 0; a < 3; ++a) weight[a] = couplings.up[a] = weights[a];
  }

  dcg_matrix_found run() {
    find_sign();
    if (EqualFaces(m, rows, kinds, rounding, processes, cells).read(found)) return found;
    clear();
    read_rows(m, kinds, found.sign, rounding, couplings, refusal);
    agree_on_axes();
    join_faces();
    take_off_common_excess();
    open_faces();
    return found;
  }

 private:
  const dcg_matrix &m;
  dcg_rows &rows;
  const Frame box;
  const Padded padded;
  const Processes processes;
  const uint8_t *kinds;
  uint8_t *cells;
  double *shift, *weight[3];
  const double rounding;
  Couplings couplings;
  Refusal refusal;
  dcg_matrix_found found{};
  std::vector<Special> special;
  double common = 0.0;   // excess of cells that have all neighbours

  void clear() {
    const int64_t size = box.size();
    for (int a = 0; a < 3; ++a) {
      int64_t faces = 1;
      for (int b = 0; b < 3; ++b) faces *= m.count[b] + (a == b);
      std::fill(weight[a], weight[a] + (size ? faces : 0), 0.0);
      couplings.down[a].assign(size, 0.0);
    }
    couplings.excess.assign(size, 0.0), couplings.diagonal.assign(size, 0.0);
    std::fill(shift, shift + size, 0.0);
    std::fill(cells, cells + size, kSolid);
  }

  void find_sign() {
    std::vector<double> values = {double(rows.diagonal < 0.0), double(rows.diagonal > 0.0)};
    values.insert(values.end(), rows.count, rows.count + 3);
    processes.sum(values, refusal);
    require(values[0] == 0.0 || values[1] == 0.0,
            "indefinite: its diagonal has both signs; a positive or a negative (semi-)definite matrix is needed");
    found.sign = values[0] > 0.0 ? -1.0 : 1.0;
    found.unknowns = static_cast<int64_t>(values[2 + DCG_ROW_UNKNOWN]);
    found.diagonal = static_cast<int64_t>(values[2 + DCG_ROW_DIAGONAL]);
    found.empty = static_cast<int64_t>(values[2 + DCG_ROW_EMPTY]);
  }

  void agree_on_axes() {
    std::vector<double> values = {double(couplings.wraps[0]), double(couplings.wraps[1]), double(couplings.wraps[2]), double(couplings.dropped)};
    processes.sum(values, refusal);
    found.periodic = 0;
    for (int a = 0; a < 3; ++a) found.periodic |= int32_t{values[a] > 0.0} << a;
    found.dropped = static_cast<int64_t>(values[3]);
  }

  // Whether the face on a side of cell c lies on that side of the whole grid, with nothing beyond.
  bool at_side(const int64_t c[3], int s) const {
    const int a = s >> 1;
    if (found.periodic >> a & 1) return false;
    return m.first[a] + c[a] == (s & 1 ? m.shape[a] - 1 : 0);
  }

  uint8_t beyond(const int64_t c[3], int s) const {
    return at_side(c, s) ? uint8_t{DCG_ROW_NONE} : kinds[padded.at(c) + (s & 1 ? 1 : -1) * padded.stride[s >> 1]];
  }

  int64_t face(const int64_t c[3], int s) const {
    return face_below(m.count, c, s >> 1) + (s & 1 ? face_step(m.count, s >> 1) : 0);
  }

  // Compares the two couplings of every face between unknowns of this box; sides without either become candidates for open faces.
  void join_faces() {
#pragma omp parallel for schedule(static) if (box.size() > 16384)
    for (int64_t k = 0; k < m.count[0]; ++k) {
      std::vector<Special> mine;
      for (int64_t j = 0; j < m.count[1]; ++j)
        for (int64_t i = 0; i < m.count[2]; ++i) {
          const int64_t c[3] = {k, j, i}, u = box.flat(c);
          if (kinds[padded.at(c)] != DCG_ROW_UNKNOWN) continue;
          cells[u] = kFluid;
          int missing = 0;
          for (int s = 0; s < 6; ++s) {
            const double w = s & 1 ? up(c, s >> 1) : couplings.down[s >> 1][u];
            if (w != 0.0 || m.shape[s >> 1] == 1) continue;  // across an axis of one cell there is nothing to lack
            if (beyond(c, s) != DCG_ROW_UNKNOWN) missing |= 1 << s;
          }
          if (missing || couplings.excess[u] != 0.0) mine.push_back({u, couplings.excess[u], missing});
        }
#pragma omp critical(dcg_matrix_special)
      special.insert(special.end(), mine.begin(), mine.end());
    }
    for (int a = 0; a < 3; ++a) join_axis(a);
  }

  double up(const int64_t c[3], int axis) const { return weight[axis][face(c, 2 * axis + 1)]; }

  void join_axis(int a) {
    const bool turns = box.turns[a] && found.periodic >> a & 1;
#pragma omp parallel for schedule(static) if (box.size() > 16384)
    for (int64_t k = 0; k < m.count[0]; ++k)
      for (int64_t j = 0; j < m.count[1]; ++j)
        for (int64_t i = 0; i < m.count[2]; ++i) {
          const int64_t c[3] = {k, j, i}, u = box.flat(c);
          double &low = weight[a][face(c, 2 * a)];
          if (kinds[padded.at(c)] != DCG_ROW_UNKNOWN) continue;  // what its neighbour below couples to it is the face's weight
          const double down = couplings.down[a][u];
          if (c[a] > 0 && kinds[padded.at(c) - padded.stride[a]] == DCG_ROW_UNKNOWN) {
            low = agree(c, a, u - box.stride[a], low, down);
          } else if (c[a] == 0 && turns && kinds[padded.at(c) - padded.stride[a]] == DCG_ROW_UNKNOWN) {
            int64_t last[3] = {k, j, i};
            last[a] = m.count[a] - 1;
            double &high = weight[a][face(last, 2 * a + 1)];
            low = high = agree(c, a, box.flat(last), high, down);
          } else {
            low = down;
          }
          // the face towards an unknown of another process has only this row's coupling; that one has the other's
        }
  }

  // On a periodic axis the first and the last layer of faces are the same; an open face was written to one of them.
  void close_turn(int a) {
    if (!box.turns[a] || !(found.periodic >> a & 1)) return;
    const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;
    for (int64_t i = 0; i < m.count[p]; ++i)
      for (int64_t j = 0; j < m.count[q]; ++j) {
        int64_t c[3];
        c[a] = 0, c[p] = i, c[q] = j;
        double &low = weight[a][face(c, 2 * a)];
        c[a] = m.count[a] - 1;
        double &high = weight[a][face(c, 2 * a + 1)];
        low = high = std::max(low, high);
      }
  }

  double agree(const int64_t c[3], int axis, int64_t below, double up, double down) {
    const int64_t u = box.flat(c);
    if (std::fabs(up - down) > rounding * std::min(couplings.diagonal[u], couplings.diagonal[below])) {
      char text[320];
      int64_t other[3];
      box.place(below, other);
      std::snprintf(text, sizeof text,
                    "not symmetric: the cell (%lld, %lld, %lld) couples to its neighbour above it along axis %d with weight %.12g, and "
                    "that one back with %.12g; a symmetric matrix is needed (one-sided couplings are allowed to rows that are "
                    "diagonal only, with a nonzero diagonal)",
                    static_cast<long long>(m.first[0] + other[0]), static_cast<long long>(m.first[1] + other[1]),
                    static_cast<long long>(m.first[2] + other[2]), axis, up, down);
#pragma omp critical(dcg_matrix_refusal)
      refusal.note(below, text);
    }
    return 0.5 * (up + down);
  }

  void take_off_common_excess() {
    std::vector<double> values = {0.0, 0.0, 0.0};  // cells that lack neighbours; of the others: sum of excesses, how many have one
    for (const Special &s : special) {
      values[0] += s.missing != 0;
      if (s.missing == 0 && s.excess != 0.0) values[1] += s.excess, ++values[2];
    }
    processes.sum(values, refusal);
    // of a few cells only (a porous body, a fixed value) it is not common
    common = 2.0 * values[2] > static_cast<double>(found.unknowns) - values[0] ? values[1] / values[2] : 0.0;
  }

  // The class of a missing neighbour: the side of the grid that it would be beyond, or an obstacle.
  int kind_of_side(int64_t u, int s) const {
    int64_t c[3];
    box.place(u, c);
    return at_side(c, s) ? s : kObstacle;
  }

  bool is_small(double value, int64_t u) const { return std::fabs(value) <= rounding * couplings.diagonal[u]; }

  // Cells that lack one neighbour tell which sides are open; cells that lack several share their excess among those.
  void open_faces() {
    std::vector<double> tally(14, 0.0);  // open and closed, by class
    for (const Special &s : special) {
      if (!s.missing || s.missing & (s.missing - 1)) continue;
      const bool open = s.excess > common && !is_small(s.excess - common, s.u);
      const int side = __builtin_ctz(s.missing);
      tally[2 * kind_of_side(s.u, side) + !open] += 1.0;
    }
    processes.sum(tally, refusal);
    double shifted = 0.0;
    for (const Special &s : special) {
      double beyond_common = std::max(0.0, s.excess - common);
      if (is_small(beyond_common, s.u) || !s.missing) beyond_common = 0.0;
      int sharing = 0;
      for (int side = 0; side < 6; ++side) {
        const double *known = &tally[2 * kind_of_side(s.u, side)];
        if (s.missing >> side & 1 && !(known[0] == 0.0 && known[1] > 0.0)) sharing |= 1 << side;
      }
      if (!sharing) sharing = s.missing;
      int64_t c[3];
      box.place(s.u, c);
      if (beyond_common > 0.0)
        for (int side = 0; side < 6; ++side)
          if (sharing >> side & 1) weight[side >> 1][face(c, side)] = beyond_common / __builtin_popcount(sharing);
      const double left = s.excess - beyond_common;
      if (!is_small(left, s.u)) shift[s.u] = left, shifted = 1.0;
    }
    std::vector<double> values = {shifted};
    processes.sum(values, refusal);
    found.shifted = values[0] > 0.0;
    for (int a = 0; a < 3; ++a) close_turn(a);
    mark_open_cells();
  }

  void mark_open_cells() {
#pragma omp parallel for schedule(static) if (box.size() > 16384)
    for (int64_t k = 0; k < m.count[0]; ++k)
      for (int64_t j = 0; j < m.count[1]; ++j)
        for (int64_t i = 0; i < m.count[2]; ++i) {
          const int64_t c[3] = {k, j, i}, u = box.flat(c);
          if (cells[u] == kFluid) continue;
          for (int s = 0; s < 6; ++s)
            if (weight[s >> 1][face(c, s)] > 0.0) cells[u] = kOpen;
        }
  }
};

}  // namespace

}  // namespace dcg

extern "C" int dcg_matrix_read(const dcg_matrix *matrix, dcg_rows *rows, const uint8_t *kinds, double rounding, uint8_t *cells,
                               double *const weights[3], double *shift, dcg_matrix_found *found) {
  return dcg::guarded([&] {
    dcg::require(matrix && rows && kinds && cells && weights && weights[0] && weights[1] && weights[2] && shift && found,
                 "no argument may be NULL");
    dcg::check(*matrix);
    *found = dcg::Reader(*matrix, *rows, kinds, rounding, cells, weights, shift).run();
  });
}
