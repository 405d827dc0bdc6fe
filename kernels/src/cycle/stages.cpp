// A wavefront reads a plane from memory once for all its stages: while one pass relaxes plane k, the next relaxes plane k - 2, whose
// neighbours are done. Threads share the rows of each plane and meet after every step. Secondary unknowns, and boxes that are periodic
// along z, need each pass finished before the next.

#include "cycle/stages.hpp"

#include <algorithm>

namespace dcg {

void LevelStages::prepare(Level &level, Level *coarse, SparseLevel *sparse, const dcg_parameters &parameters, size_t number, const RowKernels &rows, int threads) {
  level_ = &level, coarse_ = coarse, sparse_ = sparse, rows_ = &rows;
  sweeps_ = parameters.sweeps[std::min<size_t>(number, DCG_LEVELS - 1)];
  odd_axes_.clear();
  for (int a = 0; a < 3; ++a)
    if (level.periodic[a] && level.box.n[a] % 2) odd_axes_.push_back(a);
  passes_ = 2 << odd_axes_.size();
  wavefront_ = level.secondary == 0 && odd_axes_.empty() && !(level.periodic[0] && level.box.n[0] > 1);
  for (int s = 0; s < DCG_SWEEPS; ++s)
    for (int colour = 0; colour < 2; ++colour) {
      omega_[s][colour] = parameters.omega[number > 0][s][colour];
      for (int c = 0; c < DCG_STENCIL_TYPES; ++c)
        factors_[s][colour][c] = c & 7 ? omega_[s][colour] * parameters.relaxation_table[c] / static_cast<float>(c & 7) : 0.0f;
    }
  for (auto &lines : lines_) lines.assign(coarse ? level.box.n[1] * coarse->box.stride + 2 * kLanes : sparse ? level.box.n[1] * level.box.stride : 0, 0.0f);
  zeros_.assign(level.box.stride + 4 * kLanes, 0.0f);
  scratch_.assign(threads, std::vector<float>(2 * level.box.stride + 8 * kLanes, 0.0f));
}

int64_t LevelStages::bytes() const {
  int64_t floats = lines_[0].size() + lines_[1].size();
  for (const auto &s : scratch_) floats += s.size();
  return floats * sizeof(float);
}

void LevelStages::clear(const Team &team) {
  const auto zero = [&](Field<float> &field, int64_t begin, int64_t end) {
    const Range part = team.part(end - begin, 16);
    std::fill(field.data() + begin + part.begin, field.data() + begin + part.end, 0.0f);
  };
  const int64_t size = level_->box.size;
  if (coarse_) zero(coarse_->b, 0, coarse_->box.size + coarse_->secondary);
  if (sparse_) zero(sparse_->b, 0, sparse_->unknowns);
  zero(level_->x, odd_axes_.empty() ? size : 0, size + level_->secondary);  // elsewhere the first pass writes all of x
}

double LevelStages::run(const Team &team, const Stage *stages, int count) {
  const int64_t planes = level_->box.n[0];
  double dot = 0.0;
  if (count == 1) {
    for (int64_t k = 0; k < planes; ++k) dot += run_plane(team, *stages, k);
    team.barrier();
    return dot;
  }
  // A stage needs the neighbours of its plane, too; restriction and inner product need the plane only.
  const auto lag_of = [](const Stage &stage) { return stage.kind == Stage::kRestrict || stage.kind == Stage::kDot ? 1 : 2; };
  int64_t last = 0;
  for (int s = 1; s < count; ++s) last += lag_of(stages[s]);
  for (int64_t step = 0; step < planes + last; ++step) {
    int64_t k = step;
    for (int s = 0; s < count; ++s) {
      if (s) k -= lag_of(stages[s]);
      if (k >= 0 && k < planes) dot += run_plane(team, stages[s], k);
    }
    team.barrier();
  }
  return dot;
}

double LevelStages::run_plane(const Team &team, const Stage &stage, int64_t k) {
  switch (stage.kind) {
    case Stage::kRelax: relax(team, stage.pass, k); break;
    case Stage::kResidual: sparse_ ? residual_for_sparse(team, k) : residual(team, k); break;
    case Stage::kRestrict: sparse_ ? restrict_to_sparse(team, k) : restrict_plane(team, k); break;
    case Stage::kProlong: sparse_ ? prolong_from_sparse(team, k) : prolong(team, k); break;
    case Stage::kDot: return dot(team, k);
  }
  return 0.0;
}

void LevelStages::relax(const Team &team, const Pass &pass, int64_t k) {
  const Share own = share_rows(team, *level_, level_->box.n[2], 2 * kLanes);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    relax_row(pass, k, j, own.columns);
    fill_periodic_ghosts(*level_, level_->x.data(), k, j, own.columns);
  }
}

// The bits of the pass above the colour's say of each periodic axis of odd length whether the pass is for its last layer.
void LevelStages::relax_row(const Pass &pass, int64_t k, int64_t j, Range columns) {
  Level &level = *level_;
  const int64_t row = level.row(k, j);
  int64_t begin = std::max<int64_t>(level.row_begin[row], columns.begin), end = level.row_end[row];
  if (columns.end < level.box.n[2]) end = std::min(end, columns.end);
  if (begin >= end) return;
  bool odd_x = false, last_x = false;
  for (size_t n = 0; n < odd_axes_.size(); ++n) {
    const int a = odd_axes_[n];
    const bool last = pass.number >> (n + 1) & 1;
    if (a == 2) {
      odd_x = true, last_x = last;
    } else if (last != ((a == 0 ? k : j) == level.box.n[a] - 1)) {
      return;
    }
  }
  const int64_t start = level.box.at(k, j), tail = level.box.n[2] - 1, pack = tail / kLanes * kLanes;
  if (odd_x && last_x) begin = pack;
  if (begin >= end) return;
  float *x = level.x.data() + start;
  const float *b = level.b.data() + start, *none = zeros_.data() + kLanes;
  float before[kLanes];
  if (odd_x) std::copy(x + pack, x + pack + kLanes, before);
  const int colour = pass.number & 1, parity = static_cast<int>((k + j + level.colour + colour) & 1);
  const bool from_zero = pass.first && odd_axes_.empty();
  const Around<float> around = neighbour_rows(level, level.x.data(), start, none);
  if (level.constant) {
    rows_->relax_constant(begin, end, parity, from_zero, x, around, b, level.stencil_type.data() + start, factors_[pass.sweep][colour]);
  } else {
    const auto relax = sparse_ ? rows_->relax_differences : rows_->relax_variable;
    relax(begin, end, parity, from_zero, x, around, b, weight_rows(level, start, none), omega_[pass.sweep][colour]);
  }
  if (odd_x)
    for (int64_t i = 0; i < kLanes; ++i)
      if ((pack + i == tail) != last_x) x[pack + i] = before[i];
}

void LevelStages::relax_secondary(bool forward) {
  Level &level = *level_;
  for (int64_t n = 0; n < level.secondary; ++n) {
    const int64_t e = forward ? n : level.secondary - 1 - n, u = level.box.size + e;
    if (level.omega_dinv[u] == 0.0f) continue;
    float r = level.b[u] - level.diagonal[u] * level.x[u];
    for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m)
      r += level.neighbours[m].weight * level.x[level.neighbours[m].unknown];
    change_secondary(level, e, level.omega_dinv[u] * r);
  }
}

double LevelStages::dot(const Team &team, int64_t k) const {
  const Level &level = *level_;
  const Share own = share(team, level.box.n[1], level.box.n[2], 2 * kLanes);
  double sum = 0.0;
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t row = level.row(k, j), begin = std::max<int64_t>(own.columns.begin, level.row_begin[row]);
    const int64_t end = std::min<int64_t>(own.columns.end, level.row_end[row]), start = level.box.at(k, j) + begin;
    if (begin < end) sum += rows_->dot(end - begin, level.x.data() + start, level.b.data() + start);
  }
  return sum;
}

void LevelStages::solve_directly() {
  Level &level = *level_;
  const int64_t n = static_cast<int64_t>(level.direct.size());
  for (int64_t r = 0; r < n; ++r) {
    double sum = 0.0;
    for (int64_t c = 0; c < n; ++c) sum += level.inverse[r * n + c] * level.b[level.direct[c]];
    level.x[level.direct[r]] = static_cast<float>(sum);
  }
  for (int64_t k = 0; k < level.box.n[0]; ++k)
    for (int64_t j = 0; j < level.box.n[1]; ++j) fill_periodic_ghosts(level, level.x.data(), k, j, {0, level.box.n[2]});
}

}  // namespace dcg
