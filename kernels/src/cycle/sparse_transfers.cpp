// Transfers between a grid level and a sparse one: injection, plane by plane. Residuals of a block's cells are added by the thread that has its rows.

#include <algorithm>

#include "cycle/stages.hpp"

namespace dcg {

void LevelStages::residual_for_sparse(const Team &team, int64_t k) {
  const Level &level = *level_;
  const Share own = share_rows(team, level, level.box.n[2], kLanes);
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t start = level.box.at(k, j), row = level.row(k, j);
    float *out = lines_[k & 1].data() + j * level.box.stride;
    const int64_t begin = std::max<int64_t>(own.columns.begin, level.row_begin[row]), end = std::min<int64_t>((own.columns.end + kLanes - 1) / kLanes * kLanes, level.row_end[row]);
    if (begin < end) residual_row(start, begin, end, out);
  }
}

void LevelStages::restrict_to_sparse(const Team &team, int64_t k) {
  const Level &level = *level_;
  const AxisCoarsening &my = level.coarsening[1], &mx = level.coarsening[2];
  const Share blocks = share(team, my.coarse(), mx.coarse(), kLanes);
  float *out = sparse_->b.data();
  for (int64_t j = my.first[blocks.rows.begin]; j < my.first[blocks.rows.end]; ++j) {
    const int64_t row = level.row(k, j);
    const int64_t begin = std::max<int64_t>(mx.first[blocks.columns.begin], level.row_begin[row]);
    const int64_t end = std::min<int64_t>({mx.first[blocks.columns.end], level.row_end[row], level.box.n[2]});
    const int32_t *parent = level.sparse_parent.data() + level.box.at(k, j);
    const float *line = lines_[k & 1].data() + j * level.box.stride;
    for (int64_t i = begin; i < end; ++i)
      if (parent[i] >= 0) out[parent[i]] += line[i];
  }
}

void LevelStages::prolong_from_sparse(const Team &team, int64_t k) {
  Level &level = *level_;
  const Share own = share_rows(team, level, level.box.n[2], kLanes);
  const float *coarse = sparse_->x.data();
  for (int64_t j = own.rows.begin; j < own.rows.end; ++j) {
    const int64_t row = level.row(k, j);
    const int64_t begin = std::max<int64_t>(own.columns.begin, level.row_begin[row]);
    const int64_t end = std::min<int64_t>({own.columns.end, level.row_end[row], level.box.n[2]});
    const int32_t *parent = level.sparse_parent.data() + level.box.at(k, j);
    float *x = level.x.data() + level.box.at(k, j);
    for (int64_t i = begin; i < end; ++i)
      if (parent[i] >= 0) x[i] += coarse[parent[i]];
    fill_periodic_ghosts(level, level.x.data(), k, j, own.columns);
  }
}

}  // namespace dcg
