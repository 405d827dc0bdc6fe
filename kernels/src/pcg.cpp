// Hestenes and Stiefel's conjugate gradients (Saad 2003, algorithm 9.1). r and x are in double precision, z = M r and the
// direction p in single: the step along the p that is stored is exact, so rounding costs conjugacy, not consistency
// of x and r. A p is computed twice instead of being stored.
//
// Ledger, bytes per cell and iteration beside the cycle, unit weights: direction 12, curvature 1, advance 41 = 54; to store
// A p in double precision would make it 78.

#include "pcg.hpp"

#include <algorithm>
#include <cmath>

namespace dcg {

namespace {

struct Rows {  // access to the rows of the finest level
  const Level &level;
  const dcg_operator &op;
  const float *zeros;

  Around<float> around(const float *p, int64_t k, int64_t j) const { return rows_beside(level, p, k, j, zeros); }
  FineWeights weights(int64_t k, int64_t j) const {
    const int64_t ny = level.box.n[1], nx = level.box.n[2], row = (k * ny + j) * nx;
    FineWeights w{};
    if (op.weights[0]) w.down = op.weights[0] + row, w.up = w.down + ny * nx;
    if (op.weights[1]) w.south = op.weights[1] + (k * (ny + 1) + j) * nx, w.north = w.south + nx;
    w.west = op.weights[2] + (k * ny + j) * (nx + 1);
    w.shift = op.shift ? op.shift + row : nullptr;
    w.cells = op.cells + row;
    return w;
  }
};

Around<float> shifted(Around<float> n, int64_t by) {
  return {n.up + by, n.down + by, n.north + by, n.south + by};
}

FineWeights shifted(FineWeights w, int64_t by) {
  for (const double **row : {&w.down, &w.up, &w.south, &w.north, &w.west, &w.shift})
    if (*row) *row += by;
  w.cells += by;
  return w;
}

double row_curvature(const Rows &access, const RowKernels &rows, const float *p, int64_t k, int64_t j, int64_t first,
                     int64_t length, bool unit) {
  const int64_t at = access.level.box.at(k, j) + first;
  const Around<float> n = shifted(access.around(p, k, j), first);
  if (unit) return rows.curvature_unit(length, p + at, n, access.level.code.data() + at);
  return rows.curvature_weighted(length, p + at, n, shifted(access.weights(k, j), first));
}

}  // namespace

double load_residual(Level &finest, const double *r, double inverse, const Team &team) {
  const Box &box = finest.box;
  const Range rows = team.part(box.n[0] * box.n[1]);
  double sum = 0.0;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float *b = finest.b.data() + box.at(row / box.n[1], row % box.n[1]);
    const double *from = r + row * box.n[2];
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < box.n[2]; ++i) {
      b[i] = static_cast<float>(inverse * from[i]);
      sum += from[i] * from[i];
    }
  }
  return team.sum(sum);
}

Outcome conjugate_gradients(Cycle &cycle, const System &system, Level &finest, Field<float> &direction, const RowKernels &rows,
                            const Team &team, double target, int64_t maxiter, double *history, double *steps) {
  const Box &box = finest.box;
  const std::vector<float> zeros(box.stride + 2 * kLanes, 0.0f);
  const Rows access{finest, system.op, zeros.data() + kLanes};
  const int64_t planes = box.n[0], nx = box.n[2];
  const bool split_rows = box.n[1] > 1 || team.size == 1;
  const Range by_row = split_rows ? team.part(box.n[1]) : Range{0, 1};
  const Range by_column = split_rows ? Range{0, nx} : team.part(nx, 2 * kLanes);
  const bool turns = finest.periodic[0], unit = finest.unit;
  float *p = direction.data();
  // This thread's columns of a row, as far as there are unknowns in it; elsewhere p, r and the change of x are 0.
  const auto in_use = [&](int64_t k, int64_t j) -> Range {
    const int64_t row = finest.row(k, j);
    return {std::max<int64_t>(by_column.begin, finest.row_begin[row]), std::min<int64_t>(by_column.end, finest.row_end[row])};
  };

  double norm = std::sqrt(load_residual(finest, system.r, 1.0, team));
  const double inverse = norm > 0.0 ? 1.0 / norm : 1.0;  // keeps what the cycle sees near 1 at the start
  load_residual(finest, system.r, inverse, team);
  const Range all = team.part(direction.size());
  std::fill(p + all.begin, p + all.end, 0.0f);
  team.barrier();

  Outcome out;
  double rho = 0.0;
  for (; out.iterations < maxiter; ++out.iterations) {
    if (norm <= target) break;
    const double rho_new = cycle.run(team);
    if (!(rho_new > 0.0) || !std::isfinite(rho_new)) return {out.iterations, 2};
    const float beta = rho > 0.0 ? static_cast<float>(rho_new / rho) : 0.0f;
    double curvature = 0.0;
    const auto set_direction = [&](int64_t k) {
      for (int64_t j = by_row.begin; j < by_row.end; ++j) {
        const Range c = in_use(k, j);
        if (c.begin >= c.end) continue;
        const int64_t at = box.at(k, j) + c.begin;
        rows.direction(c.end - c.begin, finest.x.data() + at, beta, p + at);
        wrap_row(finest, p, k, j, by_column);
      }
    };
    const auto measure = [&](int64_t k) {
      for (int64_t j = by_row.begin; j < by_row.end; ++j) {
        const Range c = in_use(k, j);
        if (c.begin < c.end) curvature += row_curvature(access, rows, p, k, j, c.begin, c.end - c.begin, unit);
      }
    };
    const int64_t lag = turns ? planes : 2;
    for (int64_t step = 0; step < planes + lag; ++step) {
      if (step < planes) set_direction(step);
      if (step >= lag) measure(step - lag);
      if (!turns || step == planes - 1) team.barrier();
    }
    curvature = team.sum(curvature) * (unit ? system.op.unit : 1.0);
    if (!(curvature > 0.0) || !std::isfinite(curvature)) return {out.iterations, 2};
    const double alpha = rho_new / (inverse * curvature);
    double sum = 0.0;
    for (int64_t k = 0; k < planes; ++k)
      for (int64_t j = by_row.begin; j < by_row.end; ++j) {
        const Range c = in_use(k, j);
        if (c.begin >= c.end) continue;
        const int64_t first = c.begin, length = c.end - c.begin;
        const int64_t row = (k * box.n[1] + j) * nx + first, at = box.at(k, j) + first;
        if (unit) {
          sum += rows.advance_unit(length, alpha, system.op.unit, p + at, shifted(access.around(p, k, j), first),
                                   finest.code.data() + at, system.x + row, system.r + row, inverse, finest.b.data() + at);
        } else {
          sum += rows.advance_weighted(length, alpha, p + at, shifted(access.around(p, k, j), first),
                                       shifted(access.weights(k, j), first), system.x + row, system.r + row, inverse,
                                       finest.b.data() + at);
        }
      }
    norm = std::sqrt(team.sum(sum));
    if (team.rank == 0) {
      history[out.iterations] = norm;
      steps[2 * out.iterations] = alpha, steps[2 * out.iterations + 1] = beta;
    }
    rho = rho_new;
  }
  out.result = norm <= target ? 0 : 1;
  return out;
}

}  // namespace dcg
