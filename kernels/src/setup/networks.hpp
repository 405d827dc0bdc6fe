// A level as a network, the form in which it is coarsened to a sparse one: unknowns, edges, and the block of cells that each unknown belongs to.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "setup/coarsening.hpp"
#include "setup/sparse_level.hpp"

namespace dcg {

constexpr float kMoves = 0.4f;  // the share of an unknown's diagonal above which its strongest edge decides where it belongs

// What an unknown has inside its part: its strongest edges along each axis and in any direction, and its share of the resistance.
struct Inside {
  float along[3], any, share;
};

// The unknowns of a grid level and their edges. Its coefficient varies: a constant one is never rough.
class GridNetwork {
 public:
  GridNetwork(Level &level, int threads) : level_(level), of_{level} {
    fill(level.sparse_parent, level.box.size, int32_t{-1}, threads);
    fill(sibling_, level.box.size, uint8_t{0}, threads);
    inside_.resize(level.box.size);
  }

  const AxisCoarsening *coarsening() const { return level_.coarsening; }
  const bool *periodic() const { return level_.periodic; }
  int64_t unknowns() const { return level_.unknowns; }
  int32_t &parent(int64_t u) { return level_.sparse_parent[u]; }
  int32_t parent(int64_t u) const { return level_.sparse_parent[u]; }
  Inside &inside(int64_t u) { return inside_[u]; }
  double diagonal(int64_t u) const { return level_.diagonal[u]; }
  double shift(int64_t u) const { return of_.shift(u); }
  double anchor(int64_t u) const {
    double sum = 0.0;
    for (int a = 0; a < 3; ++a) sum += of_.dirichlet(u, level_.box.offset(a), a);
    return sum;
  }

  // Appends the unknowns of a block, and notes where the other cell of the block is along each axis.
  void members(const int64_t at[3], std::vector<int64_t> &out) {
    const AxisCoarsening *m = level_.coarsening;
    for (int64_t k = m[0].first[at[0]]; k < m[0].first[at[0] + 1]; ++k)
      for (int64_t j = m[1].first[at[1]]; j < m[1].first[at[1] + 1]; ++j)
        for (int64_t i = m[2].first[at[2]]; i < m[2].first[at[2] + 1]; ++i) {
          const int64_t u = level_.box.at(k, j, i);
          if (!of_.active(u)) continue;
          sibling_[u] = static_cast<uint8_t>(to_other(m[0].side[k]) | to_other(m[1].side[j]) << 2 | to_other(m[2].side[i]) << 4);
          out.push_back(u);
        }
  }

  // body(v, weight, axis) for each edge of u
  template <class Body>
  void edges(int64_t u, Body &&body) const {
    const Box &box = level_.box;
    for (int a = 0; a < 3; ++a) {
      if (box.n[a] == 1) continue;
      const int64_t offset = box.offset(a);
      const float below = of_.weight(u - offset, offset, a), above = of_.weight(u, offset, a);
      if (below > 0.0f) body(level_.periodic[a] ? around(u, a, -1) : u - offset, below, a);
      if (above > 0.0f) body(level_.periodic[a] ? around(u, a, 1) : u + offset, above, a);
    }
  }

  // The same for the edges to unknowns of its block
  template <class Body>
  void edges_in_block(int64_t u, Body &&body) const {
    for (int a = 0; a < 3; ++a) {
      const int where = sibling_[u] >> (2 * a) & 3;
      if (!where) continue;
      const int64_t offset = level_.box.offset(a), v = where == kAbove ? u + offset : u - offset;
      if (const float w = of_.weight(where == kAbove ? u : v, offset, a); w > 0.0f) body(v, w, a);
    }
  }

 private:
  enum { kAlone = 0, kAbove = 1, kBelow = 2 };
  static int to_other(int8_t side) { return side < 0 ? kAbove : side > 0 ? kBelow : kAlone; }
  int64_t around(int64_t u, int axis, int step) const {
    int64_t c[3];
    level_.box.coordinates(u, c);
    const int64_t n = level_.box.n[axis], to = c[axis] + step;
    return u + (to < 0 ? n - 1 : to == n ? 1 - n : step) * level_.box.offset(axis);
  }

  Level &level_;
  const VariableFine of_;
  Field<uint8_t> sibling_;
  Field<Inside> inside_;
};

// The unknowns of a sparse level and their edges, in the cells that they belong to.
class SparseNetwork {
 public:
  SparseNetwork(SparseLevel &level, int threads) : level_(level) {
    fill(level.parent, level.unknowns, int32_t{-1}, threads);
    inside_.resize(level.unknowns);
    move(threads);
    gather();
  }

  const AxisCoarsening *coarsening() const { return level_.coarsening; }
  const bool *periodic() const { return level_.periodic; }
  int64_t unknowns() const { return level_.unknowns; }
  int32_t &parent(int64_t u) { return level_.parent[u]; }
  int32_t parent(int64_t u) const { return level_.parent[u]; }
  Inside &inside(int64_t u) { return inside_[u]; }
  double diagonal(int64_t u) const { return diagonal_[u]; }
  double anchor(int64_t u) const { return level_.anchor[u]; }
  double shift(int64_t u) const { return level_.shift[u]; }

  void members(const int64_t at[3], std::vector<int64_t> &out) const {
    const int64_t block = (at[0] * level_.coarsening[1].coarse() + at[1]) * level_.coarsening[2].coarse() + at[2];
    out.insert(out.end(), order_.begin() + begin_[block], order_.begin() + begin_[block + 1]);
  }

  template <class Body>
  void edges(int64_t u, Body &&body) const {
    for (int64_t e = level_.start[u]; e < level_.start[u + 1]; ++e) body(int64_t{level_.neighbour[e]}, level_.weight[e], axis(u, level_.neighbour[e]));
  }

  template <class Body>
  void edges_in_block(int64_t u, Body &&body) const {
    for (int64_t e = level_.start[u]; e < level_.start[u + 1]; ++e)
      if (block_[level_.neighbour[e]] == block_[u]) body(int64_t{level_.neighbour[e]}, level_.weight[e], axis(u, level_.neighbour[e]));
  }

 private:
  // To the cells of the neighbours that unknowns are tied to. One step only: along a row of equal unknowns, each tied to the next, all would gather in one cell.
  void move(int threads) {
    const int64_t n = level_.unknowns;
    diagonal_.resize(n), at_.resize(n);
    parallel_for(n, n > 4096, threads, [&](int64_t u) {
      double d = level_.slack[u];
      for (int64_t e = level_.start[u]; e < level_.start[u + 1]; ++e) d += level_.weight[e];
      diagonal_[u] = static_cast<float>(d);
    });
    parallel_for(n, n > 4096, threads, [&](int64_t u) {
      float strongest = 0.0f;
      int32_t v = static_cast<int32_t>(u);
      for (int64_t e = level_.start[u]; e < level_.start[u + 1]; ++e) {
        const float w = level_.weight[e];
        if (w > strongest || (w == strongest && level_.neighbour[e] < v)) strongest = w, v = level_.neighbour[e];
      }
      const bool moves = strongest >= kMoves * diagonal_[u] && (diagonal_[v] > diagonal_[u] || (diagonal_[v] == diagonal_[u] && v < u));
      int64_t cell = level_.cell[moves ? v : u];
      for (int a = 2; a >= 0; --a) at_[u].c[a] = static_cast<int32_t>(cell % level_.n[a]), cell /= level_.n[a];
    });
  }

  // The unknowns by block.
  void gather() {
    const AxisCoarsening *m = level_.coarsening;
    const int64_t n = level_.unknowns;
    begin_.assign(m[0].coarse() * m[1].coarse() * m[2].coarse() + 1, 0);
    block_.resize(n);
    for (int64_t u = 0; u < n; ++u) {
      const int32_t *c = at_[u].c;
      block_[u] = (m[0].parent[c[0]] * m[1].coarse() + m[1].parent[c[1]]) * m[2].coarse() + m[2].parent[c[2]];
      ++begin_[block_[u] + 1];
    }
    for (size_t b = 1; b < begin_.size(); ++b) begin_[b] += begin_[b - 1];
    std::vector<int64_t> next(begin_.begin(), begin_.end() - 1);
    order_.resize(n);
    for (int64_t u = 0; u < n; ++u) order_[next[block_[u]]++] = u;
  }

  // The axis along which two unknowns' cells are neighbours, -1 where they are not.
  int axis(int64_t u, int64_t v) const {
    int found = -1;
    for (int a = 0; a < 3; ++a) {
      const int32_t distance = std::abs(at_[u].c[a] - at_[v].c[a]);
      if (distance == 0) continue;
      if (found >= 0 || !(distance == 1 || (level_.periodic[a] && distance == level_.n[a] - 1))) return -1;
      found = a;
    }
    return found;
  }

  struct Cell {
    int32_t c[3];
  };

  SparseLevel &level_;
  Field<Inside> inside_;
  std::vector<float> diagonal_;
  std::vector<Cell> at_;
  std::vector<int64_t> block_, begin_, order_;
};

}  // namespace dcg
