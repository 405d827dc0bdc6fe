// The stencil operator in float64, difference form: the reference that every faster kernel is held to.
//
// Ledger, bytes per cell and apply: x 8 + y 8 + three weights 24 + cells 1 (+ shift 8) = 41 (49), when the rows of
// two neighbouring planes stay in cache.

#include <omp.h>

#include <vector>

#include "error.hpp"

namespace {

struct Row {  // one line of cells along x and its surroundings
  const double *x, *down, *up, *south, *north;
  const double *w_down, *w_up, *w_south, *w_north, *w_west;  // w_west has nx + 1 entries
  const double *shift;
  const uint8_t *cells;
};

inline void apply_cell(const Row &r, int64_t i, double west, double east, double *y) {
  const double x = r.x[i];
  double sum = r.w_west[i] * (x - west) + r.w_west[i + 1] * (x - east);
  sum += r.w_south[i] * (x - r.south[i]) + r.w_north[i] * (x - r.north[i]);
  sum += r.w_down[i] * (x - r.down[i]) + r.w_up[i] * (x - r.up[i]);
  if (r.shift) sum += r.shift[i] * x;
  y[i] = r.cells[i] == 0 ? sum : 0.0;
}

void apply_row(const Row &r, int64_t nx, bool periodic_x, double *y) {
  const double before = periodic_x ? r.x[nx - 1] : 0.0;
  const double after = periodic_x ? r.x[0] : 0.0;
  if (nx == 1) return apply_cell(r, 0, before, after, y);
  apply_cell(r, 0, before, r.x[1], y);
  for (int64_t i = 1; i < nx - 1; ++i) apply_cell(r, i, r.x[i - 1], r.x[i + 1], y);
  apply_cell(r, nx - 1, r.x[nx - 2], after, y);
}

}  // namespace

extern "C" int dcg_stencil_apply(const int64_t shape[3], const uint8_t *cells, const double *weights_z,
                                 const double *weights_y, const double *weights_x, const double *shift, int32_t periodic,
                                 const double *x, double *y, int32_t threads) {
  return dcg::guarded([&] {
    dcg::require(shape && cells && x && y, "shape, cells, x and y must not be NULL");
    const int64_t nz = shape[0], ny = shape[1], nx = shape[2];
    dcg::require(nz > 0 && ny > 0 && nx > 0, "shape: every size must be at least 1");
    dcg::require(x != y, "x and y must not be the same array");
    const std::vector<double> zeros(nx + 1, 0.0);
    const bool periodic_z = periodic & 1, periodic_y = periodic & 2, periodic_x = periodic & 4;
    const int count = threads > 0 ? threads : omp_get_max_threads();

    // Beyond a side that is not periodic the weight is 0 (wall) or the value is 0 (open): a row of zeros serves both.
    const auto line = [&](int64_t k, int64_t j) -> const double * {
      if (k < 0 || k >= nz) {
        if (!periodic_z) return zeros.data();
        k = (k + nz) % nz;
      }
      if (j < 0 || j >= ny) {
        if (!periodic_y) return zeros.data();
        j = (j + ny) % ny;
      }
      return x + (k * ny + j) * nx;
    };

#pragma omp parallel for num_threads(count) schedule(static) if (nz * ny * nx > 32768)
    for (int64_t row = 0; row < nz * ny; ++row) {
      const int64_t k = row / ny, j = row % ny;
      Row r;
      r.x = x + row * nx;
      r.down = line(k - 1, j), r.up = line(k + 1, j);
      r.south = line(k, j - 1), r.north = line(k, j + 1);
      r.w_down = weights_z ? weights_z + (k * ny + j) * nx : zeros.data();
      r.w_up = weights_z ? weights_z + ((k + 1) * ny + j) * nx : zeros.data();
      r.w_south = weights_y ? weights_y + (k * (ny + 1) + j) * nx : zeros.data();
      r.w_north = weights_y ? weights_y + (k * (ny + 1) + j + 1) * nx : zeros.data();
      r.w_west = weights_x ? weights_x + row * (nx + 1) : zeros.data();
      r.shift = shift ? shift + row * nx : nullptr;
      r.cells = cells + row * nx;
      apply_row(r, nx, periodic_x, y + row * nx);
    }
  });
}
