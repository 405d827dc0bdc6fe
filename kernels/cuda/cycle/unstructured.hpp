// The unstructured part of the cycle: secondary unknowns, their part of the transfers, and the coarsest level's inverse.
#pragma once

#include "cuda/cycle/bodies.hpp"

namespace dcg::cuda {

struct Zero {
  float *values;
  DCG_BOTH void operator()(int m) const { values[m] = 0.0f; }
};

DCG_BOTH float secondary_residual(const LevelView &v, int e) {
  const int u = v.grid.size + e;
  float r = v.b[u] - v.diagonal[u] * v.x[u];
  for (int m = v.neighbour_start[e]; m < v.neighbour_start[e + 1]; ++m) r += v.neighbour_weight[m] * v.x[v.neighbour[m]];
  return r;
}

// Gauss-Seidel over the secondary unknowns of one batch
template <class View>
struct RelaxBatch {
  View v;
  int start;
  DCG_BOTH void operator()(int m) const {
    const int e = v.batch[start + m], u = v.grid.size + e;
    const float change = v.omega_dinv[u] * secondary_residual(v, e);
    v.change[e] = change;
    v.x[u] += change;
  }
};

// Adds the contribution of changed secondary unknowns to the right-hand sides of the cells coupled to them.
template <class View>
struct GiveChange {
  View v;
  DCG_BOTH void operator()(int m) const {
    float sum = v.b[v.touched_cell[m]];
    for (int n = v.touched_start[m]; n < v.touched_start[m + 1]; ++n) sum += v.touched_weight[n] * v.change[v.touched_secondary[n]];
    v.b[v.touched_cell[m]] = sum;
  }
};

// All batches, in order or in reverse
template <class View>
struct RelaxSecondary {
  View v;
  bool forward;
  DCG_BOTH void operator()(const Block &block) const {
    for (int n = 0; n < v.batches; ++n) {
      const int w = forward ? n : v.batches - 1 - n, start = v.batch_start[w];
      block.items(v.batch_start[w + 1] - start, RelaxBatch<const LevelView &>{v, start});
    }
    block.items(v.touched, GiveChange<const LevelView &>{v});
  }
};

template <class View>
struct UnstructuredResidual {
  View v;
  DCG_BOTH void operator()(int m) const {
    const Grid &g = v.grid;
    const int u = v.row_unknown[m];
    float r;
    if (u >= g.size) {
      r = secondary_residual(v, u - g.size);
    } else {
      const int place = u - g.origin, k = place / g.plane, j = place % g.plane / g.stride, i = place % g.stride;
      r = residual_at(v, {k, j, i, u});
    }
    v.row_residual[m] = r;
  }
};

template <class View>
struct UnstructuredRestrict {
  View v, coarse;
  DCG_BOTH void operator()(int m) const {
    float sum = coarse.b[v.column_unknown[m]];
    for (int n = v.column_start[m]; n < v.column_start[m + 1]; ++n) sum += v.column_weight[n] * v.row_residual[v.column_row[n]];
    coarse.b[v.column_unknown[m]] = sum;
  }
};

template <class View>
struct UnstructuredProlong {
  View v, coarse;
  DCG_BOTH void operator()(int m) const {
    float sum = 0.0f;
    for (int n = v.row_start[m]; n < v.row_start[m + 1]; ++n) sum += v.row_weight[n] * coarse.x[v.row_coarse[n]];
    const int u = v.row_unknown[m];
    v.x[u] += sum;
    if (u >= v.grid.size) v.change[u - v.grid.size] = sum;
  }
};

template <class View>
struct Direct {
  View v;
  DCG_BOTH void operator()(int m) const {
    double sum = 0.0;
    for (int n = 0; n < v.direct; ++n) sum += v.inverse[m * v.direct + n] * v.b[v.direct_unknown[n]];
    v.x[v.direct_unknown[m]] = static_cast<float>(sum);
  }
};

}  // namespace dcg::cuda
