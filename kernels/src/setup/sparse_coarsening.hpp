// From a level to a sparse one, for coefficients of any contrast. Unknowns of a block are one unknown of the next level where they are strongly
// coupled (split.hpp). An edge between two of those is the sum over the edges w of the finer level between their members u, v of
//
//     g = max(w / 2, 0.85 / (R_u + 1 / w + R_v)),   R_u = share_u / max(w_axis, w_any / 2, w),   share_u = S / (S + d_u),
//
// w_axis, w_any: u's strongest edges inside its part, along the edge's axis and in any direction; S: the mean diagonal of u's neighbours in the
// part, weighted by their edges; 0 where u is alone. Inside a uniform grid share is 1/2, and R half a cell. A strong edge across is not cut by a weak
// one inside, since R is at most 1 / w. So is a coupling a to a fixed value: a / (1 + a / (2 max(w_any, a))). Shifts add up.
//
// Why the preconditioner is positive definite: g >= w / 2 and anchors at least 2/3 make A_c >= 1/2 P^T A P for the injection P. If all
// eigenvalues of B A_c are in (0, 2), two visits 2 B - B A_c B have theirs in (0, 1], hence P (2 B - B A_c B) P^T A <= 2 Pi, Pi the A-orthogonal
// projection onto the range of P, and with relaxation that contracts those of M A are in (0, 2) again. One visit takes g = w, A_c = P^T A P.
#pragma once

#include "setup/coarsen.hpp"
#include "setup/sparse_level.hpp"

namespace dcg {

constexpr int64_t kSparseDirect = 200;  // unknowns of a sparse level that are solved for directly

// Whether a grid level's coefficients are too rough for its blocks to be unknowns of a grid: weights on opposite faces of a cell differ by more
// than this factor.
bool is_rough(const Level &level, float factor, int threads);

// The level below a grid level; writes fine.coarsening and fine.sparse_parent.
void coarsen_to_sparse(Level &fine, SparseLevel &coarse, int threads);

// The slack of a grid level above a sparse one, which takes the diagonal's place.
void find_slack(Level &level, int threads);

// The level below a sparse one. Moves unknowns first: one whose strongest edge is most of its diagonal belongs to the cell of that neighbour.
// Returns false where the next level would be hardly smaller.
bool coarsen(SparseLevel &fine, SparseLevel &coarse, int threads);

// A generalised inverse of the coarsest level.
void factorise(SparseLevel &level);

}  // namespace dcg
