// What follows from a level's couplings: the learned local factors, the diagonal and the relaxation.

#include <algorithm>
#include <cmath>

#include "coarsen.hpp"

namespace dcg {

void copy_ghosts(const Level &level, Field<float> &f) {
  const Box &box = level.box;
  for (int a = 0; a < 3; ++a) {
    if (!level.periodic[a] || box.n[a] == 1) continue;
    const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;
    const int64_t turn = box.n[a] * box.offset(a);
    for (int64_t m = 0; m < box.n[p]; ++m)
      for (int64_t l = 0; l < box.n[q]; ++l) {
        int64_t c[3];
        c[a] = 0, c[p] = m, c[q] = l;
        const int64_t first = box.at(c[0], c[1], c[2]);
        f[first + turn] = f[first];
        f[first - box.offset(a)] = f[first - box.offset(a) + turn];
      }
  }
}

void copy_ghosts(const Level &level, Field<float> (&fields)[3]) {
  for (auto &f : fields) copy_ghosts(level, f);
}

namespace {

template <class Body>
void for_cells(const Level &level, int threads, Body &&body) {
  const Box &box = level.box;
#pragma omp parallel for num_threads(threads) schedule(static) if (box.cells() > 4096)
  for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row)
    for (int64_t i = 0; i < box.n[2]; ++i) body(box.at(row / box.n[1], row % box.n[1], i));
}

struct Sums {  // of one unknown's couplings
  float axis[3] = {0, 0, 0}, anchors = 0, uneven = 0, total = 0, edges = 0;
};

class Finishing {
 public:
  Finishing(Level &level, const dcg_weights &weights, bool finest, int threads)
      : level(level), weights(weights), finest(finest), threads(threads) {}

  void run() {
    list_neighbours();
    copy_ghosts(level, level.weight);
    if (weights.local) learn();
    for_cells(level, threads, [&](int64_t u) { set(u); });
    for (int64_t e = 0; e < level.extras; ++e) set(level.box.size + e);
    for (int a = 0; a < 3; ++a)
      for (int s = 0; s < 2; ++s)
        if (!level.keep[a][s].empty()) copy_ghosts(level, level.keep[a][s]), copy_ghosts(level, level.toward[a][s]);
    find_extents();
  }

  void complete() { list_neighbours(), copy_ghosts(level, level.weight), find_extents(); }

 private:
  Level &level;
  const dcg_weights &weights;
  const bool finest;
  const int threads;
  std::vector<float> relax_factor;

  void list_neighbours() {
    level.neighbour_start.assign(level.extras + 1, 0);
    const auto each = [&](auto &&body) {
      for (const Edge &e : level.edges) {
        if (e.low >= level.box.size) body(e.low - level.box.size, e.high, e.weight);
        if (e.high >= level.box.size) body(e.high - level.box.size, e.low, e.weight);
      }
    };
    each([&](int64_t e, int64_t, float) { ++level.neighbour_start[e + 1]; });
    for (int64_t e = 0; e < level.extras; ++e) level.neighbour_start[e + 1] += level.neighbour_start[e];
    level.neighbours.resize(level.neighbour_start[level.extras]);
    std::vector<int64_t> next(level.neighbour_start.begin(), level.neighbour_start.end());
    each([&](int64_t e, int64_t u, float w) { level.neighbours[next[e]++] = {u, w}; });
    listed.assign(level.edges.empty() ? 0 : level.box.size + level.extras, 0.0f);
    for (const Edge &e : level.edges) listed[e.low] += e.weight, listed[e.high] += e.weight;
  }

  std::vector<float> listed;  // sum of listed edges by unknown; empty where there are none

  Sums sums(int64_t u) const {
    Sums s;
    if (u < level.box.size)
      for (int a = 0; a < 3; ++a) {
        if (!level.box.has_ghosts(a)) continue;
        const float high = level.weight[a][u], low = level.weight[a][u - level.box.offset(a)];
        s.axis[a] = high + low, s.uneven += std::fabs(high - low), s.edges += high + low;
      }
    if (!listed.empty()) s.edges += listed[u];
    for (int a = 0; a < 3; ++a) s.axis[a] += level.anchor[a][u], s.anchors += level.anchor[a][u];
    s.total = s.edges + s.anchors + level.shift[u];
    return s;
  }

  // Learned factors of relaxation, edges and prolongation from what surrounds each unknown.
  void learn() {
    relax_factor.assign(level.box.size + level.extras, 1.0f);
    Field<float> edge;
    edge.resize(level.box.size + level.extras);
    std::fill(edge.data(), edge.data() + edge.size(), 1.0f);
    const bool neutral = std::all_of(weights.output_bias, weights.output_bias + DCG_OUTPUTS, [](float bias) { return bias == 0.0f; });
    const auto one = [&](int64_t u) {
      const Sums s = sums(u);
      if (!(s.edges > 0.0f)) return;
      if (neutral && s.anchors == 0.0f && level.shift[u] == 0.0f && s.uneven == 0.0f) return;  // all factors are 1 there
      float most = 0.0f, least = s.total;
      for (int a = 0; a < 3; ++a) {
        if (level.box.n[a] == 1) continue;
        most = std::max(most, s.axis[a]), least = std::min(least, s.axis[a]);
      }
      const float features[DCG_FEATURES] = {s.anchors / s.total, level.shift[u] / s.total, most / s.total, least / s.total,
                                         s.uneven / s.total};
      const Local local = evaluate(weights, features);
      relax_factor[u] = local.relax;
      if (finest) return;
      edge[u] = local.edge;
      if (u >= level.box.size) return;
      for (int a = 0; a < 3; ++a)
        for (int side = 0; side < 2; ++side) {
          float &toward = level.toward[a][side][u], &keep = level.keep[a][side][u];
          const float before = toward, odds = 1.0f / (1.0f + before * (local.toward - 1.0f));
          toward = before * local.toward * odds;
          keep = keep * odds;
        }
    };
    for_cells(level, threads, one);
    for (int64_t e = 0; e < level.extras; ++e) one(level.box.size + e);
    if (finest) return;
    copy_ghosts(level, edge);
    for_cells(level, threads, [&](int64_t u) {
      for (int a = 0; a < 3; ++a) {
        if (level.box.n[a] > 1) level.weight[a][u] *= edge[u] * edge[u + level.box.offset(a)];
        level.anchor[a][u] *= edge[u] * edge[u];
      }
    });
    for (int64_t e = level.box.size; e < level.box.size + level.extras; ++e)
      for (auto &anchor : level.anchor) anchor[e] *= edge[e] * edge[e];
    for (Edge &e : level.edges) e.weight *= edge[e.low] * edge[e.high];
    list_neighbours();
    copy_ghosts(level, level.weight);
  }

  void set(int64_t u) {
    const Sums s = sums(u);
    level.diagonal[u] = s.total;
    const bool in_use = finest ? s.total > 0.0f : s.edges > 0.0f;  // a coarse unknown without edges has nothing left to do
    level.relax[u] = in_use ? (relax_factor.empty() ? 1.0f : relax_factor[u]) / s.total : 0.0f;
  }

  void find_extents() {
    const Box &box = level.box;
    const int64_t rows = box.n[0] * box.n[1];
    level.row_begin.assign(rows, 0), level.row_end.assign(rows, 0);
    level.unknowns = 0;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t start = box.at(row / box.n[1], row % box.n[1]);
      int64_t first = box.n[2], last = -1;
      for (int64_t i = 0; i < box.n[2]; ++i)
        if (level.relax[start + i] != 0.0f) {
          first = std::min(first, i), last = i;
          ++level.unknowns;
        }
      if (last < 0) continue;
      level.row_begin[row] = static_cast<int32_t>(first / kLanes * kLanes);
      level.row_end[row] = static_cast<int32_t>((last / kLanes + 1) * kLanes);
    }
    for (int64_t e = 0; e < level.extras; ++e) level.unknowns += level.relax[box.size + e] != 0.0f;
  }
};

}  // namespace

void finish(Level &level, const dcg_weights &weights, bool finest, int threads) {
  Finishing(level, weights, finest, threads).run();
}

void complete(Level &level) {
  constexpr dcg_weights kNone{};
  Finishing(level, kNone, true, 1).complete();
}

}  // namespace dcg
