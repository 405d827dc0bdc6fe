// From a level to the next. A level is a network of transmissibilities: edges (faces) between unknowns, and Dirichlet couplings to fixed
// values. The next level pairs cells along each axis into blocks. Its unknowns are the aggregates of a block: the sets of fine unknowns
// that are connected inside it, two where a wall divides the block. An edge of weight w between two blocks runs from the middle
// of one to the middle of the other. In each block it is in series with half of the block's own edge along the axis:
//
//     G = 1 / (R_u / 2 + 1 / w + R_v / 2),   R = 1 / (weight of the edge inside the block along the same axis)
//
// Edges between the same two aggregates add up. Where the block's other half is a wall, R = 1 / w. On a uniform grid this is the
// rediscretised operator. The distance to an open boundary is right on every level, and jumps of the coefficient enter by their
// harmonic mean. deepcg/multigrid/reference/hierarchy.py and coarse_operator.py state the same in NumPy and PyTorch.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <unordered_map>

#include "core/cell_kinds.hpp"
#include "core/region.hpp"
#include "setup/coarsen.hpp"
#include "setup/transmissibility.hpp"

namespace dcg {

// A fine level as coarsening sees it, per primary unknown at an index.
struct ConstantFine {
  const Level &level;
  bool active(int64_t i) const { return level.stencil_type[i] != 0; }
  float weight(int64_t i, int64_t offset, int) const {
    return level.cells[i] == kFluid && level.cells[i + offset] == kFluid ? 1.0f : 0.0f;
  }
  float dirichlet(int64_t i, int64_t offset, int axis) const {
    if (level.box.n[axis] == 1 && axis < 2) return static_cast<float>(level.dirichlet_across[axis]);  // no ghosts to look at
    return static_cast<float>((level.cells[i + offset] == kOpen) + (level.cells[i - offset] == kOpen));
  }
  float shift(int64_t) const { return 0.0f; }
};

struct VariableFine {
  const Level &level;
  bool active(int64_t i) const { return level.omega_dinv[i] != 0.0f; }
  float weight(int64_t i, int64_t, int axis) const { return level.weight[axis][i]; }
  float dirichlet(int64_t i, int64_t, int axis) const { return level.dirichlet[axis][i]; }
  float shift(int64_t i) const { return level.shift[i]; }
};

enum Member : uint8_t { kNone = 0, kPrimary = 1, kSecondary = 2, kTouched = 4 };  // kTouched: has edges to secondary unknowns

template <class Fine>
class Coarsening {
 public:
  Coarsening(Level &fine, Level &coarse, int threads)
      : of{fine}, fine(fine), coarse(coarse), threads(threads), secondary_of(fine.secondary, -1) {}

  void run();

 private:
  const Fine of;
  Level &fine, &coarse;
  const int threads;
  Field<uint8_t> member;
  std::vector<int64_t> secondary_of;                   // coarse unknown of each fine secondary one
  std::unordered_map<int64_t, int64_t> coarse_of;  // of primaries outside their block's primary aggregate
  std::unordered_map<int64_t, std::vector<int64_t>> edges_at;  // unstructured edges by fine unknown
  std::vector<uint8_t> full;                                   // blocks of eight unknowns in one aggregate
  std::vector<Edge> crossing;                                  // fine edges between blocks that are not both primary
  std::vector<uint8_t> flagged;                                // rows of fine cells near secondary unknowns of either level

  struct Block {
    int64_t k, j, i, index;
  };

  // coarsen.cpp
  void reset_coarse();
  void resize_coarse();

  // aggregates.cpp
  void find_aggregates();
  bool mark_if_full(const Block &c);
  void flag_rows();
  bool all_joined(unsigned present, const int64_t child[8]) const;
  unsigned aggregate_of(unsigned present, const int64_t child[8]) const;
  void split(int64_t block, const std::vector<int64_t> &secondary);

  // faces.cpp
  void add_structured();
  void add_rows(int64_t k, int64_t j, std::vector<Edge> &edges, std::vector<float> &buffer);
  void add_row_along(int64_t row, int64_t here, std::vector<Edge> &edges);
  FaceTransmissibility face_or_edge(int64_t u, int64_t v, float w, int axis, int side_u, int side_v, std::vector<Edge> &edges) const;
  void add_dirichlet_rows(int64_t k, int64_t j, std::vector<float> &buffer);
  void below_row(const int64_t at[2], int axis, int64_t here, float *out) const;
  void add_blocks(std::vector<std::vector<Edge>> &edges);
  void join_full(int64_t index, int axis, int high);
  bool inside(const Block &c) const;
  void add_axis(const Block &c, int64_t at, int axis, const int64_t child[8], std::vector<Edge> &edges);

  // unstructured.cpp
  void add_unstructured();

  template <class Body>
  void for_blocks(Body &&body) {
    const Box &box = coarse.box;
    for_rows([&](int64_t k, int64_t j) {
      for (int64_t i = 0; i < box.n[2]; ++i) body(Block{k, j, i, box.at(k, j, i)});
    });
  }

  template <class Body>
  void for_rows(Body &&body) {
    const Box &box = coarse.box;
    parallel_for(box.n[0] * box.n[1], box.cells() > 2048, threads, [&](int64_t row) { body(row / box.n[1], row % box.n[1]); });
  }

  int64_t block_of(int64_t index) const {
    int64_t c[3];
    fine.box.coordinates(index, c);
    return coarse.box.at(fine.coarsening[0].parent[c[0]], fine.coarsening[1].parent[c[1]], fine.coarsening[2].parent[c[2]]);
  }

  int64_t coarse_unknown(int64_t u) const {
    if (u >= fine.box.size) return secondary_of[u - fine.box.size];
    if (member[u] & kSecondary) return coarse_of.at(u);
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
    if (member[u] & kTouched || u >= fine.box.size) sum += unstructured_inside(u, axis, side);
    return sum;
  }

  // The weight of u's unstructured edges along an axis that stay inside its block.
  float unstructured_inside(int64_t u, int axis, int side) const {
    float sum = 0.0f;
    const auto at_u = edges_at.find(u);
    if (at_u == edges_at.end()) return sum;
    for (const int64_t n : at_u->second) {
      const Edge &e = fine.edges[n];
      if (e.axis == axis && (side < 0 ? e.low : e.high) == u) sum += e.weight;
    }
    return sum;
  }

  int64_t cell(int64_t u) const { return u < fine.box.size ? u : fine.secondary_cell[u - fine.box.size]; }

  int side(int64_t u, int axis) const {
    int64_t c[3];
    fine.box.coordinates(cell(u), c);
    return fine.coarsening[axis].side[c[axis]];
  }

  int64_t neighbour_above(int64_t at, int axis) const {
    const int64_t n = coarse.box.n[axis];
    if (at + 1 < n) return at + 1;
    return fine.periodic[axis] && n > 1 ? 0 : -1;  // one block all round has no neighbour
  }

  bool flagged_row(int64_t index) const {
    return !flagged.empty() && flagged[(index - kLanes) / fine.box.stride];
  }

  // Children of a block: index, or -1 where there is no active cell. Bit order z, y, x; a lone cell is the low child.
  void children(const Block &c, int64_t child[8]) const {
    const int64_t at[3] = {c.k, c.j, c.i};
    int64_t first[3];
    bool two[3];
    for (int a = 0; a < 3; ++a) {
      first[a] = fine.coarsening[a].first[at[a]];
      two[a] = fine.coarsening[a].first[at[a] + 1] - first[a] == 2;
    }
    const int64_t origin = fine.box.at(first[0], first[1], first[2]);
    for (int s = 0; s < 8; ++s) {
      child[s] = -1;
      if (((s & 4) && !two[0]) || ((s & 2) && !two[1]) || ((s & 1) && !two[2])) continue;
      const int64_t index = origin + (s & 4 ? fine.box.plane : 0) + (s & 2 ? fine.box.stride : 0) + (s & 1);
      if (of.active(index)) child[s] = index;
    }
  }
};

}  // namespace dcg
