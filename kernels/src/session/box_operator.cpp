#include "session/box_operator.hpp"


#include "core/cell_kinds.hpp"
#include "core/error.hpp"
#include "matrix/matrix.hpp"

namespace dcg {

BoxOperator::BoxOperator(const dcg_operator &op, const Placement &placement, Messages *messages, const RowNumbers *numbers) : local_(op) {
  if (messages) link(op, placement, *messages, *numbers);
}

void BoxOperator::link(const dcg_operator &op, const Placement &placement, Messages &messages, const RowNumbers &numbers) {
  const int64_t *n = placement.count;
  beside_.reset(messages.ranks());
  for (int a = 0; a < 3; ++a) {
    if (messages.ranks().ranks[a] == 1) continue;
    const bool periodic = op.periodic >> a & 1;
    local_.periodic &= ~(1 << a);
    for (int side = 0; side < 2; ++side) {
      if (!periodic && (side ? placement.first[a] + n[a] == placement.shape[a] : placement.first[a] == 0)) continue;
      local_.open |= 1 << (2 * a + side);
      for_layer(n, a, side ? n[a] - 1 : 0, [&](const int64_t at[3]) {
        int64_t cell[3], inside[3], count[3];
        for (int b = 0; b < 3; ++b) cell[b] = placement.first[b] + at[b];
        cell[a] = (cell[a] + (side ? 1 : -1) + placement.shape[a]) % placement.shape[a];
        const int32_t owner = numbers.owner(cell, inside, count);
        beside_.add(static_cast<int64_t>(seams_.size()), owner, (inside[0] * count[1] + inside[1]) * count[2] + inside[2]);
        const int64_t face = face_below(n, at, a) + (side ? face_step(n, a) : 0);
        const double weight = op.unit > 0.0 ? op.unit : op.weights[a] ? op.weights[a][face] : 0.0;
        seams_.push_back({(at[0] * n[1] + at[1]) * n[2] + at[2], face, weight, static_cast<uint8_t>(2 * a + side), 0});
      });
    }
  }
  beside_.create(n[0] * n[1] * n[2]);
  std::vector<uint8_t> kinds(seams_.size());
  fetch(op.cells, kinds.data());
  for (size_t s = 0; s < seams_.size(); ++s) seams_[s].kind = kinds[s];
  beyond_.resize(seams_.size());
}

template <class Real>
void BoxOperator::mend(const double *x, Real *y, Real times) {
  if (beyond_.empty()) return;
  fetch(x, beyond_.data());
  for (size_t s = 0; s < seams_.size(); ++s) {
    const Seam &seam = seams_[s];
    if (local_.cells[seam.cell] != kFluid) continue;
    // `local_` has weight * (x - 0) there; at a wall with weights of their own the weight is 0
    if (seam.kind == kFluid) y[seam.cell] -= times * seam.weight * beyond_[s];
    if (seam.kind == kSolid && local_.unit > 0.0) y[seam.cell] -= times * seam.weight * x[seam.cell];
  }
}

void BoxOperator::product(const double *x, double *y, int32_t threads) {
  pass_on(dcg_apply(&local_, x, y, threads));
  mend(x, y, 1.0);
}

template <class Body>
void BoxOperator::for_faces(int64_t u, Body &&body) const {
  const dcg_operator &op = local_;
  const int64_t *n = op.shape, stride[3] = {n[1] * n[2], n[2], 1}, c[3] = {u / stride[0], u / stride[1] % n[1], u % n[2]};
  for (int a = 0; a < 3; ++a)
    for (int side = 0; side < 2; ++side) {
      const bool end = c[a] == (side ? n[a] - 1 : 0), turns = op.periodic >> a & 1;
      if (end && turns && n[a] == 1) continue;  // its own neighbour
      const int64_t there = u + (side ? 1 : -1) * stride[a] * (end ? 1 - n[a] : 1);
      double weight = op.unit;
      if (op.unit == 0.0) {
        weight = op.weights[a] ? op.weights[a][face_below(n, c, a) + (side ? face_step(n, a) : 0)] : 0.0;
      } else if (end && !turns ? !(op.open >> (2 * a + side) & 1) : op.cells[there] == kSolid) {
        continue;
      }
      body(weight, end && !turns ? -1 : there);
    }
}

void BoxOperator::diagonal(double *d) const {
  const int64_t cells = local_.shape[0] * local_.shape[1] * local_.shape[2];
#pragma omp parallel for schedule(static) if (cells > 16384)
  for (int64_t u = 0; u < cells; ++u) {
    d[u] = local_.shift ? local_.shift[u] : 0.0;
    for_faces(u, [&](double weight, int64_t) { d[u] += weight; });
  }
  for (const Seam &seam : seams_)
    if (seam.kind == kSolid && local_.unit > 0.0) d[seam.cell] -= seam.weight;
}

double BoxOperator::extended_residual(const double *b, const double *x, double *r) {
  const int64_t cells = local_.shape[0] * local_.shape[1] * local_.shape[2];
  std::vector<long double> sum(cells, 0.0L);
#pragma omp parallel for schedule(static) if (cells > 16384)
  for (int64_t u = 0; u < cells; ++u) {
    if (local_.cells[u] != kFluid) continue;
    const long double here = x[u];
    sum[u] = b[u];
    if (local_.shift) sum[u] -= local_.shift[u] * here;
    for_faces(u, [&](double weight, int64_t there) { sum[u] -= weight * (here - (there < 0 ? 0.0L : x[there])); });
  }
  mend(x, sum.data(), -1.0L);
  double square = 0.0;
  for (int64_t u = 0; u < cells; ++u) r[u] = static_cast<double>(sum[u]), square += r[u] * r[u];
  return square;
}

double BoxOperator::residual(const double *b, const double *x, double *r, int32_t threads) {
  double square;
  pass_on(dcg_residual(&local_, b, x, r, &square, threads));
  if (beyond_.empty()) return square;
  mend(x, r, -1.0);
  pass_on(dcg_dot(local_.shape[0] * local_.shape[1] * local_.shape[2], r, r, &square));
  return square;
}

}  // namespace dcg
