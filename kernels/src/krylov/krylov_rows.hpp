// What the iterations do on the finest level, row by row: this thread's share of the products and updates.
#pragma once

#include "cycle/cycle.hpp"

namespace dcg {

struct System {  // the user's operator and vectors: x and r over all cells, without ghosts
  dcg_operator op;
  double *x, *r;
};

// r . r over the unknowns, and b = inverse r in single precision there and 0 elsewhere: of a row, and of all rows by all threads. What a
// caller keeps in r for other cells is left out. inverse: 1 / ||r|| of the start, the `scale` of cg.hpp.
double square_row(int64_t n, const double *r, const uint8_t *cell);
void load_row(int64_t n, double inverse, const double *r, const uint8_t *cell, float *b);
double residual_square(const Level &finest, const double *r, const Team &team);
void load_residual(Level &finest, const double *r, double inverse, const Team &team);

class KrylovRows {
 public:
  KrylovRows(const System &system, Level &finest, const RowKernels &rows, const Team &team);


  double residual_square() const { return dcg::residual_square(level_, system_.r, team_); }
  void load_residual(double inverse) const { dcg::load_residual(level_, system_.r, inverse, team_); }

  // body(first place, length): this thread's columns with unknowns in its rows of plane k; elsewhere directions, r and the change of x are 0.
  template <class Body>
  void each(int64_t k, Body &&body) const {
    each_row(k, [&](int64_t j, int64_t first, int64_t length) { body(level_.box.at(k, j) + first, length); });
  }
  template <class Body>
  void each(Body &&body) const {
    for (int64_t k = 0; k < level_.box.n[0]; ++k) each(k, body);
  }

  double scale() const { return level_.constant ? system_.op.unit : 1.0; }  // the user's operator is this times the A of curvature and product
  void wrap(double *p, int64_t k) const;                           // plane k into the ghosts of periodic axes
  double curvature(const double *p, int64_t k) const;              // p . A p over this thread's part of plane k
  double product(const double *p, int64_t k, double *out) const;   // the same, and -A p
  // x += alpha p, r -= alpha op p, b = inverse r; returns r . r by all threads
  double advance(double alpha, const double *p, double inverse) const;

  // Of a row from place `at` on, column `first` of the operator's row `row`: as curvature; as advance, its part of r . r.
  double curvature_row(const double *p, int64_t row, int64_t first, int64_t at, int64_t length) const;
  double advance_row(double alpha, const double *p, double inverse, int64_t row, int64_t first, int64_t at, int64_t length) const;

 private:
  // body(row, first column, length), likewise.
  template <class Body>
  void each_row(int64_t k, Body &&body) const {
    for (int64_t j = by_row_.begin; j < by_row_.end; ++j) {
      const Range c = columns(k, j);
      if (c.begin < c.end) body(j, c.begin, c.end - c.begin);
    }
  }
  Range columns(int64_t k, int64_t j) const;
  const double *none() const { return zeros_.data() + kLanes; }  // a row of zeros
  Around<double> around(const double *p, int64_t at) const { return neighbour_rows(level_, p, at, none()); }

  const System &system_;
  Level &level_;
  const RowKernels &rows_;
  const Team &team_;
  const std::vector<double> zeros_;
  Range by_row_, by_column_;
};

}  // namespace dcg
