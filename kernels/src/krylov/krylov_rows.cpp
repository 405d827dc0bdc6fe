// The rows' products and updates, for either form of the operator.

#include "krylov/krylov_rows.hpp"

#include <algorithm>

#include "core/clones.hpp"

namespace dcg {

namespace {

// The user's weights round a row of the vectors, from column `first` on.
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

}  // namespace

KrylovRows::KrylovRows(const System &system, Level &finest, const RowKernels &rows, const Team &team)
    : system_(system), level_(finest), rows_(rows), team_(team), zeros_(finest.box.stride + 2 * kLanes, 0.0) {
  const int64_t *n = finest.box.n;
  const bool split_rows = n[1] > 1 || team.size == 1;
  by_row_ = split_rows ? team.part(n[1]) : Range{0, 1};
  by_column_ = split_rows ? Range{0, n[2]} : team.part(n[2], 2 * kLanes);
}

Range KrylovRows::columns(int64_t k, int64_t j) const {
  const int64_t row = level_.row(k, j);
  return {std::max<int64_t>(by_column_.begin, level_.row_begin[row]), std::min<int64_t>(by_column_.end, level_.row_end[row])};
}

void KrylovRows::wrap(double *p, int64_t k) const {
  for (int64_t j = by_row_.begin; j < by_row_.end; ++j) fill_periodic_ghosts(level_, p, k, j, by_column_);
}

double KrylovRows::curvature_row(const double *p, int64_t row, int64_t first, int64_t at, int64_t length) const {
  return level_.constant ? rows_.curvature_constant(length, p + at, around(p, at), level_.stencil_type.data() + at)
                         : rows_.curvature_variable(length, p + at, around(p, at), weights_round(system_.op, row, first));
}

double KrylovRows::curvature(const double *p, int64_t k) const {
  double sum = 0.0;
  each_row(k, [&](int64_t j, int64_t first, int64_t length) {
    sum += curvature_row(p, k * level_.box.n[1] + j, first, level_.box.at(k, j) + first, length);
  });
  return sum;
}

double KrylovRows::product(const double *p, int64_t k, double *out) const {
  double sum = 0.0;
  each_row(k, [&](int64_t j, int64_t first, int64_t length) {
    const int64_t at = level_.box.at(k, j) + first;
    sum += level_.constant ? rows_.product_constant(length, p + at, around(p, at), level_.stencil_type.data() + at, out + at)
                           : rows_.product_variable(length, p + at, around(p, at), weights_round(system_.op, k * level_.box.n[1] + j, first), out + at);
  });
  return sum;
}

double KrylovRows::advance_row(double alpha, const double *p, double inverse, int64_t row, int64_t first, int64_t at, int64_t length) const {
  const int64_t entry = row * system_.op.shape[2] + first;
  double *x = system_.x + entry, *r = system_.r + entry;
  float *b = level_.b.data() + at;
  return level_.constant
             ? rows_.advance_constant(length, alpha, system_.op.unit, p + at, around(p, at), level_.stencil_type.data() + at, x, r, inverse, b)
             : rows_.advance_variable(length, alpha, p + at, around(p, at), weights_round(system_.op, row, first), x, r, inverse, b);
}

double KrylovRows::advance(double alpha, const double *p, double inverse) const {
  double sum = 0.0;
  for (int64_t k = 0; k < level_.box.n[0]; ++k)
    each_row(k, [&](int64_t j, int64_t first, int64_t length) {
      sum += advance_row(alpha, p, inverse, k * level_.box.n[1] + j, first, level_.box.at(k, j) + first, length);
    });
  return team_.sum(sum);
}

namespace {

// body(first place, its entry of the user's vectors, length): the columns with unknowns of this thread's rows.
template <class Body>
void each_row(const Level &finest, const Team &team, Body &&body) {
  const Box &box = finest.box;
  const Range rows = team.part(box.n[0] * box.n[1]);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t k = row / box.n[1], j = row % box.n[1], span = finest.row(k, j);
    const int64_t begin = finest.row_begin[span], end = std::min<int64_t>(finest.row_end[span], box.n[2]);
    if (begin < end) body(box.at(k, j) + begin, row * box.n[2] + begin, end - begin);
  }
}

}  // namespace

double residual_square(const Level &finest, const double *r, const Team &team) {
  double sum = 0.0;
  each_row(finest, team, [&](int64_t at, int64_t entry, int64_t n) { sum += square_row(n, r + entry, &finest.cells[at]); });
  return team.sum(sum);
}

void load_residual(Level &finest, const double *r, double inverse, const Team &team) {
  each_row(finest, team, [&](int64_t at, int64_t entry, int64_t n) { load_row(n, inverse, r + entry, &finest.cells[at], &finest.b[at]); });
}

namespace {

// take(first, last, all): eight cells, all of them unknowns or to be looked at one by one.
template <class Take>
[[gnu::always_inline]] inline void by_eights(int64_t n, const uint8_t *cell, Take &&take) {
  for (int64_t i = 0; i < n; i += 8) {
    uint64_t kinds = 1;
    if (i + 8 <= n) __builtin_memcpy(&kinds, cell + i, sizeof kinds);
    static_assert(DCG_FLUID == 0, "eight kinds at once");
    take(i, std::min(i + 8, n), kinds == 0);
  }
}

}  // namespace

DCG_CLONES double square_row(int64_t n, const double *r, const uint8_t *cell) {
  double sum[8] = {};
  by_eights(n, cell, [&](int64_t first, int64_t last, bool all) {
    if (all) {
      for (int l = 0; l < 8; ++l) sum[l] += r[first + l] * r[first + l];
    } else {
      for (int64_t i = first; i < last; ++i)
        if (cell[i] == DCG_FLUID) sum[i - first] += r[i] * r[i];
    }
  });
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

DCG_CLONES void load_row(int64_t n, double inverse, const double *r, const uint8_t *cell, float *__restrict b) {
  by_eights(n, cell, [&](int64_t first, int64_t last, bool all) {
    if (all) {
      for (int l = 0; l < 8; ++l) b[first + l] = static_cast<float>(inverse * r[first + l]);
    } else {
      for (int64_t i = first; i < last; ++i) b[i] = cell[i] == DCG_FLUID ? static_cast<float>(inverse * r[i]) : 0.0f;
    }
  });
}

}  // namespace dcg
