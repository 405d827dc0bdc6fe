// A finished hierarchy on the device.
#pragma once

#include <algorithm>
#include <map>

#include "core/error.hpp"
#include "cuda/core/view.hpp"
#include "setup/hierarchy.hpp"

namespace dcg::cuda {

class Upload {
 public:
  Upload(const Hierarchy &hierarchy, Arena &arena) : hierarchy(hierarchy), arena(arena) {}

  Levels run() {
    Levels out;
    int64_t longest = 0;
    for (size_t l = 0; l < hierarchy.levels.size(); ++l) {
      const Level &level = *hierarchy.levels[l];
      require(level.box.size + level.secondary < kMost, "shape: the CUDA kernels number up to 2^31 cells");
      out.views.push_back(view(level, l));
      if (l + 1 == hierarchy.levels.size()) break;
      const Level &coarse = *hierarchy.levels[l + 1];
      longest = std::max(longest, level.box.n[0] * level.box.n[1] * coarse.box.n[2]);
      list_unstructured(level, out.views.back());
    }
    float *lines = arena.zeros<float>(longest);  // one level at a time needs them
    for (LevelView &v : out.views) v.lines = lines;
    out.first_small = static_cast<int>(out.views.size()) - 1;
    while (out.first_small > 0 && out.views[out.first_small - 1].grid.extent().count() <= kSmall) --out.first_small;
    out.on_device = arena.upload(out.views);
    return out;
  }

 private:
  static constexpr int64_t kMost = INT32_MAX;
  static constexpr int kSmall = 4096;  // cells: one block sweeps a level in less time than a launch takes

  const Hierarchy &hierarchy;
  Arena &arena;

  LevelView view(const Level &level, size_t l) {
    const Box &box = level.box;
    LevelView v{};
    for (int a = 0; a < 3; ++a) {
      v.grid.n[a] = static_cast<int>(box.n[a]);
      v.grid.periodic[a] = level.periodic[a];
      if (level.periodic[a] && box.n[a] % 2) v.odd_axes |= 1 << a;
    }
    v.grid.plane = static_cast<int>(box.plane), v.grid.stride = static_cast<int>(box.stride);
    v.grid.origin = static_cast<int>(box.at(0, 0)), v.grid.size = static_cast<int>(box.size);
    v.passes = 2;
    for (int a = 0; a < 3; ++a)
      if (v.odd_axes >> a & 1) v.passes *= 2;
    const dcg_parameters &given = hierarchy.parameters;
    v.constant = level.constant, v.sweeps = given.sweeps[std::min<size_t>(l, DCG_LEVELS - 1)];
    std::copy(&given.omega[l > 0][0][0], &given.omega[l > 0][0][0] + 2 * DCG_SWEEPS, &v.omega[0][0]);
    const int64_t n = box.size + level.secondary;
    v.x = arena.zeros<float>(n), v.b = arena.zeros<float>(n);
    if (level.constant) {
      v.stencil_type = arena.upload(level.stencil_type.data(), box.size);
      v.factors = factors();
    } else {
      for (int a = 0; a < 3; ++a) v.weight[a] = arena.upload(level.weight[a].data(), box.size);
      v.diagonal = arena.upload(level.diagonal.data(), n), v.omega_dinv = arena.upload(level.omega_dinv.data(), n);
    }
    for (int a = 0; a < 3; ++a) {
      if (l > 0)
        for (int s = 0; s < 2; ++s) {
          v.interp_parent[a][s] = arena.upload(level.interp_parent[a][s].data(), box.size);
          v.interp_neighbour[a][s] = arena.upload(level.interp_neighbour[a][s].data(), box.size);
        }
      if (l + 1 < hierarchy.levels.size()) v.coarsening[a] = axis_view(level.coarsening[a]);
    }
    if (level.secondary) list_secondary(level, v);
    if (l + 1 == hierarchy.levels.size()) {
      v.direct = static_cast<int>(level.direct.size());
      v.direct_unknown = integers(level.direct), v.inverse = arena.upload(level.inverse);
    }
    return v;
  }

  const float *factors() {
    const dcg_parameters &given = hierarchy.parameters;
    std::vector<float> values;
    for (int s = 0; s < DCG_SWEEPS; ++s)
      for (int colour = 0; colour < 2; ++colour)
        for (int c = 0; c < DCG_STENCIL_TYPES; ++c)
          values.push_back(c & 7 ? given.omega[0][s][colour] * given.relaxation_table[c] / static_cast<float>(c & 7) : 0.0f);
    return arena.upload(values);
  }

  AxisCoarseningView axis_view(const AxisCoarsening &m) { return {integers(m.parent), integers(m.side), integers(m.first)}; }

  template <class T>
  const int *integers(const std::vector<T> &from) {
    return arena.upload(std::vector<int>(from.begin(), from.end()));
  }

  // Lists by key, one after another: starts[n]..starts[n + 1] are the entries of keys[n].
  struct Lists {
    std::vector<int> keys, starts{0}, entries;
    std::vector<float> weights;
  };
  static Lists in_a_row(const std::map<int64_t, std::vector<std::pair<int64_t, float>>> &by_key) {
    Lists lists;
    for (const auto &[key, entries] : by_key) {
      lists.keys.push_back(static_cast<int>(key));
      for (const auto &[entry, weight] : entries) lists.entries.push_back(static_cast<int>(entry)), lists.weights.push_back(weight);
      lists.starts.push_back(static_cast<int>(lists.entries.size()));
    }
    return lists;
  }

  void list_secondary(const Level &level, LevelView &v) {
    const int64_t size = level.box.size;
    v.secondary = static_cast<int>(level.secondary);
    std::vector<int> batch(level.secondary, 0), neighbours;
    std::vector<float> weights;
    std::map<int64_t, std::vector<std::pair<int64_t, float>>> touched;
    for (int64_t e = 0; e < level.secondary; ++e)
      for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m) {
        const Neighbour &other = level.neighbours[m];
        neighbours.push_back(static_cast<int>(other.unknown)), weights.push_back(other.weight);
        if (other.unknown < size) touched[other.unknown].push_back({e, other.weight});
        if (other.unknown >= size && other.unknown - size < e) batch[e] = std::max(batch[e], batch[other.unknown - size] + 1);
      }
    v.batches = 1 + *std::max_element(batch.begin(), batch.end());
    std::vector<int> start(v.batches + 1, 0), order(level.secondary);
    for (const int w : batch) ++start[w + 1];
    for (int w = 0; w < v.batches; ++w) start[w + 1] += start[w];
    std::vector<int> next(start.begin(), start.end());
    for (int64_t e = 0; e < level.secondary; ++e) order[next[batch[e]]++] = static_cast<int>(e);
    v.batch_start = arena.upload(start), v.batch = arena.upload(order);
    v.neighbour_start = integers(level.neighbour_start);
    v.neighbour = arena.upload(neighbours), v.neighbour_weight = arena.upload(weights);
    v.change = arena.zeros<float>(level.secondary);
    const Lists lists = in_a_row(touched);
    v.touched = static_cast<int>(lists.keys.size());
    v.touched_cell = arena.upload(lists.keys), v.touched_start = arena.upload(lists.starts);
    v.touched_secondary = arena.upload(lists.entries), v.touched_weight = arena.upload(lists.weights);
  }

  void list_unstructured(const Level &level, LevelView &v) {
    if (level.unstructured.empty()) return;
    std::map<int64_t, std::vector<std::pair<int64_t, float>>> by_fine, by_coarse;
    for (const Entry &e : level.unstructured) by_fine[e.fine].push_back({e.coarse, e.weight});
    int64_t row = -1, at = -1;
    for (const Entry &e : level.unstructured) {  // sorted by fine unknown
      if (e.fine != at) at = e.fine, ++row;
      by_coarse[e.coarse].push_back({row, e.weight});
    }
    const Lists rows = in_a_row(by_fine), columns = in_a_row(by_coarse);
    v.rows = static_cast<int>(rows.keys.size()), v.columns = static_cast<int>(columns.keys.size());
    v.row_unknown = arena.upload(rows.keys), v.row_start = arena.upload(rows.starts);
    v.row_coarse = arena.upload(rows.entries), v.row_weight = arena.upload(rows.weights);
    v.column_unknown = arena.upload(columns.keys), v.column_start = arena.upload(columns.starts);
    v.column_row = arena.upload(columns.entries), v.column_weight = arena.upload(columns.weights);
    v.row_residual = arena.zeros<float>(v.rows);
  }
};

}  // namespace dcg::cuda
