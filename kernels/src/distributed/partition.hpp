// A level of the hierarchy on many ranks: each cell has an owner, and each rank holds a box, its own cells with copies of some around them.
// The partition follows from a few numbers per axis that every rank has, so any rank can tell where another keeps a cell.
#pragma once

#include <vector>

#include "distributed/ranks.hpp"
#include "setup/level.hpp"

namespace dcg {

struct Partition {
  int64_t n[3];  // cells of the whole level
  bool periodic[3];
  std::vector<int64_t> starts[3];        // first own cell of each slab of ranks, and n
  std::vector<int64_t> low[3], high[3];  // cells held by each slab: low..high-1; below 0 and beyond n on a cut periodic axis
  int place[3] = {0, 0, 0};              // of this rank's slabs
  bool here = true;                      // false: this rank holds no cell of the level

  // The cells as `ranks` cut them; each rank holds its own.
  static Partition own(const Ranks &ranks, int32_t periodic);
  // All of the level on rank 0.
  Partition agglomerated(const Ranks &ranks) const;
  // The same owners; each rank holds its own cells only.
  Partition bare() const;
  // The same owners; each rank holds `margin` more cells on every side.
  Partition widened(int64_t margin) const;

  bool cut(int a) const { return starts[a].size() > 2; }
  bool periodic_here(int a) const { return periodic[a] && !cut(a); }  // every rank holds both ends of the axis
  int64_t cells() const { return n[0] * n[1] * n[2]; }
  void held(int64_t shape[3]) const {  // by this rank
    for (int a = 0; a < 3; ++a) shape[a] = here ? high[a][place[a]] - low[a][place[a]] : 0;
  }
  void own(int64_t begin[3], int64_t end[3]) const {  // its own among them
    for (int a = 0; a < 3; ++a) {
      begin[a] = here ? starts[a][place[a]] - low[a][place[a]] : 0;
      end[a] = here ? starts[a][place[a] + 1] - low[a][place[a]] : 0;
    }
  }
  void first(int64_t cell[3]) const {  // the first one held
    for (int a = 0; a < 3; ++a) cell[a] = low[a][place[a]];
  }
};

// A level and the next one on ranks. A coarse cell belongs to the owner of its first child.
struct CoarsenedPartition {
  Partition coarse;  // own cells and a halo of two (distributed_hierarchy.cpp)
  Partition fine;    // all children of the coarse cells held
  AxisCoarsening coarsening[3];    // of the cells held
};
CoarsenedPartition coarsened(const Partition &own, const AxisCoarsening (&whole)[3]);

// Where the owner of a cell keeps it: its rank, the cell among those it holds, and the shape of these.
struct Home {
  int32_t rank;
  int64_t at[3], size[3];

  // Indices of unknowns in the owner's level
  int64_t primary() const { return box().at(at[0], at[1], at[2]); }
  int64_t secondary(int64_t number) const { return box().size + number; }

 private:
  Box box() const {
    Box made;
    return made.reset(size), made;
  }
};

// body(at, home) for the cells begin..end-1 among those held here by `mine`; home: by `theirs`, another partition of the same level.
template <class Body>
void for_homes(const Partition &mine, const Partition &theirs, const int64_t begin[3], const int64_t end[3], Body &&body) {
  if (!mine.here) return;
  std::vector<int64_t> slab[3], cell[3];
  for (int a = 0; a < 3; ++a)
    for (int64_t c = begin[a]; c < end[a]; ++c) {
      const int64_t g = ((mine.low[a][mine.place[a]] + c) % mine.n[a] + mine.n[a]) % mine.n[a];
      int64_t s = 0;
      while (theirs.starts[a][s + 1] <= g) ++s;
      slab[a].push_back(s), cell[a].push_back(g - theirs.low[a][s]);
    }
  const int64_t ny = static_cast<int64_t>(theirs.starts[1].size()) - 1, nx = static_cast<int64_t>(theirs.starts[2].size()) - 1;
  int64_t at[3];
  Home home;
  for (at[0] = begin[0]; at[0] < end[0]; ++at[0])
    for (at[1] = begin[1]; at[1] < end[1]; ++at[1])
      for (at[2] = begin[2]; at[2] < end[2]; ++at[2]) {
        int64_t s[3];
        for (int a = 0; a < 3; ++a) {
          const int64_t m = at[a] - begin[a];
          s[a] = slab[a][m], home.at[a] = cell[a][m], home.size[a] = theirs.high[a][s[a]] - theirs.low[a][s[a]];
        }
        home.rank = static_cast<int32_t>((s[0] * ny + s[1]) * nx + s[2]);
        body(at, home);
      }
}

inline bool inside(const int64_t at[3], const int64_t begin[3], const int64_t end[3]) {
  for (int a = 0; a < 3; ++a)
    if (at[a] < begin[a] || at[a] >= end[a]) return false;
  return true;
}

template <class Body>
void for_cells(const int64_t begin[3], const int64_t end[3], Body &&body) {
  int64_t at[3];
  for (at[0] = begin[0]; at[0] < end[0]; ++at[0])
    for (at[1] = begin[1]; at[1] < end[1]; ++at[1])
      for (at[2] = begin[2]; at[2] < end[2]; ++at[2]) body(at);
}

}  // namespace dcg
