// The stencil operator in float64, difference form: the reference that every faster kernel is held to.
//
// Ledger, bytes per cell and apply: x 8 + y 8 + three weights 24 + cells 1 (+ shift 8) = 41 (49), one weight for all: x 8 + y 8 +
// cells 1 = 17, when the rows of two neighbouring planes stay in cache. A residual reads b 8 more.

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/cell_kinds.hpp"
#include "core/checks.hpp"
#include "core/error.hpp"
#include "core/threads.hpp"

using namespace dcg;

namespace {

constexpr int64_t kParallel = 32768;  // cells: below this a barrier costs more than it saves

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
  y[i] = r.cells[i] == kFluid ? sum : 0.0;
}

void apply_row(const Row &r, int64_t nx, bool periodic_x, double *y) {
  const double before = periodic_x ? r.x[nx - 1] : 0.0;
  const double after = periodic_x ? r.x[0] : 0.0;
  if (nx == 1) return apply_cell(r, 0, before, after, y);
  apply_cell(r, 0, before, r.x[1], y);
  for (int64_t i = 1; i < nx - 1; ++i) apply_cell(r, i, r.x[i - 1], r.x[i + 1], y);
  apply_cell(r, nx - 1, r.x[nx - 2], after, y);
}

// y = A x row by row with a weight for each face; done(row) follows each row while it is in cache.
template <class Done>
void apply_variable(const dcg_operator &op, const double *x, double *y, int threads, Done &&done) {
  const int64_t nz = op.shape[0], ny = op.shape[1], nx = op.shape[2];
  const double *weights_z = op.weights[0], *weights_y = op.weights[1], *weights_x = op.weights[2];
  const std::vector<double> zeros(nx + 1, 0.0);
  const bool periodic_z = op.periodic & 1, periodic_y = op.periodic & 2, periodic_x = op.periodic & 4;

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

#pragma omp parallel for num_threads(threads) schedule(static) if (nz * ny * nx > kParallel)
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
    r.shift = op.shift ? op.shift + row * nx : nullptr;
    r.cells = op.cells + row * nx;
    apply_row(r, nx, periodic_x, y + row * nx);
    done(row);
  }
}

// The kinds around a row: one value throughout where the neighbouring row lies outside a box that is not periodic.
struct ConstantRow {
  const double *x, *neighbour[4];
  const uint8_t *cells, *kinds[4];
};

inline double difference(double here, double there, uint8_t kind) { return (here - there) * static_cast<double>(kind != kSolid); }

inline double constant_cell(const ConstantRow &r, int64_t i, double west, uint8_t kind_west, double east, uint8_t kind_east, double unit) {
  const double here = r.x[i];
  double sum = difference(here, west, kind_west) + difference(here, east, kind_east);
  for (int n = 0; n < 4; ++n) sum += difference(here, r.neighbour[n][i], r.kinds[n][i]);
  return r.cells[i] == kFluid ? unit * sum : 0.0;
}

void constant_row(const ConstantRow &r, int64_t nx, double unit, double before, uint8_t kind_before, double after, uint8_t kind_after,
              double *__restrict y) {
  if (nx == 1) {
    y[0] = constant_cell(r, 0, before, kind_before, after, kind_after, unit);
    return;
  }
  y[0] = constant_cell(r, 0, before, kind_before, r.x[1], r.cells[1], unit);
  const double *x = r.x, *b0 = r.neighbour[0], *b1 = r.neighbour[1], *b2 = r.neighbour[2], *b3 = r.neighbour[3];
  const uint8_t *c = r.cells, *k0 = r.kinds[0], *k1 = r.kinds[1], *k2 = r.kinds[2], *k3 = r.kinds[3];
#pragma omp simd
  for (int64_t i = 1; i < nx - 1; ++i) {
    double sum = difference(x[i], x[i - 1], c[i - 1]) + difference(x[i], x[i + 1], c[i + 1]);
    sum += difference(x[i], b0[i], k0[i]) + difference(x[i], b1[i], k1[i]);
    sum += difference(x[i], b2[i], k2[i]) + difference(x[i], b3[i], k3[i]);
    y[i] = unit * sum * static_cast<double>(c[i] == kFluid);
  }
  y[nx - 1] = constant_cell(r, nx - 1, r.x[nx - 2], r.cells[nx - 2], after, kind_after, unit);
}

// The same for a constant coefficient: no weights are read.
template <class Done>
void apply_constant(const dcg_operator &op, const double *x, double *y, int threads, Done &&done) {
  const int64_t nz = op.shape[0], ny = op.shape[1], nx = op.shape[2];
  const std::vector<double> zeros(nx, 0.0);
  const std::vector<uint8_t> walls(nx, kSolid), opens(nx, kOpen);
  const auto outside = [&](int axis, bool above) { return op.open >> (2 * axis + above) & 1; };
#pragma omp parallel for num_threads(threads) schedule(static) if (nz * ny * nx > kParallel)
  for (int64_t row = 0; row < nz * ny; ++row) {
    const int64_t at[2] = {row / ny, row % ny}, n[2] = {nz, ny}, stride[2] = {ny * nx, nx};
    ConstantRow r;
    r.x = x + row * nx, r.cells = op.cells + row * nx;
    for (int axis = 0; axis < 2; ++axis)
      for (const bool above : {false, true}) {
        int64_t there = at[axis] + (above ? 1 : -1);
        const bool out = there < 0 || there >= n[axis];
        const bool periodic = (op.periodic >> axis & 1) && n[axis] > 1;
        if (out && periodic) there = (there + n[axis]) % n[axis];
        const int place = 2 * axis + above;
        if (out && !periodic) {
          const bool open = outside(axis, above) && !(op.periodic >> axis & 1);
          r.neighbour[place] = zeros.data(), r.kinds[place] = open ? opens.data() : walls.data();
        } else {
          const int64_t offset = (there - at[axis]) * stride[axis];
          r.neighbour[place] = r.x + offset, r.kinds[place] = r.cells + offset;
        }
      }
    const bool periodic_x = (op.periodic & 4) && nx > 1;
    const auto end_kind = [&](bool above) -> uint8_t { return outside(2, above) && !(op.periodic & 4) ? kOpen : kSolid; };
    constant_row(r, nx, op.unit, periodic_x ? r.x[nx - 1] : 0.0, periodic_x ? r.cells[nx - 1] : end_kind(false), periodic_x ? r.x[0] : 0.0,
             periodic_x ? r.cells[0] : end_kind(true), y + row * nx);
    done(row);
  }
}

template <class Done>
void apply(const dcg_operator *op, const double *x, double *y, int32_t threads, Done &&done) {
  require(op && x && y, "operator, x and y must not be NULL");
  check(*op);
  require(x != y, "x and y must not be the same array");
  const int count = choose_threads(threads);
  op->unit > 0.0 ? apply_constant(*op, x, y, count, done) : apply_variable(*op, x, y, count, done);
}

// r = b - r over a row; returns the sum of its squares.
double subtract_row(int64_t n, const double *__restrict b, double *__restrict r) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    r[i] = b[i] - r[i];
    sum += r[i] * r[i];
  }
  return sum;
}

}  // namespace

extern "C" int dcg_apply(const dcg_operator *op, const double *x, double *y, int32_t threads) {
  return guarded([&] { apply(op, x, y, threads, [](int64_t) {}); });
}

extern "C" int dcg_residual(const dcg_operator *op, const double *b, const double *x, double *r, double *square, int32_t threads) {
  return guarded([&] {
    require(op && b && square, "operator, b and square must not be NULL");
    require(b != r, "b and r must not be the same array");
    check(*op);
    const int64_t nx = op->shape[2];
    std::vector<double> of_row(op->shape[0] * op->shape[1]);
    apply(op, x, r, threads, [&](int64_t row) { of_row[row] = subtract_row(nx, b + row * nx, r + row * nx); });
    *square = std::accumulate(of_row.begin(), of_row.end(), 0.0);
  });
}
