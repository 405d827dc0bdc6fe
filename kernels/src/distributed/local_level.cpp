// Which unknowns of other ranks a rank reads in the cycle, and where its own are read.

#include "distributed/local_level.hpp"

#include <algorithm>

namespace dcg {

namespace {

int64_t cell_of(const Level &level, int64_t u) { return u < level.box.size ? u : level.secondary_cell[u - level.box.size]; }

bool owns(const LocalLevel &local, int64_t u) {
  int64_t c[3];
  local.level.box.coordinates(cell_of(local.level, u), c);
  return inside(c, local.begin, local.end);
}

}  // namespace

void LocalLevel::deactivate_ghosts() {
  const Box &box = level.box;
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  for_cells(kOrigin, box.n, [&](const int64_t at[3]) {
    if (inside(at, begin, end)) return;
    const int64_t u = box.at(at[0], at[1], at[2]);
    if (level.constant) level.stencil_type[u] = 0;
    if (!level.constant) level.omega_dinv[u] = 0.0f;
  });
  for (int64_t u = box.size; u < box.size + level.secondary; ++u)
    if (!owns(*this, u)) level.omega_dinv[u] = 0.0f;
  level.unstructured.erase(std::remove_if(level.unstructured.begin(), level.unstructured.end(), [&](const Entry &e) { return !owns(*this, e.fine); }),
                     level.unstructured.end());
  for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row) {
    const int64_t start = box.at(row / box.n[1], row % box.n[1]);
    int64_t first = box.n[2], last = 0;
    for (int64_t i = 0; i < box.n[2]; ++i)
      if (is_unknown(level, start + i)) first = std::min(first, i), last = i + 1;
    level.row_begin[row] = static_cast<int32_t>(last ? first / kLanes * kLanes : 0);
    level.row_end[row] = static_cast<int32_t>((last + kLanes - 1) / kLanes * kLanes);
  }
}

// Rows of 5 or 7 points read no cells beyond those next to own ones across the cuts.
void LocalLevel::create_ghost_halos(Ranks &ranks) {
  int64_t first[3];
  partition.first(first);
  level.colour = static_cast<int>((first[0] + first[1] + first[2]) & 1);
  std::unordered_map<int64_t, Home> homes;
  for (Halo &halo : ghosts) halo.reset(ranks);
  for (int a = 0; a < 3; ++a)
    for (const int64_t layer : {begin[a] - 1, end[a]}) {
      if (!partition.cut(a) || layer < 0 || layer >= level.box.n[a]) continue;
      int64_t low[3], high[3];
      std::copy(begin, begin + 3, low), std::copy(end, end + 3, high);
      low[a] = layer, high[a] = layer + 1;
      for_homes(partition, partition, low, high, [&](const int64_t at[3], const Home &home) {
        const int64_t u = level.box.at(at[0], at[1], at[2]);
        ghosts[(at[0] + at[1] + at[2] + level.colour) & 1].add(u, home.rank, home.primary());
        if (level.secondary) homes[u] = home;
      });
    }
  for (Halo &halo : ghosts) halo.create(level.box.size);
  create_secondary_halo(ranks, homes);
}

// Secondary unknowns of other ranks that are coupled to own unknowns; and when each rank relaxes its own (distributed_cycle.cpp).
void LocalLevel::create_secondary_halo(Ranks &ranks, const std::unordered_map<int64_t, Home> &homes) {
  const Box &box = level.box;
  secondary.reset(ranks), secondary_ghosts.clear();
  phase = 0, phases = 1, couples_secondary = false;
  has_secondary = ranks.allreduce(static_cast<double>(level.secondary)) > 0.0;
  if (!has_secondary) return;
  const std::vector<int32_t> here = first_secondary(level);
  std::vector<int32_t> there = here;
  for (const Halo &halo : ghosts) halo.broadcast(there.data(), there.data());
  double crossing[4] = {0.0, 0.0, 0.0, 0.0};  // pairs of secondary unknowns that a cut divides, per axis; secondary ghosts
  for (int64_t e = 0; e < level.secondary; ++e) {
    if (owns(*this, box.size + e)) continue;
    bool coupled = false;
    for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m) {
      const int64_t v = level.neighbours[m].unknown;
      if (!owns(*this, v)) continue;
      coupled = true;
      if (v < box.size) continue;
      int64_t c[3], d[3];
      box.coordinates(level.secondary_cell[e], c), box.coordinates(cell_of(level, v), d);
      for (int a = 0; a < 3; ++a) crossing[a] += c[a] != d[a];
    }
    if (!coupled) continue;
    const int64_t u = level.secondary_cell[e];
    const Home &home = homes.at(u);
    secondary.add(box.size + e, home.rank, home.secondary(there[u] + e - here[u]));
    secondary_ghosts.push_back(box.size + e), crossing[3] += 1.0;
  }
  secondary.create(box.size + level.secondary);
  before.resize(secondary_ghosts.size());
  ranks.allreduce(crossing, 4);
  couples_secondary = crossing[3] > 0.0;
  for (int a = 0; a < 3; ++a)
    if (crossing[a] > 0.0) phase += ranks.place[a], phases += ranks.ranks[a] - 1;
}

void create_level_halo(Ranks &ranks, Halo &halo, const Level &mine, const Partition &partition, const int64_t begin[3], const int64_t end[3],
                       const Level &theirs, const Partition &their_partition) {
  const int64_t size = their_partition.here ? theirs.box.size : 0;
  std::vector<int32_t> there(mine.box.size, -1);
  if (ranks.allreduce(static_cast<double>(mine.secondary)) > 0.0) {
    Halo cells(ranks);
    for_homes(partition, their_partition, begin, end, [&](const int64_t at[3], const Home &home) {
      cells.add(mine.box.at(at[0], at[1], at[2]), home.rank, home.primary());
    });
    cells.create(size);
    cells.broadcast(first_secondary(theirs).data(), there.data());
  }
  const std::vector<int32_t> here = first_secondary(mine);
  halo.reset(ranks);
  for_homes(partition, their_partition, begin, end, [&](const int64_t at[3], const Home &home) {
    const int64_t u = mine.box.at(at[0], at[1], at[2]);
    halo.add(u, home.rank, home.primary());
    for (int64_t e = here[u]; e >= 0 && e < mine.secondary && mine.secondary_cell[e] == u; ++e)
      halo.add(mine.box.size + e, home.rank, home.secondary(there[u] + e - here[u]));
  });
  halo.create(their_partition.here ? size + theirs.secondary : 0);
}

void LocalLevel::create_coarse_halo(Ranks &ranks, const Level &next, const Partition &next_partition) {
  int64_t low[3], high[3];
  coarse_partition.own(low, high);
  for (int a = 0; a < 3; ++a) low[a] = std::max<int64_t>(low[a] - 1, 0), high[a] = std::min(high[a] + 1, coarse.box.n[a]);
  create_level_halo(ranks, to_coarse, coarse, coarse_partition, low, high, next, next_partition);
}

void LocalLevel::create_sparse_halo(Ranks &ranks, int64_t unknowns) {
  std::unordered_map<int32_t, int32_t> leaf;
  to_coarse.reset(ranks);
  for_cells(begin, end, [&](const int64_t at[3]) {
    int32_t &parent = level.sparse_parent[level.box.at(at[0], at[1], at[2])];
    if (parent < 0) return;
    const auto [found, added] = leaf.try_emplace(parent, static_cast<int32_t>(leaf.size()));
    if (added) to_coarse.add(found->second, 0, parent);
    parent = found->second;
  });
  to_coarse.create(unknowns);
  sparse.unknowns = static_cast<int64_t>(leaf.size());
  sparse.x.resize(sparse.unknowns), sparse.b.resize(sparse.unknowns);
}

int64_t LocalLevel::bytes() const {
  return sparse.bytes() + level.bytes() + coarse.bytes() + stages.bytes() + ghosts[0].bytes() + ghosts[1].bytes() + to_coarse.bytes() + secondary.bytes();
}

}  // namespace dcg
