// Diagonal scalings R A C of a matrix that is no symmetric, or no dominant, M-matrix as it stands: (R A C) (x / C) = R b.
#pragma once

#include <vector>

#include "deepcg.h"

namespace dcg {

struct Scaling {
  std::vector<double> row, column;  // R and C, a number > 0 a row, 1 of rows that are diagonal only; empty: all 1

  bool empty() const { return row.empty(); }
  std::vector<double> values(const dcg_csr &matrix) const;  // of the scaled matrix
};

// R with R A symmetric, as rows divided by the volumes of their cells have it; C = 1. Empty where no R does that. For one process.
Scaling symmetrising(const dcg_csr &matrix);

// By how much diagonals of the scaled matrix are below the sums of their rows' couplings, relative to the diagonals, on the average.
double falls_short(const dcg_csr &matrix, const Scaling &scaling);

// R V and C V, where V makes A v small: rows of V A V sum to about 0 where those of A fall short of it. For one process.
Scaling balancing(const dcg_csr &matrix, const Scaling &from);

}  // namespace dcg
