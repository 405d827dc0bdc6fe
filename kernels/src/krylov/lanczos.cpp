// The extreme eigenvalues of a symmetric tridiagonal matrix by bisection with Sturm's sequence (Golub and Van Loan 2013, section 8.4.1).

#include "krylov/lanczos.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace dcg {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

struct Tridiagonal {
  std::vector<double> diagonal, square;  // squares of the entries beside the diagonal; the first one is 0
  double low, high, smallest;            // bounds of the eigenvalues (Gershgorin); what counts as 0 in a quotient

  int64_t eigenvalues_below(double value) const {
    int64_t count = 0;
    double pivot = 1.0;
    for (size_t i = 0; i < diagonal.size(); ++i) {
      pivot = diagonal[i] - value - square[i] / pivot;
      if (std::fabs(pivot) < smallest) pivot = -smallest;
      count += pivot < 0.0;
    }
    return count;
  }

  // The eigenvalue with `number` others below it.
  double eigenvalue(int64_t number) const {
    double below = low, above = high;
    while (above - below > smallest + 2.0 * kEps * std::max(std::fabs(below), std::fabs(above))) {
      const double middle = 0.5 * (below + above);
      if (middle <= below || middle >= above) break;
      (eigenvalues_below(middle) > number ? above : below) = middle;
    }
    return 0.5 * (below + above);
  }
};

}  // namespace

double lanczos_condition(int64_t n, const double *alpha, const double *beta, int64_t stride) {
  if (n < 2) return 0.0;
  Tridiagonal t{std::vector<double>(n), std::vector<double>(n, 0.0), 0.0, 0.0, 0.0};
  for (int64_t i = 0; i < n; ++i) {
    const double a = alpha[i * stride], b = i ? beta[i * stride] : 0.0;
    if (!(a > 0.0 && b >= 0.0)) return 0.0;
    t.diagonal[i] = 1.0 / a;
    if (i == 0) continue;
    const double before = alpha[(i - 1) * stride];
    t.diagonal[i] += b / before;
    t.square[i] = b / before / before;
  }
  t.low = std::numeric_limits<double>::infinity(), t.high = -t.low;
  for (int64_t i = 0; i < n; ++i) {
    const double beside = std::sqrt(t.square[i]) + (i + 1 < n ? std::sqrt(t.square[i + 1]) : 0.0);
    t.low = std::min(t.low, t.diagonal[i] - beside), t.high = std::max(t.high, t.diagonal[i] + beside);
  }
  t.smallest = kEps * kEps * std::max(std::fabs(t.low), std::fabs(t.high)) + std::numeric_limits<double>::min();
  const double first = t.eigenvalue(0), last = t.eigenvalue(n - 1);
  return first > 0.0 && std::isfinite(last / first) ? last / first : 0.0;
}

}  // namespace dcg
