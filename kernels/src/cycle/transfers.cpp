// Between a level and the next: residuals taken down, corrections brought up, plane by plane; R = P^T. Along each axis a child takes
// `keep` of its parent and `toward` of the neighbour on its side; z first, then y, then x on the way up.

#include <algorithm>

#include "cycle/stages.hpp"

namespace dcg {

namespace {

// The transposed prolongation along x for any merge.
void restrict_table(const Merge &merge, bool periodic, Range columns, const float *fine, const float *const keep[2],
                    const float *const toward[2], float *out) {
  const int64_t n = merge.coarse();
  for (int64_t i = columns.begin; i < columns.end; ++i) {
    float sum = 0.0f;
    for (int64_t c = merge.first[i]; c < merge.first[i + 1]; ++c) sum += keep[merge.side[c] > 0][i] * fine[c];
    for (const int high : {0, 1}) {  // the neighbour below leans here with its high child, the one above with its low child
      int64_t m = high ? i - 1 : i + 1;
      if (periodic && n > 1) m = (m + n) % n;
      if (m < 0 || m >= n) continue;
      const int64_t c = high ? merge.first[m + 1] - 1 : merge.first[m];
      if (merge.side[c] == (high ? 1 : -1)) sum += toward[high][m] * fine[c];
    }
    out[i] = sum;
  }
}

float coarse_value(const CoarseRows &r, int64_t i) {  // at fine z and y, coarse x
  const float own = r.z_keep[0][i] * r.value[0][0][i] + r.z_toward[0][i] * r.value[0][1][i];
  const float other = r.z_keep[1][i] * r.value[1][0][i] + r.z_toward[1][i] * r.value[1][1][i];
  return r.y_keep[i] * own + r.y_toward[i] * other;
}

int64_t neighbour(int64_t at, int side, int64_t n, bool periodic) {  // -1 where there is none
  if (side == 0) return -1;
  const int64_t m = at + side;
  if (m >= 0 && m < n) return m;
  return periodic && n > 1 ? (m + n) % n : -1;
}

}  // namespace

void LevelStages::residual(const Team &team, int64_t k) {
  const Level &level = *level_, &coarse = *coarse_;
  const Merge &merge = level.merge[2];
  const Share own = share_rows(team, level, coarse.box.n[2], kLanes);
  const int64_t n = level.box.n[2];
  float *line = scratch_[team.rank].data() + kLanes;  // line[-1] and line[n] are the ghosts
  const int64_t from = std::max<int64_t>(0, merge.first[own.columns.begin] - 1) / kLanes * kLanes;
  const int64_t to = std::min<int64_t>((merge.first[own.columns.end] + 1 + kLanes - 1) / kLanes * kLanes, (n + kLanes - 1) / kLanes * kLanes);
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
    const float *x = level.x.data() + start, *b = level.b.data() + start;
    const Around<float> around = neighbour_rows(level, level.x.data(), start, zeros_.data() + kLanes);
    if (level.unit) {
      rows_->residual_unit(begin, end, x, around, b, level.code.data() + start, line);
    } else {
      rows_->residual_weighted(begin, end, x, around, b, weight_rows(level, start, zeros_.data() + kLanes), line);
    }
    for (int64_t i = n; i < end; ++i) line[i] = 0.0f;  // what the last pack computed beyond the row
    if (level.periodic[2]) line[-1] = line[n - 1], line[n] = line[0];
    const int64_t parent = coarse.box.at(level.merge[0].parent[k], level.merge[1].parent[j]);
    const float *keep[2] = {coarse.keep[2][0].data() + parent, coarse.keep[2][1].data() + parent};
    const float *toward[2] = {coarse.toward[2][0].data() + parent, coarse.toward[2][1].data() + parent};
    if (merge.pairs && !(level.periodic[2] && n % 2)) {
      rows_->restrict_pairs(own.columns.begin, own.columns.end, line, keep, toward, out);
    } else {
      restrict_table(merge, level.periodic[2], own.columns, line, keep, toward, out);
    }
  }
}

// Adds a plane of residuals, merged along x already, to the coarse right-hand side: along y, then along z.
void LevelStages::restrict_plane(const Team &team, int64_t k) {
  const Level &level = *level_;
  Level &coarse = *coarse_;
  const Box &box = coarse.box;
  const Share own = share_rows(team, level, box.n[2], kLanes);
  const Range c = own.columns;
  const float *lines = lines_[k & 1].data() + kLanes;
  const Merge &my = level.merge[1], &mz = level.merge[0];
  const int64_t parent = mz.parent[k], side = mz.side[k];
  const int64_t next = neighbour(parent, side, box.n[0], level.periodic[0]);
  const Range rows = level.box.n[1] > 1 ? team.part(box.n[1]) : own.rows;
  float *sum = scratch_[team.rank].data() + kLanes;
  for (int64_t j = rows.begin; j < rows.end; ++j) {
    std::fill(sum + c.begin, sum + c.end, 0.0f);
    for (int64_t f = my.first[j]; f < my.first[j + 1]; ++f)
      rows_->accumulate(c.begin, c.end, coarse.keep[1][my.side[f] > 0].data() + box.at(parent, j), lines + f * box.stride, sum);
    for (const int high : {0, 1}) {
      const int64_t m = neighbour(j, high ? -1 : 1, box.n[1], level.periodic[1]);
      if (m < 0) continue;
      const int64_t f = high ? my.first[m + 1] - 1 : my.first[m];
      if (my.side[f] == (high ? 1 : -1))
        rows_->accumulate(c.begin, c.end, coarse.toward[1][high].data() + box.at(parent, m), lines + f * box.stride, sum);
    }
    const int64_t row = box.at(parent, j);
    rows_->accumulate(c.begin, c.end, coarse.keep[0][side > 0].data() + row, sum, coarse.b.data() + row);
    if (next >= 0)
      rows_->accumulate(c.begin, c.end, coarse.toward[0][side > 0].data() + row, sum, coarse.b.data() + box.at(next, j));
  }
}

void LevelStages::prolong(const Team &team, int64_t k) {
  Level &level = *level_;
  const Level &coarse = *coarse_;
  const Box &box = coarse.box;
  const Merge &mz = level.merge[0], &my = level.merge[1], &mx = level.merge[2];
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
      r.z_keep[y] = there ? coarse.keep[0][high_z].data() + box.at(parent, at[y]) : none;
      r.z_toward[y] = there && next >= 0 ? coarse.toward[0][high_z].data() + box.at(parent, at[y]) : none;
    }
    r.y_keep = coarse.keep[1][high_y].data() + here;
    r.y_toward = at[1] >= 0 ? coarse.toward[1][high_y].data() + here : none;
    for (int s = 0; s < 2; ++s) r.x_keep[s] = coarse.keep[2][s].data() + here, r.x_toward[s] = coarse.toward[2][s].data() + here;
    const int64_t start = level.box.at(k, j);
    float *x = level.x.data() + start;
    const int64_t whole = pairs ? std::min(own.columns.end, level.box.n[2] / 2) : own.columns.begin;
    if (pairs) {  // whole packs, what is no unknown with the rest; no other thread's, since a share begins at a multiple of kLanes
      const int64_t begin = 2 * own.columns.begin, end = (2 * whole + kLanes - 1) / kLanes * kLanes;
      rows_->prolong_pairs(own.columns.begin, whole, r, x);
      if (level.unit) {
        rows_->mask_unit(begin, end, level.code.data() + start, x);
      } else {
        rows_->mask_weighted(begin, end, level.relax.data() + start, x);
      }
    }
    for (int64_t i = whole; i < own.columns.end; ++i)
      for (int64_t f = mx.first[i]; f < mx.first[i + 1]; ++f) {
        if (level.unit ? level.code[start + f] == 0 : level.relax[start + f] == 0.0f) continue;
        const int high = mx.side[f] > 0;
        x[f] += r.x_keep[high][i] * coarse_value(r, i);
        if (mx.side[f] != 0) x[f] += r.x_toward[high][i] * coarse_value(r, i + mx.side[f]);
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
  for (const Entry &entry : level.sparse) {
    const int64_t u = entry.fine;
    if (u != at) {
      at = u;
      if (u >= box.size) {
        r = level.b[u] - level.diagonal[u] * level.x[u];
        for (int64_t m = level.neighbour_start[u - box.size]; m < level.neighbour_start[u - box.size + 1]; ++m)
          r += level.neighbours[m].weight * level.x[level.neighbours[m].unknown];
      } else if (level.unit) {
        r = level.b[u] - static_cast<float>(level.code[u] & 7) * level.x[u];
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
  auto entry = std::lower_bound(level.sparse.begin(), level.sparse.end(), begin, before);
  for (; entry != level.sparse.end() && entry->fine < end; ++entry) {
    const float change = entry->weight * coarse_->x[entry->coarse];
    if (entry->fine >= level.box.size) {
      change_secondary(level, entry->fine - level.box.size, change);
    } else {
      level.x[entry->fine] += change;
    }
  }
}

}  // namespace dcg
