// Connected components by union of runs: the fluid cells of a row that are joined along x form a run, and runs of neighbouring
// rows are joined where a face between them is. There are far fewer runs than cells.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "core/cell_kinds.hpp"
#include "core/checks.hpp"
#include "core/error.hpp"
#include "core/region.hpp"

using namespace dcg;

namespace {

struct Run {
  int64_t begin, end;  // columns
  int64_t parent;
  bool definite;  // has a Dirichlet coupling or a shift, so its component is nonsingular
};

class Components {
 public:
  explicit Components(const dcg_operator &op) : op(op), nz(op.shape[0]), ny(op.shape[1]), nx(op.shape[2]) {
    find_runs();
    for (int64_t k = 0; k < nz; ++k)
      for (int64_t j = 0; j < ny; ++j) {
        if (op.periodic & 4 && nx > 1) join_ends(k, j);
        if (j + 1 < ny) join_rows(k, j, k, j + 1, 1);
        if (k + 1 < nz) join_rows(k, j, k + 1, j, 0);
        if (op.periodic & 2 && ny > 1 && j == ny - 1) join_rows(k, j, k, 0, 1);
        if (op.periodic & 1 && nz > 1 && k == nz - 1) join_rows(k, j, 0, j, 0);
      }
    for (int64_t n = 0; n < static_cast<int64_t>(runs.size()); ++n)
      if (runs[n].definite) runs[find(n)].definite = true;
  }

  void write(int64_t capacity, int64_t *first, int64_t *length_and_component, int64_t *count, int64_t components[2]) {
    std::vector<int64_t> number(runs.size(), -1);
    int64_t singular = 0, all = 0;
    *count = 0;
    for (int64_t row = 0; row < nz * ny; ++row)
      for (int64_t n = start[row]; n < start[row + 1]; ++n) {
        const int64_t root = find(n);
        all += root == n;
        if (runs[root].definite) continue;
        if (number[root] < 0) number[root] = singular++;
        if (first && *count < capacity) {
          first[*count] = row * nx + runs[n].begin;
          length_and_component[2 * *count] = runs[n].end - runs[n].begin;
          length_and_component[2 * *count + 1] = number[root];
        }
        ++*count;
      }
    components[0] = singular, components[1] = all;
  }

 private:
  const dcg_operator &op;
  const int64_t nz, ny, nx;
  std::vector<Run> runs;
  std::vector<int64_t> start;  // of each row's runs
  std::vector<uint8_t> has_open;

  const uint8_t *row(int64_t k, int64_t j) const { return op.cells + (k * ny + j) * nx; }

  // Weight of the face above cell (k, j, i) along an axis; below it with `below`.
  double face(int axis, int64_t k, int64_t j, int64_t i, bool below) const {
    if (op.unit > 0.0) return op.unit;
    if (!op.weights[axis]) return 0.0;
    if (axis == 0) return op.weights[0][((k + !below) * ny + j) * nx + i];
    if (axis == 1) return op.weights[1][(k * (ny + 1) + j + !below) * nx + i];
    return op.weights[2][(k * ny + j) * (nx + 1) + i + !below];
  }

  bool open(int axis, int64_t k, int64_t j, int64_t i, bool below) const {  // whether an OPEN cell lies there
    int64_t c[3] = {k, j, i};
    c[axis] += below ? -1 : 1;
    if (c[axis] < 0 || c[axis] >= op.shape[axis]) {
      if (!(op.periodic >> axis & 1)) return op.unit > 0.0 ? op.open >> (2 * axis + !below) & 1 : face(axis, k, j, i, below) > 0.0;
      if (op.shape[axis] == 1) return false;
      c[axis] = (c[axis] + op.shape[axis]) % op.shape[axis];
    }
    return row(c[0], c[1])[c[2]] == kOpen && face(axis, k, j, i, below) > 0.0;
  }

  // Whether cells inside the row may be definite: the row or a neighbouring one holds an OPEN cell, or lies at an open side, or there is a shift.
  // The ends of the row itself concern its first and last cell only.
  bool may_be_definite(int64_t k, int64_t j) const {
    const int sides = (k == 0 ? 1 : 0) | (k == nz - 1 ? 2 : 0) | (j == 0 ? 4 : 0) | (j == ny - 1 ? 8 : 0);
    if (op.shift || (op.unit > 0.0 ? op.open & sides : sides)) return true;
    for (const auto &[dk, dj] : {std::pair{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}})
      if (has_open[(k + dk + nz) % nz * ny + (j + dj + ny) % ny]) return true;
    return false;
  }

  bool definite(int64_t k, int64_t j, int64_t i) const {
    if (op.shift && op.shift[(k * ny + j) * nx + i] != 0.0) return true;
    for (int axis = 0; axis < 3; ++axis) {
      if (axis < 2 && op.shape[axis] == 1 && !(op.unit > 0.0 ? op.open >> (2 * axis) & 3 : op.weights[axis] != nullptr)) continue;
      if (open(axis, k, j, i, true) || open(axis, k, j, i, false)) return true;
    }
    return false;
  }

  void find_runs() {
    std::vector<std::vector<Run>> rows(nz * ny);
    has_open.assign(nz * ny, 0);
    const int threads = choose_threads(0);
#pragma omp parallel for num_threads(threads) schedule(static) if (nz * ny * nx > 32768)
    for (int64_t r = 0; r < nz * ny; ++r) has_open[r] = std::memchr(row(r / ny, r % ny), kOpen, nx) != nullptr;
    parallel_for(nz * ny, nz * ny * nx > 32768, threads, [&](int64_t r) {
      const uint8_t *cells = row(r / ny, r % ny);
      const bool near = may_be_definite(r / ny, r % ny);
      for (int64_t i = 0; i < nx;) {
        if (cells[i] != kFluid) {
          ++i;
          continue;
        }
        int64_t end = i + 1;
        while (end < nx && cells[end] == kFluid && (op.unit > 0.0 || face(2, r / ny, r % ny, end, true) > 0.0)) ++end;
        bool fixed = false;
        if (near)
          for (int64_t c = i; c < end && !fixed; ++c) fixed = definite(r / ny, r % ny, c);
        else
          fixed = (i == 0 && definite(r / ny, r % ny, 0)) || (end == nx && definite(r / ny, r % ny, nx - 1));
        rows[r].push_back({i, end, 0, fixed});
        i = end;
      }
    });
    start.assign(nz * ny + 1, 0);
    for (int64_t r = 0; r < nz * ny; ++r) {
      start[r + 1] = start[r] + static_cast<int64_t>(rows[r].size());
      runs.insert(runs.end(), rows[r].begin(), rows[r].end());
    }
    for (int64_t n = 0; n < static_cast<int64_t>(runs.size()); ++n) runs[n].parent = n;
  }

  int64_t find(int64_t n) {
    while (runs[n].parent != n) n = runs[n].parent = runs[runs[n].parent].parent;
    return n;
  }

  void join(int64_t m, int64_t n) {
    m = find(m), n = find(n);
    runs[std::max(m, n)].parent = std::min(m, n);
  }

  void join_ends(int64_t k, int64_t j) {
    const int64_t r = k * ny + j;
    if (start[r] == start[r + 1]) return;
    if (runs[start[r]].begin == 0 && runs[start[r + 1] - 1].end == nx && face(2, k, j, nx - 1, false) > 0.0)
      join(start[r], start[r + 1] - 1);
  }

  // Joins the runs of two rows that are neighbours across an axis, the second above the first.
  void join_rows(int64_t k, int64_t j, int64_t k2, int64_t j2, int axis) {
    const int64_t r = k * ny + j, s = k2 * ny + j2;
    for (int64_t m = start[r], n = start[s]; m < start[r + 1] && n < start[s + 1];) {
      const int64_t begin = std::max(runs[m].begin, runs[n].begin), end = std::min(runs[m].end, runs[n].end);
      for (int64_t i = begin; i < end; ++i)
        if (face(axis, k, j, i, false) > 0.0) {
          join(m, n);
          break;
        }
      ++(runs[m].end < runs[n].end ? m : n);
    }
  }
};

}  // namespace

extern "C" int dcg_components(const dcg_operator *op, int64_t capacity, int64_t *first, int64_t *length_and_component,
                              int64_t *runs, int64_t components[2]) {
  return guarded([&] {
    require(op && runs && components, "operator, runs and components must not be NULL");
    require(!first || (length_and_component && capacity >= 0), "length_and_component must not be NULL, and capacity not negative, where first is given");
    check(*op);
    Components(*op).write(capacity, first, length_and_component, runs, components);
  });
}

extern "C" int dcg_project(int64_t runs, const int64_t *first, const int64_t *length_and_component, const int64_t *sizes,
                           int64_t components, double *v, double *removed) {
  return guarded([&] {
    require(removed && runs >= 0 && components >= 0, "removed must not be NULL, runs and components not negative");
    require((first && length_and_component && v) || runs == 0, "first, length_and_component and v must not be NULL");
    require(sizes || components == 0, "sizes must not be NULL");
    for (int64_t n = 0; n < runs; ++n) {
      const int64_t *run = length_and_component + 2 * n;
      require(first[n] >= 0 && run[0] >= 0 && run[1] >= 0 && run[1] < components, "runs: cells and a component that there is are needed");
    }
    std::vector<double> sum(runs), mean(components, 0.0);
    const int threads = choose_threads(0);
#pragma omp parallel for num_threads(threads) schedule(static) if (runs > 512)
    for (int64_t n = 0; n < runs; ++n) {
      double total = 0.0;
      for (int64_t i = first[n]; i < first[n] + length_and_component[2 * n]; ++i) total += v[i];
      sum[n] = total;
    }
    for (int64_t n = 0; n < runs; ++n) mean[length_and_component[2 * n + 1]] += sum[n];
    double square = 0.0;
    for (int64_t c = 0; c < components; ++c) {
      mean[c] /= static_cast<double>(sizes[c]);
      square += static_cast<double>(sizes[c]) * mean[c] * mean[c];
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (runs > 512)
    for (int64_t n = 0; n < runs; ++n)
      for (int64_t i = first[n]; i < first[n] + length_and_component[2 * n]; ++i) v[i] -= mean[length_and_component[2 * n + 1]];
    *removed = std::sqrt(square);
  });
}
