// Hestenes and Stiefel's conjugate gradients (Saad 2003, algorithm 9.1). r and x are in double precision, z = M r and the
// direction p in single: the step along the p that is stored is exact, so rounding costs conjugacy, not consistency
// of x and r. A p is computed twice instead of being stored.
//
// Ledger, bytes per cell and iteration beside the cycle, unit weights: direction 12, curvature 1, advance 41 = 54; to store
// A p in double precision would make it 78.

#include "krylov/team_cg.hpp"

#include <algorithm>
#include <cmath>

namespace dcg {

Outcome conjugate_gradients(Cycle &cycle, const System &system, Level &finest, Field<float> &direction, const RowKernels &rows,
                            const Team &team, double target, int64_t maxiter, double *history, double *steps) {
  const KrylovRows mine(system, finest, rows, team);
  const int64_t planes = finest.box.n[0];
  const bool turns = finest.periodic[0];
  const float *z = finest.x.data();
  float *p = direction.data();

  double norm = std::sqrt(mine.residual_square());
  const double inverse = norm > 0.0 ? 1.0 / norm : 1.0;  // keeps what the cycle sees near 1 at the start
  mine.load_residual(inverse);
  const Range all = team.part(direction.size());
  std::fill(p + all.begin, p + all.end, 0.0f);
  team.barrier();

  Outcome out;
  double rho = 0.0;
  for (; out.iterations < maxiter; ++out.iterations) {
    if (norm <= target) break;
    const double rho_new = cycle.run(team);
    if (!(rho_new > 0.0) || !std::isfinite(rho_new)) return {out.iterations, 2};
    const float beta = rho > 0.0 ? static_cast<float>(rho_new / rho) : 0.0f;
    double curvature = 0.0;
    const int64_t lag = turns ? planes : 2;  // its neighbours are done then
    for (int64_t step = 0; step < planes + lag; ++step) {
      if (step < planes) {
        mine.each(step, [&](int64_t at, int64_t n) { rows.direction(n, z + at, beta, p + at); });
        mine.wrap(p, step);
      }
      if (step >= lag) curvature += mine.curvature(p, step - lag);
      if (!turns || step == planes - 1) team.barrier();
    }
    curvature = team.sum(curvature) * system.scale;
    if (!(curvature > 0.0) || !std::isfinite(curvature)) return {out.iterations, 2};
    const double alpha = rho_new / (inverse * curvature);
    norm = std::sqrt(mine.advance(alpha, p, inverse));
    if (team.rank == 0) {
      history[out.iterations] = norm;
      steps[2 * out.iterations] = alpha, steps[2 * out.iterations + 1] = beta;
    }
    rho = rho_new;
  }
  out.result = norm <= target ? 0 : 1;
  return out;
}

}  // namespace dcg
