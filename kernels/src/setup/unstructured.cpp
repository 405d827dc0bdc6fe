// The unstructured part of a coarsening: couplings of secondary unknowns, edge by edge, and their rows of the prolongation.

#include <map>
#include <tuple>

#include "setup/coarsening.hpp"

namespace dcg {

// Couplings and rows of the prolongation for fine unknowns that are secondary or have a secondary parent.
template <class Fine>
void Coarsening<Fine>::add_unstructured() {
  for (const Edge &e : fine.edges)
    if (block_of(cell(e.low)) != block_of(cell(e.high))) crossing.push_back(e);
  std::sort(crossing.begin(), crossing.end(), [](const Edge &p, const Edge &q) {
    return std::tie(p.low, p.high, p.axis) < std::tie(q.low, q.high, q.axis);
  });
  std::map<std::tuple<int64_t, int64_t, int8_t>, float> sum;
  for (const Edge &e : crossing) {
    const int side_low = side(e.low, e.axis), side_high = side(e.high, e.axis);
    const float g = face_transmissibility(e.weight, inside(e.low, e.axis, side_low), side_low == 0, inside(e.high, e.axis, side_high), side_high == 0)
                        .value;
    const int64_t low = coarse_unknown(e.low), high = coarse_unknown(e.high);
    if (low < coarse.box.size && high < coarse.box.size) {
      coarse.weight[e.axis][low] += g;
    } else {
      sum[{low, high, e.axis}] += g;
    }
  }
  for (const auto &[key, g] : sum) coarse.edges.push_back({std::get<0>(key), std::get<1>(key), g, std::get<2>(key)});
  std::vector<int64_t> unknowns;
  for (const auto &[u, parent] : coarse_of) unknowns.push_back(u);
  std::sort(unknowns.begin(), unknowns.end());
  for (int64_t e = 0; e < fine.secondary; ++e)
    if (secondary_of[e] >= 0) unknowns.push_back(fine.box.size + e);
  for (const int64_t u : unknowns) {
    const int64_t parent = coarse_unknown(u);
    for (int a = 0; a < 3; ++a) {
      const float w = u < fine.box.size ? of.dirichlet(u, fine.box.offset(a), a) : fine.dirichlet[a][u];
      if (w > 0.0f) coarse.dirichlet[a][parent] += dirichlet_transmissibility(w, inside(u, a, side(u, a))).value;
    }
    coarse.shift[parent] += u < fine.box.size ? of.shift(u) : fine.shift[u];
    fine.unstructured.push_back({u, parent, 1.0f});  // subtract_regular_rows() completes the row
  }
}

template void Coarsening<ConstantFine>::add_unstructured();
template void Coarsening<VariableFine>::add_unstructured();

namespace {

// The regular prolongation's row of a fine cell, negated: at most 27 entries, 8 of them not zero.
void subtract_regular(const Level &fine, const Level &coarse, int64_t u, std::vector<Entry> &out) {
  int64_t c[3], block[3];
  fine.box.coordinates(u, c);
  for (int a = 0; a < 3; ++a) block[a] = fine.coarsening[a].parent[c[a]];
  const auto step = [&](int axis, const int64_t from[3], int64_t to[3]) {
    const int side = fine.coarsening[axis].side[c[axis]];
    const int64_t n = coarse.box.n[axis];
    std::copy(from, from + 3, to);
    to[axis] = ((from[axis] + side) % n + n) % n;
    const int64_t at = coarse.box.at(from[0], from[1], from[2]);
    const int high = side > 0;
    return side == 0 ? std::pair{1.0f, 0.0f} : std::pair{coarse.interp_parent[axis][high][at], coarse.interp_neighbour[axis][high][at]};
  };
  int64_t px[3], py[3], pz[3];
  const auto x = step(2, block, px);
  for (const auto &[fx, bx] : {std::pair{x.first, block}, std::pair{x.second, px}}) {
    if (fx == 0.0f) continue;
    const auto y = step(1, bx, py);
    for (const auto &[fy, by] : {std::pair{y.first, bx}, std::pair{y.second, py}}) {
      if (fy == 0.0f) continue;
      const int64_t here[3] = {by[0], by[1], by[2]};
      const auto z = step(0, here, pz);
      out.push_back({u, coarse.box.at(here[0], here[1], here[2]), -fx * fy * z.first});
      if (z.second != 0.0f) out.push_back({u, coarse.box.at(pz[0], pz[1], pz[2]), -fx * fy * z.second});
    }
  }
}

}  // namespace

void subtract_regular_rows(Level &fine, const Level &coarse) {
  const size_t rows = fine.unstructured.size();
  for (size_t n = 0; n < rows; ++n)
    if (fine.unstructured[n].fine < fine.box.size) subtract_regular(fine, coarse, fine.unstructured[n].fine, fine.unstructured);
  std::stable_sort(fine.unstructured.begin(), fine.unstructured.end(), [](const Entry &p, const Entry &q) { return p.fine < q.fine; });
}

}  // namespace dcg
