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

  virtual const double *inverse_diagonal() { return nullptr; }  // of A, asked for when it is needed first; nullptr: 1

  // The preconditioner's own iteration, as dcg_multilevel_cg has it; false: it broke down.
  virtual bool run(double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations) = 0;

  // From here on `precondition` is the next fallback; false: that cannot be had, and `precondition` stays what it was.
  virtual bool fall_back() { return false; }

  // Where vectors are not in the host's memory: keeps a copy of x, or makes x what was kept.
  virtual bool elsewhere() const { return false; }
  virtual void keep(bool) {}

  // || |A| |x| + |b| ||_2; negative: to be evaluated by `product` and the diagonal.
  virtual double magnitude(const double *, const double *) { return -1.0; }

  // What is judged and recorded instead of ||r||_2, which is given.
  virtual double measure(const double *, double norm) { return norm; }
  enum Verdict { kStop = -1, kGoOn = 0, kEnough = 1 };
  virtual Verdict judge(int64_t, double norm, double target) { return norm <= target ? kEnough : kGoOn; }
  virtual bool observe(int64_t, double, const double *) { return true; }  // of every iteration; false: stop
};

}  // namespace dcg
