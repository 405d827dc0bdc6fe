// The work at one cell in each phase of the cycle. The formulas are those of kernels/src/cycle/cell.hpp, as on the CPU.
//
// Ledger, bytes per cell of the finest level with a constant coefficient: relax 13 a pass, restrict_x 9 + 2, restrict 2, prolong 4 + 4 + 1.
// Passes of one colour touch every cache line: keeping the colours apart in memory would halve that, at the price of two layouts.
#pragma once

#include "cuda/core/view.hpp"
#include "cycle/cell.hpp"

namespace dcg::cuda {

struct Place {
  int k, j, i, at;
};

template <class T>
DCG_BOTH T neighbour_sum(const Grid &g, const float *x, const Place &p) {
  const T zero = 0;
  const bool y = g.n[1] > 1, z = g.n[0] > 1;
  return cell::neighbours<T>(x[g.below(2, p.at, p.i)], x[g.above(2, p.at, p.i)],
                             cell::lateral<T>(y ? x[g.below(1, p.at, p.j)] : zero, y ? x[g.above(1, p.at, p.j)] : zero,
                                             z ? x[g.below(0, p.at, p.k)] : zero, z ? x[g.above(0, p.at, p.k)] : zero));
}

DCG_BOTH float weighted_pair(const Grid &g, const float *w, const float *x, int axis, int at, int c) {
  const int low = g.below(axis, at, c);
  return cell::pair(w[low], x[low], w[at], x[g.above(axis, at, c)]);
}

DCG_BOTH float weighted_sum(const LevelView &v, const Place &p) {
  const Grid &g = v.grid;
  const float y = g.n[1] > 1 ? weighted_pair(g, v.weight[1], v.x, 1, p.at, p.j) : 0.0f;
  const float z = g.n[0] > 1 ? weighted_pair(g, v.weight[0], v.x, 0, p.at, p.k) : 0.0f;
  return weighted_pair(g, v.weight[2], v.x, 2, p.at, p.i) + (y + z);
}

DCG_BOTH float residual_at(const LevelView &v, const Place &p) {
  if (v.constant) {
    const int c = v.stencil_type[p.at];
    return c ? cell::residual(v.b[p.at], static_cast<float>(c & 7), v.x[p.at], neighbour_sum<float>(v.grid, v.x, p)) : 0.0f;
  }
  return v.omega_dinv[p.at] != 0.0f ? cell::residual(v.b[p.at], v.diagonal[p.at], v.x[p.at], weighted_sum(v, p)) : 0.0f;
}

DCG_BOTH bool is_unknown(const LevelView &v, int at) { return v.constant ? v.stencil_type[at] != 0 : v.omega_dinv[at] != 0.0f; }

// One pass of a sweep, over pairs of columns: each has one cell of the colour. Bits of `pass` above the colour's say of each periodic
// axis of odd length whether the pass is for its last layer: across its seam cells of one colour are neighbours.
template <class View>
struct Relax {
  View v;
  int sweep, pass;
  bool first;  // from x = 0, which is written where nothing is relaxed

  DCG_BOTH Extent extent() const { return {v.grid.n[0], v.grid.n[1], (v.grid.n[2] + 1) / 2}; }

  DCG_BOTH void operator()(int k, int j, int half) const {
    const Grid &g = v.grid;
    const int colour = pass & 1, i = 2 * half + ((k + j + colour) & 1), other = i ^ 1;
    if (first && other < g.n[2]) v.x[g.at(k, j, other)] = 0.0f;
    if (i >= g.n[2]) return;
    const Place p{k, j, i, g.at(k, j, i)};
    const int c = v.constant ? v.stencil_type[p.at] : 0;
    float factor = 0.0f;
    if (is_in_pass(p)) factor = v.constant ? v.factors[(sweep * 2 + colour) * 16 + c] : v.omega_dinv[p.at] * v.omega[sweep][colour];
    if (first) {
      v.x[p.at] = cell::relaxed_from_zero(factor, v.b[p.at], v.constant ? static_cast<float>(c & 7) : v.diagonal[p.at]);
    } else if (factor != 0.0f) {
      v.x[p.at] = v.constant ? cell::relaxed(v.x[p.at], factor, v.b[p.at], static_cast<float>(c & 7), neighbour_sum<float>(g, v.x, p))
                         : cell::relaxed(v.x[p.at], factor, v.b[p.at], v.diagonal[p.at], weighted_sum(v, p));
    }
  }

 private:
  DCG_BOTH bool is_in_pass(const Place &p) const {
    if (!v.odd_axes) return true;
    int bit = 1;
    for (int a = 0; a < 3; ++a) {
      if (!(v.odd_axes >> a & 1)) continue;
      const int c = a == 0 ? p.k : a == 1 ? p.j : p.i;
      if ((pass >> bit & 1) != (c + 1 == v.grid.n[a])) return false;
      ++bit;
    }
    return true;
  }
};

// The fine cells that coarse cell `c` of an axis receives from: its children, and its neighbours' children on its side.
// visit(fine, its parent, whether c is the parent's neighbour, high)
template <class Visit>
DCG_BOTH void gather(const AxisCoarseningView &m, int n, bool periodic, int c, const Visit &visit) {
  const bool wraps = periodic && n > 1;
  const int before = c > 0 ? c - 1 : wraps ? n - 1 : -1, after = c + 1 < n ? c + 1 : wraps ? 0 : -1;
  for (int f = m.first[c]; f < m.first[c + 1]; ++f) visit(f, c, false, m.side[f] > 0);
  if (before >= 0 && m.side[m.first[before + 1] - 1] > 0) visit(m.first[before + 1] - 1, before, true, 1);
  if (after >= 0 && m.side[m.first[after]] < 0) visit(m.first[after], after, true, 0);
}

DCG_BOTH int neighbour(int at, int side, int n, bool periodic) {  // -1 where there is none
  if (side == 0) return -1;
  const int m = at + side;
  if (m >= 0 && m < n) return m;
  return periodic && n > 1 ? (m + n) % n : -1;
}

// Residuals restricted along x: the transposed prolongation's first step.
template <class View>
struct RestrictX {
  View fine, coarse;

  DCG_BOTH Extent extent() const { return {fine.grid.n[0], fine.grid.n[1], coarse.grid.n[2]}; }

  DCG_BOTH void operator()(int k, int j, int c) const {
    const Grid &g = coarse.grid;
    const int row = g.at(fine.coarsening[0].parent[k], fine.coarsening[1].parent[j], 0);
    float sum = 0.0f;
    gather(fine.coarsening[2], g.n[2], g.periodic[2], c, [&](int f, int parent, bool from_neighbour, int high) {
      const float *weight = from_neighbour ? coarse.interp_neighbour[2][high] : coarse.interp_parent[2][high];
      sum = cell::stepped(sum, weight[row + parent], residual_at(fine, {k, j, f, fine.grid.at(k, j, f)}));
    });
    fine.lines[(k * fine.grid.n[1] + j) * g.n[2] + c] = sum;
  }
};

// The rest: along y, then z.
template <class View>
struct Restrict {
  View fine, coarse;

  DCG_BOTH Extent extent() const { return coarse.grid.extent(); }

  DCG_BOTH void operator()(int k, int j, int i) const {
    const Grid &g = coarse.grid;
    float total = 0.0f;
    gather(fine.coarsening[0], g.n[0], g.periodic[0], k, [&](int z, int plane, bool neighbour_z, int high_z) {
      float sum = 0.0f;
      gather(fine.coarsening[1], g.n[1], g.periodic[1], j, [&](int y, int row, bool neighbour_y, int high_y) {
        const float *weight = neighbour_y ? coarse.interp_neighbour[1][high_y] : coarse.interp_parent[1][high_y];
        sum = cell::stepped(sum, weight[g.at(plane, row, i)], fine.lines[(z * fine.grid.n[1] + y) * g.n[2] + i]);
      });
      const float *weight = neighbour_z ? coarse.interp_neighbour[0][high_z] : coarse.interp_parent[0][high_z];
      total = cell::stepped(total, weight[g.at(plane, j, i)], sum);
    });
    coarse.b[g.at(k, j, i)] = total;
  }
};

// x += P e
template <class View>
struct Prolong {
  View fine, coarse;

  DCG_BOTH Extent extent() const { return fine.grid.extent(); }

  DCG_BOTH void operator()(int k, int j, int i) const {
    const int at = fine.grid.at(k, j, i);
    if (!is_unknown(fine, at)) return;
    const Grid &g = coarse.grid;
    const int pz = fine.coarsening[0].parent[k], py = fine.coarsening[1].parent[j], px = fine.coarsening[2].parent[i];
    const int sz = fine.coarsening[0].side[k], sy = fine.coarsening[1].side[j], sx = fine.coarsening[2].side[i];
    const int nz = neighbour(pz, sz, g.n[0], g.periodic[0]), ny = neighbour(py, sy, g.n[1], g.periodic[1]);
    const int nx = neighbour(px, sx, g.n[2], g.periodic[2]);
    const auto along_z = [&](int y, int x) {
      const int own = g.at(pz, y, x);
      return cell::interpolate(coarse.interp_parent[0][sz > 0][own], coarse.x[own], nz >= 0 ? coarse.interp_neighbour[0][sz > 0][own] : 0.0f,
                        nz >= 0 ? coarse.x[g.at(nz, y, x)] : 0.0f);
    };
    const auto along_y = [&](int x) {
      const int own = g.at(pz, py, x);
      return cell::interpolate(coarse.interp_parent[1][sy > 0][own], along_z(py, x), ny >= 0 ? coarse.interp_neighbour[1][sy > 0][own] : 0.0f,
                        ny >= 0 ? along_z(ny, x) : 0.0f);
    };
    const int own = g.at(pz, py, px);
    fine.x[at] += cell::interpolate(coarse.interp_parent[2][sx > 0][own], along_y(px), nx >= 0 ? coarse.interp_neighbour[2][sx > 0][own] : 0.0f,
                             nx >= 0 ? along_y(nx) : 0.0f);
  }
};

}  // namespace dcg::cuda
