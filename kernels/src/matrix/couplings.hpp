// The general pass over the rows of a matrix: to which neighbours each couples how strongly.
#pragma once

#include "matrix/scan.hpp"

namespace dcg {

// Couplings, as positive weights, of every unknown to its six neighbours.
struct Couplings {
  double *up[3];                // the face weights that the caller wants: at each cell's high face
  std::vector<double> down[3];  // at each cell
  std::vector<double> excess;   // of the diagonal over their sum: the sum of all entries, without rounding; 0 up to kRowSum
  std::vector<double> diagonal; // |a_ii|
  int64_t wraps[3] = {0, 0, 0}; // rows that couple across the ends of each axis
  int64_t dropped = 0;          // couplings to rows that are no unknowns
};

// Entries that are no couplings, and negligible, are noted in scan.corrections.
void read_rows(const dcg_matrix &m, dcg_matrix_scan &scan, const uint8_t *kinds, double sign, Couplings &couplings, Refusal &refusal);

}  // namespace dcg
