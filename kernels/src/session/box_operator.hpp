// A x in double precision over the box of one process, with other ranks' cells beside it.
#pragma once

#include <vector>

#include "session/placement.hpp"

namespace dcg {

// A face between a cell of this box and one of another rank's.
struct Seam {
  int64_t cell, face;  // the cell in this box; the face among those across its axis
  double weight;       // of the face, where the cell there is FLUID or OPEN
  uint8_t side, kind;  // 2 axis + side; of the cell there
};

class BoxOperator {
 public:
  // Collective. messages, numbers NULL: there is one process.
  BoxOperator(const dcg_operator &op, const Placement &placement, Messages *messages, const RowNumbers *numbers);

  void product(const double *x, double *y, int32_t threads);
  // r = b - A x; this box's part of r . r.
  double residual(const double *b, const double *x, double *r, int32_t threads);

  // The same with sums in extended precision, for what double precision cannot tell from 0: no faster than it must be.
  double extended_residual(const double *b, const double *x, double *r);

  void diagonal(double *d) const;  // of A, where there is an unknown

  const dcg_operator &local() const { return local_; }  // beyond a seam lie OPEN cells
  const std::vector<Seam> &seams() const { return seams_; }
  // What the cells beyond the seams hold of an array over cells, in the order of the seams. Collective.
  template <class T>
  void fetch(const T *cells, T *beyond) const {
    beside_.broadcast(cells, beyond);
  }

 private:
  void link(const dcg_operator &op, const Placement &placement, Messages &messages, const RowNumbers &numbers);
  // body(face's weight, the cell beyond it; -1: x is 0 there) for the faces of a cell of local_, seams aside.
  template <class Body>
  void for_faces(int64_t u, Body &&body) const;
  template <class Real>
  void mend(const double *x, Real *y, Real times);  // y += times the seams' part of A x that local_ lacks

  dcg_operator local_;
  std::vector<Seam> seams_;
  std::vector<double> beyond_;
  Halo beside_;
};

}  // namespace dcg
