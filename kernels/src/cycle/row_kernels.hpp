// The arithmetic on one row of cells. Compiled once for any machine and once for AVX2, FMA and F16C (row_kernels_avx2.cpp); which is
// used is chosen at run time.
//
// Ledger, bytes per cell of one pass when the neighbouring rows and planes stay in cache:
//   relax_constant      x 4 + 4, b 4, type 1                                                    13
//   relax_variable      x 4 + 4, b 4, three weights 12, diagonal 4, omega_dinv 4                32
//   relax_differences   as relax_variable
//   residual_*          the same without the store; its row stays in cache                      9 / 24
//   restrict            12 transfer weights and one value of a coarse cell for eight fine ones  52 / 8 = 6.5
//   prolong             the same, and x 4 + 4                                                   14.5
//   direction           p 8 + 8, z 4                                                            20
//   curvature_constant  p in cache from `direction`, type 1                                     1
//   advance_constant    p 8, type 1, x 8 + 8, r 8 + 8, b 4                                      45
//   curvature_variable  p in cache, three weights 24, kind 1                                    25
//   advance_variable    as advance_constant, with three weights                                 69
#pragma once

#include <cstdint>

namespace dcg {

template <class T>
struct Around {  // the four neighbouring rows; x neighbours are in the row itself
  const T *up, *down, *north, *south;
};

struct WeightRows {  // faces to the higher neighbour, of this row and of the rows below it
  const float *z, *z_low, *y, *y_low, *x;
  const float *diagonal, *omega_dinv, *slack;
};

struct CoarseRows {  // coarse rows that a fine row's prolongation reads: [y parent, y neighbour][z parent, z neighbour]
  const float *value[2][2];
  const float *z_parent[2], *z_neighbour[2];  // of the y parent and of the y neighbour
  const float *y_parent, *y_neighbour;
  const float *x_parent[2], *x_neighbour[2];  // [low, high]
};

struct FineWeights {  // the operator in double precision, faces on both sides of each cell
  const double *down, *up, *south, *north, *west, *shift;  // west has one entry more; any but west may be null
  const uint8_t *cells;
};

struct SparseRows {  // the rows of a sparse level (setup/sparse_level.hpp)
  const int64_t *start;
  const int32_t *neighbour;
  const float *weight, *slack, *inverse_diagonal;
};

struct RowKernels {
  const char *name;

  // x += factor (b - A x) on columns of this parity; from x = 0 where `first`.
  void (*relax_constant)(int64_t begin, int64_t end, int parity, bool first, float *x, const Around<float> &around, const float *b,
                     const uint8_t *stencil_type, const float factor[16]);
  void (*relax_variable)(int64_t begin, int64_t end, int parity, bool first, float *x, const Around<float> &around, const float *b,
                         const WeightRows &w, float omega);
  // out = b - A x
  void (*residual_constant)(int64_t begin, int64_t end, const float *x, const Around<float> &around, const float *b, const uint8_t *stencil_type,
                        float *out);
  void (*residual_variable)(int64_t begin, int64_t end, const float *x, const Around<float> &around, const float *b, const WeightRows &w,
                            float *out);
  // The same two by differences, with the slack in the diagonal's place
  void (*relax_differences)(int64_t begin, int64_t end, int parity, bool first, float *x, const Around<float> &around, const float *b,
                            const WeightRows &w, float omega);
  void (*residual_differences)(int64_t begin, int64_t end, const float *x, const Around<float> &around, const float *b, const WeightRows &w,
                               float *out);
  // x = 0 where there is no unknown
  void (*mask_constant)(int64_t begin, int64_t end, const uint8_t *stencil_type, float *x);
  void (*mask_variable)(int64_t begin, int64_t end, const float *omega_dinv, float *x);
  // out[I] over coarse columns: R along x, for an axis coarsened in pairs throughout
  void (*restrict_pairs)(int64_t begin, int64_t end, const float *fine, const float *const interp_parent[2], const float *const interp_neighbour[2],
                         float *out);
  // out += a b over a row
  void (*accumulate)(int64_t begin, int64_t end, const float *a, const float *b, float *out);
  // x += P e for fine columns 2 begin .. 2 end of a row, for an axis coarsened in pairs throughout
  void (*prolong_pairs)(int64_t begin, int64_t end, const CoarseRows &rows, float *x);

  // Slices begin..end-1 of a sparse level: out = b - A x; out = x + omega inverse_diagonal (b - A x)
  void (*residual_sparse)(int64_t begin, int64_t end, const SparseRows &rows, const float *x, const float *b, float *out);
  void (*relax_sparse)(int64_t begin, int64_t end, const SparseRows &rows, const float *x, const float *b, float omega, float *out);

  // sum of a b
  double (*dot)(int64_t n, const float *a, const float *b);

  // Krylov iterations, with directions p and the user's operator in double precision. p = z + beta p.
  void (*direction)(int64_t n, const float *z, double beta, double *p);
  // p . A p
  double (*curvature_constant)(int64_t n, const double *p, const Around<double> &around, const uint8_t *stencil_type);
  double (*curvature_variable)(int64_t n, const double *p, const Around<double> &around, const FineWeights &w);
  // out = -A p; returns p . A p
  double (*product_constant)(int64_t n, const double *p, const Around<double> &around, const uint8_t *stencil_type, double *out);
  double (*product_variable)(int64_t n, const double *p, const Around<double> &around, const FineWeights &w, double *out);
  // x += alpha p, r -= alpha scale A p, b = inverse r in single precision; returns r . r
  double (*advance_constant)(int64_t n, double alpha, double scale, const double *p, const Around<double> &around, const uint8_t *stencil_type,
                             double *x, double *r, double inverse, float *b);
  double (*advance_variable)(int64_t n, double alpha, const double *p, const Around<double> &around, const FineWeights &w, double *x, double *r,
                             double inverse, float *b);
  // sum of a b
  double (*dot_wide)(int64_t n, const float *a, const double *b);
  // to += factor from
  void (*add)(int64_t n, double factor, const double *from, double *to);
};

extern const RowKernels kGenericRows, kAvx2Rows;
const RowKernels &best_rows();

}  // namespace dcg
