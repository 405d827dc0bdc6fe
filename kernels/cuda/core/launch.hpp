// How work is run. A phase is a body that is called once for each cell (or item) of a set, in no particular order; phases follow
// one another. `Launcher` makes a phase a kernel of its own; `Block` runs it by the threads of one block, so that many phases
// on small levels are one launch. Algorithms are templates over either.
//
// Without nvcc the same sources compile as C++: a phase is then a loop, and the host's memory stands in for the device's. So
// the arithmetic is tested where there is no GPU. DCG_BACKWARD runs the loops backward: results must not depend on it,
// or two threads of a phase are in each other's way.
#pragma once

#include <cstdint>

#include "cuda/core/runtime.hpp"

namespace dcg::cuda {

struct Extent {
  int nz, ny, nx;
  DCG_BOTH int count() const { return nz * ny * nx; }
};

#if !defined(__CUDACC__)
template <class Body>
void loop(int n, Body &&body) {
#if defined(DCG_BACKWARD)
  for (int m = n - 1; m >= 0; --m) body(m);
#else
  for (int m = 0; m < n; ++m) body(m);
#endif
}
#endif

template <class Body>
DCG_BOTH void at_cell(const Extent &e, int m, const Body &body) {
  const int row = m / e.nx;
  body(row / e.ny, row % e.ny, m % e.nx);
}

// The threads of one block.
struct Block {
  static constexpr int kThreads = 512;

  template <class View>
  using Held = const View &;

  template <class Body>
  DCG_BOTH void items(int n, const Body &body) const {
#if defined(__CUDA_ARCH__)
    for (int m = threadIdx.x; m < n; m += kThreads) body(m);
    __syncthreads();
#elif !defined(__CUDACC__)
    loop(n, body);
#endif
  }
  template <class Body>
  DCG_BOTH void cells(const Extent &e, const Body &body) const {
    items(e.count(), [&](int m) { at_cell(e, m, body); });
  }
  template <class Body>
  DCG_BOTH void alone(const Body &body) const {
    body(*this);
  }
  // By one thread; the others wait for it.
  template <class Body>
  DCG_BOTH void once(const Body &body) const {
    items(1, [&](int) { body(); });
  }
  // The sum of n values, the same for every thread, in an order that depends on n only.
  DCG_BOTH double sum(int n, const double *values) const {
#if defined(__CUDA_ARCH__)
    __shared__ double part[kThreads];
    double own = 0.0;
    for (int m = threadIdx.x; m < n; m += kThreads) own += values[m];
    return total(part, own);
#else
    double own = 0.0;
    for (int m = 0; m < n; ++m) own += values[m];
    return own;
#endif
  }

#if defined(__CUDACC__)
  static __device__ double total(double *part, double own) {  // blockDim is a power of two
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    part[thread] = own;
    for (int half = blockDim.x * blockDim.y / 2; half > 0; half /= 2) {
      __syncthreads();
      if (thread < half) part[thread] += part[thread + half];
    }
    __syncthreads();
    const double sum = part[0];
    __syncthreads();
    return sum;
  }
#endif
};

#if defined(__CUDACC__)

constexpr int kThreads = 256;

// Rows of cells by threadIdx.y, columns by threadIdx.x.
template <class Body>
__global__ void __launch_bounds__(kThreads) cells_kernel(const int *stop, const Extent e, const Body body) {
  if (stop && *stop) return;
  const int row = blockIdx.x * blockDim.y + threadIdx.y, i = blockIdx.y * blockDim.x + threadIdx.x;
  if (row < e.nz * e.ny && i < e.nx) body(row / e.ny, row % e.ny, i);
}

template <class Body>
__global__ void __launch_bounds__(kThreads) items_kernel(const int *stop, const int n, const Body body) {
  if (stop && *stop) return;
  const int m = blockIdx.x * kThreads + threadIdx.x;
  if (m < n) body(m);
}

template <class Body>
__global__ void __launch_bounds__(Block::kThreads) block_kernel(const int *stop, const Body body) {
  if (stop && *stop) return;
  body(Block{});
}

// Each block's sum of the body's values.
template <class Body>
__global__ void __launch_bounds__(kThreads) sum_kernel(const int *stop, const Extent e, double *partial, const Body body) {
  __shared__ double part[kThreads];
  if (stop && *stop) return;
  double own = 0.0;
  for (int row = blockIdx.x * blockDim.y + threadIdx.y; row < e.nz * e.ny; row += gridDim.x * blockDim.y)
    for (int i = threadIdx.x; i < e.nx; i += blockDim.x) own += body(row / e.ny, row % e.ny, i);
  own = Block::total(part, own);
  if (threadIdx.x == 0 && threadIdx.y == 0) partial[blockIdx.x] = own;
}

#endif

// Phases as kernels on a stream. Where *stop is set they do nothing, so that the host may run ahead of what the device finds.
struct Launcher {
  static constexpr int kSums = 1024;  // blocks of a sum, however large the grid: the order of additions is fixed

  template <class View>
  using Held = View;

  Stream stream = {};
  const int *stop = nullptr;

  template <class Body>
  void cells(const Extent &e, const Body &body) const {
    if (e.count() == 0) return;
#if defined(__CUDACC__)
    const dim3 threads = shape(e);
    const dim3 blocks((e.nz * e.ny + threads.y - 1) / threads.y, (e.nx + threads.x - 1) / threads.x);
    cells_kernel<<<blocks, threads, 0, stream>>>(stop, e, body);
    check_launch();
#else
    if (!stop || !*stop) loop(e.count(), [&](int m) { at_cell(e, m, body); });
#endif
  }
  template <class Body>
  void items(int n, const Body &body) const {
    if (n == 0) return;
#if defined(__CUDACC__)
    items_kernel<<<(n + kThreads - 1) / kThreads, kThreads, 0, stream>>>(stop, n, body);
    check_launch();
#else
    if (!stop || !*stop) loop(n, body);
#endif
  }
  // A body that runs phases of its own, by one block.
  template <class Body>
  void alone(const Body &body) const {
#if defined(__CUDACC__)
    block_kernel<<<1, Block::kThreads, 0, stream>>>(stop, body);
    check_launch();
#else
    if (!stop || !*stop) body(Block{});
#endif
  }
  // partial[0..kSums) = sums of body over the cells; Block::sum adds them up.
  template <class Body>
  void sum(const Extent &e, double *partial, const Body &body) const {
#if defined(__CUDACC__)
    sum_kernel<<<kSums, shape(e), 0, stream>>>(stop, e, partial, body);
    check_launch();
#else
    if (stop && *stop) return;
    for (int b = 0; b < kSums; ++b) partial[b] = 0.0;
    for (int row = 0; row < e.nz * e.ny; ++row)
      for (int i = 0; i < e.nx; ++i) partial[row % kSums] += body(row / e.ny, row % e.ny, i);
#endif
  }

#if defined(__CUDACC__)
 private:
  // A block takes rows of a warp or more, as many as the grid has columns for.
  static dim3 shape(const Extent &e) {
    unsigned columns = 32;
    while (columns < static_cast<unsigned>(e.nx) && columns < kThreads) columns *= 2;
    return dim3(columns, kThreads / columns);
  }
#endif
};

}  // namespace dcg::cuda
