// Who owns which cells of a level, and who holds copies of them.

#include "distributed/partition.hpp"

#include <algorithm>

namespace dcg {

Layout Layout::own(const Ranks &ranks, int32_t periodic) {
  Layout made;
  for (int a = 0; a < 3; ++a) {
    made.starts[a] = ranks.starts[a], made.n[a] = ranks.starts[a].back(), made.place[a] = ranks.place[a];
    made.periodic[a] = (periodic >> a & 1) && made.n[a] > 1;
  }
  return made.bare();
}

Layout Layout::bare() const {
  Layout made = *this;
  for (int a = 0; a < 3; ++a) {
    made.low[a].assign(starts[a].begin(), starts[a].end() - 1);
    made.high[a].assign(starts[a].begin() + 1, starts[a].end());
  }
  return made;
}

Layout Layout::gathered(const Ranks &ranks) const {
  Layout made = *this;
  made.here = ranks.number == 0;
  for (int a = 0; a < 3; ++a) made.starts[a] = {0, n[a]}, made.low[a] = {0}, made.high[a] = {n[a]}, made.place[a] = 0;
  return made;
}

Layout Layout::widened(int64_t margin) const {
  Layout made = *this;
  for (int a = 0; a < 3; ++a) {
    if (!cut(a)) continue;
    for (int64_t &low : made.low[a]) low = periodic[a] ? low - margin : std::max<int64_t>(low - margin, 0);
    for (int64_t &high : made.high[a]) high = periodic[a] ? high + margin : std::min(high + margin, n[a]);
  }
  return made;
}

Merged merged(const Layout &own, const Merge (&whole)[3]) {
  Merged made{own, own, {}};
  for (int a = 0; a < 3; ++a) {
    const Merge &m = whole[a];
    const int64_t blocks = m.coarse();
    made.blocks.n[a] = blocks;
    made.blocks.starts[a].back() = blocks;
    for (size_t s = 0; s + 1 < own.starts[a].size(); ++s) {
      const int64_t start = own.starts[a][s], block = m.parent[start];
      made.blocks.starts[a][s] = m.first[block] == start ? block : block + 1;
    }
  }
  constexpr int64_t kReach = 2;
  made.blocks = made.blocks.bare().widened(kReach);
  for (int a = 0; a < 3; ++a) {
    const Merge &m = whole[a];
    const int64_t n = own.n[a], blocks = m.coarse();
    const auto turn = [](int64_t at, int64_t length) { return (at % length + length) % length; };
    const auto first = [&](int64_t block) {  // child of a block, both counted on round the ends
      const int64_t b = turn(block, blocks);
      return m.first[b] + (block - b) / blocks * n;
    };
    for (size_t s = 0; s + 1 < own.starts[a].size(); ++s)
      made.fine.low[a][s] = first(made.blocks.low[a][s]), made.fine.high[a][s] = first(made.blocks.high[a][s]);
    const int64_t low = made.blocks.low[a][made.blocks.place[a]], high = made.blocks.high[a][made.blocks.place[a]];
    const int64_t origin = first(low), length = first(high) - origin;
    Merge &local = made.merge[a];
    local.pairs = true;
    for (int64_t block = low; block < high; ++block) {
      local.first.push_back(static_cast<int32_t>(first(block) - origin));
      for (int64_t c = first(block); c < first(block + 1); ++c) {
        local.parent.push_back(static_cast<int32_t>(block - low)), local.side.push_back(m.side[turn(c, n)]);
        local.pairs = local.pairs && block - low == (c - origin) / 2;
      }
    }
    local.first.push_back(static_cast<int32_t>(length));
  }
  return made;
}

}  // namespace dcg
