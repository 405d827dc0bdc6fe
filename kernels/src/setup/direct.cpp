// The coarsest level, solved directly.

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "setup/coarsen.hpp"
#include "setup/sparse_coarsening.hpp"

namespace dcg {

namespace {

// A over the unknowns in `direct`, as the network that it is: the weights between them, row by row, and the weight to a fixed value of each.
struct Network {
  int64_t n;
  std::vector<double> weight, anchor;

  explicit Network(const SparseLevel &level) : n(level.unknowns), weight(n * n, 0.0), anchor(level.slack.data(), level.slack.data() + n) {
    for (int64_t u = 0; u < n; ++u)
      for (int64_t e = level.start[u]; e < level.start[u + 1]; ++e) weight[u * n + level.neighbour[e]] = level.weight[e];
  }

  explicit Network(const Level &level) : n(static_cast<int64_t>(level.direct.size())), weight(n * n, 0.0), anchor(n, 0.0) {
    const Box &box = level.box;
    std::vector<int64_t> place(box.size + level.secondary, -1);
    for (int64_t m = 0; m < n; ++m) place[level.direct[m]] = m;
    for (int64_t m = 0; m < n; ++m) {
      const int64_t u = level.direct[m];
      anchor[m] += level.constant ? level.stencil_type[u] & 7 : level.shift[u];
      for (int axis = 0; axis < 3; ++axis) {
        if (!level.constant) anchor[m] += level.dirichlet[axis][u];
        if (u >= box.size || box.n[axis] == 1) continue;
        int64_t c[3];
        box.coordinates(u, c);
        const bool last = c[axis] + 1 == box.n[axis];
        if (last && !level.periodic[axis]) continue;
        const int64_t v = last ? u - (box.n[axis] - 1) * box.offset(axis) : u + box.offset(axis);
        couple(m, place[v], level.constant ? 1.0 : level.weight[axis][u]);
        if (level.constant && place[v] >= 0) anchor[m] -= 1.0, anchor[place[v]] -= 1.0;  // which the type counts
      }
    }
    for (const Edge &e : level.edges) couple(place[e.low], place[e.high], e.weight);
  }

 private:
  void couple(int64_t u, int64_t v, double w) {
    if (w > 0.0 && u >= 0 && v >= 0 && u != v) weight[u * n + v] += w, weight[v * n + u] += w;
  }
};

// Takes v out of a symmetric matrix on both sides: G <- (I - v v^T) G (I - v v^T), v of unit length.
void project_out(std::vector<double> &g, const std::vector<double> &v) {
  const int64_t n = static_cast<int64_t>(v.size());
  std::vector<double> product(n, 0.0);
  double twice = 0.0;
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < n; ++c) product[r] += g[r * n + c] * v[c];
    twice += v[r] * product[r];
  }
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < n; ++c) g[r * n + c] += v[r] * (twice * v[c] - product[c]) - product[r] * v[c];
}

// A generalised inverse.
std::vector<double> inverse_of(Network &network) {
  const int64_t n = network.n;
  std::vector<double> &a = network.weight, &anchor = network.anchor;
  // L D L^T without a subtraction (Alfa, Xue and Ye 2002): eliminating an unknown leaves a network, in which all sums are of numbers >= 0. So a
  // pivot is 0 where its component is singular and nowhere else, and is accurate however weak an anchor is. `a` becomes L below the diagonal.
  std::vector<double> pivot(n, 0.0);
  for (int64_t m = 0; m < n; ++m) {
    double d = anchor[m];
    for (int64_t r = m + 1; r < n; ++r) d += a[r * n + m];
    if (!(d > 0.0)) continue;
    pivot[m] = 1.0 / d;
    for (int64_t r = m + 1; r < n; ++r) {
      const double share = a[r * n + m] / d;
      if (share == 0.0) continue;
      anchor[r] += share * anchor[m];
      for (int64_t s = m + 1; s < r; ++s) a[r * n + s] += share * a[s * n + m];
    }
    for (int64_t r = m + 1; r < n; ++r) a[r * n + m] /= -d;
  }
  const auto backward = [&](std::vector<double> &y) {  // y <- L^-T y
    for (int64_t r = n - 1; r >= 0; --r)
      for (int64_t s = r + 1; s < n; ++s) y[r] -= a[s * n + r] * y[s];
  };
  std::vector<double> inverse(n * n), y(n);
  for (int64_t column = 0; column < n; ++column) {
    for (int64_t r = 0; r < n; ++r) {
      y[r] = r == column ? 1.0 : 0.0;
      for (int64_t s = column; s < r; ++s) y[r] -= a[r * n + s] * y[s];
    }
    for (int64_t r = 0; r < n; ++r) y[r] *= pivot[r];
    backward(y);
    for (int64_t r = 0; r < n; ++r) inverse[r * n + column] = y[r];
  }
  // With the null space (a constant on each singular component) taken out on both sides, this is the pseudo-inverse.
  for (int64_t m = 0; m < n; ++m) {
    if (pivot[m] != 0.0) continue;
    std::fill(y.begin(), y.end(), 0.0);
    y[m] = 1.0;
    backward(y);
    double square = 0.0;
    for (const double value : y) square += value * value;
    for (double &value : y) value /= std::sqrt(square);
    project_out(inverse, y);
  }
  return inverse;
}

}  // namespace

void factorise(Level &level) {
  level.direct.clear();
  const Box &box = level.box;
  for (int64_t k = 0; k < box.n[0]; ++k)
    for (int64_t j = 0; j < box.n[1]; ++j)
      for (int64_t i = 0; i < box.n[2]; ++i) {
        const int64_t u = box.at(k, j, i);
        if (level.constant ? level.stencil_type[u] != 0 : level.omega_dinv[u] != 0.0f) level.direct.push_back(u);
      }
  for (int64_t e = 0; e < level.secondary; ++e)
    if (level.omega_dinv[box.size + e] != 0.0f) level.direct.push_back(box.size + e);
  Network network(level);
  level.inverse = inverse_of(network);
}

void factorise(SparseLevel &level) {
  Network network(level);
  level.inverse = inverse_of(network);
}

}  // namespace dcg
