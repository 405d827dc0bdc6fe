// Edges, Dirichlet couplings and shift of the primary aggregates, and their transfer weights: by rows of faces where the coefficient
// varies, by blocks where it is constant.

#include <algorithm>

#include "core/clones.hpp"
#include "setup/coarsening.hpp"

namespace dcg {

namespace {

// Adds a row of fine cells' values to their blocks.
DCG_CLONES void add_pairs(int64_t pairs, const float *from, float *__restrict to) {
#pragma omp simd
  for (int64_t c = 0; c < pairs; ++c) to[c] += from[2 * c] + from[2 * c + 1];
}

void add_children(const AxisCoarsening &m, int64_t n, const float *from, float *to) {
  const int64_t pairs = m.pairs ? n / 2 : 0;
  add_pairs(pairs, from, to);
  for (int64_t i = 2 * pairs; i < n; ++i) to[m.parent[i]] += from[i];
}

DCG_CLONES bool any_positive(int64_t n, const float *values) {
  float most = 0.0f;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < n; ++i) most = values[i] > most ? values[i] : most;
  return most > 0.0f;
}

// The prolongation's weights towards one side, from sums over a row of blocks' faces there. joined: weight of the coarse edge;
// outer, dropped: sums over Dirichlet couplings (DirichletTransmissibility).
DCG_CLONES void set_transfer(int64_t n, const float *joined, const float *outer, const float *dropped, float *__restrict interp_neighbour,
                             float *__restrict interp_parent) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) {
    const float total = joined[c] + outer[c], safe = total > 0.0f ? total : 1.0f;
    interp_parent[c] = 1.0f - (total > 0.0f ? (interp_neighbour[c] + dropped[c]) / safe : 0.0f);
    interp_neighbour[c] = total > 0.0f ? interp_neighbour[c] / safe : 0.0f;
  }
}

}  // namespace

// Edges, Dirichlet couplings and shift of primary aggregates, and their transfer weights.
template <class Fine>
void Coarsening<Fine>::add_structured() {
  std::vector<std::vector<Edge>> edges(threads);
  if constexpr (std::is_same_v<Fine, VariableFine>) {
    std::vector<std::vector<float>> buffers(threads);
    for_rows([&](int64_t k, int64_t j) { add_rows(k, j, edges[omp_get_thread_num()], buffers[omp_get_thread_num()]); });
    for_rows([&](int64_t k, int64_t j) { add_dirichlet_rows(k, j, buffers[omp_get_thread_num()]); });
  } else {
    add_blocks(edges);
  }
  for (const auto &of_thread : edges) crossing.insert(crossing.end(), of_thread.begin(), of_thread.end());
}

// Faces on the high side of a row of blocks, row by row of fine cells.
template <class Fine>
void Coarsening<Fine>::add_rows(int64_t k, int64_t j, std::vector<Edge> &edges, std::vector<float> &buffer) {
  const int64_t n = fine.box.n[2], length = fine.box.stride;
  buffer.resize(3 * length);
  float *g = buffer.data(), *low = g + length, *high = low + length;
  const AxisCoarsening &mz = fine.coarsening[0], &my = fine.coarsening[1], &mx = fine.coarsening[2];
  const int64_t here = coarse.box.at(k, j), at[2] = {k, j};
  for (int axis = 0; axis < 2; ++axis) {
    const AxisCoarsening &m = axis == 0 ? mz : my, &across = axis == 0 ? my : mz;
    const int64_t next = neighbour_above(at[axis], axis);
    if (next < 0) continue;
    const int64_t u = m.first[at[axis] + 1] - 1, v = m.first[next], other = at[1 - axis];
    const int64_t there = axis == 0 ? coarse.box.at(next, j) : coarse.box.at(k, next);
    for (int64_t c = across.first[other]; c < across.first[other + 1]; ++c) {
      const int64_t row_u = axis == 0 ? fine.box.at(u, c) : fine.box.at(c, u);
      const int64_t row_v = axis == 0 ? fine.box.at(v, c) : fine.box.at(c, v);
      const float *w = &fine.weight[axis][row_u];
      const int side_u = m.side[u], side_v = m.side[v];
      if (flagged_row(row_u) || flagged_row(row_v)) {
        for (int64_t i = 0; i < n; ++i) {
          const FaceTransmissibility s = face_or_edge(row_u + i, row_v + i, w[i], axis, side_u, side_v, edges);
          g[i] = s.value, low[i] = s.low, high[i] = s.high;
        }
      } else {
        face_transmissibilities(n, w, side_u ? w - fine.box.offset(axis) : nullptr, side_v ? &fine.weight[axis][row_v] : nullptr, g, low, high);
      }
      add_children(mx, n, g, &coarse.weight[axis][here]);
      add_children(mx, n, low, &coarse.interp_neighbour[axis][1][here]);
      add_children(mx, n, high, &coarse.interp_neighbour[axis][0][there]);
    }
  }
  for (int64_t kf = mz.first[k]; kf < mz.first[k + 1]; ++kf)
    for (int64_t jf = my.first[j]; jf < my.first[j + 1]; ++jf) add_row_along(fine.box.at(kf, jf), here, edges);
}

// Faces between the blocks of one row of fine cells.
template <class Fine>
void Coarsening<Fine>::add_row_along(int64_t row, int64_t here, std::vector<Edge> &edges) {
  const AxisCoarsening &m = fine.coarsening[2];
  const float *w = &fine.weight[2][row];
  const bool flagged = flagged_row(row);
  for (int64_t c = 0; c < coarse.box.n[2]; ++c) {
    const int64_t next = neighbour_above(c, 2);
    if (next < 0) continue;
    const int64_t u = m.first[c + 1] - 1, v = m.first[next];
    const FaceTransmissibility s = flagged ? face_or_edge(row + u, row + v, w[u], 2, m.side[u], m.side[v], edges)
                             : face_transmissibility(w[u], w[u - 1], m.side[u] == 0, w[v], m.side[v] == 0);
    coarse.weight[2][here + c] += s.value;
    coarse.interp_neighbour[2][1][here + c] += s.low;
    coarse.interp_neighbour[2][0][here + next] += s.high;
  }
}

// Near secondary unknowns: the transmissibility of a face between primary aggregates; any other face is appended to `edges`.
template <class Fine>
FaceTransmissibility Coarsening<Fine>::face_or_edge(int64_t u, int64_t v, float w, int axis, int side_u, int side_v, std::vector<Edge> &edges) const {
  if (!(w > 0.0f)) return {};
  if (!(member[u] & kPrimary && member[v] & kPrimary)) {
    edges.push_back({u, v, w, static_cast<int8_t>(axis)});
    return {};
  }
  return face_transmissibility(w, inside(u, axis, side_u), side_u == 0, inside(v, axis, side_v), side_v == 0);
}

// Dirichlet couplings and shift of a row of blocks; then its weights of the prolongation.
template <class Fine>
void Coarsening<Fine>::add_dirichlet_rows(int64_t k, int64_t j, std::vector<float> &buffer) {
  const AxisCoarsening &mz = fine.coarsening[0], &my = fine.coarsening[1], &mx = fine.coarsening[2];
  const int64_t n = fine.box.n[2], blocks = coarse.box.n[2], here = coarse.box.at(k, j), at[2] = {k, j};
  for (int axis = 0; axis < 3; ++axis) {
    buffer.assign(5 * blocks, 0.0f);
    float *outer[2] = {buffer.data(), buffer.data() + blocks}, *dropped[2] = {outer[1] + blocks, outer[1] + 2 * blocks};
    float *below = outer[1] + 3 * blocks;
    for (int64_t kf = mz.first[k]; kf < mz.first[k + 1]; ++kf)
      for (int64_t jf = my.first[j]; jf < my.first[j + 1]; ++jf) {
        const int64_t row = fine.box.at(kf, jf);
        if (any_positive(n, &fine.dirichlet[axis][row])) {
          for (int64_t i = 0; i < n; ++i) {
            const float a = fine.dirichlet[axis][row + i];
            if (!(a > 0.0f) || !(member[row + i] & kPrimary)) continue;
            const int own = axis == 0 ? mz.side[kf] : axis == 1 ? my.side[jf] : mx.side[i];
            const DirichletTransmissibility s = dirichlet_transmissibility(a, own ? inside(row + i, axis, own) : 0.0f);
            const int64_t c = mx.parent[i];
            coarse.dirichlet[axis][here + c] += s.value;
            outer[own > 0][c] += s.outer, dropped[own > 0][c] += s.dropped;
          }
        }
        if (axis == 0 && any_positive(n, &fine.shift[row]))
          for (int64_t i = 0; i < n; ++i)
            if (member[row + i] & kPrimary) coarse.shift[here + mx.parent[i]] += fine.shift[row + i];
      }
    below_row(at, axis, here, below);
    set_transfer(blocks, below, outer[0], dropped[0], &coarse.interp_neighbour[axis][0][here], &coarse.interp_parent[axis][0][here]);
    set_transfer(blocks, &coarse.weight[axis][here], outer[1], dropped[1], &coarse.interp_neighbour[axis][1][here], &coarse.interp_parent[axis][1][here]);
  }
}

// The weights of the faces below a row of blocks; they are stored with the blocks there.
template <class Fine>
void Coarsening<Fine>::below_row(const int64_t at[2], int axis, int64_t here, float *out) const {
  const int64_t n = coarse.box.n[axis], wrap = fine.periodic[axis] && n > 1 ? (n - 1) * coarse.box.offset(axis) : 0;
  const float *weight = &coarse.weight[axis][here];
  const int64_t blocks = coarse.box.n[2];
  if (axis == 2) {
    out[0] = wrap ? weight[wrap] : 0.0f;
    std::copy_n(weight, blocks - 1, out + 1);
  } else if (at[axis] > 0 || wrap) {
    std::copy_n(weight + (at[axis] > 0 ? -coarse.box.offset(axis) : wrap), blocks, out);
  }
}

template <class Fine>
void Coarsening<Fine>::add_blocks(std::vector<std::vector<Edge>> &edges) {
  for_blocks([&](const Block &c) {
    if (inside(c)) {
      for (int a = 0; a < 3; ++a)
        for (int s = 0; s < 2; ++s) join_full(c.index, a, s);
      return;
    }
    int64_t child[8];
    children(c, child);
    if (std::all_of(child, child + 8, [](int64_t u) { return u < 0; })) {
      for (int a = 0; a < 3; ++a)
        for (int s = 0; s < 2; ++s) coarse.interp_parent[a][s][c.index] = 1.0f;
      return;
    }
    const int64_t at[3] = {c.k, c.j, c.i};
    for (int a = 0; a < 3; ++a) add_axis(c, at[a], a, child, edges[omp_get_thread_num()]);
  });
}

// The face between two full blocks: four edges of weight 1 / (1/2 + 1 + 1/2).
template <class Fine>
void Coarsening<Fine>::join_full(int64_t index, int axis, int high) {
  if (high) coarse.weight[axis][index] = 2.0f;
  coarse.interp_parent[axis][high][index] = 0.75f, coarse.interp_neighbour[axis][high][index] = 0.25f;
}

template <class Fine>
bool Coarsening<Fine>::inside(const Block &c) const {  // a full block among six full ones: everything is known
  if (!full[c.index]) return false;
  for (int a = 0; a < 3; ++a) {
    const int64_t offset = coarse.box.offset(a);
    if (coarse.box.n[a] == 1) return false;
    if (!full[c.index - offset] || !full[c.index + offset]) return false;
  }
  return true;
}

template <class Fine>
void Coarsening<Fine>::add_axis(const Block &c, int64_t at, int axis, const int64_t child[8], std::vector<Edge> &edges) {
  const int bit = 4 >> axis;
  const int64_t n = fine.box.n[axis], offset = fine.box.offset(axis), first = fine.coarsening[axis].first[at];
  const bool two = fine.coarsening[axis].first[at + 1] - first == 2;
  const bool periodic = fine.periodic[axis] && coarse.box.n[axis] > 1;  // one block all round has no neighbour
  float dirichlet_sum = 0.0f;
  for (int high = 0; high < 2; ++high) {
    const int own = !two ? 0 : high ? 1 : -1;
    const bool last = high ? at + 1 == coarse.box.n[axis] : at == 0;
    if (!last && full[c.index] && full[c.index + (high ? 1 : -1) * coarse.box.offset(axis)]) {
      join_full(c.index, axis, high);
      continue;
    }
    const int64_t neighbour = high ? (last ? 0 : at + 1) : (last ? coarse.box.n[axis] - 1 : at - 1);
    const AxisCoarsening &m = fine.coarsening[axis];
    const int other = m.first[neighbour + 1] - m.first[neighbour] == 2 ? (high ? -1 : 1) : 0;
    const int64_t to = (high ? offset : -offset) + (last ? (high ? -n : n) * offset : 0);
    const FaceTransmissibility face = face_transmissibility(1.0f, 1.0f, own == 0, 1.0f, other == 0);  // every edge inside a block is 1, or counts as 1
    float joined = 0.0f, interpolated = 0.0f, outer = 0.0f, dropped = 0.0f;
    for (int s = 0; s < 8; ++s) {
      const int64_t u = child[s];
      if (u < 0 || (two && ((s & bit) != 0) != (high == 1))) continue;
      const float w = last && !periodic ? 0.0f : of.weight(high ? u : u - offset, offset, axis);
      const int64_t v = u + to;
      if (w > 0.0f && member[u] & kPrimary && member[v] & kPrimary) {
        joined += face.value, interpolated += face.low;
      } else if (w > 0.0f && high) {
        edges.push_back({u, v, w, static_cast<int8_t>(axis)});
      }
      const float a = two || high ? of.dirichlet(u, offset, axis) : 0.0f;  // a lone child's Dirichlet couplings are counted once
      if (a > 0.0f && member[u] & kPrimary) {
        const DirichletTransmissibility s = dirichlet_transmissibility(a, inside(u, axis, own));
        dirichlet_sum += s.value, outer += s.outer, dropped += s.dropped;
      }
    }
    if (high) coarse.weight[axis][c.index] = joined;
    const float total = joined + outer;
    coarse.interp_neighbour[axis][high][c.index] = total > 0.0f ? interpolated / total : 0.0f;
    coarse.interp_parent[axis][high][c.index] = total > 0.0f ? 1.0f - (interpolated + dropped) / total : 1.0f;
  }
  coarse.dirichlet[axis][c.index] = dirichlet_sum;
}

template void Coarsening<ConstantFine>::add_structured();
template void Coarsening<VariableFine>::add_structured();

}  // namespace dcg
