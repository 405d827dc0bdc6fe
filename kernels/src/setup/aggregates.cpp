// The unknowns of a coarse level: the aggregates of each block, which are its connected sets of fine unknowns.

#include <map>
#include <numeric>

#include "core/cell_kinds.hpp"
#include "setup/coarsening.hpp"

namespace dcg {

// A block's largest aggregate is its primary unknown (the first one where two are as large); the others are secondary unknowns.
template <class Fine>
void Coarsening<Fine>::find_aggregates() {
  std::vector<uint8_t> irregular(coarse.box.size, 0);  // blocks that need split()
  full.assign(coarse.box.size, 0);
  const bool paired = fine.constant && fine.coarsening[0].pairs && fine.coarsening[1].pairs && fine.coarsening[2].pairs && fine.box.n[1] > 1;
  for (int64_t e = 0; e < fine.secondary; ++e) irregular[block_of(fine.secondary_cell[e])] = 1;
  for_blocks([&](const Block &c) {
    if (irregular[c.index]) return;
    if (paired && mark_if_full(c)) return;
    int64_t child[8];
    children(c, child);
    unsigned present = 0;
    for (int s = 0; s < 8; ++s) present |= (child[s] >= 0) << s;
    if (!present) return;
    if (!all_joined(present, child) && aggregate_of(present, child) != present) {
      irregular[c.index] = 1;
      return;
    }
    full[c.index] = present == 255;
    for (int s = 0; s < 8; ++s)
      if (child[s] >= 0) member[child[s]] |= kPrimary;
  });
  std::vector<std::vector<int64_t>> secondary_in;  // per irregular block
  std::vector<int64_t> blocks;
  std::unordered_map<int64_t, size_t> number;
  for (int64_t k = 0; k < coarse.box.n[0]; ++k)
    for (int64_t j = 0; j < coarse.box.n[1]; ++j)
      for (int64_t i = 0; i < coarse.box.n[2]; ++i)
        if (irregular[coarse.box.at(k, j, i)]) number[coarse.box.at(k, j, i)] = blocks.size(), blocks.push_back(coarse.box.at(k, j, i));
  secondary_in.resize(blocks.size());
  for (int64_t e = 0; e < fine.secondary; ++e)
    if (fine.omega_dinv[fine.box.size + e] != 0.0f) secondary_in[number[block_of(fine.secondary_cell[e])]].push_back(fine.box.size + e);
  for (size_t b = 0; b < blocks.size(); ++b) split(blocks[b], secondary_in[b]);
}

// The common case, two cells at a time: eight FLUID cells of a level with a constant coefficient, which are all joined.
template <class Fine>
bool Coarsening<Fine>::mark_if_full(const Block &c) {
  constexpr uint16_t kBothFluid = kFluid | kFluid << 8, kBoth = kPrimary | kPrimary << 8;
  if (2 * c.k + 1 >= fine.box.n[0] || 2 * c.j + 1 >= fine.box.n[1] || 2 * c.i + 1 >= fine.box.n[2]) return false;
  const int64_t origin = fine.box.at(2 * c.k, 2 * c.j, 2 * c.i);
  const int64_t row[4] = {origin, origin + fine.box.stride, origin + fine.box.plane, origin + fine.box.plane + fine.box.stride};
  for (const int64_t r : row)
    if (std::memcmp(&fine.cells[r], &kBothFluid, 2) != 0) return false;
  for (const int64_t r : row) std::memcpy(&member[r], &kBoth, 2);
  full[c.index] = 1;
  return true;
}

// Marks rows of fine cells near secondary unknowns of either level.
template <class Fine>
void Coarsening<Fine>::flag_rows() {
  if (coarse_of.empty() && edges_at.empty()) return;
  flagged.assign(fine.box.size / fine.box.stride + 2, 0);
  for (const auto &[u, parent] : coarse_of) flagged[(u - kLanes) / fine.box.stride] = 1;
  for (const auto &[u, edges] : edges_at)
    if (u < fine.box.size) flagged[(u - kLanes) / fine.box.stride] = 1;
}

// The common case: whether the present children fill a box, and any two neighbours are joined.
template <class Fine>
bool Coarsening<Fine>::all_joined(unsigned present, const int64_t child[8]) const {
  constexpr unsigned kBoxes[] = {255, 15, 51, 85, 3, 5, 17, 1};  // all; those of one face, edge or corner
  if (std::find(std::begin(kBoxes), std::end(kBoxes), present) == std::end(kBoxes)) return false;
  float least = 1.0f;
  for (int a = 0; a < 3; ++a) {
    const int bit = 4 >> a;
    const int64_t offset = fine.box.offset(a);
    for (int s = 0; s < 8; ++s)
      if (!(s & bit) && (present >> s & 1) && (present >> (s | bit) & 1)) least = std::min(least, of.weight(child[s], offset, a));
  }
  return least > 0.0f;
}

// The children joined to the first present one inside the block, as bits.
template <class Fine>
unsigned Coarsening<Fine>::aggregate_of(unsigned present, const int64_t child[8]) const {
  unsigned aggregate = present & (~present + 1), before = 0;
  while (aggregate != before) {
    before = aggregate;
    for (int s = 0; s < 8; ++s) {
      if (!(before >> s & 1)) continue;
      for (int a = 0; a < 3; ++a) {
        const int bit = 4 >> a, t = s ^ bit;
        if ((present >> t & 1) && !(aggregate >> t & 1) && of.weight(child[s & ~bit], fine.box.offset(a), a) > 0.0f) aggregate |= 1u << t;
      }
    }
  }
  return aggregate;
}

// Finds the aggregates of a block among its children and its fine secondary unknowns.
template <class Fine>
void Coarsening<Fine>::split(int64_t block, const std::vector<int64_t> &secondary) {
  int64_t at[3], child[8];
  coarse.box.coordinates(block, at);
  children({at[0], at[1], at[2], block}, child);
  std::vector<int64_t> nodes;
  for (int64_t c : child)
    if (c >= 0) nodes.push_back(c);
  nodes.insert(nodes.end(), secondary.begin(), secondary.end());
  if (nodes.empty()) return;
  std::map<int64_t, size_t> place;
  for (size_t n = 0; n < nodes.size(); ++n) place[nodes[n]] = n;
  std::vector<size_t> root(nodes.size());
  std::iota(root.begin(), root.end(), size_t{0});
  const auto find = [&](size_t n) {
    while (root[n] != n) n = root[n];
    return n;
  };
  const auto join = [&](size_t m, size_t n) {
    m = find(m), n = find(n);
    root[std::max(m, n)] = std::min(m, n);
  };
  for (int s = 0; s < 8; ++s)
    for (int a = 0; a < 3; ++a) {
      const int bit = 4 >> a, t = s | bit;
      if (s & bit || child[s] < 0 || child[t] < 0) continue;
      if (of.weight(child[s], fine.box.offset(a), a) > 0.0f) join(place[child[s]], place[child[t]]);
    }
  for (int64_t e : secondary)
    for (int64_t n = fine.neighbour_start[e - fine.box.size]; n < fine.neighbour_start[e - fine.box.size + 1]; ++n) {
      const auto other = place.find(fine.neighbours[n].unknown);
      if (other != place.end()) join(place[e], other->second);
    }
  std::map<size_t, int> size;  // by root: the first node of each aggregate
  for (size_t n = 0; n < nodes.size(); ++n) ++size[find(n)];
  size_t primary = size.begin()->first;
  for (const auto &[r, count] : size)
    if (count > size[primary]) primary = r;
  std::map<size_t, int64_t> unknown;
  for (const auto &[r, count] : size) {
    unknown[r] = r == primary ? block : coarse.box.size + coarse.secondary;
    if (r != primary) ++coarse.secondary, coarse.secondary_cell.push_back(block);
  }
  for (size_t n = 0; n < nodes.size(); ++n) {
    const int64_t u = unknown[find(n)];
    if (nodes[n] >= fine.box.size) {
      secondary_of[nodes[n] - fine.box.size] = u;
    } else {
      member[nodes[n]] |= u == block ? kPrimary : kSecondary;
      if (u != block) coarse_of[nodes[n]] = u;
    }
  }
}

template void Coarsening<ConstantFine>::find_aggregates();
template void Coarsening<VariableFine>::find_aggregates();
template void Coarsening<ConstantFine>::flag_rows();
template void Coarsening<VariableFine>::flag_rows();

}  // namespace dcg
