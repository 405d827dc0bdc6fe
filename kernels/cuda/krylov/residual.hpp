// The true residual of the user's vectors in double precision, projected onto the range of a singular operator.
#pragma once

#include "cuda/krylov/cg.hpp"

namespace dcg::cuda {

// A row of A times x in difference form, or of |A| times |x|.
template <bool kMagnitude>
struct Product {
  FineView fine;
  const double *x;

  DCG_BOTH double operator()(int k, int j, int i) const { return fine.unit > 0.0 ? fine.unit * constant(k, j, i) : variable(k, j, i); }

 private:
  DCG_BOTH static double one(double value) { return kMagnitude ? std::fabs(value) : value; }
  DCG_BOTH static double difference(double here, double there) { return kMagnitude ? std::fabs(here) + std::fabs(there) : here - there; }
  // The neighbour's index, -1 beyond the grid.
  DCG_BOTH int beyond(int k, int j, int i, int axis, int side) const {
    int c[3] = {k, j, i};
    const int length = fine.grid.n[axis];
    c[axis] += side;
    if (c[axis] < 0 || c[axis] >= length) {
      if (!fine.grid.periodic[axis]) return -1;
      c[axis] -= side * length;
    }
    return fine.index(c[0], c[1], c[2]);
  }

  DCG_BOTH double constant(int k, int j, int i) const {  // without the factor `unit`
    int joined = fine.stencil_type[fine.grid.at(k, j, i)] & 7;
    const double here = x[fine.index(k, j, i)];
    double sum = 0.0;
    for (int axis = 0; axis < 3; ++axis)
      for (int side = -1; side <= 1; side += 2) {
        const int m = beyond(k, j, i, axis, side);
        if (m >= 0 && fine.grid.n[axis] > 1 && fine.cells[m] == DCG_FLUID) sum += difference(here, x[m]), --joined;
      }
    return sum + joined * one(here);  // the rest are faces to fixed values
  }

  DCG_BOTH double variable(int k, int j, int i) const {
    const int n = fine.index(k, j, i), row = k * fine.grid.n[1] + j;
    const int face[3] = {n, n + k * fine.grid.n[2], n + row};
    const int step[3] = {fine.grid.n[1] * fine.grid.n[2], fine.grid.n[2], 1};
    const double here = x[n];
    double sum = fine.shift ? one(fine.shift[n] * here) : 0.0;
    for (int axis = 0; axis < 3; ++axis) {
      if (!fine.weight[axis]) continue;
      const int low = beyond(k, j, i, axis, -1), high = beyond(k, j, i, axis, 1);
      sum += fine.weight[axis][face[axis]] * difference(here, low < 0 ? 0.0 : x[low]) +
             fine.weight[axis][face[axis] + step[axis]] * difference(here, high < 0 ? 0.0 : x[high]);
    }
    return sum;
  }
};

struct Residual {  // r = b - A x; x NULL: 0
  FineView fine;
  const double *b, *x;
  double *r;

  DCG_BOTH void operator()(int k, int j, int i) const {
    const int n = fine.index(k, j, i);
    if (fine.cells[n] != DCG_FLUID) {
      r[n] = 0.0;
    } else {
      r[n] = x ? b[n] - Product<false>{fine, x}(k, j, i) : b[n];
    }
  }
};

struct Magnitude {  // the square of a row of |A| |x| + |b|
  FineView fine;
  const double *b, *x;

  DCG_BOTH double operator()(int k, int j, int i) const {
    const int n = fine.index(k, j, i);
    if (fine.cells[n] != DCG_FLUID) return 0.0;
    const double row = Product<true>{fine, x}(k, j, i) + std::fabs(b[n]);
    return row * row;
  }
};

// Cells of the singular components as runs along x, sorted by component.
struct RunsView {
  int runs, components;
  const int *first, *length, *component, *start;  // start: first run of each component, one more than there are
  const double *cells;  // of each component
  double *sum, *mean, *removed;
};

struct SumRun {
  RunsView v;
  const double *r;
  DCG_BOTH void operator()(int m) const {
    double sum = 0.0;
    for (int n = 0; n < v.length[m]; ++n) sum += r[v.first[m] + n];
    v.sum[m] = sum;
  }
};

struct Means {
  RunsView v;
  DCG_BOTH void operator()(const Block &block) const {
    double removed = 0.0;
    for (int c = 0; c < v.components; ++c) {
      const double cells = v.cells[c], mean = block.sum(v.start[c + 1] - v.start[c], v.sum + v.start[c]) / cells;
      block.once([&] { v.mean[c] = mean; });
      removed += cells * mean * mean;
    }
    block.once([&] { *v.removed = removed; });
  }
};

struct TakeMean {
  RunsView v;
  double *r;
  DCG_BOTH void operator()(int m) const {
    const double mean = v.mean[v.component[m]];
    for (int n = 0; n < v.length[m]; ++n) r[v.first[m] + n] -= mean;
  }
};

struct Square {
  FineView fine;
  const double *r;
  DCG_BOTH double operator()(int k, int j, int i) const {
    const double value = r[fine.index(k, j, i)];
    return value * value;
  }
};

struct Total {
  const double *partial;
  double *result;
  DCG_BOTH void operator()(const Block &block) const {
    const double sum = block.sum(Launcher::kSums, partial);
    block.once([&] { *result = sum; });
  }
};

inline RunsView upload_runs(Arena &arena, int64_t runs, const int64_t *first, const int64_t *length_and_component, int64_t components) {
  std::vector<std::vector<int64_t>> of(components);
  for (int64_t m = 0; m < runs; ++m) of[length_and_component[2 * m + 1]].push_back(m);
  std::vector<int> firsts, lengths, numbers, start{0};
  std::vector<double> cells(components, 0.0);
  for (int64_t c = 0; c < components; ++c) {
    for (const int64_t m : of[c]) {
      firsts.push_back(static_cast<int>(first[m])), lengths.push_back(static_cast<int>(length_and_component[2 * m]));
      numbers.push_back(static_cast<int>(c)), cells[c] += static_cast<double>(length_and_component[2 * m]);
    }
    start.push_back(static_cast<int>(firsts.size()));
  }
  RunsView v{};
  v.runs = static_cast<int>(runs), v.components = static_cast<int>(components);
  v.first = arena.upload(firsts), v.length = arena.upload(lengths), v.component = arena.upload(numbers), v.start = arena.upload(start);
  v.cells = arena.upload(cells);
  v.sum = arena.zeros<double>(runs), v.mean = arena.zeros<double>(components), v.removed = arena.zeros<double>(1);
  return v;
}

// || |A| |x| + |b| ||_2
inline double magnitude(const FineView &fine, double *partial, double *result, const double *b, const double *x, Stream stream) {
  const Launcher launcher{stream};
  double square = 0.0;
  launcher.sum(fine.grid.extent(), partial, Magnitude{fine, b, x});
  launcher.alone(Total{partial, result});
  copy(&square, result, sizeof square, stream);
  return std::sqrt(square);
}

// r = b - A x less its means; {||r||, 2-norm of the part removed}
inline std::pair<double, double> true_residual(const FineView &fine, const RunsView &runs, double *partial, double *result, const double *b,
                                               const double *x, double *r, Stream stream) {
  const Launcher launcher{stream};
  launcher.cells(fine.grid.extent(), Residual{fine, b, x, r});
  double removed = 0.0, square = 0.0;
  if (runs.runs) {
    launcher.items(runs.runs, SumRun{runs, r});
    launcher.alone(Means{runs});
    launcher.items(runs.runs, TakeMean{runs, r});
    copy(&removed, runs.removed, sizeof removed, stream);
  }
  launcher.sum(fine.grid.extent(), partial, Square{fine, r});
  launcher.alone(Total{partial, result});
  copy(&square, result, sizeof square, stream);
  return {std::sqrt(square), std::sqrt(removed)};
}

}  // namespace dcg::cuda
