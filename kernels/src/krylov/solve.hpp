// A solve: the residual of the guess, then a chain of iterations, each of which takes over where the one before it gave up.
//
// * DCG_COMPILED goes by its own recurrence for at most DCG_CHECK_EVERY iterations; the true residual then decides. It gives up where it broke down
//   or has not halved the residual, and leaves the best x that there was.
// * DCG_CG, DCG_FLEXIBLE_CG and DCG_FCG run in float64 around the preconditioner, with the guards of host_cg.hpp and host_fcg.hpp.
// * DCG_FALLBACK_CG goes on around another preconditioner, with the guards of host_cg.hpp. The system makes it only now, when it is needed.
// * DCG_JACOBI_CG, the end of most chains, needs no preconditioner, and gives up only where not even D^-1 r has positive curvature.
//
// A method that is slow leaves the solve to the next fallback at once, as other methods around the same preconditioner would be as slow.
#pragma once

#include "krylov/stopping.hpp"

namespace dcg {

// Arguments as dcg_krylov has them; x, and r where it is given, end as they are at the end.
KrylovState solve(LinearSystem &system, const dcg_krylov_options &options, const double *b, double *x, double *r = nullptr);

}  // namespace dcg
