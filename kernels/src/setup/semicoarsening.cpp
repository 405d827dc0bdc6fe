// Semicoarsening: cells are paired along each axis, thin ones first, until the next level has at most 0.8 times the cells.
// deepcg/multigrid/reference/semicoarsening.py states the same in NumPy.

#include <algorithm>
#include <cmath>

#include "setup/coarsen.hpp"

namespace dcg {

double first_target(const int64_t shape[3], const Widths &widths) {
  double target = 1e300;
  for (int a = 0; a < 3; ++a)
    if (shape[a] > 1) target = std::min(target, *std::min_element(widths[a].begin(), widths[a].end()));
  return target;
}

bool plan_semicoarsening(const int64_t n[3], AxisCoarsening (&coarsening)[3], Widths &widths, double &target) {
  constexpr double kRoom = 1.42, kShare = 0.8;
  const int64_t all = n[0] * n[1] * n[2];
  if (all == 1) return false;
  for (double cells = 1e300; cells > kShare * all;) {
    target *= 2.0, cells = 1.0;
    for (int a = 0; a < 3; ++a) {
      AxisCoarsening &m = coarsening[a];
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
    const AxisCoarsening &m = coarsening[a];
    std::vector<double> wider(m.coarse(), 0.0);
    for (int64_t i = 0; i < n[a]; ++i) wider[m.parent[i]] += widths[a][i];
    widths[a] = wider;
  }
  return true;
}

void pair_cells(const int64_t first[3], const int64_t n[3], AxisCoarsening (&coarsening)[3]) {
  for (int a = 0; a < 3; ++a) {
    AxisCoarsening &m = coarsening[a];
    m.parent.assign(n[a], 0), m.side.assign(n[a], 0), m.first.assign(1, 0), m.pairs = first[a] % 2 == 0;
    for (int64_t i = 0; i < n[a]; ++i) {
      const bool high = (first[a] + i) % 2 != 0;
      if (high && i > 0) m.side[i - 1] = -1, m.side[i] = 1;
      if (!high && i > 0) m.first.push_back(static_cast<int32_t>(i));
      m.parent[i] = static_cast<int32_t>(m.first.size()) - 1;
    }
    m.first.push_back(static_cast<int32_t>(n[a]));
  }
}

WidthSamples::WidthSamples(const int64_t shape[3]) {
  for (int a = 0; a < 3; ++a) {
    n[a] = shape[a], sum[a].assign(n[a], 0.0), count[a].assign(n[a], 0.0);
    if (n[a] > 1) axes.push_back(a);
  }
}

// On a tensor grid of d axes an unknown's log weights, less their mean, are -2 log h_a + (2 / d) sum of log h_b. Averaged over a sample of
// each layer, so that jumps of the coefficient, the same along every axis, do not count.
void WidthSamples::take(const Weight &weight, const int64_t begin[3], const int64_t end[3], const int64_t first[3]) {
  if (axes.size() < 2) return;
  const double d = static_cast<double>(axes.size());
  constexpr int64_t kSample = 16;  // per axis
  for (const int along : axes) {
    int64_t stride[3], from[3];
    for (int a = 0; a < 3; ++a) {
      stride[a] = a == along ? 1 : std::max<int64_t>(1, n[a] / kSample);
      from[a] = begin[a] + (stride[a] - first[a] % stride[a]) % stride[a];
    }
    for (int64_t k = from[0]; k < end[0]; k += stride[0])
      for (int64_t j = from[1]; j < end[1]; j += stride[1])
        for (int64_t i = from[2]; i < end[2]; i += stride[2]) {
          const int64_t at[3] = {k, j, i};
          double value[3] = {0.0, 0.0, 0.0}, mean = 0.0;
          bool all = true;
          for (const int a : axes) {
            const float high = weight(a, at, true), low = weight(a, at, false);
            if (!(high > 0.0f) && !(low > 0.0f)) all = false;
            if (!all) break;
            value[a] = 0.5 * (std::log(high > 0.0f ? high : low) + std::log(low > 0.0f ? low : high));
            mean += value[a] / d;
          }
          if (!all) continue;
          const int64_t layer = first[along] + at[along] - begin[along];
          sum[along][layer] += value[along] - mean, count[along][layer] += 1.0;
        }
  }
}

void WidthSamples::widths(Widths &widths) const {
  for (int a = 0; a < 3; ++a) widths[a].assign(n[a], 1.0);
  if (axes.size() < 2) return;
  const double d = static_cast<double>(axes.size());
  for (const int a : axes) {
    std::vector<double> &h = widths[a];
    double total = 0.0, layers = 0.0, latest = 0.0;
    bool any = false;
    for (int64_t i = 0; i < n[a]; ++i) {  // layers without a sample take their predecessor's value
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
