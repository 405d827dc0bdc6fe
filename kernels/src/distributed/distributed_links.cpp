// Which unknowns of other ranks a rank needs to hear of in the cycle, and where its own are wanted.

#include <algorithm>

#include "cycle/cycle.hpp"
#include "distributed/distributed_hierarchy.hpp"

namespace dcg {

// Takes what other ranks relax out of a level, and out of its transfers.
void OnRanks::keep_own(Part &part) {
  Level &level = part.level;
  const int64_t *begin = part.begin, *end = part.end;
  const Box &box = level.box;
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  const auto own = [&](int64_t u) {
    int64_t c[3];
    box.coordinates(u < box.size ? u : level.extra_cell[u - box.size], c);
    return inside(c, begin, end);
  };
  for_cells(kOrigin, box.n, [&](const int64_t at[3]) {
    if (inside(at, begin, end)) return;
    const int64_t u = box.at(at[0], at[1], at[2]);
    if (level.unit) level.code[u] = 0;
    if (!level.unit) level.relax[u] = 0.0f;
  });
  for (int64_t e = 0; e < level.extras; ++e)
    if (!own(box.size + e)) level.relax[box.size + e] = 0.0f;
  level.sparse.erase(std::remove_if(level.sparse.begin(), level.sparse.end(), [&](const Entry &e) { return !own(e.fine); }),
                     level.sparse.end());
  for (int64_t row = 0; row < box.n[0] * box.n[1]; ++row) {
    const int64_t start = box.at(row / box.n[1], row % box.n[1]);
    int64_t first = box.n[2], last = 0;
    for (int64_t i = 0; i < box.n[2]; ++i)
      if (active(level, start + i)) first = std::min(first, i), last = i + 1;
    level.row_begin[row] = static_cast<int32_t>(last ? first / kLanes * kLanes : 0);
    level.row_end[row] = static_cast<int32_t>((last + kLanes - 1) / kLanes * kLanes);
  }
}

// The cells next to own ones across planes that cut the grid. Rows of 5 or 7 points need no others.
void OnRanks::link_ghosts(Part &part) {
  Level &level = part.level;
  int64_t first[3];
  part.layout.first(first);
  level.colour = static_cast<int>((first[0] + first[1] + first[2]) & 1);
  std::unordered_map<int64_t, Home> homes;
  for (Copies &copies : part.ghosts) copies.clear();
  for (int a = 0; a < 3; ++a)
    for (const int64_t layer : {part.begin[a] - 1, part.end[a]}) {
      if (!part.layout.cut(a) || layer < 0 || layer >= level.box.n[a]) continue;
      int64_t begin[3], end[3];
      std::copy(part.begin, part.begin + 3, begin), std::copy(part.end, part.end + 3, end);
      begin[a] = layer, end[a] = layer + 1;
      for_homes(part.layout, part.layout, begin, end, [&](const int64_t at[3], const Home &home) {
        const int64_t u = level.box.at(at[0], at[1], at[2]);
        part.ghosts[(at[0] + at[1] + at[2] + level.colour) & 1].add(u, home.rank, home.in_box(), ranks_.number);
        if (level.extras) homes[u] = home;
      });
    }
  for (Copies &copies : part.ghosts) copies.link(ranks_, level.box.size);
  link_extras(part, homes);
}

// The same for extra unknowns that are joined to own unknowns; and in which order the ranks relax theirs (distributed_cycle.cpp).
void OnRanks::link_extras(Part &part, const std::unordered_map<int64_t, Home> &homes) {
  Level &level = part.level;
  const Box &box = level.box;
  part.extras.clear(), part.extra_ghosts.clear();
  part.phase = 0, part.phases = 1, part.coupled = false;
  part.divided = ranks_.sum(static_cast<double>(level.extras)) > 0.0;
  if (!part.divided) return;
  const std::vector<int32_t> here = first_extras(level);
  std::vector<int32_t> there = here;
  for (const Copies &copies : part.ghosts) copies.spread(there.data(), there.data());
  const auto cell = [&](int64_t u) { return u < box.size ? u : level.extra_cell[u - box.size]; };
  const auto own = [&](int64_t u) {
    int64_t c[3];
    box.coordinates(cell(u), c);
    return inside(c, part.begin, part.end);
  };
  double crossing[4] = {0.0, 0.0, 0.0, 0.0};  // per axis: pairs of extra unknowns that a cut divides; extra unknowns to be told of
  for (int64_t e = 0; e < level.extras; ++e) {
    if (own(box.size + e)) continue;
    bool joined = false;
    for (int64_t m = level.neighbour_start[e]; m < level.neighbour_start[e + 1]; ++m) {
      const int64_t v = level.neighbours[m].unknown;
      if (!own(v)) continue;
      joined = true;
      if (v < box.size) continue;
      int64_t c[3], d[3];
      box.coordinates(cell(box.size + e), c), box.coordinates(cell(v), d);
      for (int a = 0; a < 3; ++a) crossing[a] += c[a] != d[a];
    }
    if (!joined) continue;
    const int64_t u = cell(box.size + e);
    const Home &home = homes.at(u);
    Box box_there;
    box_there.reset(home.size);
    part.extras.add(box.size + e, home.rank, box_there.size + there[u] + e - here[u], ranks_.number);
    part.extra_ghosts.push_back(box.size + e), crossing[3] += 1.0;
  }
  part.extras.link(ranks_, box.size + level.extras);
  part.before.resize(part.extra_ghosts.size());
  ranks_.sum(crossing, 4);
  part.coupled = crossing[3] > 0.0;
  for (int a = 0; a < 3; ++a)
    if (crossing[a] > 0.0) part.phase += ranks_.place[a], part.phases += ranks_.ranks[a] - 1;
}

// Where the unknowns of cells begin..end of `image` live in the next level; `layout`: of the next level, which is `next` here.
void OnRanks::link_down(Copies &down, const Level &image, const Layout &blocks, const int64_t begin[3], const int64_t end[3],
                        const Level &next, const Layout &layout) {
  const int64_t size = layout.here ? next.box.size : 0;
  const bool divided = ranks_.sum(static_cast<double>(image.extras)) > 0.0;
  std::vector<int32_t> there(image.box.size, -1);
  if (divided) {
    Copies cells;
    for_homes(blocks, layout, begin, end, [&](const int64_t at[3], const Home &home) {
      cells.add(image.box.at(at[0], at[1], at[2]), home.rank, home.in_box(), ranks_.number);
    });
    cells.link(ranks_, size);
    cells.spread(first_extras(next).data(), there.data());
  }
  const std::vector<int32_t> here = first_extras(image);
  down.clear();
  for_homes(blocks, layout, begin, end, [&](const int64_t at[3], const Home &home) {
    const int64_t u = image.box.at(at[0], at[1], at[2]);
    down.add(u, home.rank, home.in_box(), ranks_.number);
    Box box_there;
    box_there.reset(home.size);
    for (int64_t e = here[u]; e >= 0 && e < image.extras && image.extra_cell[e] == u; ++e)
      down.add(image.box.size + e, home.rank, box_there.size + there[u] + e - here[u], ranks_.number);
  });
  down.link(ranks_, layout.here ? size + next.extras : 0);
}

// Own cells lean on blocks beside own ones, and no further.
void OnRanks::link_down(Part &part, const Level &next, const Layout &layout) {
  int64_t begin[3], end[3];
  part.blocks.own(begin, end);
  for (int a = 0; a < 3; ++a)
    begin[a] = std::max<int64_t>(begin[a] - 1, 0), end[a] = std::min(end[a] + 1, part.image.box.n[a]);
  link_down(part.down, part.image, part.blocks, begin, end, next, layout);
}

}  // namespace dcg
