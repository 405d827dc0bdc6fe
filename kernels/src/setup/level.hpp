// One level of the hierarchy: a padded grid of cells, each with at most one primary unknown, and a short list of secondary
// unknowns for multivalued cells, which a wall divides.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "core/memory.hpp"

namespace dcg {

constexpr size_t kStagger = 4928, kPlaces = 13;  // bytes, places
constexpr int64_t kLanes = 8;  // floats in a SIMD pack; rows start at multiples of it

// An array on a cache-line boundary.
template <class T>
class Field {
 public:
  void resize(int64_t n) {
    if (n > capacity_) {
      release();
      // Large arrays start at different places of a page: at equal ones, sweeps over several would keep evicting each other.
      static std::atomic<unsigned> count{0};
      const size_t bytes = sizeof(T) * n, skip = bytes < kHuge ? 0 : kStagger * (count++ % kPlaces);
      size_t whole = (bytes + skip + 63) / 64 * 64;
      const bool large = whole >= kHuge;
      char *block = large ? take_block(whole) : static_cast<char *>(allocate(64, whole));
      block_ = {block, GiveBack{large ? whole : 0}};
      data_ = reinterpret_cast<T *>(block + skip);
      capacity_ = n;
    }
    size_ = n;
  }
  void release() { block_.reset(), data_ = nullptr, size_ = capacity_ = 0; }
  T *data() { return data_; }
  const T *data() const { return data_; }
  T &operator[](int64_t i) { return data_[i]; }
  const T &operator[](int64_t i) const { return data_[i]; }
  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t bytes() const { return capacity_ * static_cast<int64_t>(sizeof(T)); }

 private:
  struct GiveBack {
    size_t large = 0;  // bytes of the block; 0: an ordinary one
    void operator()(char *p) const { large ? give_back(p, large) : std::free(p); }
  };
  std::unique_ptr<char, GiveBack> block_;
  T *data_ = nullptr;
  int64_t size_ = 0, capacity_ = 0;
};

// Fills a field by `threads` threads, which touch the pages of a large one first: they will use it.
template <class T>
void fill(Field<T> &f, int64_t n, T value, int threads) {
  f.resize(n);
  T *data = f.data();
#pragma omp parallel for num_threads(threads) schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; ++i) data[i] = value;
}

// Where cell (k, j, i) lies in an array with a layer of ghosts round it. An axis of one cell has no ghosts.
struct Box {
  int64_t n[3] = {1, 1, 1};  // nz, ny, nx
  int64_t stride = 0, plane = 0, size = 0;
  int64_t ghost_z = 0, ghost_y = 0;

  void reset(const int64_t shape[3]) {
    for (int a = 0; a < 3; ++a) n[a] = shape[a];
    ghost_z = n[0] > 1, ghost_y = n[1] > 1;
    // A pack of padding, whose last column is the next row's x[-1]: rows are written in whole packs, and the next one may be another thread's.
    stride = (n[2] + kLanes - 1) / kLanes * kLanes + kLanes;
    plane = (n[1] + 2 * ghost_y) * stride;
    size = kLanes + (n[0] + 2 * ghost_z) * plane + kLanes;
  }
  int64_t at(int64_t k, int64_t j, int64_t i = 0) const {
    return kLanes + (k + ghost_z) * plane + (j + ghost_y) * stride + i;
  }
  bool has_ghosts(int axis) const { return axis == 2 || n[axis] > 1; }
  int64_t cells() const { return n[0] * n[1] * n[2]; }
  int64_t offset(int axis) const { return axis == 0 ? plane : axis == 1 ? stride : 1; }
  void coordinates(int64_t index, int64_t c[3]) const {
    index -= kLanes;
    c[0] = index / plane - ghost_z, index %= plane;
    c[1] = index / stride - ghost_y, c[2] = index % stride;
  }
};

// Semicoarsening of an axis: the parent of each fine cell, and the cell's side in it.
struct AxisCoarsening {
  std::vector<int32_t> parent;
  std::vector<int8_t> side;    // -1 the low half, +1 the high half, 0 alone
  std::vector<int32_t> first;  // first child of each coarse cell; one entry more than there are
  bool pairs = false;          // child i belongs to i / 2, throughout
  int64_t coarse() const { return static_cast<int64_t>(first.size()) - 1; }
};

struct Edge {  // of a secondary unknown
  int64_t low, high;
  float weight;
  int8_t axis;
};

struct Neighbour {
  int64_t unknown;
  float weight;
};

struct Entry {  // of the unstructured part of the prolongation
  int64_t fine, coarse;
  float weight;
};

struct Level {
  Box box;
  bool periodic[3] = {false, false, false};
  int dirichlet_across[3] = {0, 0, 0};  // OPEN sides of an axis of one cell
  int colour = 0;          // parity of the first cell in the whole grid (on many ranks)
  bool constant = false;   // constant coefficient: every face between unknowns has weight 1, and the stencil types say all
  int64_t unknowns = 0;

  // Indices of unknowns: box.at() for primary ones, box.size + e for secondary ones.
  Field<uint8_t> cells, stencil_type;  // constant coefficient: kinds (padded); number of faces that are no wall, +8 where one is Dirichlet
  Field<float> weight[3];              // of the face to the higher neighbour
  Field<float> diagonal, omega_dinv;   // omega_dinv: relaxation factor / diagonal, 0 where there is no unknown
  Field<float> x, b;
  std::vector<int32_t> row_begin, row_end;  // columns with unknowns, in multiples of kLanes

  // Secondary unknowns of multivalued cells, their couplings, and the same by unknown.
  int64_t secondary = 0;
  std::vector<int64_t> secondary_cell;
  std::vector<Edge> edges;
  std::vector<int64_t> neighbour_start;
  std::vector<Neighbour> neighbours;

  // Set-up only: coupling to Dirichlet values across each axis, and the shift.
  Field<float> dirichlet[3], shift;

  // Interpolation from the next level. Along each axis a child takes `interp_parent` of its parent and `interp_neighbour` of the parent's
  // neighbour on the child's side; stored with the coarse cells, [axis][0 low, 1 high].
  AxisCoarsening coarsening[3];
  Field<float> interp_parent[3][2], interp_neighbour[3][2];
  std::vector<Entry> unstructured;  // rows of the prolongation that differ from the regular one, as differences; sorted by fine unknown

  // Where the next level is sparse: the unknown there that each one here belongs to, -1 where none. The relaxation has differences then, and
  // the slack, what the diagonal has beyond the edges, in place of the diagonal.
  Field<int32_t> sparse_parent;
  Field<float> slack;

  // The coarsest level's inverse, over `direct`.
  std::vector<int64_t> direct;
  std::vector<double> inverse;  // a weak anchor leaves it a large constant, beside which single precision holds nothing else

  int64_t bytes() const {
    int64_t n = cells.bytes() + stencil_type.bytes() + diagonal.bytes() + omega_dinv.bytes() + sparse_parent.bytes() + slack.bytes() + x.bytes() + b.bytes() + shift.bytes();
    for (int a = 0; a < 3; ++a) {
      n += weight[a].bytes() + dirichlet[a].bytes();
      for (int s = 0; s < 2; ++s) n += interp_parent[a][s].bytes() + interp_neighbour[a][s].bytes();
    }
    return n + static_cast<int64_t>(8 * row_begin.capacity() + sizeof(Edge) * edges.capacity() + sizeof(Neighbour) * neighbours.capacity() +
                                    sizeof(Entry) * unstructured.capacity() + 8 * inverse.capacity());
  }

  int64_t row(int64_t k, int64_t j) const { return k * box.n[1] + j; }
};

}  // namespace dcg
