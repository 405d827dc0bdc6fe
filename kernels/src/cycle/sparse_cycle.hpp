// The cycle over the sparse levels: z = M r by the threads of a team.
//
// A visit relaxes, corrects by its level's visits of the next one, and relaxes. Sweeps of Jacobi's relaxation take the place of an ordered one:
// they need no colours, which edges of any kind do not have, and every number of threads computes the same. They are a polynomial in
// D^-1 A of size below 1 on that matrix's eigenvalues, which lie in (0, 2], so they contract in the norm of A, and equal their adjoint there.
#pragma once

#include <vector>

#include "core/team.hpp"
#include "cycle/row_kernels.hpp"
#include "setup/sparse_level.hpp"

namespace dcg {

class SparseCycle {
 public:
  void prepare(std::vector<SparseLevel *> levels, const RowKernels &rows) { levels_ = std::move(levels), rows_ = &rows; }
  bool empty() const { return levels_.empty(); }

  // The first level's x from its b, by as many visits as it has.
  void run(const Team &team) { visits(team, 0); }

 private:
  void visits(const Team &team, size_t l);
  void visit(const Team &team, size_t l, bool from_zero);

  std::vector<SparseLevel *> levels_;
  const RowKernels *rows_ = nullptr;
};

}  // namespace dcg
