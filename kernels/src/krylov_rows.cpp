// The rows' products and updates, for either form of the operator.

#include "krylov_rows.hpp"

#include <algorithm>

#include "clones.hpp"

namespace dcg {

KrylovRows::KrylovRows(const System &system, Level &finest, const RowKernels &rows, const Team &team)
    : system_(system), level_(finest), rows_(rows), team_(team), zeros_(finest.box.stride + 2 * kLanes, 0.0f) {
  const int64_t *n = finest.box.n;
  const bool split_rows = n[1] > 1 || team.size == 1;
  by_row_ = split_rows ? team.part(n[1]) : Range{0, 1};
  by_column_ = split_rows ? Range{0, n[2]} : team.part(n[2], 2 * kLanes);
}

double KrylovRows::load_residual(double inverse) const { return dcg::load_residual(level_, system_.r, inverse, team_); }

Range KrylovRows::columns(int64_t k, int64_t j) const {
  const int64_t row = level_.row(k, j);
  return {std::max<int64_t>(by_column_.begin, level_.row_begin[row]), std::min<int64_t>(by_column_.end, level_.row_end[row])};
}

Around<float> KrylovRows::around(const float *p, int64_t at) const { return rows_beside(level_, p, at, zeros_.data() + kLanes); }

FineWeights weights_round(const dcg_operator &op, int64_t row, int64_t first) {
  const int64_t ny = op.shape[1], nx = op.shape[2], k = row / ny, j = row % ny, at = row * nx + first;
  FineWeights w{};
  if (op.weights[0]) w.down = op.weights[0] + at, w.up = w.down + ny * nx;
  if (op.weights[1]) w.south = op.weights[1] + (k * (ny + 1) + j) * nx + first, w.north = w.south + nx;
  w.west = op.weights[2] + row * (nx + 1) + first;
  w.shift = op.shift ? op.shift + at : nullptr;
  w.cells = op.cells + at;
  return w;
}

void KrylovRows::wrap(float *p, int64_t k) const {
  for (int64_t j = by_row_.begin; j < by_row_.end; ++j) wrap_row(level_, p, k, j, by_column_);
}

double KrylovRows::curvature(const float *p, int64_t k) const {
  double sum = 0.0;
  for (int64_t j = by_row_.begin; j < by_row_.end; ++j) {
    const Range c = columns(k, j);
    if (c.begin >= c.end) continue;
    const int64_t length = c.end - c.begin, at = level_.box.at(k, j) + c.begin;
    const float *none = zeros_.data() + kLanes;
    const Around<float> n = around(p, at);
    sum += level_.unit ? rows_.curvature_unit(length, p + at, n, level_.code.data() + at)
                       : rows_.curvature_weighted(length, p + at, n, weight_rows(level_, at, none));
  }
  return sum;
}

void KrylovRows::product(const float *p, int64_t k, float *out) const {
  for (int64_t j = by_row_.begin; j < by_row_.end; ++j) {
    const Range c = columns(k, j);
    if (c.begin >= c.end) continue;
    const int64_t length = c.end - c.begin, at = level_.box.at(k, j) + c.begin;
    const float *none = zeros_.data() + kLanes;
    const Around<float> n = around(p, at);
    if (level_.unit) {
      rows_.residual_unit(0, length, p + at, n, none, level_.code.data() + at, out + at);
    } else {
      rows_.residual_weighted(0, length, p + at, n, none, weight_rows(level_, at, none), out + at);
    }
  }
}

double KrylovRows::advance(double alpha, const float *p, double inverse) const {
  const int64_t ny = level_.box.n[1], nx = level_.box.n[2];
  double sum = 0.0;
  for (int64_t k = 0; k < level_.box.n[0]; ++k)
    for (int64_t j = by_row_.begin; j < by_row_.end; ++j) {
      const Range c = columns(k, j);
      if (c.begin >= c.end) continue;
      const int64_t length = c.end - c.begin, at = level_.box.at(k, j) + c.begin, row = (k * ny + j) * nx + c.begin;
      const Around<float> n = around(p, at);
      double *x = system_.x + row, *r = system_.r + row;
      float *b = level_.b.data() + at;
      sum += level_.unit ? rows_.advance_unit(length, alpha, system_.op.unit, p + at, n, level_.code.data() + at, x, r, inverse, b)
                         : rows_.advance_weighted(length, alpha, p + at, n, weights_round(system_.op, k * ny + j, c.begin), x, r, inverse, b);
    }
  return team_.sum(sum);
}

double load_residual(Level &finest, const double *r, double inverse, const Team &team) {
  const Box &box = finest.box;
  const Range rows = team.part(box.n[0] * box.n[1]);
  double sum = 0.0;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t at = box.at(row / box.n[1], row % box.n[1]);
    sum += load_row(box.n[2], inverse, r + row * box.n[2], &finest.cells[at], &finest.b[at]);
  }
  return team.sum(sum);
}

DCG_CLONES double load_row(int64_t n, double inverse, const double *r, const uint8_t *cell, float *__restrict b) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const double here = cell[i] == 0 ? r[i] : 0.0;
    b[i] = static_cast<float>(inverse * here);
    sum += here * here;
  }
  return sum;
}

}  // namespace dcg
