// The pass over a matrix's entries finds the rows' kinds, which the caller keeps, and everything else that the reading needs of them.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "matrix/matrix.hpp"

namespace dcg {

// A row of a constant-coefficient matrix that lacks a neighbour or wraps periodically.
struct IrregularRow {
  int32_t cell[3];           // in the box
  uint8_t coupled, unknown;  // bit s: its row has a coupling there; the cell there is an unknown (across the ends of an axis too)
  uint8_t wrapped;           // bit a: it has a coupling across the ends of axis a
  int8_t faces;              // its diagonal, in weights
};

// What a row's product with x has beyond the operator's: value (x_cell - x_column). It keeps what the operator cannot hold: half the difference of
// a_ij and a_ji, entries off the stencil or of the wrong sign, row sums that are rounding.
struct Correction {
  int64_t cell, column;  // column: a cell of the box; kZero: x is 0 there; from kGhost on: a column of other processes
  double value;

  static constexpr int64_t kZero = -1, kGhost = int64_t{1} << 61;
};

// The sum of a row's entries, where their rounding explains it.
struct RowSum {
  int64_t cell;
  double value;
};

// The sides of all axes of more than one cell.
inline int sides_of_grid(const dcg_matrix &m) {
  int sides = 0;
  for (int s = 0; s < 6; ++s) sides |= (m.shape[s >> 1] > 1) << s;
  return sides;
}

}  // namespace dcg

struct dcg_matrix_scan {
  // for the next matrix with these columns: lines along x in which every row has the columns of its cell's neighbours, in order
  std::vector<uint8_t> regular_lines;
  // of this matrix
  int64_t rows = -1;                         // -1: it was not scanned, or refused
  int64_t count[3] = {0, 0, 0};              // rows of each kind
  int64_t example = -1;                      // the first coupled row; -1: there is none here
  double diagonal = 0.0, weight = 0.0;       // its diagonal, and its strongest coupling
  bool constant = false;                     // all couplings are that weight, all diagonals multiples of it
  std::vector<dcg::IrregularRow> irregular;  // then: the unknowns that have not all couplings; in order of rows
  dcg::Refusal refusal;
  std::mutex noting;                         // held by the thread that adds to what follows, or to a refusal
  bool asymmetric = false;                   // dcg_matrix_read found a_ij and a_ji too far apart
  // that dcg_matrix_read found, by cells; of `sign * A`, as the operator is
  std::vector<dcg::Correction> corrections;
  std::vector<dcg::RowSum> row_sums;
  double unheld = 0.0;  // of the diagonal: the largest sum of a row that counts as 0, and is not
};
