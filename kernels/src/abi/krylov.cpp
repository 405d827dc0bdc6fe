// The C interface of the Krylov iterations: a system made of the caller's functions, and the report.

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include "core/error.hpp"
#include "krylov/solve.hpp"

using namespace dcg;

namespace {

class CallersSystem : public LinearSystem {
 public:
  explicit CallersSystem(const dcg_system &given) : f_(given) { n = given.n; }

  void product(const double *x, double *y) override { check("product", f_.product(f_.context, x, y)); }
  double residual(const double *b, const double *x, double *r) override {
    double norm = 0.0;
    check("residual", f_.residual(f_.context, b, x, r, &norm));
    return norm;
  }
  void project(double *v) override {
    if (f_.project) check("project", f_.project(f_.context, v));
  }
  void precondition(const double *r, double *z) override { check("precondition", f_.precondition(f_.context, r, z)); }
  void sum(double *values, int64_t count) override {
    if (f_.sum) check("sum", f_.sum(f_.context, count, values));
  }
  const double *inverse_diagonal() override {
    if (f_.inverse_diagonal && !inverse_diagonal_) check("inverse_diagonal", f_.inverse_diagonal(f_.context, &inverse_diagonal_));
    return inverse_diagonal_;
  }
  double magnitude(const double *b, const double *x) override {
    double norm = -1.0;
    if (f_.magnitude) check("magnitude", f_.magnitude(f_.context, b, x, &norm));
    return norm;
  }
  bool run(double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations) override {
    int32_t result = 0;
    check("run", f_.run(f_.context, x, r, target, maxiter, history, steps, iterations, &result));
    return result != DCG_CG_BREAKDOWN;
  }
  bool fall_back() override {
    int32_t there = 0;
    check("fall_back", f_.fall_back(f_.context, &there));
    return there != 0;
  }
  bool elsewhere() const override { return f_.keep != nullptr; }
  void keep(bool back) override { check("keep", f_.keep(f_.context, back)); }
  double measure(const double *r, double norm) override {
    if (f_.measure) check("measure", f_.measure(f_.context, r, &norm));
    return norm;
  }
  Verdict judge(int64_t iteration, double norm, double target) override {
    if (!f_.judge) return LinearSystem::judge(iteration, norm, target);
    int32_t verdict = 0;
    check("judge", f_.judge(f_.context, iteration, norm, &verdict));
    return verdict > 0 ? kEnough : verdict < 0 ? kStop : kGoOn;
  }
  bool observe(int64_t iteration, double norm, const double *x) override {
    int32_t stop = 0;
    if (f_.observe) check("observe", f_.observe(f_.context, iteration, norm, x, &stop));
    return !stop;
  }

 private:
  static void check(const char *function, int code) {
    check_callback((std::string("system: ") + function).c_str(), code);
  }

  const dcg_system f_;
  const double *inverse_diagonal_ = nullptr;
};

struct Report : dcg_report {
  std::vector<double> held;
};

void check(const dcg_system &system, const dcg_krylov_options &options) {
  require(system.n >= 0, "system: n must be >= 0");
  require(system.residual, "system: residual must not be NULL");
  require(options.chain[0] != 0, "options: chain is empty; one method or more is needed");
  for (const int32_t method : options.chain) {
    if (method == 0) break;
    require(method >= DCG_COMPILED && method <= DCG_FALLBACK_CG, "options: chain holds what is no method; enum dcg_method has them");
    require(method != DCG_COMPILED || system.run, "system: run must not be NULL where the chain has DCG_COMPILED");
    require(method == DCG_COMPILED || (system.product && !system.keep), "system: methods on the host need product, and vectors in the host's memory");
    require(method == DCG_COMPILED || method == DCG_JACOBI_CG || system.precondition, "system: precondition must not be NULL for this chain");
    require(method != DCG_FALLBACK_CG || system.fall_back, "system: fall_back must not be NULL where the chain has DCG_FALLBACK_CG");
  }
}

}  // namespace

extern "C" const char *dcg_reason_text(int32_t reason) { return reason_text(reason); }

extern "C" int dcg_krylov(const dcg_system *system, const dcg_krylov_options *options, const double *b, double *x, double *r,
                          dcg_report **report) {
  return guarded([&] {
    require(system && options && report && ((b && x) || system->n == 0), "system, options, b, x and report must not be NULL");
    check(*system, *options);
    CallersSystem called(*system);
    KrylovState state = solve(called, *options, b, x, r);
    auto made = std::make_unique<Report>();
    made->reason = state.reason, made->iterations = state.iterations, made->fallbacks = state.fallbacks, made->restarts = state.restarts;
    made->condition = state.condition;
    std::copy(state.done.begin(), state.done.end(), made->done);
    made->held = std::move(state.residuals);
    made->count = static_cast<int64_t>(made->held.size()), made->residuals = made->held.data();
    *report = made.release();
  });
}

extern "C" void dcg_report_destroy(dcg_report *report) { delete static_cast<Report *>(report); }
