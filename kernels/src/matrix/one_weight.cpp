#include "matrix/one_weight.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace dcg {

double find_one_weight(const BoxFaces &faces, int32_t &open) {
  const dcg_matrix &m = faces.m;
  for (int a = 0; a < 3; ++a)
    if (!faces.box.whole[a]) return 0.0;

  double weight = 0.0;
  open = 0;
  for (int a = 0; a < 3; ++a) {
    faces.for_ends(a, [&](const int64_t first[3], const int64_t last[3]) {
      if (faces.periodic >> a & 1) return;
      open |= (faces.at(first, 2 * a) > 0.0) << (2 * a) | (faces.at(last, 2 * a + 1) > 0.0) << (2 * a + 1);
    });
    const double *w = faces.weight[a];
    const int64_t count = faces.box.size() / m.count[a] * (m.count[a] + 1);
    for (int64_t f = 0; f < count && weight == 0.0; ++f) weight = w[f];
  }
  const double tolerance = kEqual * weight;
  std::atomic<bool> differs{weight == 0.0};
  faces.for_lines([&](int64_t first, const int64_t line[3]) {
    int64_t c[3] = {line[0], line[1], 0};
    for (; c[2] < m.count[2] && !differs.load(std::memory_order_relaxed); ++c[2]) {
      if (faces.cells[first + c[2]] != kFluid) continue;
      for (int s = 0; s < 6; ++s) {
        const bool joined = faces.at_side(c, s) ? open >> s & 1 : faces.cells[faces.box.neighbour(c, s)] != kSolid;
        if (std::fabs(faces.at(c, s) - (joined ? weight : 0.0)) > tolerance) differs.store(true, std::memory_order_relaxed);
      }
    }
  });
  return differs ? 0.0 : weight;
}

}  // namespace dcg
