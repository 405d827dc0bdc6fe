// What the one pass over a matrix's entries leaves behind: the rows' kinds are the caller's; here is what the reading needs beside them.
#pragma once

#include <cstdint>
#include <vector>

#include "matrix/matrix.hpp"

namespace dcg {

// Weights that differ relatively by no more are the same.
inline double alike_by(const dcg_matrix &m) { return m.alike > 0.0 ? m.alike : 1e-9; }

// A row of a matrix whose couplings all have one weight that is not simply coupled to all its neighbours.
struct AlikeRow {
  int32_t cell[3];           // in the box
  uint8_t coupled, unknown;  // bit s: its row has a coupling there; the cell there is an unknown (across the ends of an axis too)
  uint8_t turned;            // bit a: it has a coupling across the ends of axis a
  int8_t faces;              // its diagonal, in weights
};

// The sides that the grid's axes have at all.
inline int rows_needed(const dcg_matrix &m) {
  int needed = 0;
  for (int s = 0; s < 6; ++s) needed |= (m.shape[s >> 1] > 1) << s;
  return needed;
}

}  // namespace dcg

struct dcg_rows {
  // for the next matrix with these columns: lines along x in which every row has the columns of its cell's neighbours, in order
  std::vector<uint8_t> known;
  // of this matrix
  int64_t count[3] = {0, 0, 0};         // rows of each kind
  double diagonal = 0.0, weight = 0.0;  // of some row with a coupling, and its strongest off-diagonal entry
  bool alike = false;                   // all couplings are that weight, all diagonals multiples of it
  std::vector<dcg::AlikeRow> odd;       // then: the unknowns that have not all couplings; in order of rows
};
