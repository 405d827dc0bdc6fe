// The chain.

#include "krylov/solve.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "krylov/host_cg.hpp"
#include "krylov/host_fcg.hpp"
#include "krylov/lanczos.hpp"

namespace dcg {

namespace {

void run_compiled(KrylovState &state) {
  LinearSystem &system = state.system();
  double history[DCG_CHECK_EVERY], steps[2 * DCG_CHECK_EVERY];
  while (!state.stopped()) {
    const double before = state.residuals.back();
    int64_t done = 0;
    const int64_t most = std::min<int64_t>(DCG_CHECK_EVERY, state.left());
    const bool unbroken = system.run(state.x(), state.r(), state.target(), most, history, steps, &done);
    if (done < 0 || done > most)
      throw std::runtime_error("run says that it did " + std::to_string(done) + " iterations, and was given " + std::to_string(most));
    system.project(state.x());
    state.accept(done, history);
    if (done > 1) state.condition = lanczos_condition(done, steps, steps + 1, 2);
    const double after = state.residuals.back();
    if (!unbroken || !(after < 0.5 * before) || state.leave_for_fallback(after / before, done)) return;
  }
}

void run_cg(KrylovState &state, HostCg::Kind kind) {
  HostCg space(state, kind);
  conjugate_gradients(space);
  state.condition = space.condition();
}

// Conjugate gradients around another preconditioner than the one that was asked for.
void run_other(KrylovState &state, HostCg::Kind kind) {
  const int64_t started = state.iterations, before = state.fallbacks;
  run_cg(state, kind);
  state.fallbacks = before + state.iterations - started;
  state.condition = 0.0;  // it would speak of the other operator
}

void run_fcg(KrylovState &state, int64_t window) {
  HostFcg space(state, window);
  flexible_conjugate_gradients(space);
}

void run(KrylovState &state, int32_t method, int64_t window) {
  switch (method) {
    case DCG_COMPILED: return run_compiled(state);
    case DCG_CG: return run_cg(state, HostCg::kPlain);
    case DCG_FLEXIBLE_CG: return run_cg(state, HostCg::kFlexible);
    case DCG_FCG: return run_fcg(state, window);
    case DCG_JACOBI_CG: return run_other(state, HostCg::kJacobi);
    case DCG_FALLBACK_CG: return run_other(state, HostCg::kFlexible);
  }
}

class Chain {
 public:
  Chain(KrylovState &state, const dcg_krylov_options &options) : state_(state), options_(options) {
    while (count_ < DCG_CHAIN && options.chain[count_] != 0) ++count_;
  }

  void run() {
    for (int n = 0; n < count_ && !state_.stopped(); ++n) {
      const int32_t method = options_.chain[n];
      if (method == DCG_JACOBI_CG) go_on();
      if (state_.slow() && own(n)) continue;  // another method around a slow preconditioner is as slow
      if (state_.stopped()) break;
      state_.settle();
      if (state_.stopped() || (method == DCG_FALLBACK_CG && !state_.system().fall_back())) continue;
      run(n, followed(n));
    }
    go_on();
  }

 private:
  KrylovState &state_;
  const dcg_krylov_options &options_;
  int count_ = 0, last_ = 0;

  bool followed(int n) const {
    return options_.followed || std::count(options_.chain + n + 1, options_.chain + count_, DCG_FALLBACK_CG) > 0;
  }
  void run(int n, bool followed) {
    const int64_t started = state_.iterations;
    last_ = n;
    state_.start(followed);
    dcg::run(state_, options_.chain[n], options_.window);
    state_.done[n] += state_.iterations - started;
  }
  // The method that was left because it was slow, and those after it around the same preconditioner, where no fallback could be had instead.
  void go_on() {
    if (options_.followed || !state_.slow()) return;
    int n = last_;
    do {
      if (state_.stopped()) return;
      state_.settle();
      if (!state_.stopped()) run(n, false);
    } while (++n < count_ && own(n));
  }
  bool own(int n) const { return options_.chain[n] != DCG_FALLBACK_CG && options_.chain[n] != DCG_JACOBI_CG; }
};

}  // namespace

KrylovState solve(LinearSystem &system, const dcg_krylov_options &options, const double *b, double *x, double *r) {
  KrylovState state(system, options, b, x, r);
  Chain(state, options).run();
  if (!state.stopped()) state.stop(DCG_STALLED);
  state.settle();
  return state;
}

}  // namespace dcg
