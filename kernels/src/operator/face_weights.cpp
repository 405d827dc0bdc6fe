// Face weights from a coefficient per cell, and the bound on the operator's norm that follows; deepcg/problem/stencil.py states the same in NumPy.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "core/cell_kinds.hpp"
#include "core/checks.hpp"
#include "core/error.hpp"
#include "core/threads.hpp"

using namespace dcg;

namespace {

// One axis of the grid with the layer outside its ends: kinds there and widths of the cells.
struct Axis {
  int64_t n;
  bool periodic;
  uint8_t outside[2];
  std::vector<double> width;  // width[i + 1] is cell i's

  int64_t cell(int64_t i) const { return i < 0 ? (periodic ? n - 1 : 0) : i == n ? (periodic ? 0 : n - 1) : i; }
  bool inside(int64_t i) const { return periodic ? n > 1 : i >= 0 && i < n; }
};

// The weight between two cells of widths h and coefficients beta: the flux through two layers in series (Patankar 1980, 4.2-3).
// A cell without a coefficient takes the other's.
inline double in_series(double area, double h_low, double h_high, double low, double high) {
  const double a = low > 0.0 ? low : high, b = high > 0.0 ? high : low;
  const double resistance = h_low * b + h_high * a;
  return resistance > 0.0 ? 2.0 * area * a * (b / resistance) : 0.0;
}

inline bool joined(uint8_t low, uint8_t high) { return low != kSolid && high != kSolid && (low == kFluid || high == kFluid); }

struct Row {
  const uint8_t *kind;  // null: all of them are `all`
  const double *beta;   // null: 1
  uint8_t all;
  uint8_t kind_at(int64_t i) const { return kind ? kind[i] : all; }
};

// The coefficient as far as it counts: positive and finite, and not in a wall.
inline double usable(const double *beta, uint8_t kind, int64_t i) {
  if (!beta) return 1.0;
  return kind != kSolid && std::isfinite(beta[i]) && beta[i] > 0.0 ? beta[i] : 0.0;
}

void across(const Row &low, const Row &high, double height, const double *width, double h_low, double h_high, int64_t n, double *out) {
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t a = low.kind_at(i), b = high.kind_at(i);
    out[i] = joined(a, b) ? in_series(height * width[i], h_low, h_high, usable(low.beta, a, i), usable(high.beta, b, i)) : 0.0;
  }
}

}  // namespace

extern "C" int dcg_face_weights(const int64_t shape[3], const uint8_t *cells, const uint8_t outside[6], int32_t periodic,
                                const double *const widths[3], const double *coefficient, double *const weights[3]) {
  return guarded([&] {
    require(shape && cells && outside && widths && weights && weights[2], "no argument but coefficient may be NULL");
    Axis axis[3];
    const int64_t size = count_cells(shape);
    const int threads = choose_threads(0);
    for (int a = 0; a < 3; ++a) {
      axis[a] = {shape[a], (periodic >> a & 1) != 0, {outside[2 * a], outside[2 * a + 1]}, {}};
      axis[a].width.resize(shape[a] + 2, 1.0);
      if (widths[a])
        for (int64_t i = -1; i <= shape[a]; ++i) axis[a].width[i + 1] = widths[a][axis[a].cell(i)];
    }
    const int64_t ny = shape[1], nx = shape[2];
    const double *h[3] = {axis[0].width.data() + 1, axis[1].width.data() + 1, axis[2].width.data() + 1};
    // The row at (k, j), or its substitute beyond an end of an axis: the kind outside, with the coefficient of the cell inside.
    const auto row = [&](int a, int64_t k, int64_t j) {
      const int64_t at = a == 0 ? k : j;
      const int64_t start = (axis[0].cell(k) * ny + axis[1].cell(j)) * nx;
      const bool inside = axis[a].inside(at);
      const uint8_t all = axis[a].periodic ? kSolid : axis[a].outside[at >= 0];
      return Row{inside ? cells + start : nullptr, coefficient ? coefficient + start : nullptr, all};
    };
    std::atomic<bool> legal{true};
#pragma omp parallel for num_threads(threads) schedule(static) if (size > 16384)
    for (int64_t r = 0; r < (shape[0] + 1) * (ny + 1); ++r) {
      const int64_t k = r / (ny + 1), j = r % (ny + 1);
      if (weights[0] && j < ny)
        across(row(0, k - 1, j), row(0, k, j), h[1][j], h[2], h[0][k - 1], h[0][k], nx, weights[0] + (k * ny + j) * nx);
      if (weights[1] && k < shape[0])
        across(row(1, k, j - 1), row(1, k, j), h[0][k], h[2], h[1][j - 1], h[1][j], nx, weights[1] + (k * (ny + 1) + j) * nx);
      if (k == shape[0] || j == ny) continue;
      const int64_t start = (k * ny + j) * nx;
      const uint8_t *kind = cells + start;
      const double *beta = coefficient ? coefficient + start : nullptr;
      double *out = weights[2] + (k * ny + j) * (nx + 1);
      const double face = h[0][k] * h[1][j];
      for (int64_t i = 0; i <= nx; ++i) {
        const int64_t u = axis[2].cell(i - 1), v = axis[2].cell(i);
        const uint8_t a = axis[2].inside(i - 1) ? kind[u] : axis[2].periodic ? kSolid : outside[4];
        const uint8_t b = axis[2].inside(i) ? kind[v] : axis[2].periodic ? kSolid : outside[5];
        // beyond an end lies the coefficient of the cell inside, if that has one
        out[i] = joined(a, b) ? in_series(face, h[2][i - 1], h[2][i], usable(beta, i > 0 ? a : kFluid, u), usable(beta, i < nx ? b : kFluid, v)) : 0.0;
      }
      if (beta)
        for (int64_t i = 0; i < nx; ++i)
          if (kind[i] == kFluid && !(std::isfinite(beta[i]) && beta[i] > 0.0)) legal = false;
    }
    require(legal, "coefficient: must be finite and > 0 in every FLUID cell");
  });
}

extern "C" int dcg_norm_bound(const dcg_operator *op, double *bound) {
  return guarded([&] {
    require(op && bound, "operator and bound must not be NULL");
    check(*op);
    check_weights(*op);
    const int threads = choose_threads(0);
    const int64_t nz = op->shape[0], ny = op->shape[1], nx = op->shape[2];
    double most = 0.0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(max : most) if (nz * ny * nx > 16384)
    for (int64_t r = 0; r < nz * ny; ++r) {
      const int64_t k = r / ny, j = r % ny;
      const double *z = op->weights[0] ? op->weights[0] + r * nx : nullptr, *x = op->weights[2] + r * (nx + 1);
      const double *y = op->weights[1] ? op->weights[1] + (k * (ny + 1) + j) * nx : nullptr;
      for (int64_t i = 0; i < nx; ++i) {
        if (op->cells[r * nx + i] != kFluid) continue;
        double sum = x[i] + x[i + 1];
        if (z) sum += z[i] + z[i + ny * nx];
        if (y) sum += y[i] + y[i + nx];
        most = std::max(most, 2.0 * sum + (op->shift ? op->shift[r * nx + i] : 0.0));
      }
    }
    *bound = most;
  });
}
