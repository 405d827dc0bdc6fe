// One V: relax, take the residual down, correct, relax in reverse. With S a relaxation that contracts in the norm of A, its
// reverse S* and a symmetric positive semi-definite B below, I - M A = S* (I - P B P^T A) S, so M is symmetric and positive
// definite whatever the learned weights (deepcg/multilevel.py has the proof).
//
// The passes over a level run as one wave: while one relaxes plane k, the next relaxes plane k - 2, whose neighbours are done, so that a
// plane is read from memory once for all of them. Threads share the rows of each plane and meet after every step.
// Extra unknowns, and boxes that turn round along z, need each pass finished before the next.

#include "cycle.hpp"

#include <algorithm>

namespace dcg {

namespace {

constexpr int64_t kSmall = 16384; // cells: a level below is swept by one thread, without barriers

// Rows of a plane for this thread; a plane of one row is shared by columns instead.
struct Share {
  Range rows, columns;
};

Share share(const Team &team, int64_t rows, int64_t columns, int64_t grain) {
  if (rows > 1 || team.size == 1) return {team.part(rows), {0, columns}};
  return {{0, 1}, team.part(columns, grain)};
}

// Where rows turn round, the thread that has the row has all of it.
Share share_rows(const Team &team, const Level &level, int64_t columns, int64_t grain) {
  if (level.periodic[2] && level.box.n[1] == 1) return {{0, team.rank == 0 ? 1 : 0}, {0, columns}};
  return share(team, level.box.n[1], columns, grain);
}

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
  const float beside = r.z_keep[1][i] * r.value[1][0][i] + r.z_toward[1][i] * r.value[1][1][i];
  return r.y_keep[i] * own + r.y_toward[i] * beside;
}

// Changes an extra unknown. What it gives its primary neighbours is kept in their right-hand sides, so that the sweeps
// need not know of it.
void change_extra(Level &level, int64_t e, float change) {
  level.x[level.box.size + e] += change;
  for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m)
    if (level.neighbours[m].unknown < level.box.size) level.b[level.neighbours[m].unknown] += level.neighbours[m].weight * change;
}

int64_t beside(int64_t at, int side, int64_t n, bool periodic) {  // -1 where there is none
  if (side == 0) return -1;
  const int64_t m = at + side;
  if (m >= 0 && m < n) return m;
  return periodic && n > 1 ? (m + n) % n : -1;
}

}  // namespace

void Cycle::prepare(std::vector<Level *> levels, const dcg_weights &weights, const RowKernels &rows, int threads) {
  levels_ = std::move(levels), weights_ = weights, rows_ = &rows;
  buffers_.assign(levels_.size(), {});
  int64_t longest = 0;
  for (size_t l = 0; l < levels_.size(); ++l) {
    const Level &level = *levels_[l];
    Buffers &own = buffers_[l];
    longest = std::max(longest, level.box.stride);
    for (int a = 0; a < 3; ++a)
      if (level.periodic[a] && level.box.n[a] % 2) own.odd_axes.push_back(a);
    own.passes = 2 << own.odd_axes.size();
    own.fused = level.extras == 0 && own.odd_axes.empty() && !(level.periodic[0] && level.box.n[0] > 1);
    if (l + 1 < levels_.size())
      for (auto &lines : own.lines) lines.assign(level.box.n[1] * levels_[l + 1]->box.stride + 2 * kLanes, 0.0f);
    const bool from_zero = own.odd_axes.empty();
    for (int s = 0; s < sweeps(l); ++s)
      for (int p = 0; p < own.passes; ++p) {
        own.down.push_back({Stage::kRelax, s, p, from_zero && s == 0 && p == 0});
        own.up.insert(own.up.begin(), {Stage::kRelax, s, p});
      }
    own.up.insert(own.up.begin(), {Stage::kProlong});
    own.down.push_back({Stage::kResidual});
    own.down.push_back({Stage::kRestrict});
    if (l == 0) own.up.push_back({Stage::kDot});
  }
  for (int s = 0; s < DCG_SWEEPS; ++s)
    for (int colour = 0; colour < 2; ++colour)
      for (int c = 0; c < DCG_CODES; ++c)
        factors_[s][colour][c] = c & 7 ? weights.omega[0][s][colour] * weights.codebook[c] / static_cast<float>(c & 7) : 0.0f;
  zeros_.assign(longest + 4 * kLanes, 0.0f);
  scratch_.assign(threads, std::vector<float>(2 * longest + 8 * kLanes, 0.0f));
  dots_.assign(8 * threads, 0.0);
}

int Cycle::sweeps(size_t l) const { return weights_.sweeps[std::min<size_t>(l, DCG_LEVELS - 1)]; }

int64_t Cycle::bytes() const {
  int64_t floats = 0;
  for (const Buffers &b : buffers_) floats += b.lines[0].size() + b.lines[1].size();
  for (const auto &s : scratch_) floats += s.size();
  return floats * sizeof(float);
}

double Cycle::run(const Team &team) {
  dots_[8 * team.rank] = 0.0;
  visit(0, team);
  if (levels_.size() == 1) {
    const Level &level = *levels_[0];
    for (int64_t k = 0; k < level.box.n[0]; ++k) dots_[8 * team.rank] += dot(level, team, k);
  }
  return team.sum(dots_[8 * team.rank]);
}

void Cycle::visit(size_t l, const Team &team) {
  Level &level = *levels_[l];
  if (team.size > 1 && (level.box.cells() < kSmall || l + 1 == levels_.size())) {
    if (team.rank == 0) visit(l, Team{0, 1, nullptr});
    team.barrier();
    return;
  }
  if (l + 1 == levels_.size()) return solve_directly(level);
  smooth_down(l, team);
  visit(l + 1, team);
  smooth_up(l, team);
}

void Cycle::smooth_down(size_t l, const Team &team) {
  Level &level = *levels_[l], &coarse = *levels_[l + 1];
  Buffers &own = buffers_[l];
  const Range part = team.part(coarse.box.size + coarse.extras, 16);
  std::fill(coarse.b.data() + part.begin, coarse.b.data() + part.end, 0.0f);
  if (own.fused) {
    waves(l, team, own.down, true);
  } else {
    const Range all = team.part(level.box.size, 16);
    if (!own.odd_axes.empty()) std::fill(level.x.data() + all.begin, level.x.data() + all.end, 0.0f);
    if (team.rank == 0) std::fill(level.x.data() + level.box.size, level.x.data() + level.box.size + level.extras, 0.0f);
    team.barrier();
    for (const Stage &stage : own.down) {
      if (stage.kind == Stage::kResidual) {
        waves(l, team, {stage, {Stage::kRestrict}}, true);
        break;
      }
      waves(l, team, {stage}, false);
      if (stage.pass + 1 == own.passes && level.extras) {
        if (team.rank == 0) relax_extras(level, true);
        team.barrier();
      }
    }
  }
  if (!level.sparse.empty()) {
    if (team.rank == 0) restrict_listed(level, coarse);
    team.barrier();
  }
}

void Cycle::smooth_up(size_t l, const Team &team) {
  Level &level = *levels_[l];
  Buffers &own = buffers_[l];
  if (own.fused) return waves(l, team, own.up, true);
  for (const Stage &stage : own.up) {
    if (stage.kind == Stage::kRelax && stage.pass + 1 == own.passes && level.extras) {
      if (team.rank == 0) relax_extras(level, false);
      team.barrier();
    }
    waves(l, team, {stage}, false);
    if (stage.kind == Stage::kProlong && level.extras) {
      if (team.rank == 0) prolong_listed(level, *levels_[l + 1], level.box.size, level.box.size + level.extras);
      team.barrier();
    }
  }
}

void Cycle::waves(size_t l, const Team &team, const std::vector<Stage> &stages, bool fused) {
  const int64_t planes = levels_[l]->box.n[0];
  if (!fused) {
    for (const Stage &stage : stages) {
      for (int64_t k = 0; k < planes; ++k) run_stage(l, team, stage, k);
      team.barrier();
    }
    return;
  }
  // A stage follows the one before it by two planes, whose neighbours it needs; restriction and inner product need the plane only.
  int64_t last = 0;
  for (size_t s = 1; s < stages.size(); ++s)
    last += stages[s].kind == Stage::kRestrict || stages[s].kind == Stage::kDot ? 1 : 2;
  for (int64_t step = 0; step < planes + last; ++step) {
    int64_t lag = 0;
    for (size_t s = 0; s < stages.size(); ++s) {
      if (s) lag += stages[s].kind == Stage::kRestrict || stages[s].kind == Stage::kDot ? 1 : 2;
      const int64_t k = step - lag;
      if (k >= 0 && k < planes) run_stage(l, team, stages[s], k);
    }
    team.barrier();
  }
}

void Cycle::run_stage(size_t l, const Team &team, const Stage &stage, int64_t k) {
  Level &level = *levels_[l];
  switch (stage.kind) {
    case Stage::kRelax: return relax(level, l, team, stage, k);
    case Stage::kResidual: return residual(level, l, team, k);
    case Stage::kRestrict: return restrict_plane(level, l, team, k);
    case Stage::kProlong: return prolong(level, l, team, k);
    case Stage::kDot: dots_[8 * team.rank] += dot(level, team, k);
  }
}

Around<float> Cycle::around(const Level &level, const float *field, int64_t k, int64_t j) const {
  const Box &box = level.box;
  const float *row = field + box.at(k, j), *none = zeros_.data() + kLanes;
  Around<float> n{none, none, none, none};
  if (box.n[0] > 1) n.down = row - box.plane, n.up = row + box.plane;
  if (box.n[1] > 1) n.south = row - box.stride, n.north = row + box.stride;
  return n;
}

WeightRows Cycle::weight_rows(const Level &level, int64_t k, int64_t j) const {
  const Box &box = level.box;
  const int64_t row = box.at(k, j);
  const float *none = zeros_.data() + kLanes;
  WeightRows w{none, none, none, none, level.weight[2].data() + row, level.diagonal.data() + row, level.relax.data() + row};
  if (box.n[0] > 1) w.z = level.weight[0].data() + row, w.z_low = w.z - box.plane;
  if (box.n[1] > 1) w.y = level.weight[1].data() + row, w.y_low = w.y - box.stride;
  return w;
}

void Cycle::relax(Level &level, size_t l, const Team &team, const Stage &stage, int64_t k) {
  const Share own = share_rows(team, level, level.box.n[2], 2 * kLanes);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    relax_row(level, l, stage.sweep, stage.pass, stage.first, k, j, own.columns);
    wrap_row(level, level.x.data(), k, j, own.columns);
  }
}

// Pass p relaxes colour p % 2; the other bits of p say of each periodic axis of odd length whether it is its last layer's turn.
void Cycle::relax_row(Level &level, size_t l, int sweep, int pass, bool first, int64_t k, int64_t j, Range columns) {
  const int64_t row = level.row(k, j);
  int64_t begin = std::max<int64_t>(level.row_begin[row], columns.begin), end = level.row_end[row];
  if (columns.end < level.box.n[2]) end = std::min(end, columns.end);
  if (begin >= end) return;
  const auto &odd_axes = buffers_[l].odd_axes;
  bool odd_x = false, last_x = false;
  for (size_t n = 0; n < odd_axes.size(); ++n) {
    const int a = odd_axes[n];
    const bool last = pass >> (n + 1) & 1;
    if (a == 2) {
      odd_x = true, last_x = last;
    } else if (last != ((a == 0 ? k : j) == level.box.n[a] - 1)) {
      return;
    }
  }
  const int64_t start = level.box.at(k, j), tail = level.box.n[2] - 1;
  float *x = level.x.data() + start;
  float kept[kLanes];
  if (odd_x && last_x) begin = tail / kLanes * kLanes;
  if (begin >= end) return;
  const int64_t pack = tail / kLanes * kLanes;
  if (odd_x) std::copy(x + pack, x + pack + kLanes, kept);
  const int colour = pass & 1, parity = static_cast<int>((k + j + colour) & 1);
  const float omega = weights_.omega[l > 0][sweep][colour];
  const Around<float> n = around(level, level.x.data(), k, j);
  if (level.unit) {
    rows_->relax_unit(begin, end, parity, first, x, n, level.b.data() + start, level.code.data() + start, factors_[sweep][colour]);
  } else {
    rows_->relax_weighted(begin, end, parity, first, x, n, level.b.data() + start, weight_rows(level, k, j), omega);
  }
  if (odd_x)
    for (int64_t i = 0; i < kLanes; ++i)
      if ((pack + i == tail) != last_x) x[pack + i] = kept[i];
}

// Gauss-Seidel over the extra unknowns, in order or in reverse.
void Cycle::relax_extras(Level &level, bool forward) {
  for (int64_t n = 0; n < level.extras; ++n) {
    const int64_t e = forward ? n : level.extras - 1 - n, u = level.box.size + e;
    if (level.relax[u] == 0.0f) continue;
    float r = level.b[u] - level.diagonal[u] * level.x[u];
    for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m)
      r += level.neighbours[m].weight * level.x[level.neighbours[m].unknown];
    change_extra(level, e, level.relax[u] * r);
  }
}

void Cycle::residual(Level &level, size_t l, const Team &team, int64_t k) {
  const Level &coarse = *levels_[l + 1];
  const Merge &merge = level.merge[2];
  const Share own = share_rows(team, level, coarse.box.n[2], kLanes);
  const int64_t n = level.box.n[2];
  float *line = scratch_[team.rank].data() + kLanes;  // line[-1] and line[n] are the ghosts
  const int64_t from = std::max<int64_t>(0, merge.first[own.columns.begin] - 1) / kLanes * kLanes;
  const int64_t to = std::min<int64_t>((merge.first[own.columns.end] + 1 + kLanes - 1) / kLanes * kLanes, (n + kLanes - 1) / kLanes * kLanes);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t start = level.box.at(k, j), row = level.row(k, j);
    float *out = buffers_[l].lines[k & 1].data() + kLanes + j * coarse.box.stride;
    const int64_t begin = std::max<int64_t>(from, level.row_begin[row]), end = std::min<int64_t>(to, level.row_end[row]);
    if (begin >= end) {
      std::fill(out + own.columns.begin, out + own.columns.end, 0.0f);
      continue;
    }
    std::fill(line - 1, line + begin, 0.0f);
    std::fill(line + end, line + n + kLanes, 0.0f);
    const float *x = level.x.data() + start, *b = level.b.data() + start;
    const Around<float> beside = around(level, level.x.data(), k, j);
    if (level.unit) {
      rows_->residual_unit(begin, end, x, beside, b, level.code.data() + start, line);
    } else {
      rows_->residual_weighted(begin, end, x, beside, b, weight_rows(level, k, j), line);
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
void Cycle::restrict_plane(Level &level, size_t l, const Team &team, int64_t k) {
  Level &coarse = *levels_[l + 1];
  const Box &box = coarse.box;
  const Share own = share_rows(team, level, box.n[2], kLanes);
  const Range c = own.columns;
  const float *lines = buffers_[l].lines[k & 1].data() + kLanes;
  const Merge &my = level.merge[1], &mz = level.merge[0];
  const int64_t parent = mz.parent[k], side = mz.side[k];
  const int64_t next = beside(parent, side, box.n[0], level.periodic[0]);
  const Range rows = level.box.n[1] > 1 ? team.part(box.n[1]) : own.rows;
  float *sum = scratch_[team.rank].data() + kLanes;
  for (int64_t j = rows.begin; j < rows.end; ++j) {
    std::fill(sum + c.begin, sum + c.end, 0.0f);
    for (int64_t f = my.first[j]; f < my.first[j + 1]; ++f)
      rows_->accumulate(c.begin, c.end, coarse.keep[1][my.side[f] > 0].data() + box.at(parent, j), lines + f * box.stride, sum);
    for (const int high : {0, 1}) {
      const int64_t m = beside(j, high ? -1 : 1, box.n[1], level.periodic[1]);
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

void Cycle::prolong(Level &level, size_t l, const Team &team, int64_t k) {
  const Level &coarse = *levels_[l + 1];
  const Box &box = coarse.box;
  const Merge &mz = level.merge[0], &my = level.merge[1], &mx = level.merge[2];
  const Share own = share_rows(team, level, box.n[2], kLanes);
  const float *none = zeros_.data() + kLanes;
  const int64_t parent = mz.parent[k], high_z = mz.side[k] > 0;
  const int64_t next = beside(parent, mz.side[k], box.n[0], level.periodic[0]);
  const bool pairs = mx.pairs && !(level.periodic[2] && level.box.n[2] % 2);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t row = level.row(k, j);
    if (level.row_begin[row] >= level.row_end[row]) continue;
    const int64_t at[2] = {my.parent[j], beside(my.parent[j], my.side[j], box.n[1], level.periodic[1])};
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
    if (pairs) rows_->prolong_pairs(own.columns.begin, whole, r, x);
    for (int64_t i = whole; i < own.columns.end; ++i)
      for (int64_t f = mx.first[i]; f < mx.first[i + 1]; ++f) {
        const int high = mx.side[f] > 0;
        x[f] += r.x_keep[high][i] * coarse_value(r, i);
        if (mx.side[f] != 0) x[f] += r.x_toward[high][i] * coarse_value(r, i + mx.side[f]);
      }
    prolong_listed(level, coarse, start + mx.first[own.columns.begin], start + mx.first[own.columns.end]);
    const int64_t begin = mx.first[own.columns.begin] / kLanes * kLanes, end = (mx.first[own.columns.end] + kLanes - 1) / kLanes * kLanes;
    if (level.unit) {
      rows_->mask_unit(begin, end, level.code.data() + start, x);
    } else {
      rows_->mask_weighted(begin, end, level.relax.data() + start, x);
    }
    wrap_row(level, level.x.data(), k, j, {mx.first[own.columns.begin], mx.first[own.columns.end]});
  }
}

double Cycle::dot(const Level &level, const Team &team, int64_t k) const {
  const Share own = share(team, level.box.n[1], level.box.n[2], 2 * kLanes);
  double sum = 0.0;
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t start = level.box.at(k, j) + own.columns.begin;
    sum += rows_->dot(own.columns.end - own.columns.begin, level.x.data() + start, level.b.data() + start);
  }
  return sum;
}

// The part of the restriction that extra unknowns change; residuals are computed where it needs them.
void Cycle::restrict_listed(Level &level, Level &coarse) {
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
    coarse.b[entry.coarse] += entry.weight * r;
  }
}

void Cycle::prolong_listed(Level &level, const Level &coarse, int64_t begin, int64_t end) {
  const auto before = [](const Entry &e, int64_t u) { return e.fine < u; };
  auto entry = std::lower_bound(level.sparse.begin(), level.sparse.end(), begin, before);
  for (; entry != level.sparse.end() && entry->fine < end; ++entry) {
    const float change = entry->weight * coarse.x[entry->coarse];
    if (entry->fine >= level.box.size) {
      change_extra(level, entry->fine - level.box.size, change);
    } else {
      level.x[entry->fine] += change;
    }
  }
}

void Cycle::solve_directly(Level &level) {
  const int64_t n = static_cast<int64_t>(level.direct.size());
  for (int64_t r = 0; r < n; ++r) {
    float sum = 0.0f;
    for (int64_t c = 0; c < n; ++c) sum += level.inverse[r * n + c] * level.b[level.direct[c]];
    level.x[level.direct[r]] = sum;
  }
  for (int64_t k = 0; k < level.box.n[0]; ++k)
    for (int64_t j = 0; j < level.box.n[1]; ++j) wrap_row(level, level.x.data(), k, j, {0, level.box.n[2]});
}

}  // namespace dcg
