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
    if (!unbroken || !(state.residuals.back() < 0.5 * before)) return;
  }
}

void run_cg(KrylovState &state, HostCg::Kind kind) {
  HostCg space(state, kind);
  conjugate_gradients(space);
  state.condition = space.condition();
}

void run_jacobi(KrylovState &state) {
  const int64_t started = state.iterations;
  run_cg(state, HostCg::kJacobi);
  state.fallbacks += state.iterations - started;
  state.condition = 0.0;  // it would speak of Jacobi's operator, not of the preconditioner that was asked for
}

void run_fcg(KrylovState &state, int64_t window) {
  HostFcg space(state, window);
  flexible_conjugate_gradients(space);
}

}  // namespace

KrylovState solve(LinearSystem &system, const dcg_krylov_options &options, const double *b, double *x, double *r) {
  KrylovState state(system, options, b, x, r);
  for (const int32_t method : options.chain) {
    if (method == 0 || state.stopped()) break;
    state.settle();
    if (state.stopped()) break;
    switch (method) {
      case DCG_COMPILED: run_compiled(state); break;
      case DCG_CG: run_cg(state, HostCg::kPlain); break;
      case DCG_FLEXIBLE_CG: run_cg(state, HostCg::kFlexible); break;
      case DCG_FCG: run_fcg(state, options.window); break;
      case DCG_JACOBI_CG: run_jacobi(state); break;
    }
  }
  if (!state.stopped()) state.stop(DCG_STALLED);
  state.settle();
  return state;
}

}  // namespace dcg
