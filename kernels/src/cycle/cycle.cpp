// One V: relax, take the residual down, correct, relax in reverse. With S a relaxation that contracts in the norm of A, its
// reverse S* and a symmetric positive semi-definite B below, I - M A = S* (I - P B P^T A) S, so M is symmetric and positive
// definite whatever the learned weights (deepcg/multigrid/reference/network.py has the proof).
//
// The passes over a level run as one wave: while one relaxes plane k, the next relaxes plane k - 2, whose neighbours are done, so that a
// plane is read from memory once for all of them. Threads share the rows of each plane and meet after every step.
// Extra unknowns, and boxes that turn round along z, need each pass finished before the next.

#include "cycle/cycle.hpp"

#include <algorithm>

namespace dcg {

namespace {

constexpr int64_t kSmall = 16384; // cells: a level below is swept by one thread, without barriers

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
  const int colour = pass & 1, parity = static_cast<int>((k + j + level.colour + colour) & 1);
  const float omega = weights_.omega[l > 0][sweep][colour];
  const Around<float> n = rows_beside(level, level.x.data(), start, zeros_.data() + kLanes);
  if (level.unit) {
    rows_->relax_unit(begin, end, parity, first, x, n, level.b.data() + start, level.code.data() + start, factors_[sweep][colour]);
  } else {
    rows_->relax_weighted(begin, end, parity, first, x, n, level.b.data() + start, weight_rows(level, level.box.at(k, j), zeros_.data() + kLanes), omega);
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

double Cycle::dot(const Level &level, const Team &team, int64_t k) const {
  const Share own = share(team, level.box.n[1], level.box.n[2], 2 * kLanes);
  double sum = 0.0;
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t row = level.row(k, j), begin = std::max<int64_t>(own.columns.begin, level.row_begin[row]);
    const int64_t end = std::min<int64_t>(own.columns.end, level.row_end[row]), start = level.box.at(k, j) + begin;
    if (begin < end) sum += rows_->dot(end - begin, level.x.data() + start, level.b.data() + start);
  }
  return sum;
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
