// Conjugate gradients around the cycle, by all threads of a team from the first iteration to the last.
#pragma once

#include "cycle.hpp"

namespace dcg {

struct Outcome {
  int64_t iterations = 0;
  int result = 1;
};

struct System {  // the user's operator and vectors: x and r over all cells, without ghosts
  const Level *level;
  dcg_operator op;
  double *x, *r;
};

Outcome conjugate_gradients(Cycle &cycle, const System &system, Level &finest, Field<float> &direction, const RowKernels &rows,
                            const Team &team, double target, int64_t maxiter, double *history, double *steps);

// b = inverse r in single precision, padded; returns r . r
double load_residual(Level &finest, const double *r, double inverse, const Team &team);

}  // namespace dcg
