// What follows from a level's couplings: the learned local factors, the diagonal, the relaxation, and the coarsest
// level's inverse.

#include <algorithm>
#include <cmath>
#include <stdexcept>

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
    std::vector<float> edge(level.box.size + level.extras, 1.0f);
    const auto one = [&](int64_t u) {
      const Sums s = sums(u);
      if (!(s.edges > 0.0f)) return;
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
    for_cells(level, threads, [&](int64_t u) {
      for (int a = 0; a < 3; ++a) {
        int64_t c[3];
        level.box.coordinates(u, c);
        const int64_t v = c[a] + 1 < level.box.n[a] ? u + level.box.offset(a) : u - (level.box.n[a] - 1) * level.box.offset(a);
        level.weight[a][u] *= edge[u] * edge[v];
      }
    });
    for (int64_t u = 0; u < level.box.size + level.extras; ++u)
      for (auto &anchor : level.anchor) anchor[u] *= edge[u] * edge[u];
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

namespace {

// A over the unknowns in `direct`, row by row in double precision; the diagonal is summed again, for a singular component's
// rows to cancel.
std::vector<double> dense_matrix(const Level &level) {
  const Box &box = level.box;
  const int64_t n = static_cast<int64_t>(level.direct.size());
  std::vector<int64_t> place(box.size + level.extras, -1);
  for (int64_t m = 0; m < n; ++m) place[level.direct[m]] = m;
  std::vector<double> a(n * n, 0.0);
  const auto couple = [&](int64_t u, int64_t v, double w) {
    if (w > 0.0 && u >= 0 && v >= 0 && u != v) a[u * n + v] -= w, a[v * n + u] -= w, a[u * n + u] += w, a[v * n + v] += w;
  };
  for (int64_t m = 0; m < n; ++m) {
    const int64_t u = level.direct[m];
    if (level.unit) a[m * n + m] += level.code[u] & 7;
    if (!level.unit) a[m * n + m] += level.shift[u];
    for (int axis = 0; axis < 3; ++axis) {
      if (!level.unit) a[m * n + m] += level.anchor[axis][u];
      if (u >= box.size || box.n[axis] == 1) continue;
      int64_t c[3];
      box.coordinates(u, c);
      const bool last = c[axis] + 1 == box.n[axis];
      if (last && !level.periodic[axis]) continue;
      const int64_t v = last ? u - (box.n[axis] - 1) * box.offset(axis) : u + box.offset(axis);
      if (!level.unit) couple(m, place[v], level.weight[axis][u]);
      if (level.unit && place[v] >= 0) a[m * n + place[v]] -= 1.0, a[place[v] * n + m] -= 1.0;
    }
  }
  for (const Edge &e : level.edges) couple(place[e.low], place[e.high], e.weight);
  return a;
}

// Takes v out of a symmetric matrix on both sides: G <- (I - v v^T) G (I - v v^T), v of unit length.
void project_out(std::vector<double> &g, const std::vector<double> &v) {
  const int64_t n = static_cast<int64_t>(v.size());
  std::vector<double> product(n, 0.0);
  double twice = 0.0;
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < n; ++c) product[r] += g[r * n + c] * v[c];
    twice += v[r] * product[r];
  }
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < n; ++c) g[r * n + c] += v[r] * (twice * v[c] - product[c]) - product[r] * v[c];
}

}  // namespace

void factorise(Level &level) {
  level.direct.clear();
  const Box &box = level.box;
  for (int64_t k = 0; k < box.n[0]; ++k)
    for (int64_t j = 0; j < box.n[1]; ++j)
      for (int64_t i = 0; i < box.n[2]; ++i) {
        const int64_t u = box.at(k, j, i);
        if (level.unit ? level.code[u] != 0 : level.relax[u] != 0.0f) level.direct.push_back(u);
      }
  for (int64_t e = 0; e < level.extras; ++e)
    if (level.relax[box.size + e] != 0.0f) level.direct.push_back(box.size + e);
  const int64_t n = static_cast<int64_t>(level.direct.size());
  std::vector<double> a = dense_matrix(level);

  // L D L^T, where a vanishing pivot (a singular component's last) is left out.
  constexpr double kVanishing = 1e-11;
  std::vector<double> pivot(n, 0.0), diagonal(n);
  for (int64_t m = 0; m < n; ++m) diagonal[m] = a[m * n + m];
  for (int64_t m = 0; m < n; ++m) {
    const double d = a[m * n + m];
    if (!(d > kVanishing * diagonal[m])) {
      for (int64_t r = m + 1; r < n; ++r) a[r * n + m] = 0.0;
      continue;
    }
    pivot[m] = 1.0 / d;
    for (int64_t r = m + 1; r < n; ++r) {
      const double l = a[r * n + m] / d;
      if (l == 0.0) continue;
      for (int64_t s = m + 1; s <= r; ++s) a[r * n + s] -= l * a[s * n + m];
    }
    for (int64_t r = m + 1; r < n; ++r) a[r * n + m] /= d;
  }
  const auto backward = [&](std::vector<double> &y) {  // y <- L^-T y
    for (int64_t r = n - 1; r >= 0; --r)
      for (int64_t s = r + 1; s < n; ++s) y[r] -= a[s * n + r] * y[s];
  };
  std::vector<double> inverse(n * n), y(n);
  for (int64_t column = 0; column < n; ++column) {
    for (int64_t r = 0; r < n; ++r) {
      y[r] = r == column ? 1.0 : 0.0;
      for (int64_t s = column; s < r; ++s) y[r] -= a[r * n + s] * y[s];
    }
    for (int64_t r = 0; r < n; ++r) y[r] *= pivot[r];
    backward(y);
    for (int64_t r = 0; r < n; ++r) inverse[r * n + column] = y[r];
  }
  // With the null space (a constant on each singular component) taken out on both sides, this is the pseudo-inverse.
  for (int64_t m = 0; m < n; ++m) {
    if (pivot[m] != 0.0) continue;
    std::fill(y.begin(), y.end(), 0.0);
    y[m] = 1.0;
    backward(y);
    double square = 0.0;
    for (const double value : y) square += value * value;
    for (double &value : y) value /= std::sqrt(square);
    project_out(inverse, y);
  }
  level.inverse.assign(inverse.begin(), inverse.end());
}

}  // namespace dcg
