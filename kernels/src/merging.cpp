// Which cells are merged: pairs along each axis, thin ones first, until a level is worth its sweeps. deepcg/merging.py states the same in NumPy.

#include <algorithm>
#include <cmath>

#include "coarsen.hpp"

namespace dcg {

bool plan_merges(Level &level, Widths &widths, double &target) {
  constexpr double kRoom = 1.42, kShare = 0.8;
  int64_t *n = level.box.n;
  if (level.box.cells() == 1) return false;
  for (double cells = 1e300; cells > kShare * level.box.cells();) {
    target *= 2.0, cells = 1.0;
    for (int a = 0; a < 3; ++a) {
      Merge &m = level.merge[a];
      const std::vector<double> &h = widths[a];
      m.parent.resize(n[a]), m.side.resize(n[a]), m.first.clear();
      for (int64_t i = 0; i < n[a];) {
        const int32_t coarse = static_cast<int32_t>(m.first.size());
        const bool pair = i + 1 < n[a] && h[i] + h[i + 1] <= kRoom * target;
        m.first.push_back(static_cast<int32_t>(i));
        m.parent[i] = coarse, m.side[i] = pair ? -1 : 0;
        if (pair) m.parent[i + 1] = coarse, m.side[i + 1] = 1;
        i += pair ? 2 : 1;
      }
      m.first.push_back(static_cast<int32_t>(n[a]));
      cells *= m.coarse();
      m.pairs = true;
      for (int64_t i = 0; i < n[a]; ++i) m.pairs = m.pairs && m.parent[i] == i / 2;
    }
  }
  for (int a = 0; a < 3; ++a) {
    const Merge &m = level.merge[a];
    std::vector<double> wider(m.coarse(), 0.0);
    for (int64_t i = 0; i < n[a]; ++i) wider[m.parent[i]] += widths[a][i];
    widths[a] = wider;
  }
  return true;
}

// Widths of the cells relative to each other, from the weights alone: on a tensor grid of d axes an unknown's log weights,
// less their mean, are -2 log h_a + (2 / d) sum of log h_b. Averaged over a sample of each layer, so that jumps of the
// coefficient, the same along every axis, do not count.
void find_widths(const Level &level, Widths &widths) {
  const Box &box = level.box;
  std::vector<int> axes;
  for (int a = 0; a < 3; ++a) {
    widths[a].assign(box.n[a], 1.0);
    if (box.n[a] > 1) axes.push_back(a);
  }
  const double d = static_cast<double>(axes.size());
  if (level.unit || axes.size() < 2) return;
  std::vector<double> sum[3], count[3];
  for (int a = 0; a < 3; ++a) sum[a].assign(box.n[a], 0.0), count[a].assign(box.n[a], 0.0);
  constexpr int64_t kSample = 16;  // per axis
  int64_t step[3];
  for (int a = 0; a < 3; ++a) step[a] = std::max<int64_t>(1, box.n[a] / kSample);
  for (const int along : axes) {
    int64_t stride[3] = {step[0], step[1], step[2]};
    stride[along] = 1;
    for (int64_t k = 0; k < box.n[0]; k += stride[0])
      for (int64_t j = 0; j < box.n[1]; j += stride[1])
        for (int64_t i = 0; i < box.n[2]; i += stride[2]) {
          const int64_t u = box.at(k, j, i);
          double value[3], mean = 0.0;
          bool all = true;
          for (const int a : axes) {
            const float high = level.weight[a][u], low = level.weight[a][u - box.offset(a)];
            if (!(high > 0.0f) && !(low > 0.0f)) all = false;
            if (!all) break;
            value[a] = 0.5 * (std::log(high > 0.0f ? high : low) + std::log(low > 0.0f ? low : high));
            mean += value[a] / d;
          }
          if (!all) continue;
          const int64_t at[3] = {k, j, i};
          sum[along][at[along]] += value[along] - mean, count[along][at[along]] += 1.0;
        }
  }
  for (const int a : axes) {
    std::vector<double> &h = widths[a];
    double total = 0.0, layers = 0.0, latest = 0.0;
    bool any = false;
    for (int64_t i = 0; i < box.n[a]; ++i) {  // layers without a sample take their predecessor's value
      if (count[a][i] > 0.0) {
        latest = sum[a][i] / count[a][i];
        if (!any)
          for (int64_t before = 0; before < i; ++before) h[before] = latest;
        any = true, total += latest, layers += 1.0;
      }
      h[i] = latest;
    }
    const double average = layers > 0.0 ? total / layers : 0.0;
    for (double &value : h) value = std::exp((value - average) / (2.0 / d - 2.0) - 0.5 * average);
  }
}

}  // namespace dcg
