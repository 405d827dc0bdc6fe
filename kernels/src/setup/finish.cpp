// What follows from a level's couplings: the learned local factors, the diagonal and the relaxation.

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/clones.hpp"
#include "setup/coarsen.hpp"

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

// Sums over each cell's couplings, for a row of cells or for one secondary unknown.
struct Sums {
  explicit Sums(int64_t n) {
    const int64_t whole = (n + kLanes - 1) / kLanes * kLanes;  // of packs
    values.resize(11 * whole);
    float *next = values.data();
    for (float **p : {&axis[0], &axis[1], &axis[2], &dirichlet_sum, &uneven, &edges, &total, &shift, &factors[0], &factors[1], &factors[2]})
      *p = next, next += whole;
  }
  std::vector<float> values;
  float *axis[3], *dirichlet_sum, *uneven, *edges, *total, *shift;
  float *factors[DCG_OUTPUTS];  // what the learned function makes of them
};

DCG_CLONES void add_faces(int64_t n, const float *high, const float *low, float *__restrict axis, float *__restrict uneven,
                          float *__restrict edges) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float sum = high[i] + low[i];
    axis[i] += sum, edges[i] += sum;
    uneven[i] += std::fabs(high[i] - low[i]);
  }
}

DCG_CLONES void add_dirichlet(int64_t n, const float *dirichlet, float *__restrict axis, float *__restrict dirichlet_sum) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) axis[i] += dirichlet[i], dirichlet_sum[i] += dirichlet[i];
}

DCG_CLONES void add_up(int64_t n, const float *edges, const float *dirichlet_sum, const float *shift, float *__restrict total) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) total[i] = edges[i] + dirichlet_sum[i] + shift[i];
}

// Whether a row has anything but even edges.
DCG_CLONES bool regular(int64_t n, const float *dirichlet_sum, const float *shift, const float *uneven) {
  float any = 0.0f;
#pragma omp simd reduction(+ : any)
  for (int64_t i = 0; i < n; ++i) any += dirichlet_sum[i] + shift[i] + uneven[i];
  return any == 0.0f;
}

typedef float Pack __attribute__((vector_size(32)));

inline Pack load(const float *p) {
  Pack v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// The learned function along a row, in whole packs; 1 where there is no edge. `axes`: bit a for an axis of more than one cell.
DCG_CLONES void evaluate_row(const dcg_parameters &parameters, int axes, int64_t n, const Sums &s) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const auto any = load(s.edges + i) > 0.0f;
    const Pack one = Pack{} + 1.0f, total = load(s.total + i), inverse = 1.0f / (any ? total : one);
    Pack most{}, least = total;
    for (int a = 0; a < 3; ++a) {
      if (!(axes >> a & 1)) continue;
      const Pack along = load(s.axis[a] + i);
      most = along > most ? along : most, least = along < least ? along : least;
    }
    const Pack features[DCG_FEATURES] = {load(s.dirichlet_sum + i) * inverse, load(s.shift + i) * inverse, most * inverse, least * inverse,
                                         load(s.uneven + i) * inverse};
    Pack local[DCG_OUTPUTS];
    evaluate(parameters, features, local);
    for (int o = 0; o < DCG_OUTPUTS; ++o) {
      const Pack kept = any ? local[o] : one;
      __builtin_memcpy(s.factors[o] + i, &kept, sizeof kept);
    }
  }
}

// Odds of leaning on the neighbour times a factor.
DCG_CLONES void lean_row(int64_t n, const float *factor, float *__restrict interp_neighbour, float *__restrict interp_parent) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float odds = 1.0f / (1.0f + interp_neighbour[i] * (factor[i] - 1.0f));
    interp_neighbour[i] *= factor[i] * odds, interp_parent[i] *= odds;
  }
}

DCG_CLONES void scale_edges(int64_t n, const float *low, const float *high, float *__restrict weight) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) weight[i] *= low[i] * high[i];
}

// relax: learned factors in, the relaxation's out.
DCG_CLONES void set_row(int64_t n, const float *count, const float *total, float *__restrict diagonal, float *__restrict relax) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    diagonal[i] = total[i];
    relax[i] = count[i] > 0.0f ? relax[i] / total[i] : 0.0f;
  }
}

class Finishing {
 public:
  Finishing(Level &level, const dcg_parameters &parameters, bool finest, int threads)
      : level(level), parameters(parameters), finest(finest), threads(threads) {}

  void run() {
    list_neighbours();
    copy_ghosts(level, level.weight);
    each_row([&](int64_t, int64_t start, int64_t n) {
      std::fill_n(&level.omega_dinv[start], n, 1.0f);
      std::fill_n(&level.diagonal[start], n, 1.0f);
    });
    if (parameters.local) learn();
    set();
    find_extents();
    for (int a = 0; a < 3; ++a)
      for (int s = 0; s < 2; ++s)
        if (!level.interp_parent[a][s].empty()) copy_ghosts(level, level.interp_parent[a][s]), copy_ghosts(level, level.interp_neighbour[a][s]);
  }

  void restore_derived() { list_neighbours(), copy_ghosts(level, level.weight), find_extents(); }

 private:
  Level &level;
  const dcg_parameters &parameters;
  const bool finest;
  const int threads;
  // body(row, first index, number of unknowns): every row of cells, then the secondary unknowns, one at a time.
  template <class Body>
  void each_row(Body &&body) const {
    const Box &box = level.box;
#pragma omp parallel for num_threads(threads) schedule(static) if (box.cells() > 4096)
    for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row) body(row, box.at(row / box.n[1], row % box.n[1]), box.n[2]);
    for (int64_t e = 0; e < level.secondary; ++e) body(int64_t{-1}, box.size + e, int64_t{1});
  }

  std::vector<float> listed;  // sum of listed edges by unknown; empty where there are none

  void list_neighbours() {
    level.neighbour_start.assign(level.secondary + 1, 0);
    const auto each = [&](auto &&body) {
      for (const Edge &e : level.edges) {
        if (e.low >= level.box.size) body(e.low - level.box.size, e.high, e.weight);
        if (e.high >= level.box.size) body(e.high - level.box.size, e.low, e.weight);
      }
    };
    each([&](int64_t e, int64_t, float) { ++level.neighbour_start[e + 1]; });
    for (int64_t e = 0; e < level.secondary; ++e) level.neighbour_start[e + 1] += level.neighbour_start[e];
    level.neighbours.resize(level.neighbour_start[level.secondary]);
    std::vector<int64_t> next(level.neighbour_start.begin(), level.neighbour_start.end());
    each([&](int64_t e, int64_t u, float w) { level.neighbours[next[e]++] = {u, w}; });
    listed.assign(level.edges.empty() ? 0 : level.box.size + level.secondary, 0.0f);
    for (const Edge &e : level.edges) listed[e.low] += e.weight, listed[e.high] += e.weight;
  }

  // The sums of n unknowns from index `start` on: a row of cells, or a secondary unknown, which has listed edges only.
  void sum(int64_t start, int64_t n, Sums &s) const {
    std::fill(s.values.begin(), s.values.end(), 0.0f);
    if (start < level.box.size)
      for (int a = 0; a < 3; ++a)
        if (level.box.has_ghosts(a)) {
          const float *high = &level.weight[a][start];
          add_faces(n, high, high - level.box.offset(a), s.axis[a], s.uneven, s.edges);
        }
    if (!listed.empty())
      for (int64_t i = 0; i < n; ++i) s.edges[i] += listed[start + i];
    for (int a = 0; a < 3; ++a) add_dirichlet(n, &level.dirichlet[a][start], s.axis[a], s.dirichlet_sum);
    std::copy_n(&level.shift[start], n, s.shift);
    add_up(n, s.edges, s.dirichlet_sum, s.shift, s.total);
  }

  // Learned factors of relaxation, edges and prolongation from what surrounds each unknown. Until `set`, `relax` and `diagonal`
  // hold those of the relaxation and of the edges.
  void learn() {
    const bool neutral = std::all_of(parameters.output_bias, parameters.output_bias + DCG_OUTPUTS, [](float bias) { return bias == 0.0f; });
    int axes = 0;
    for (int a = 0; a < 3; ++a) axes |= (level.box.n[a] > 1) << a;
    each_row([&](int64_t row, int64_t start, int64_t n) {
      Sums s(n);
      sum(start, n, s);
      if (neutral && regular(n, s.dirichlet_sum, s.shift, s.uneven)) return;  // all factors are 1 there
      evaluate_row(parameters, axes, n, s);
      std::copy_n(s.factors[kRelaxFactor], n, &level.omega_dinv[start]);
      if (finest) return;
      std::copy_n(s.factors[kEdgeFactor], n, &level.diagonal[start]);
      if (row < 0) return;
      for (int a = 0; a < 3; ++a)
        for (int side = 0; side < 2; ++side)
          lean_row(n, s.factors[kTowardFactor], &level.interp_neighbour[a][side][start], &level.interp_parent[a][side][start]);
    });
    if (finest) return;
    const Field<float> &edge = level.diagonal;
    copy_ghosts(level, level.diagonal);
    each_row([&](int64_t row, int64_t start, int64_t n) {
      for (int a = 0; a < 3; ++a) {
        if (row >= 0 && level.box.n[a] > 1) scale_edges(n, &edge[start], &edge[start + level.box.offset(a)], &level.weight[a][start]);
        scale_edges(n, &edge[start], &edge[start], &level.dirichlet[a][start]);
      }
    });
    for (Edge &e : level.edges) e.weight *= edge[e.low] * edge[e.high];
    list_neighbours();
    copy_ghosts(level, level.weight);
  }

  void set() {
    each_row([&](int64_t, int64_t start, int64_t n) {
      Sums s(n);
      sum(start, n, s);
      // a coarse unknown without edges has nothing left to do
      set_row(n, finest ? s.total : s.edges, s.total, &level.diagonal[start], &level.omega_dinv[start]);
    });
  }

  // The columns with unknowns of every row.
  void find_extents() {
    const int64_t rows = level.box.n[0] * level.box.n[1];
    level.row_begin.assign(rows, 0), level.row_end.assign(rows, 0);
    std::atomic<int64_t> unknowns{0};
    each_row([&](int64_t row, int64_t start, int64_t n) {
      const float *relax = &level.omega_dinv[start];
      int64_t first = 0, last = n, found = 0;
      for (int64_t i = 0; i < n; ++i) found += relax[i] != 0.0f;
      unknowns += found;
      if (!found || row < 0) return;
      while (relax[first] == 0.0f) ++first;
      while (relax[last - 1] == 0.0f) --last;
      level.row_begin[row] = static_cast<int32_t>(first / kLanes * kLanes);
      level.row_end[row] = static_cast<int32_t>((last + kLanes - 1) / kLanes * kLanes);
    });
    level.unknowns = unknowns;
  }
};

}  // namespace

void finish(Level &level, const dcg_parameters &parameters, bool finest, int threads) {
  Finishing(level, parameters, finest, threads).run();
}

void restore_derived(Level &level) {
  constexpr dcg_parameters kNone{};
  Finishing(level, kNone, true, 1).restore_derived();
}

}  // namespace dcg
