// What the Krylov iterations see of A x = b. Vectors are arrays of n float64 values. Where they live is the system's business: DCG_COMPILED
// hands their addresses on; the other methods read and write them, and need them in the host's memory.
#pragma once

#include <cstdint>

namespace dcg {

class LinearSystem {
 public:
  virtual ~LinearSystem() = default;

  int64_t n = 0;  // values of a vector; on several ranks, this rank's

  virtual void product(const double *x, double *y) = 0;                      // y = A x
  virtual double residual(const double *b, const double *x, double *r) = 0;  // r = b - A x less its null-space part; ||r||_2
  virtual void project(double *) {}                                          // takes the null space off
  virtual void precondition(const double *r, double *z) = 0;                 // z = M r
  virtual void sum(double *, int64_t) {}                                     // each value over all ranks

  // Asked for when they are needed first, as they may cost a pass over A.
  virtual const double *inverse_diagonal() { return nullptr; }  // of A; nullptr: 1
  virtual double norm_bound() { return 0.0; }                   // >= ||A||_2; 0: not known

  // The preconditioner's own iteration, as dcg_multilevel_cg has it; false: it broke down.
  virtual bool run(double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations) = 0;

  // Whether vectors are not in the host's memory; then norm() must be there.
  virtual bool elsewhere() const { return false; }
  virtual double norm(const double *) { return 0.0; }

  // What is judged and recorded instead of ||r||_2, which is given.
  virtual double measure(const double *, double norm) { return norm; }
  enum Verdict { kStop = -1, kGoOn = 0, kEnough = 1 };
  virtual Verdict judge(int64_t, double norm, double target) { return norm <= target ? kEnough : kGoOn; }
  virtual bool observe(int64_t, double, const double *) { return true; }  // of every iteration; false: stop
};

}  // namespace dcg
