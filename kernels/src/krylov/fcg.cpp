// Conjugate directions over a window (Kaneda et al. 2023, algorithm 1): each direction is M r made A-orthogonal to the last m ones, the step along
// it exact. With the symmetric M here one earlier direction would do in exact arithmetic; a window keeps conjugacy where rounding spoils it, and
// is the method's own iteration. Directions and their products are in single precision, x and r in double, as in cg.cpp.

#include <algorithm>
#include <cmath>

#include "krylov/fcg.hpp"

namespace dcg {

namespace {

constexpr double kAgain = 1e-2;  // of a step's decrease of the error: an earlier direction that promises more is stepped along again

}  // namespace

Outcome conjugate_directions(Cycle &cycle, const System &system, Level &finest, std::vector<Kept> &kept, const RowKernels &rows,
                             const Team &team, double target, int64_t maxiter, double *history, double *steps) {
  const KrylovRows mine(system, finest, rows, team);
  const int64_t planes = finest.box.n[0], window = static_cast<int64_t>(kept.size());
  const float *z = finest.x.data(), *b = finest.b.data();

  double norm = std::sqrt(mine.residual_square());
  const double inverse = norm > 0.0 ? 1.0 / norm : 1.0;
  mine.load_residual(inverse);
  team.barrier();

  Outcome out;
  for (; out.iterations < maxiter; ++out.iterations) {
    if (norm <= target) break;
    if (!std::isfinite(cycle.run(team))) return {out.iterations, 2};
    Kept &now = kept[out.iterations % window];
    const int64_t earlier = std::min(out.iterations, window - 1);  // the oldest one's place is now the new one's where the window is full
    const auto before = [&](int64_t n) -> const Kept & { return kept[(out.iterations - 1 - n) % window]; };
    std::vector<float> factors(earlier);
    std::vector<double> left(earlier);  // of the residual along an earlier direction: single precision leaves something
    for (int64_t n = 0; n < earlier; ++n) {
      double overlap = 0.0, slope = 0.0;
      mine.each([&](int64_t at, int64_t length) {
        overlap += rows.dot(length, z + at, before(n).product.data() + at);
        slope += rows.dot(length, b + at, before(n).direction.data() + at);
      });
      factors[n] = static_cast<float>(team.sum(overlap) / before(n).curvature);
      left[n] = team.sum(slope);
    }
    if (team.rank == 0)
      for (Field<float> *f : {&now.direction, &now.product})
        if (f->empty()) fill(*f, finest.box.size, 0.0f, 1);
    team.barrier();
    float *p = now.direction.data();
    double slope = 0.0, curvature = 0.0;
    for (int64_t k = 0; k < planes; ++k) {
      mine.each(k, [&](int64_t at, int64_t length) {
        rows.direction(length, z + at, 0.0f, p + at);
        for (int64_t n = 0; n < earlier; ++n) rows.add(length, factors[n], before(n).direction.data() + at, p + at);
        slope += rows.dot(length, p + at, b + at);
      });
      mine.wrap(p, k);
    }
    slope = team.sum(slope);  // and every thread's part of p is there
    for (int64_t k = 0; k < planes; ++k) {
      curvature += mine.curvature(p, k);
      mine.product(p, k, now.product.data());
    }
    curvature = team.sum(curvature);
    if (!(slope > 0.0 && curvature > 0.0) || !std::isfinite(slope) || !std::isfinite(curvature)) return {out.iterations, 2};
    if (team.rank == 0) now.curvature = curvature;
    const auto advance = [&](double gradient, double along, const float *direction) {
      const double alpha = gradient / (inverse * system.scale * along);
      norm = std::sqrt(mine.advance(alpha, direction, inverse));
      return alpha;
    };
    for (int64_t n = 0; n < earlier; ++n)
      if (left[n] * left[n] / before(n).curvature > kAgain * slope * slope / curvature) advance(left[n], before(n).curvature, before(n).direction.data());
    const double alpha = advance(slope, curvature, p);
    if (team.rank == 0) {
      history[out.iterations] = norm;
      steps[2 * out.iterations] = alpha, steps[2 * out.iterations + 1] = earlier ? factors[0] : 0.0;
    }
  }
  out.result = norm <= target ? 0 : 1;
  return out;
}

}  // namespace dcg
