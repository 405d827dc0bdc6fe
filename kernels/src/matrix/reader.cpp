// From the rows of a matrix to an operator: its sign, the couplings of its rows, faces that both their cells agree on, open faces, shift.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "core/error.hpp"
#include "matrix/constant_coefficient.hpp"
#include "matrix/couplings.hpp"
#include "matrix/dirichlet_faces.hpp"
#include "matrix/one_weight.hpp"

namespace dcg {

namespace {

class Reader {
 public:
  Reader(const dcg_matrix &m, dcg_matrix_scan &scan, const uint8_t *kinds, uint8_t *cells, double *const weights[3], double *shift)
      : m(m), scan(scan), faces(m, kinds, cells, weights), processes(m), shift(shift) {
    for (int a = 0; a < 3; ++a) couplings.up[a] = weights[a];
  }

  dcg_matrix_result run() {
    scan.corrections.clear(), scan.row_sums.clear(), scan.asymmetric = false;
    find_sign();
    if (ConstantCoefficient(faces, scan, processes).read(result)) {
      scan.unheld = 2.0 * kEqual;
      return result;
    }
    clear();
    read_rows(m, scan, faces.kinds, result.sign, couplings, refusal);
    agree_on_axes();
    for (int a = 0; a < 3; ++a) join_axis(a);
    find_excess();
    result.shifted = DirichletFaces(faces, couplings, excess_cells, processes, shift).place(result.unknowns, refusal, scan.row_sums);
    std::sort(scan.corrections.begin(), scan.corrections.end(), [](const Correction &a, const Correction &b) {
      return std::tie(a.cell, a.column, a.value) < std::tie(b.cell, b.column, b.value);
    });
    if (!result.shifted && scan.row_sums.empty()) result.unit = find_one_weight(faces, result.open);
    if (result.unit > 0.0) scan.unheld = 2.0 * kEqual;
    if (result.unit == 0.0) result.open = 0;
    return result;
  }

 private:
  const dcg_matrix &m;
  dcg_matrix_scan &scan;
  BoxFaces faces;
  const Processes processes;
  double *shift;
  Couplings couplings;
  Refusal refusal;
  dcg_matrix_result result{};
  std::vector<ExcessCell> excess_cells;

  void find_sign() {
    std::vector<double> values = {double(scan.diagonal < 0.0), double(scan.diagonal > 0.0)};
    values.insert(values.end(), scan.count, scan.count + 3);
    processes.sum(values, scan.refusal);
    require(values[0] == 0.0 || values[1] == 0.0,
            "indefinite: the diagonal has both signs; a positive or a negative (semi-)definite matrix is needed");
    result.sign = values[0] > 0.0 ? -1.0 : 1.0;
    result.unknowns = static_cast<int64_t>(values[2 + DCG_ROW_UNKNOWN]);
    result.diagonal = static_cast<int64_t>(values[2 + DCG_ROW_DIAGONAL]);
    result.empty = static_cast<int64_t>(values[2 + DCG_ROW_EMPTY]);
  }

  void clear() {
    const int64_t size = faces.box.size();
    for (int a = 0; a < 3; ++a) {
      int64_t count = 1;
      for (int b = 0; b < 3; ++b) count *= m.count[b] + (a == b);
      std::fill(faces.weight[a], faces.weight[a] + (size ? count : 0), 0.0);
      couplings.down[a].assign(size, 0.0);
    }
    couplings.excess.assign(size, 0.0), couplings.diagonal.assign(size, 0.0);
    std::fill(shift, shift + size, 0.0);
    faces.for_lines([&](int64_t first, const int64_t c[3]) {
      const uint8_t *kind = faces.kinds + faces.padded.at(c);
      for (int64_t i = 0; i < m.count[2]; ++i)
        faces.cells[first + i] = kind[i] == DCG_ROW_UNKNOWN ? kFluid : m.cells && m.cells[first + i] == kOpen ? kOpen : kSolid;
    });
  }

  void agree_on_axes() {
    std::vector<double> values = {double(couplings.wraps[0]), double(couplings.wraps[1]), double(couplings.wraps[2]), double(couplings.dropped)};
    processes.sum(values, refusal);
    for (int a = 0; a < 3; ++a) faces.periodic |= int32_t{values[a] > 0.0} << a;
    result.periodic = faces.periodic;
    result.dropped = static_cast<int64_t>(values[3]);
  }

  // Every face between unknowns of this box gets the mean of its two couplings, which must agree. One towards an unknown of another process has
  // only this row's coupling; that process has the other's.
  void join_axis(int a) {
    const bool wraps = faces.box.wraps[a] && faces.periodic >> a & 1;
    faces.for_cells([&](int64_t u, const int64_t c[3]) {
      double &low = faces.at(c, 2 * a);
      if (!faces.is_unknown(c)) return;  // the coupling of its neighbour below is the face's weight
      const double down = couplings.down[a][u];
      if (c[a] > 0) {
        low = faces.neighbour_is_unknown(c, 2 * a) ? agree(u - faces.box.stride[a], u, low, down) : down;
      } else if (wraps && faces.neighbour_is_unknown(c, 2 * a)) {
        int64_t last[3] = {c[0], c[1], c[2]};
        last[a] = m.count[a] - 1;
        double &high = faces.at(last, 2 * a + 1);
        low = high = agree(faces.box.flat(last), u, high, down);
      } else {
        low = down;
      }
    });
  }

  double agree(int64_t below, int64_t above, double up, double down) {
    const double mean = 0.5 * (up + down), diagonal[2] = {couplings.diagonal[below], couplings.diagonal[above]};
    if (std::fabs(up - down) > asymmetry_of(m) * std::min(diagonal[0], diagonal[1])) {
      char weight[2][32];
      std::snprintf(weight[0], sizeof weight[0], "%.12g", up);
      std::snprintf(weight[1], sizeof weight[1], "%.12g", down);
      const std::lock_guard<std::mutex> lock(scan.noting);
      scan.asymmetric = true, refusal.note(below, "not symmetric: " + name_row_of(m, below) + " couples to " + name_row_of(m, above) + " with weight " + weight[0] +
                              ", and that one back with " + weight[1] +
                              "; a symmetric matrix is needed (one-sided couplings are allowed to rows that are diagonal only, with a "
                              "nonzero diagonal)");
    } else if (mean > (1.0 + kAsymmetry) * std::sqrt(diagonal[0]) * std::sqrt(diagonal[1])) {
      const std::lock_guard<std::mutex> lock(scan.noting);
      refusal.note(below, "indefinite: " + name_row_of(m, below) + " and " + name_row_of(m, above) +
                              " couple more strongly than their diagonals allow; a positive (semi-)definite matrix is needed");
    } else if (std::fabs(up - down) > kEqual * mean) {
      const std::lock_guard<std::mutex> lock(scan.noting);
      scan.corrections.push_back({below, above, up - mean}), scan.corrections.push_back({above, below, down - mean});
    }
    return mean;
  }

  // In order of cells, so that sums over them do not depend on how threads went about it.
  void find_excess() {
    std::vector<std::vector<ExcessCell>> parts(choose_threads(0));
    faces.for_cells([&](int64_t u, const int64_t c[3]) {
      if (!faces.is_unknown(c)) return;
      int missing = 0;
      for (int s = 0; s < 6; ++s) {
        if (m.shape[s >> 1] == 1) continue;  // across an axis of one cell there is nothing to lack
        const double w = s & 1 ? faces.at(c, s) : couplings.down[s >> 1][u];
        if (w == 0.0 && !faces.has_unknown(c, s) && !faces.has_wall(c, s)) missing |= 1 << s;
      }
      if (missing || couplings.excess[u] != 0.0) parts[omp_get_thread_num()].push_back({u, couplings.excess[u], missing});
    });
    for (const auto &part : parts) excess_cells.insert(excess_cells.end(), part.begin(), part.end());
  }
};

}  // namespace

}  // namespace dcg

extern "C" int dcg_matrix_read(const dcg_matrix *matrix, dcg_matrix_scan *scan, const uint8_t *kinds, uint8_t *cells, double *const weights[3],
                               double *shift, dcg_matrix_result *result) {
  return dcg::guarded([&] {
    dcg::require(matrix && scan && kinds && cells && weights && weights[0] && weights[1] && weights[2] && shift && result,
                 "no argument may be NULL");
    dcg::check(*matrix);
    dcg::require(scan->rows == matrix->rows, "scan: call dcg_matrix_scan_rows for this matrix first");
    *result = dcg::Reader(*matrix, *scan, kinds, cells, weights, shift).run();
  });
}
