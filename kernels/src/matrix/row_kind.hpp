// The kind of a row by its entries: whether its cell is an unknown, and whether its couplings may be those of a constant coefficient.
#pragma once

#include <algorithm>
#include <cmath>

#include "matrix/matrix.hpp"
#include "matrix/row_groups.hpp"

namespace dcg {

struct RowSums {
  double diagonal = 0.0;
  double positive = 0.0, negative = 0.0;  // the strongest entries of either sign at faces
  double far = 0.0;                       // the strongest entry at no face
  double magnitude = 0.0;                 // the sum of all, which is finite only if they are
  int coupled = 0, wrapped = 0;           // bit s: an entry at side s; bit a: across the ends of axis a
  bool fits = true;                       // one entry a side, of the equal weight
  Equal equal = {1.0, 0.0, 0.0};

  RowSums() = default;
  explicit RowSums(const Equal &equal) : equal(equal) {}

  void add_diagonal(double entry) { diagonal += entry, magnitude += std::fabs(entry); }

  void add_at_face(double entry) {
    magnitude += std::fabs(entry);
    positive = std::max(positive, entry), negative = std::max(negative, -entry);
  }

  // An entry off the diagonal, also as one of equal ones. side: as Frame::side has it.
  void add(double entry, int side) {
    if (side < 0) {
      magnitude += std::fabs(entry);
      if (entry != 0.0) far = std::max(far, std::fabs(entry)), fits = false;
      return;
    }
    add_at_face(entry);
    if (entry == 0.0) return;
    fits &= std::fabs(-equal.sign * entry - equal.weight) <= equal.tolerance && !(coupled >> (side & 7) & 1);
    coupled |= 1 << (side & 7);
    if (side & 8) wrapped |= 1 << ((side & 7) >> 1);
  }

  // The strongest entry of the sign that couplings have, which is not the diagonal's.
  double coupling() const { return diagonal > 0.0 ? negative : diagonal < 0.0 ? positive : std::max(positive, negative); }

  uint8_t kind() const {
    if (std::max({positive, negative, far}) > 0.0 || !std::isfinite(magnitude)) return DCG_ROW_UNKNOWN;
    return diagonal != 0.0 ? DCG_ROW_DIAGONAL : DCG_ROW_EMPTY;
  }
};

}  // namespace dcg
