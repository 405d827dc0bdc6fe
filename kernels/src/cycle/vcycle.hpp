// The order of the stages of a symmetric V over the levels: relax, take the residual down, correct, relax in reverse. An executor says how a
// stage of a level runs: as part of a wavefront over planes, between messages, or as a launch on a GPU. It has
//
//   sweeps(l), passes(l)       relaxation sweeps of a level; passes of a sweep, each over one colour
//   begin(l)                   sets to 0 what the first pass and the restriction add to
//   relax(l, pass)             one pass over the cells' unknowns
//   relax_secondary(l, forward)  Gauss-Seidel over the secondary unknowns, in their order or in reverse
//   restrict_residual(l)       next level's b = R (b - A x)
//   prolong(l)                 x += P (next level's x)
//   end(l)                     after the last pass
//
// Let S be the error propagation of relax_down's passes, a contraction in the norm of A, and S* its adjoint there, which is that of the reverse
// passes. With a symmetric positive semi-definite B for the coarser levels, I - M A = S* (I - P B P^T A) S. So M is symmetric and positive
// definite whatever the learned parameters (the proof is in deepcg/multigrid/reference/network.py).
#pragma once

#include "core/host_device.hpp"

namespace dcg {

struct Pass {
  int sweep = 0, number = 0;           // the lowest bit of the number is the colour
  bool first = false, last = false;    // first: x is 0 before it; last: no stage of the level reads x after it
};

DCG_EITHER
template <class Executor>
DCG_BOTH void relax_down(Executor &run, int l) {
  run.begin(l);
  for (int s = 0; s < run.sweeps(l); ++s) {
    for (int p = 0; p < run.passes(l); ++p) run.relax(l, Pass{s, p, s == 0 && p == 0, false});
    run.relax_secondary(l, true);
  }
  run.restrict_residual(l);
}

DCG_EITHER
template <class Executor>
DCG_BOTH void relax_up(Executor &run, int l) {
  run.prolong(l);
  for (int s = run.sweeps(l) - 1; s >= 0; --s) {
    run.relax_secondary(l, false);
    for (int p = run.passes(l) - 1; p >= 0; --p) run.relax(l, Pass{s, p, false, s == 0 && p == 0});
  }
  run.end(l);
}

// Levels first..end-1; coarser() applies the rest of the V to the next one.
DCG_EITHER
template <class Executor, class Coarser>
DCG_BOTH void v_cycle(Executor &run, int first, int end, const Coarser &coarser) {
  for (int l = first; l < end; ++l) relax_down(run, l);
  coarser();
  for (int l = end - 1; l >= first; --l) relax_up(run, l);
}

}  // namespace dcg
