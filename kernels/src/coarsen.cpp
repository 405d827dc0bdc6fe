// The hierarchy's set-up. A level is a network of resistors: unknowns are joined by edges (faces) and to fixed values by
// anchors. The next level merges cells in pairs along each axis; its unknowns are the connected parts that the fine
// unknowns of a block form inside it, so that a wall which divides a block leaves two. An edge of weight w between two
// blocks runs from one block's middle to the other's, in series with half the edge that lies inside each:
//
//     G = 1 / (R_u / 2 + 1 / w + R_v / 2),   R = 1 / (weight of the edge inside the block along the same axis)
//
// and edges between the same parts add up. On a uniform grid this is the rediscretised operator; it gives the distance to an
// open boundary right on every level, and follows jumps of the coefficient as a flux does (harmonic mean). Where the
// block's other half is a wall, R = 1 / w. deepcg/hierarchy.py states the same in NumPy.

#include "coarsen.hpp"
#include "series.hpp"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <unordered_map>

namespace dcg {

bool plan_merges(Level &level, Widths &widths, double &target) {
  constexpr double kRoom = 1.42;
  int64_t *n = level.box.n;
  if (n[0] * n[1] * n[2] == 1) return false;
  for (bool merged = false; !merged;) {
    target *= 2.0;
    for (int a = 0; a < 3; ++a) {
      Merge &m = level.merge[a];
      const std::vector<double> &h = widths[a];
      m.parent.resize(n[a]), m.side.resize(n[a]), m.first.clear();
      for (int64_t i = 0; i < n[a];) {
        const int32_t coarse = static_cast<int32_t>(m.first.size());
        const bool pair = i + 1 < n[a] && h[i] + h[i + 1] <= kRoom * target;
        m.first.push_back(static_cast<int32_t>(i));
        m.parent[i] = coarse, m.side[i] = pair ? -1 : 0;
        if (pair) m.parent[i + 1] = coarse, m.side[i + 1] = 1, merged = true;
        i += pair ? 2 : 1;
      }
      m.first.push_back(static_cast<int32_t>(n[a]));
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

namespace {

// What coarsening asks of a fine level, per primary unknown at an index.
struct UnitFine {
  const Level &level;
  bool active(int64_t i) const { return level.code[i] != 0; }
  float weight(int64_t i, int64_t offset, int) const {
    return level.cells[i] == 0 && level.cells[i + offset] == 0 ? 1.0f : 0.0f;
  }
  float anchor(int64_t i, int64_t offset, int axis) const {
    if (level.box.n[axis] == 1 && axis < 2) return static_cast<float>(level.open_across[axis]);  // no ghosts to look at
    return static_cast<float>((level.cells[i + offset] == 2) + (level.cells[i - offset] == 2));
  }
  float shift(int64_t) const { return 0.0f; }
};

struct WeightedFine {
  const Level &level;
  bool active(int64_t i) const { return level.relax[i] != 0.0f; }
  float weight(int64_t i, int64_t, int axis) const { return level.weight[axis][i]; }
  float anchor(int64_t i, int64_t, int axis) const { return level.anchor[axis][i]; }
  float shift(int64_t i) const { return level.shift[i]; }
};

enum Member : uint8_t { kNone = 0, kPrimary = 1, kExtra = 2, kTouched = 4 };  // kTouched: has edges to extra unknowns

template <class Fine>
class Coarsening {
 public:
  Coarsening(Level &fine, Level &coarse, int threads)
      : of{fine}, fine(fine), coarse(coarse), threads(threads), extra_of(fine.extras, -1) {}

  void run() {
    member.resize(fine.box.size + fine.extras);
    std::fill(member.data(), member.data() + member.size(), uint8_t{0});
    reset_coarse();
    for (size_t n = 0; n < fine.edges.size(); ++n)
      for (const int64_t u : {fine.edges[n].low, fine.edges[n].high}) member[u] |= kTouched, edges_at[u].push_back(n);
    find_parts();
    flag_rows();
    resize_coarse();
    add_structured();
    add_listed();
  }

 private:
  const Fine of;
  Level &fine, &coarse;
  const int threads;
  Field<uint8_t> member;
  std::vector<int64_t> extra_of;                   // coarse unknown of each fine extra
  std::unordered_map<int64_t, int64_t> coarse_of;  // of primaries that are not in their block's primary part
  std::unordered_map<int64_t, std::vector<int64_t>> edges_at;  // listed edges by fine unknown
  std::vector<uint8_t> full;                                   // blocks of eight unknowns in one part
  std::vector<Edge> crossing;                                  // fine edges between blocks that are not both primary
  std::vector<uint8_t> flagged;                                // rows of fine cells with members that are not plainly primary

  struct Block {
    int64_t k, j, i, index;
  };

  void reset_coarse() {
    int64_t shape[3];
    for (int a = 0; a < 3; ++a) shape[a] = fine.merge[a].coarse(), coarse.periodic[a] = fine.periodic[a];
    coarse.box.reset(shape);
    coarse.extras = 0, coarse.extra_cell.clear(), coarse.edges.clear(), coarse.sparse.clear();
  }

  template <class Body>
  void for_blocks(Body &&body) {
    const Box &box = coarse.box;
#pragma omp parallel for num_threads(threads) schedule(static) if (box.cells() > 2048)
    for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row)
      for (int64_t i = 0; i < box.n[2]; ++i) {
        const int64_t k = row / box.n[1], j = row % box.n[1];
        body(Block{k, j, i, box.at(k, j, i)});
      }
  }

  // Children of a block: index, or -1 where there is no active cell. Bit order z, y, x; a lone cell is the low child.
  void children(const Block &c, int64_t child[8]) const {
    const int64_t at[3] = {c.k, c.j, c.i};
    int64_t first[3];
    bool two[3];
    for (int a = 0; a < 3; ++a) {
      first[a] = fine.merge[a].first[at[a]];
      two[a] = fine.merge[a].first[at[a] + 1] - first[a] == 2;
    }
    const int64_t origin = fine.box.at(first[0], first[1], first[2]);
    for (int s = 0; s < 8; ++s) {
      child[s] = -1;
      if (((s & 4) && !two[0]) || ((s & 2) && !two[1]) || ((s & 1) && !two[2])) continue;
      const int64_t index = origin + (s & 4 ? fine.box.plane : 0) + (s & 2 ? fine.box.stride : 0) + (s & 1);
      if (of.active(index)) child[s] = index;
    }
  }

  // The unknowns of each block: its largest part is primary (the first one where two are as large), the others are extra.
  void find_parts() {
    std::vector<uint8_t> odd(coarse.box.size, 0);
    full.assign(coarse.box.size, 0);
    const bool paired = fine.unit && fine.merge[0].pairs && fine.merge[1].pairs && fine.merge[2].pairs && fine.box.n[1] > 1;
    for (int64_t e = 0; e < fine.extras; ++e) odd[block_of(fine.extra_cell[e])] = 1;
    for_blocks([&](const Block &c) {
      if (odd[c.index]) return;
      if (paired && mark_if_full(c)) return;
      int64_t child[8];
      children(c, child);
      unsigned present = 0;
      for (int s = 0; s < 8; ++s) present |= (child[s] >= 0) << s;
      if (!present) return;
      if (part_of(present, child) != present) {
        odd[c.index] = 1;
        return;
      }
      full[c.index] = present == 255;
      for (int s = 0; s < 8; ++s)
        if (child[s] >= 0) member[child[s]] |= kPrimary;
    });
    std::vector<std::vector<int64_t>> extras_in;  // per odd block
    std::vector<int64_t> blocks;
    std::unordered_map<int64_t, size_t> number;
    for (int64_t k = 0; k < coarse.box.n[0]; ++k)
      for (int64_t j = 0; j < coarse.box.n[1]; ++j)
        for (int64_t i = 0; i < coarse.box.n[2]; ++i)
          if (odd[coarse.box.at(k, j, i)]) number[coarse.box.at(k, j, i)] = blocks.size(), blocks.push_back(coarse.box.at(k, j, i));
    extras_in.resize(blocks.size());
    for (int64_t e = 0; e < fine.extras; ++e)
      if (fine.relax[fine.box.size + e] != 0.0f) extras_in[number[block_of(fine.extra_cell[e])]].push_back(fine.box.size + e);
    for (size_t b = 0; b < blocks.size(); ++b) split(blocks[b], extras_in[b]);
  }

  // The common case, two cells at a time: eight FLUID cells of a level where they are joined.
  bool mark_if_full(const Block &c) {
    constexpr uint16_t kFluid = 0, kBoth = kPrimary | kPrimary << 8;
    if (2 * c.k + 1 >= fine.box.n[0] || 2 * c.j + 1 >= fine.box.n[1] || 2 * c.i + 1 >= fine.box.n[2]) return false;
    const int64_t origin = fine.box.at(2 * c.k, 2 * c.j, 2 * c.i);
    const int64_t row[4] = {origin, origin + fine.box.stride, origin + fine.box.plane, origin + fine.box.plane + fine.box.stride};
    for (const int64_t r : row)
      if (std::memcmp(&fine.cells[r], &kFluid, 2) != 0) return false;
    for (const int64_t r : row) std::memcpy(&member[r], &kBoth, 2);
    full[c.index] = 1;
    return true;
  }

  void flag_rows() {
    if (coarse_of.empty() && edges_at.empty()) return;
    flagged.assign(fine.box.size / fine.box.stride + 2, 0);
    for (const auto &[u, parent] : coarse_of) flagged[(u - kLanes) / fine.box.stride] = 1;
    for (const auto &[u, edges] : edges_at)
      if (u < fine.box.size) flagged[(u - kLanes) / fine.box.stride] = 1;
  }

  int64_t block_of(int64_t index) const {
    int64_t c[3];
    fine.box.coordinates(index, c);
    return coarse.box.at(fine.merge[0].parent[c[0]], fine.merge[1].parent[c[1]], fine.merge[2].parent[c[2]]);
  }

  // The children joined to the first present one inside the block, as bits.
  unsigned part_of(unsigned present, const int64_t child[8]) const {
    unsigned part = present & (~present + 1), before = 0;
    while (part != before) {
      before = part;
      for (int s = 0; s < 8; ++s) {
        if (!(before >> s & 1)) continue;
        for (int a = 0; a < 3; ++a) {
          const int bit = 4 >> a, t = s ^ bit;
          if ((present >> t & 1) && !(part >> t & 1) && of.weight(child[s & ~bit], fine.box.offset(a), a) > 0.0f) part |= 1u << t;
        }
      }
    }
    return part;
  }

  void split(int64_t block, const std::vector<int64_t> &extras) {
    int64_t at[3], child[8];
    coarse.box.coordinates(block, at);
    children({at[0], at[1], at[2], block}, child);
    std::vector<int64_t> nodes;
    for (int64_t c : child)
      if (c >= 0) nodes.push_back(c);
    nodes.insert(nodes.end(), extras.begin(), extras.end());
    if (nodes.empty()) return;
    std::map<int64_t, size_t> place;
    for (size_t n = 0; n < nodes.size(); ++n) place[nodes[n]] = n;
    std::vector<size_t> root(nodes.size());
    std::iota(root.begin(), root.end(), size_t{0});
    const auto find = [&](size_t n) {
      while (root[n] != n) n = root[n];
      return n;
    };
    const auto join = [&](size_t m, size_t n) {
      m = find(m), n = find(n);
      root[std::max(m, n)] = std::min(m, n);
    };
    for (int s = 0; s < 8; ++s)
      for (int a = 0; a < 3; ++a) {
        const int bit = 4 >> a, t = s | bit;
        if (s & bit || child[s] < 0 || child[t] < 0) continue;
        if (of.weight(child[s], fine.box.offset(a), a) > 0.0f) join(place[child[s]], place[child[t]]);
      }
    for (int64_t e : extras)
      for (int64_t n = fine.neighbour_start[e - fine.box.size]; n < fine.neighbour_start[e - fine.box.size + 1]; ++n) {
        const auto other = place.find(fine.neighbours[n].unknown);
        if (other != place.end()) join(place[e], other->second);
      }
    std::map<size_t, int> size;  // by root: the first node of each part
    for (size_t n = 0; n < nodes.size(); ++n) ++size[find(n)];
    size_t primary = size.begin()->first;
    for (const auto &[r, count] : size)
      if (count > size[primary]) primary = r;
    std::map<size_t, int64_t> unknown;
    for (const auto &[r, count] : size) {
      unknown[r] = r == primary ? block : coarse.box.size + coarse.extras;
      if (r != primary) ++coarse.extras, coarse.extra_cell.push_back(block);
    }
    for (size_t n = 0; n < nodes.size(); ++n) {
      const int64_t u = unknown[find(n)];
      if (nodes[n] >= fine.box.size) {
        extra_of[nodes[n] - fine.box.size] = u;
      } else {
        member[nodes[n]] |= u == block ? kPrimary : kExtra;
        if (u != block) coarse_of[nodes[n]] = u;
      }
    }
  }

  int64_t coarse_unknown(int64_t u) const {
    if (u >= fine.box.size) return extra_of[u - fine.box.size];
    if (member[u] & kExtra) return coarse_of.at(u);
    return block_of(u);
  }

  // The weight of the edges from u into its own block along an axis; side: which half of it u is (0: all of it).
  float inside(int64_t u, int axis, int side) const {
    if (side == 0) return 0.0f;
    float sum = 0.0f;
    if (u < fine.box.size) {
      const int64_t offset = fine.box.offset(axis);
      sum = side < 0 ? of.weight(u, offset, axis) : of.weight(u - offset, offset, axis);
    }
    if (member[u] & kTouched || u >= fine.box.size) sum += listed_inside(u, axis, side);
    return sum;
  }

  // The weight of u's listed edges along an axis that stay inside its block.
  float listed_inside(int64_t u, int axis, int side) const {
    float sum = 0.0f;
    const auto found = edges_at.find(u);
    if (found == edges_at.end()) return sum;
    for (const int64_t n : found->second) {
      const Edge &e = fine.edges[n];
      if (e.axis == axis && (side < 0 ? e.low : e.high) == u) sum += e.weight;
    }
    return sum;
  }

  void resize_coarse() {
    const int64_t n = coarse.box.size + coarse.extras;
    const auto zeroed = [n](Field<float> &f) {
      f.resize(n);
      std::fill(f.data(), f.data() + n, 0.0f);
    };
    for (int a = 0; a < 3; ++a) {
      zeroed(coarse.weight[a]), zeroed(coarse.anchor[a]);
      for (int s = 0; s < 2; ++s) zeroed(coarse.keep[a][s]), zeroed(coarse.toward[a][s]);
    }
    zeroed(coarse.shift), zeroed(coarse.diagonal), zeroed(coarse.relax), zeroed(coarse.x), zeroed(coarse.b);
  }

  // Edges, anchors and shift of primary parts, and their transfer weights.
  void add_structured() {
    std::vector<std::vector<Edge>> found(threads);
    if constexpr (std::is_same_v<Fine, WeightedFine>) {
      for_rows([&](int64_t k, int64_t j) { add_rows(k, j, found[omp_get_thread_num()]); });
      for_rows([&](int64_t k, int64_t j) { anchor_rows(k, j); });
    } else {
      add_blocks(found);
    }
    for (const auto &part : found) crossing.insert(crossing.end(), part.begin(), part.end());
  }

  template <class Body>
  void for_rows(Body &&body) {
    const Box &box = coarse.box;
#pragma omp parallel for num_threads(threads) schedule(static) if (box.cells() > 2048)
    for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row) body(row / box.n[1], row % box.n[1]);
  }

  // Faces on the high side of a row of blocks, row by row of fine cells.
  void add_rows(int64_t k, int64_t j, std::vector<Edge> &found) {
    static thread_local std::vector<float> buffer;
    const int64_t n = fine.box.n[2], length = fine.box.stride;
    buffer.resize(3 * length);
    float *g = buffer.data(), *low = g + length, *high = low + length;
    const Merge &mz = fine.merge[0], &my = fine.merge[1], &mx = fine.merge[2];
    const int64_t here = coarse.box.at(k, j), at[2] = {k, j};
    for (int axis = 0; axis < 2; ++axis) {
      const Merge &m = axis == 0 ? mz : my, &across = axis == 0 ? my : mz;
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
            const Series s = listed_or_series(row_u + i, row_v + i, w[i], axis, side_u, side_v, found);
            g[i] = s.conductance, low[i] = s.low, high[i] = s.high;
          }
        } else {
          series_row(n, w, side_u ? w - fine.box.offset(axis) : nullptr, side_v ? &fine.weight[axis][row_v] : nullptr, g, low, high);
        }
        for (int64_t i = 0; i < n; ++i) {
          const int64_t c_x = mx.parent[i];
          coarse.weight[axis][here + c_x] += g[i];
          coarse.toward[axis][1][here + c_x] += low[i];
          coarse.toward[axis][0][there + c_x] += high[i];
        }
      }
    }
    for (int64_t kf = mz.first[k]; kf < mz.first[k + 1]; ++kf)
      for (int64_t jf = my.first[j]; jf < my.first[j + 1]; ++jf) add_row_along(fine.box.at(kf, jf), here, found);
  }

  // Faces between the blocks of one row of fine cells.
  void add_row_along(int64_t row, int64_t here, std::vector<Edge> &found) {
    const Merge &m = fine.merge[2];
    const float *w = &fine.weight[2][row];
    const bool flagged = flagged_row(row);
    for (int64_t c = 0; c < coarse.box.n[2]; ++c) {
      const int64_t next = neighbour_above(c, 2);
      if (next < 0) continue;
      const int64_t u = m.first[c + 1] - 1, v = m.first[next];
      const Series s = flagged ? listed_or_series(row + u, row + v, w[u], 2, m.side[u], m.side[v], found)
                               : in_series(w[u], w[u - 1], m.side[u] == 0, w[v], m.side[v] == 0);
      coarse.weight[2][here + c] += s.conductance;
      coarse.toward[2][1][here + c] += s.low;
      coarse.toward[2][0][here + next] += s.high;
    }
  }

  int64_t neighbour_above(int64_t at, int axis) const {
    const int64_t n = coarse.box.n[axis];
    if (at + 1 < n) return at + 1;
    return fine.periodic[axis] && n > 1 ? 0 : -1;  // one block all round has no neighbour
  }

  bool flagged_row(int64_t index) const {
    return !flagged.empty() && flagged[(index - kLanes) / fine.box.stride];
  }

  // Where extra unknowns may be near: a face between primary parts, or an edge for the list.
  Series listed_or_series(int64_t u, int64_t v, float w, int axis, int side_u, int side_v, std::vector<Edge> &found) const {
    if (!(w > 0.0f)) return {};
    if (!(member[u] & kPrimary && member[v] & kPrimary)) {
      found.push_back({u, v, w, static_cast<int8_t>(axis)});
      return {};
    }
    return in_series(w, inside(u, axis, side_u), side_u == 0, inside(v, axis, side_v), side_v == 0);
  }

  // Anchors and shift of a row of blocks; then what the sums along its faces mean for the prolongation.
  void anchor_rows(int64_t k, int64_t j) {
    static thread_local std::vector<float> buffer;
    const Merge &mz = fine.merge[0], &my = fine.merge[1], &mx = fine.merge[2];
    const int64_t n = fine.box.n[2], blocks = coarse.box.n[2], here = coarse.box.at(k, j), at[2] = {k, j};
    for (int axis = 0; axis < 3; ++axis) {
      buffer.assign(4 * blocks, 0.0f);
      float *held[2] = {buffer.data(), buffer.data() + blocks}, *dropped[2] = {held[1] + blocks, held[1] + 2 * blocks};
      for (int64_t kf = mz.first[k]; kf < mz.first[k + 1]; ++kf)
        for (int64_t jf = my.first[j]; jf < my.first[j + 1]; ++jf) {
          const int64_t row = fine.box.at(kf, jf);
          for (int64_t i = 0; i < n; ++i) {
            const float a = fine.anchor[axis][row + i];
            if (!(a > 0.0f) || !(member[row + i] & kPrimary)) continue;
            const int own = axis == 0 ? mz.side[kf] : axis == 1 ? my.side[jf] : mx.side[i];
            const Anchor s = anchored(a, own ? inside(row + i, axis, own) : 0.0f);
            const int64_t c = mx.parent[i];
            coarse.anchor[axis][here + c] += s.conductance;
            held[own > 0][c] += s.held, dropped[own > 0][c] += s.dropped;
          }
          if (axis == 0)
            for (int64_t i = 0; i < n; ++i)
              if (member[row + i] & kPrimary) coarse.shift[here + mx.parent[i]] += fine.shift[row + i];
        }
      for (int side = 0; side < 2; ++side)
        for (int64_t c = 0; c < blocks; ++c) {
          const float joined = side ? coarse.weight[axis][here + c] : below(at, axis, here, c);
          float &toward = coarse.toward[axis][side][here + c];
          const float total = joined + held[side][c];
          coarse.keep[axis][side][here + c] = total > 0.0f ? 1.0f - (toward + dropped[side][c]) / total : 1.0f;
          toward = total > 0.0f ? toward / total : 0.0f;
        }
    }
  }

  // The weight of a block's face below, which is kept with the block there.
  float below(const int64_t at[2], int axis, int64_t here, int64_t c) const {
    const int64_t n = coarse.box.n[axis], position = axis == 2 ? c : at[axis];
    if (position > 0) return coarse.weight[axis][here + c - coarse.box.offset(axis)];
    return fine.periodic[axis] && n > 1 ? coarse.weight[axis][here + c + (n - 1) * coarse.box.offset(axis)] : 0.0f;
  }

  void add_blocks(std::vector<std::vector<Edge>> &found) {
    for_blocks([&](const Block &c) {
      if (inside(c)) {
        for (int a = 0; a < 3; ++a) {
          coarse.weight[a][c.index] = 2.0f;
          for (int s = 0; s < 2; ++s) coarse.keep[a][s][c.index] = 0.75f, coarse.toward[a][s][c.index] = 0.25f;
        }
        return;
      }
      int64_t child[8];
      children(c, child);
      const int64_t at[3] = {c.k, c.j, c.i};
      for (int a = 0; a < 3; ++a) add_axis(c, at[a], a, child, found[omp_get_thread_num()]);
    });
  }

  bool inside(const Block &c) const {  // a full block among six full ones: everything is known
    if (!full[c.index]) return false;
    for (int a = 0; a < 3; ++a) {
      const int64_t offset = coarse.box.offset(a);
      if (coarse.box.n[a] == 1) return false;
      if (!full[c.index - offset] || !full[c.index + offset]) return false;
    }
    return true;
  }

  void add_axis(const Block &c, int64_t at, int axis, const int64_t child[8], std::vector<Edge> &found) {
    const int bit = 4 >> axis;
    const int64_t n = fine.box.n[axis], offset = fine.box.offset(axis), first = fine.merge[axis].first[at];
    const bool two = fine.merge[axis].first[at + 1] - first == 2;
    const bool turns = fine.periodic[axis] && coarse.box.n[axis] > 1;  // one block all round has no neighbour
    float anchors = 0.0f;
    for (int high = 0; high < 2; ++high) {
      const int own = !two ? 0 : high ? 1 : -1;
      const bool last = high ? at + 1 == coarse.box.n[axis] : at == 0;
      const int64_t neighbour = high ? (last ? 0 : at + 1) : (last ? coarse.box.n[axis] - 1 : at - 1);
      const Merge &merge = fine.merge[axis];
      const int other = merge.first[neighbour + 1] - merge.first[neighbour] == 2 ? (high ? -1 : 1) : 0;
      const int64_t to = (high ? offset : -offset) + (last ? (high ? -n : n) * offset : 0);
      float joined = 0.0f, leaning = 0.0f, held = 0.0f, dropped = 0.0f;
      for (int s = 0; s < 8; ++s) {
        const int64_t u = child[s];
        if (u < 0 || (two && ((s & bit) != 0) != (high == 1))) continue;
        const float w = last && !turns ? 0.0f : of.weight(high ? u : u - offset, offset, axis);
        const int64_t v = u + to;
        if (w > 0.0f && member[u] & kPrimary && member[v] & kPrimary) {
          const Series s = in_series(w, inside(u, axis, own), own == 0, inside(v, axis, other), other == 0);
          joined += s.conductance, leaning += s.low;
        } else if (w > 0.0f && high) {
          found.push_back({u, v, w, static_cast<int8_t>(axis)});
        }
        const float a = two || high ? of.anchor(u, offset, axis) : 0.0f;  // a lone child's anchors are counted once
        if (a > 0.0f && member[u] & kPrimary) {
          const Anchor s = anchored(a, inside(u, axis, own));
          anchors += s.conductance, held += s.held, dropped += s.dropped;
        }
      }
      if (high) coarse.weight[axis][c.index] = joined;
      const float total = joined + held;
      coarse.toward[axis][high][c.index] = total > 0.0f ? leaning / total : 0.0f;
      coarse.keep[axis][high][c.index] = total > 0.0f ? 1.0f - (leaning + dropped) / total : 1.0f;
    }
    coarse.anchor[axis][c.index] = anchors;
  }

  // What concerns extra unknowns of either level.
  void add_listed() {
    for (const Edge &e : fine.edges)
      if (block_of(cell(e.low)) != block_of(cell(e.high))) crossing.push_back(e);
    std::sort(crossing.begin(), crossing.end(), [](const Edge &p, const Edge &q) {
      return std::tie(p.low, p.high, p.axis) < std::tie(q.low, q.high, q.axis);
    });
    std::map<std::tuple<int64_t, int64_t, int8_t>, float> sum;
    for (const Edge &e : crossing) {
      const int side_low = side(e.low, e.axis), side_high = side(e.high, e.axis);
      const float g = in_series(e.weight, inside(e.low, e.axis, side_low), side_low == 0, inside(e.high, e.axis, side_high), side_high == 0)
                          .conductance;
      const int64_t low = coarse_unknown(e.low), high = coarse_unknown(e.high);
      if (low < coarse.box.size && high < coarse.box.size) {
        coarse.weight[e.axis][low] += g;
      } else {
        sum[{low, high, e.axis}] += g;
      }
    }
    for (const auto &[key, g] : sum) coarse.edges.push_back({std::get<0>(key), std::get<1>(key), g, std::get<2>(key)});
    std::vector<int64_t> listed;
    for (const auto &[u, parent] : coarse_of) listed.push_back(u);
    std::sort(listed.begin(), listed.end());
    for (int64_t e = 0; e < fine.extras; ++e)
      if (extra_of[e] >= 0) listed.push_back(fine.box.size + e);
    for (const int64_t u : listed) {
      const int64_t parent = coarse_unknown(u);
      for (int a = 0; a < 3; ++a) {
        const float w = u < fine.box.size ? of.anchor(u, fine.box.offset(a), a) : fine.anchor[a][u];
        if (w > 0.0f) coarse.anchor[a][parent] += anchored(w, inside(u, a, side(u, a))).conductance;
      }
      coarse.shift[parent] += u < fine.box.size ? of.shift(u) : fine.shift[u];
      fine.sparse.push_back({u, parent, 1.0f});  // add_structured_rows() takes off what the regular part would give
    }
  }

  int64_t cell(int64_t u) const { return u < fine.box.size ? u : fine.extra_cell[u - fine.box.size]; }

  int side(int64_t u, int axis) const {
    int64_t c[3];
    fine.box.coordinates(cell(u), c);
    return fine.merge[axis].side[c[axis]];
  }
};

// The regular prolongation's row of a fine cell, negated: at most 27 entries, 8 of them not zero.
void take_off_regular(const Level &fine, const Level &coarse, int64_t u, std::vector<Entry> &out) {
  int64_t c[3], block[3];
  fine.box.coordinates(u, c);
  for (int a = 0; a < 3; ++a) block[a] = fine.merge[a].parent[c[a]];
  const auto step = [&](int axis, const int64_t from[3], int64_t to[3]) {
    const int side = fine.merge[axis].side[c[axis]];
    const int64_t n = coarse.box.n[axis];
    std::copy(from, from + 3, to);
    to[axis] = ((from[axis] + side) % n + n) % n;
    const int64_t at = coarse.box.at(from[0], from[1], from[2]);
    const int high = side > 0;
    return side == 0 ? std::pair{1.0f, 0.0f} : std::pair{coarse.keep[axis][high][at], coarse.toward[axis][high][at]};
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

void coarsen(Level &fine, Level &coarse, int threads) {
  fine.sparse.clear();
  if (fine.unit) {
    Coarsening<UnitFine>(fine, coarse, threads).run();
  } else {
    Coarsening<WeightedFine>(fine, coarse, threads).run();
  }
}

void add_regular_rows(Level &fine, const Level &coarse) {
  const size_t listed = fine.sparse.size();
  for (size_t n = 0; n < listed; ++n)
    if (fine.sparse[n].fine < fine.box.size) take_off_regular(fine, coarse, fine.sparse[n].fine, fine.sparse);
  std::stable_sort(fine.sparse.begin(), fine.sparse.end(), [](const Entry &p, const Entry &q) { return p.fine < q.fine; });
}

}  // namespace dcg
