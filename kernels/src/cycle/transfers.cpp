// Transfers between a level and the next, plane by plane; R = P^T. P interpolates along z first, then y, then x: along each axis from a child's
// parent and from the parent's neighbour on the child's side.

#include <algorithm>

#include "cycle/stages.hpp"

namespace dcg {

namespace {

// R along x for any coarsening of the axis
void restrict_table(const AxisCoarsening &axis, bool periodic, Range columns, const float *fine, const float *const interp_parent[2],
                    const float *const interp_neighbour[2], float *out) {
  const int64_t n = axis.coarse();
  for (int64_t i = columns.begin; i < columns.end; ++i) {
    float sum = 0.0f;
    for (int64_t c = axis.first[i]; c < axis.first[i + 1]; ++c) sum += interp_parent[axis.side[c] > 0][i] * fine[c];
    for (const int high : {0, 1}) {  // the lower neighbour's high child interpolates from here, and the upper one's low child
      int64_t m = high ? i - 1 : i + 1;
      if (periodic && n > 1) m = (m + n) % n;
      if (m < 0 || m >= n) continue;
      const int64_t c = high ? axis.first[m + 1] - 1 : axis.first[m];
      if (axis.side[c] == (high ? 1 : -1)) sum += interp_neighbour[high][m] * fine[c];
    }
    out[i] = sum;
  }
}

float coarse_value(const CoarseRows &r, int64_t i) {  // at fine z and y, coarse x
  const float own = r.z_parent[0][i] * r.value[0][0][i] + r.z_neighbour[0][i] * r.value[0][1][i];
  const float other = r.z_parent[1][i] * r.value[1][0][i] + r.z_neighbour[1][i] * r.value[1][1][i];
  return r.y_parent[i] * own + r.y_neighbour[i] * other;
}

int64_t neighbour(int64_t at, int side, int64_t n, bool periodic) {  // -1 where there is none
  if (side == 0) return -1;
  const int64_t m = at + side;
  if (m >= 0 && m < n) return m;
  return periodic && n > 1 ? (m + n) % n : -1;
}

}  // namespace

// b - A x of the row at `start`, columns begin..end-1.
void LevelStages::residual_row(int64_t start, int64_t begin, int64_t end, float *out) const {
  const Level &level = *level_;
  const float *x = level.x.data() + start, *b = level.b.data() + start, *none = zeros_.data() + kLanes;
  const Around<float> around = neighbour_rows(level, level.x.data(), start, none);
  if (level.constant) {
    rows_->residual_constant(begin, end, x, around, b, level.stencil_type.data() + start, out);
  } else {
    const auto residual = sparse_ ? rows_->residual_differences : rows_->residual_variable;
    residual(begin, end, x, around, b, weight_rows(level, start, none), out);
  }
}

void LevelStages::residual(const Team &team, int64_t k) {
  const Level &level = *level_, &coarse = *coarse_;
  const AxisCoarsening &axis = level.coarsening[2];
  const Share own = share_rows(team, level, coarse.box.n[2], kLanes);
  const int64_t n = level.box.n[2];
  float *line = scratch_[team.rank].data() + kLanes;  // line[-1] and line[n] are the ghosts
  const int64_t from = std::max<int64_t>(0, axis.first[own.columns.begin] - 1) / kLanes * kLanes;
  const int64_t to = std::min<int64_t>((axis.first[own.columns.end] + 1 + kLanes - 1) / kLanes * kLanes, (n + kLanes - 1) / kLanes * kLanes);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t start = level.box.at(k, j), row = level.row(k, j);
    float *out = lines_[k & 1].data() + kLanes + j * coarse.box.stride;
    const int64_t begin = std::max<int64_t>(from, level.row_begin[row]), end = std::min<int64_t>(to, level.row_end[row]);
    if (begin >= end) {
      std::fill(out + own.columns.begin, out + own.columns.end, 0.0f);
      continue;
    }
    std::fill(line - 1, line + begin, 0.0f);
    std::fill(line + end, line + n + kLanes, 0.0f);
    residual_row(start, begin, end, line);
    for (int64_t i = n; i < end; ++i) line[i] = 0.0f;  // what the last pack computed beyond the row
    if (level.periodic[2]) line[-1] = line[n - 1], line[n] = line[0];
    const int64_t parent = coarse.box.at(level.coarsening[0].parent[k], level.coarsening[1].parent[j]);
    const float *interp_parent[2] = {coarse.interp_parent[2][0].data() + parent, coarse.interp_parent[2][1].data() + parent};
    const float *interp_neighbour[2] = {coarse.interp_neighbour[2][0].data() + parent, coarse.interp_neighbour[2][1].data() + parent};
    if (axis.pairs && !(level.periodic[2] && n % 2)) {
      rows_->restrict_pairs(own.columns.begin, own.columns.end, line, interp_parent, interp_neighbour, out);
    } else {
      restrict_table(axis, level.periodic[2], own.columns, line, interp_parent, interp_neighbour, out);
    }
  }
}

// Adds a plane of residuals, restricted along x already, to the coarse right-hand side: along y, then along z.
void LevelStages::restrict_plane(const Team &team, int64_t k) {
  const Level &level = *level_;
  Level &coarse = *coarse_;
  const Box &box = coarse.box;
  const Share own = share_rows(team, level, box.n[2], kLanes);
  const Range c = own.columns;
  const float *lines = lines_[k & 1].data() + kLanes;
  const AxisCoarsening &my = level.coarsening[1], &mz = level.coarsening[0];
  const int64_t parent = mz.parent[k], side = mz.side[k];
  const int64_t next = neighbour(parent, side, box.n[0], level.periodic[0]);
  const Range rows = level.box.n[1] > 1 ? team.part(box.n[1]) : own.rows;
  float *sum = scratch_[team.rank].data() + kLanes;
  for (int64_t j = rows.begin; j < rows.end; ++j) {
    std::fill(sum + c.begin, sum + c.end, 0.0f);
    for (int64_t f = my.first[j]; f < my.first[j + 1]; ++f)
      rows_->accumulate(c.begin, c.end, coarse.interp_parent[1][my.side[f] > 0].data() + box.at(parent, j), lines + f * box.stride, sum);
    for (const int high : {0, 1}) {
      const int64_t m = neighbour(j, high ? -1 : 1, box.n[1], level.periodic[1]);
      if (m < 0) continue;
      const int64_t f = high ? my.first[m + 1] - 1 : my.first[m];
      if (my.side[f] == (high ? 1 : -1))
        rows_->accumulate(c.begin, c.end, coarse.interp_neighbour[1][high].data() + box.at(parent, m), lines + f * box.stride, sum);
    }
    const int64_t row = box.at(parent, j);
    rows_->accumulate(c.begin, c.end, coarse.interp_parent[0][side > 0].data() + row, sum, coarse.b.data() + row);
    if (next >= 0)
      rows_->accumulate(c.begin, c.end, coarse.interp_neighbour[0][side > 0].data() + row, sum, coarse.b.data() + box.at(next, j));
  }
}

void LevelStages::prolong(const Team &team, int64_t k) {
  Level &level = *level_;
  const Level &coarse = *coarse_;
  const Box &box = coarse.box;
  const AxisCoarsening &mz = level.coarsening[0], &my = level.coarsening[1], &mx = level.coarsening[2];
  const Share own = share_rows(team, level, box.n[2], kLanes);
  const float *none = zeros_.data() + kLanes;
  const int64_t parent = mz.parent[k], high_z = mz.side[k] > 0;
  const int64_t next = neighbour(parent, mz.side[k], box.n[0], level.periodic[0]);
  const bool pairs = mx.pairs && !(level.periodic[2] && level.box.n[2] % 2);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t row = level.row(k, j);
    if (level.row_begin[row] >= level.row_end[row]) continue;
    const int64_t at[2] = {my.parent[j], neighbour(my.parent[j], my.side[j], box.n[1], level.periodic[1])};
    const int64_t high_y = my.side[j] > 0, here = box.at(parent, at[0]);
    CoarseRows r;
    for (int y = 0; y < 2; ++y) {
      const bool there = at[y] >= 0;
      r.value[y][0] = there ? coarse.x.data() + box.at(parent, at[y]) : none;
      r.value[y][1] = there && next >= 0 ? coarse.x.data() + box.at(next, at[y]) : none;
      r.z_parent[y] = there ? coarse.interp_parent[0][high_z].data() + box.at(parent, at[y]) : none;
      r.z_neighbour[y] = there && next >= 0 ? coarse.interp_neighbour[0][high_z].data() + box.at(parent, at[y]) : none;
    }
    r.y_parent = coarse.interp_parent[1][high_y].data() + here;
    r.y_neighbour = at[1] >= 0 ? coarse.interp_neighbour[1][high_y].data() + here : none;
    for (int s = 0; s < 2; ++s) r.x_parent[s] = coarse.interp_parent[2][s].data() + here, r.x_neighbour[s] = coarse.interp_neighbour[2][s].data() + here;
    const int64_t start = level.box.at(k, j);
    float *x = level.x.data() + start;
    const int64_t whole = pairs ? std::min(own.columns.end, level.box.n[2] / 2) : own.columns.begin;
    if (pairs) {  // whole packs, what is no unknown with the rest; no other thread's, since a share begins at a multiple of kLanes
      const int64_t begin = 2 * own.columns.begin, end = (2 * whole + kLanes - 1) / kLanes * kLanes;
      rows_->prolong_pairs(own.columns.begin, whole, r, x);
      if (level.constant) {
        rows_->mask_constant(begin, end, level.stencil_type.data() + start, x);
      } else {
        rows_->mask_variable(begin, end, level.omega_dinv.data() + start, x);
      }
    }
    for (int64_t i = whole; i < own.columns.end; ++i)
      for (int64_t f = mx.first[i]; f < mx.first[i + 1]; ++f) {
        if (level.constant ? level.stencil_type[start + f] == 0 : level.omega_dinv[start + f] == 0.0f) continue;
        const int high = mx.side[f] > 0;
        x[f] += r.x_parent[high][i] * coarse_value(r, i);
        if (mx.side[f] != 0) x[f] += r.x_neighbour[high][i] * coarse_value(r, i + mx.side[f]);
      }
    prolong_unstructured(start + mx.first[own.columns.begin], start + mx.first[own.columns.end]);
    fill_periodic_ghosts(level, level.x.data(), k, j, {mx.first[own.columns.begin], mx.first[own.columns.end]});
  }
}

// The part of the restriction that secondary unknowns change; residuals are computed where it needs them.
void LevelStages::restrict_unstructured() {
  const Level &level = *level_;
  const Box &box = level.box;
  int64_t at = -1;
  float r = 0.0f;
  for (const Entry &entry : level.unstructured) {
    const int64_t u = entry.fine;
    if (u != at) {
      at = u;
      if (u >= box.size) {
        r = level.b[u] - level.diagonal[u] * level.x[u];
        for (int64_t m = level.neighbour_start[u - box.size]; m < level.neighbour_start[u - box.size + 1]; ++m)
          r += level.neighbours[m].weight * level.x[level.neighbours[m].unknown];
      } else if (level.constant) {
        r = level.b[u] - static_cast<float>(level.stencil_type[u] & 7) * level.x[u];
        for (int a = 0; a < 3; ++a)
          if (box.n[a] > 1) r += level.x[u - box.offset(a)] + level.x[u + box.offset(a)];
      } else {
        r = level.b[u] - level.diagonal[u] * level.x[u];
        for (int a = 0; a < 3; ++a)
          if (box.n[a] > 1)
            r += level.weight[a][u - box.offset(a)] * level.x[u - box.offset(a)] + level.weight[a][u] * level.x[u + box.offset(a)];
      }
    }
    coarse_->b[entry.coarse] += entry.weight * r;
  }
}

// The same of the prolongation, for the fine unknowns begin..end-1.
void LevelStages::prolong_unstructured(int64_t begin, int64_t end) {
  Level &level = *level_;
  const auto before = [](const Entry &e, int64_t u) { return e.fine < u; };
  auto entry = std::lower_bound(level.unstructured.begin(), level.unstructured.end(), begin, before);
  for (; entry != level.unstructured.end() && entry->fine < end; ++entry) {
    const float change = entry->weight * coarse_->x[entry->coarse];
    if (entry->fine >= level.box.size) {
      change_secondary(level, entry->fine - level.box.size, change);
    } else {
      level.x[entry->fine] += change;
    }
  }
}

}  // namespace dcg
