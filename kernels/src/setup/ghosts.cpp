// Ghosts of a level's fields on periodic axes.

#include "setup/coarsen.hpp"

namespace dcg {

void copy_ghosts(const Level &level, Field<float> &f) {
  const Box &box = level.box;
  for (int a = 0; a < 3; ++a) {
    if (!level.periodic[a] || box.n[a] == 1) continue;
    const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;
    const int64_t wrap = box.n[a] * box.offset(a);
    for (int64_t m = 0; m < box.n[p]; ++m)
      for (int64_t l = 0; l < box.n[q]; ++l) {
        int64_t c[3];
        c[a] = 0, c[p] = m, c[q] = l;
        const int64_t first = box.at(c[0], c[1], c[2]);
        f[first + wrap] = f[first];
        f[first - box.offset(a)] = f[first - box.offset(a) + wrap];
      }
  }
}

void copy_ghosts(const Level &level, Field<float> (&fields)[3]) {
  for (auto &f : fields) copy_ghosts(level, f);
}

}  // namespace dcg
