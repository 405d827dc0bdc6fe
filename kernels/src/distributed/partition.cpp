// Who owns which cells of a level, and who holds copies of them.

#include "distributed/partition.hpp"

#include <algorithm>

namespace dcg {

Partition Partition::own(const Ranks &ranks, int32_t periodic) {
  Partition made;
  for (int a = 0; a < 3; ++a) {
    made.starts[a] = ranks.starts[a], made.n[a] = ranks.starts[a].back(), made.place[a] = ranks.place[a];
    made.periodic[a] = (periodic >> a & 1) && made.n[a] > 1;
  }
  return made.bare();
}

Partition Partition::bare() const {
  Partition made = *this;
  for (int a = 0; a < 3; ++a) {
    made.low[a].assign(starts[a].begin(), starts[a].end() - 1);
    made.high[a].assign(starts[a].begin() + 1, starts[a].end());
  }
  return made;
}

Partition Partition::agglomerated(const Ranks &ranks) const {
  Partition made = *this;
  made.here = ranks.number == 0;
  for (int a = 0; a < 3; ++a) made.starts[a] = {0, n[a]}, made.low[a] = {0}, made.high[a] = {n[a]}, made.place[a] = 0;
  return made;
}

Partition Partition::widened(int64_t margin) const {
  Partition made = *this;
  for (int a = 0; a < 3; ++a) {
    if (!cut(a)) continue;
    for (int64_t &low : made.low[a]) low = periodic[a] ? low - margin : std::max<int64_t>(low - margin, 0);
    for (int64_t &high : made.high[a]) high = periodic[a] ? high + margin : std::min(high + margin, n[a]);
  }
  return made;
}

CoarsenedPartition coarsened(const Partition &own, const AxisCoarsening (&whole)[3]) {
  CoarsenedPartition made{own, own, {}};
  for (int a = 0; a < 3; ++a) {
    const AxisCoarsening &m = whole[a];
    made.coarse.n[a] = made.coarse.starts[a].back() = m.coarse();
    for (size_t s = 0; s + 1 < own.starts[a].size(); ++s) {
      const int64_t start = own.starts[a][s], parent = m.parent[start];
      made.coarse.starts[a][s] = m.first[parent] == start ? parent : parent + 1;
    }
  }
  constexpr int64_t kHalo = 2;
  made.coarse = made.coarse.bare().widened(kHalo);
  for (int a = 0; a < 3; ++a) {
    const AxisCoarsening &m = whole[a];
    const int64_t n = own.n[a], coarse = m.coarse();
    const auto wrap = [](int64_t at, int64_t length) { return (at % length + length) % length; };
    const auto first = [&](int64_t cell) {  // child of a coarse cell; both are counted on beyond the ends of a periodic axis
      const int64_t inside = wrap(cell, coarse);
      return m.first[inside] + (cell - inside) / coarse * n;
    };
    for (size_t s = 0; s + 1 < own.starts[a].size(); ++s)
      made.fine.low[a][s] = first(made.coarse.low[a][s]), made.fine.high[a][s] = first(made.coarse.high[a][s]);
    const int64_t low = made.coarse.low[a][made.coarse.place[a]], high = made.coarse.high[a][made.coarse.place[a]];
    const int64_t origin = first(low), length = first(high) - origin;
    AxisCoarsening &local = made.coarsening[a];
    local.pairs = true;
    for (int64_t parent = low; parent < high; ++parent) {
      local.first.push_back(static_cast<int32_t>(first(parent) - origin));
      for (int64_t c = first(parent); c < first(parent + 1); ++c) {
        local.parent.push_back(static_cast<int32_t>(parent - low)), local.side.push_back(m.side[wrap(c, n)]);
        local.pairs = local.pairs && parent - low == (c - origin) / 2;
      }
    }
    local.first.push_back(static_cast<int32_t>(length));
  }
  return made;
}

}  // namespace dcg
