// Truncated flexible conjugate gradients, FCG(m) (Notay 2000), once for every place where vectors live. It is the iteration of Kaneda et al. 2023
// (algorithm 1, "deep conjugate directions"), whose network stands for M; m = 0 is steepest descent along M r, and with a linear symmetric
// positive definite M, m = 1 is conjugate gradients.
//
//   d = M r,   d -= sum over the last m directions of (d . A d_j / d_j . A d_j) d_j,   alpha = d . r / d . A d,   x += alpha d,   r -= alpha A d
//
// The step along d is exact whatever M does: it lowers ||e||_A^2, e the error, by (d . r)^2 / d . A d. Conjugacy makes it fast, not safe.
//
// A Space owns the vectors and makes the passes over them:
//
//   propose(n)       d = the n-th candidate for this iteration, M r for n = 0; false: there is none
//   orthogonalise()  takes the earlier directions off d
//   product()        A d, and the inner products d . r and d . A d
//   accepts(n)       whether to step along d
//   advance()        x += alpha d, r -= alpha A d; d becomes the latest direction
//   stopped(), breakdown()
#pragma once

#include <algorithm>
#include <cstdint>

namespace dcg {

template <class Space>
void flexible_conjugate_gradients(Space &space) {
  while (!space.stopped()) {
    bool found = false;
    for (int candidate = 0; !found; ++candidate) {
      if (!space.propose(candidate)) return space.breakdown();
      space.orthogonalise();
      space.product();
      found = space.accepts(candidate);
    }
    space.advance();
  }
}

// Which of the m + 1 places for directions hold the last ones, and which one takes the next.
class Window {
 public:
  explicit Window(int64_t m) : places_(m < 0 ? 0 : m + 1) {}  // m < 0: as many as there will be

  int64_t next() const { return places_ ? next_ % places_ : next_; }
  int64_t count() const { return count_; }
  int64_t earlier(int64_t n) const { return places_ ? (next_ - 1 - n) % places_ : next_ - 1 - n; }  // n = 0: the latest; n < count()
  void keep() { ++next_, count_ = places_ ? std::min(count_ + 1, places_ - 1) : count_ + 1; }
  void clear() { count_ = 0; }

 private:
  const int64_t places_;
  int64_t next_ = 0, count_ = 0;
};

}  // namespace dcg
