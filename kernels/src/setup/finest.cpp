// The finest level, from the user's cells and coefficients.

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/cell_kinds.hpp"
#include "core/checks.hpp"
#include "core/clones.hpp"
#include "core/error.hpp"
#include "setup/finest.hpp"

namespace dcg {

namespace {

constexpr double kFinite = std::numeric_limits<double>::max();
constexpr double kMostShift = 1e20;  // of the largest weight: a shift above it fixes the value as well, and single precision holds its inverse

template <class Body>
void for_rows(const Box &box, int threads, Body &&body) {
#pragma omp parallel for num_threads(threads) schedule(static) if (box.cells() > 16384)
  for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row) body(row / box.n[1], row % box.n[1]);
}

void start(Level &level, const dcg_operator &op) {
  level.box.reset(op.shape);
  for (int a = 0; a < 3; ++a) level.periodic[a] = op.periodic >> a & 1 && op.shape[a] > 1;
  level.secondary = 0, level.secondary_cell.clear(), level.edges.clear();
  level.constant = op.unit > 0.0;
  for (int a = 0; a < 3; ++a) {
    const bool alone = op.shape[a] == 1 && !(op.periodic >> a & 1);
    level.dirichlet_across[a] = alone ? (op.open >> (2 * a) & 1) + (op.open >> (2 * a + 1) & 1) : 0;
  }
}

// Kinds with a layer of ghosts: those of the box's sides, or the other side's cells along a periodic axis.
void copy_cells(Level &level, const dcg_operator &op, int threads) {
  const Box &box = level.box;
  fill(level.cells, box.size, kSolid, threads);
  for_rows(box, threads, [&](int64_t k, int64_t j) {
    const uint8_t *row = op.cells + (k * box.n[1] + j) * box.n[2];
    std::copy(row, row + box.n[2], &level.cells[box.at(k, j)]);
  });
  for (int a = 0; a < 3; ++a) {
    if (!box.has_ghosts(a)) continue;
    const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;
    const int64_t offset = box.offset(a), wrap = (box.n[a] - 1) * offset;
    for (int64_t m = 0; m < box.n[p]; ++m)
      for (int64_t l = 0; l < box.n[q]; ++l) {
        int64_t c[3];
        c[a] = 0, c[p] = m, c[q] = l;
        const int64_t first = box.at(c[0], c[1], c[2]);
        const bool below = op.open >> (2 * a) & 1, above = op.open >> (2 * a + 1) & 1;
        level.cells[first - offset] = level.periodic[a] ? level.cells[first + wrap] : below ? kOpen : kSolid;
        level.cells[first + wrap + offset] = level.periodic[a] ? level.cells[first] : above ? kOpen : kSolid;
      }
  }
}

// Stencil types of a row, from the kinds of its cells and of their six neighbours. `more`: Dirichlet faces of each cell across axes of one cell.
void row_types(int64_t n, const uint8_t *__restrict cell, const uint8_t *down, const uint8_t *up, const uint8_t *south,
               const uint8_t *north, uint8_t more, uint8_t *__restrict type) {
  const uint8_t *west = cell - 1, *east = cell + 1;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t joined = static_cast<uint8_t>((west[i] != kSolid) + (east[i] != kSolid) + (south[i] != kSolid) +
                                                (north[i] != kSolid) + (down[i] != kSolid) + (up[i] != kSolid));
    const uint8_t open = (west[i] == kOpen) | (east[i] == kOpen) | (south[i] == kOpen) | (north[i] == kOpen) |
                         (down[i] == kOpen) | (up[i] == kOpen);
    const uint8_t all = static_cast<uint8_t>((joined + more) | (open | (more > 0)) << 3);
    type[i] = cell[i] == kFluid ? all : uint8_t{0};
  }
}

void find_stencil_types(Level &level, int threads) {
  const Box &box = level.box;
  fill(level.stencil_type, box.size, uint8_t{0}, threads);
  const int64_t rows = box.n[0] * box.n[1], n = box.n[2];
  level.row_begin.assign(rows, 0), level.row_end.assign(rows, 0);
  const std::vector<uint8_t> walls(n, kSolid);
  const uint8_t more = static_cast<uint8_t>((box.n[0] == 1 ? level.dirichlet_across[0] : 0) + (box.n[1] == 1 ? level.dirichlet_across[1] : 0));
  int64_t unknowns = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : unknowns) if (box.cells() > 16384)
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t start = box.at(row / box.n[1], row % box.n[1]);
    const uint8_t *cell = level.cells.data() + start;
    uint8_t *type = level.stencil_type.data() + start;
    const auto neighbour = [&](int axis, int64_t offset) { return box.n[axis] > 1 ? cell + offset : walls.data(); };
    row_types(n, cell, neighbour(0, -box.plane), neighbour(0, box.plane), neighbour(1, -box.stride), neighbour(1, box.stride), more, type);
    int64_t first = 0, last = n, in_use = 0;
    for (int64_t i = 0; i < n; ++i) in_use += type[i] != 0;
    if (in_use == 0) continue;
    while (type[first] == 0) ++first;
    while (type[last - 1] == 0) --last;
    unknowns += in_use;
    level.row_begin[row] = static_cast<int32_t>(first / kLanes * kLanes);
    level.row_end[row] = static_cast<int32_t>((last + kLanes - 1) / kLanes * kLanes);
  }
  level.unknowns = unknowns;
}

// The weights of a row's faces across one axis: to FLUID cells above they are edges, to all other cells Dirichlet couplings.
DCG_CLONES void copy_row(int64_t n, double scale, const uint8_t *cell, const uint8_t *cell_below, const uint8_t *cell_above,
                         const double *below, const double *above, float *__restrict edge, float *__restrict dirichlet) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float here = cell[i] == kFluid ? 1.0f : 0.0f, joined_above = cell_above[i] == kFluid ? 1.0f : 0.0f, joined_below = cell_below[i] == kFluid ? 1.0f : 0.0f;
    const float high = here * static_cast<float>(above[i] * scale), low = here * static_cast<float>(below[i] * scale);
    edge[i] = high * joined_above;
    dirichlet[i] = high * (1.0f - joined_above) + low * (1.0f - joined_below);
  }
}

// Weights in single precision relative to the largest one, Dirichlet couplings apart. A negative shift counts as none: the cycle is definite.
void copy_weights(Level &level, const dcg_operator &op, double scale, int threads) {
  const Box &box = level.box;
  const auto zeroed = [&](Field<float> &f) { fill(f, box.size, 0.0f, threads); };
  for (int a = 0; a < 3; ++a) zeroed(level.weight[a]), zeroed(level.dirichlet[a]);
  zeroed(level.shift), zeroed(level.diagonal), zeroed(level.omega_dinv);
  const std::vector<uint8_t> walls(box.n[2], kSolid);
  for_rows(box, threads, [&](int64_t k, int64_t j) {
    const int64_t u = box.at(k, j), n = box.n[2];
    for (int a = 0; a < 3; ++a) {
      const double *w = op.weights[a];
      if (!w) continue;
      // faces have one more layer along their own axis
      const double *below = a == 0 ? w + (k * box.n[1] + j) * n : a == 1 ? w + (k * (box.n[1] + 1) + j) * n : w + (k * box.n[1] + j) * (n + 1);
      const double *above = below + (a == 0 ? box.n[1] * n : a == 1 ? n : 1);
      const int64_t offset = box.offset(a);
      const bool alone = !box.has_ghosts(a);  // no ghosts there, and no cells beyond
      const uint8_t *cells = &level.cells[u];
      copy_row(n, scale, cells, alone ? walls.data() : cells - offset, alone ? walls.data() : cells + offset, below, above, &level.weight[a][u],
               &level.dirichlet[a][u]);
    }
    if (op.shift) {
      const double *shift = op.shift + (k * box.n[1] + j) * n;
      for (int64_t i = 0; i < n; ++i)
        if (level.cells[u + i] == kFluid) level.shift[u + i] = static_cast<float>(std::clamp(shift[i] * scale, 0.0, kMostShift));
    }
  });
}

}  // namespace

Largest largest(const dcg_operator &op, int threads) {
  double weight = 0.0, shift = 0.0;
  int64_t illegal = 0;
  if (!(op.unit > 0.0)) check_weights(op);
  for (int a = 0; a < 3; ++a) {
    if (!op.weights[a]) continue;
    int64_t n = 1;
    for (int b = 0; b < 3; ++b) n *= op.shape[b] + (a == b);
#pragma omp parallel for num_threads(threads) reduction(max : weight) reduction(+ : illegal)
    for (int64_t i = 0; i < n; ++i) {
      const double w = op.weights[a][i];
      illegal += !(w >= 0.0 && w <= kFinite), weight = std::max(weight, w);
    }
  }
  require(illegal == 0, "weights: finite numbers >= 0 are needed at every face");
  if (op.shift) {
    const int64_t n = count_cells(op.shape);
#pragma omp parallel for num_threads(threads) reduction(max : shift) reduction(+ : illegal)
    for (int64_t i = 0; i < n; ++i) illegal += !(std::fabs(op.shift[i]) <= kFinite), shift = std::max(shift, op.shift[i]);
  }
  require(illegal == 0, "shift: finite numbers are needed in every cell");
  return {weight, shift};
}

double build_finest(Level &level, const dcg_operator &op, const Largest &largest, int threads) {
  start(level, op);
  copy_cells(level, op, threads);
  double scale = 1.0;
  if (level.constant) {
    find_stencil_types(level, threads);
  } else {
    const double most = largest.weight > 0.0 ? largest.weight : largest.shift;
    scale = most > 0.0 ? 1.0 / most : 1.0;
    copy_weights(level, op, scale, threads);
  }
  if (!level.constant) copy_ghosts(level, level.weight);
  return level.constant ? 1.0 / op.unit : scale;
}

}  // namespace dcg
