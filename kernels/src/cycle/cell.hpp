// The network's arithmetic at one cell. The row kernels call it with packs of cells (row_kernels.inc), the CUDA kernels with one
// (kernels/cuda/), so both compute the same function, and the order of every sum is written here only.
//
// V is float, double or a pack of either. Internal linkage: what row_kernels_avx2.cpp makes of these must not end up elsewhere.
#pragma once

#if defined(__CUDACC__)
#define DCG_CELL static __host__ __device__ __forceinline__
#else
#define DCG_CELL [[gnu::always_inline]] static inline
#endif

namespace dcg::cell {

// The sum of the neighbours along y and z
template <class V>
DCG_CELL V lateral(V south, V north, V down, V up) {
  return (south + north) + (down + up);
}

// and of all six
template <class V>
DCG_CELL V neighbours(V west, V east, V lateral) {
  return (west + east) + lateral;
}

template <class V>
DCG_CELL V pair(V w_low, V low, V w_high, V high) {
  return w_low * low + w_high * high;
}

// b - A x; sum: of the weighted neighbours
template <class V>
DCG_CELL V residual(V b, V diagonal, V x, V sum) {
  return b - diagonal * x + sum;
}

// The same by differences: inflow is the weighted sum of the neighbours' less x.
template <class V>
DCG_CELL V residual_by_differences(V b, V slack, V x, V inflow) {
  return b - slack * x + inflow;
}

// One relaxation. factor: relaxation factor / diagonal, 0 where there is nothing to relax.
template <class V>
DCG_CELL V relaxed(V x, V factor, V b, V diagonal, V sum) {
  return x + factor * residual(b, diagonal, x, sum);
}

template <class V>
DCG_CELL V relaxed_by_differences(V x, V factor, V b, V slack, V inflow) {
  return x + factor * residual_by_differences(b, slack, x, inflow);
}

// The same where x is 0 in the cell and around it: the first pass, which reads no neighbours.
template <class V>
DCG_CELL V relaxed_from_zero(V factor, V b, [[maybe_unused]] V diagonal) {
  return factor * b;
}

// Interpolation along one axis: from a child's parent and from the parent's neighbour on the child's side
template <class V>
DCG_CELL V interpolate(V interp_parent, V parent, V interp_neighbour, V neighbour) {
  return interp_parent * parent + interp_neighbour * neighbour;
}

// (A p) of a constant coefficient, in double precision from single-precision p: each sum of seven such values is exact but for its
// last rounding.
template <class V>
DCG_CELL V constant_product(V diagonal, V p, V west, V east, V south, V north, V down, V up) {
  return diagonal * p - ((west + east) + (south + north) + (down + up));
}

// The flux out of the two faces across an axis, in difference form.
template <class V>
DCG_CELL V outflow(V w_low, V w_high, V p, V low, V high) {
  return w_low * (p - low) + w_high * (p - high);
}

// Updates of conjugate gradients; the restriction, the transposed prolongation, adds up its terms likewise.
template <class V, class S>
DCG_CELL V stepped(V v, S step, V change) {
  return v + step * change;
}

template <class V, class S>
DCG_CELL V stepped_back(V v, S step, V change) {
  return v - step * change;
}

}  // namespace dcg::cell
