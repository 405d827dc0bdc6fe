// Cells that other ranks own: fetched from there at set-up.

#include "distributed/overlap.hpp"

#include <algorithm>
#include <tuple>

namespace dcg {

namespace {

int64_t flat_index(const int64_t at[3], const int64_t size[3]) { return (at[0] * size[1] + at[1]) * size[2] + at[2]; }

template <class T>
std::vector<T> fetch_cells(Ranks &ranks, const T *given, const Partition &own, const Partition &held) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  int64_t shape[3], mine[3];
  held.held(shape), own.held(mine);
  Halo halo(ranks);
  for_homes(held, own, kOrigin, shape, [&](const int64_t at[3], const Home &home) {
    halo.add(flat_index(at, shape), home.rank, flat_index(home.at, home.size));
  });
  halo.create(mine[0] * mine[1] * mine[2]);
  std::vector<T> got(shape[0] * shape[1] * shape[2]);
  halo.broadcast(given, got.data());
  return got;
}

// Faces across an axis: each from the owner of the cell above it, or of the cell below where nothing is held above.
std::vector<double> fetch_faces(Ranks &ranks, const double *given, int axis, const Partition &own, const Partition &held) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  int64_t shape[3], mine[3];
  held.held(shape), own.held(mine);
  int64_t faces[3] = {shape[0], shape[1], shape[2]};
  ++faces[axis], ++mine[axis];
  Halo halo(ranks);
  for_homes(held, own, kOrigin, shape, [&](const int64_t at[3], const Home &home) {
    int64_t here[3] = {at[0], at[1], at[2]}, there[3] = {home.at[0], home.at[1], home.at[2]}, size[3] = {home.size[0], home.size[1], home.size[2]};
    ++size[axis];
    halo.add(flat_index(here, faces), home.rank, flat_index(there, size));
    if (at[axis] + 1 < shape[axis]) return;
    ++here[axis], ++there[axis];
    halo.add(flat_index(here, faces), home.rank, flat_index(there, size));
  });
  halo.create(mine[0] * mine[1] * mine[2]);
  std::vector<double> got(held.here ? faces[0] * faces[1] * faces[2] : 0);
  halo.broadcast(given, got.data());
  return got;
}

// The edges of a level by the cell of their low end, in the form in which ranks exchange them.
struct EdgeList {
  std::vector<int32_t> first, count;  // by index of the cell
  std::vector<int64_t> ends;          // axis, and which unknown of its cell each end is (0: the primary one)
  std::vector<float> weight;
};

constexpr int kOrdinalBits = 24;

EdgeList list_edges(const Level &level) {
  const auto cell = [&](int64_t u) { return u < level.box.size ? u : level.secondary_cell[u - level.box.size]; };
  const std::vector<int32_t> first = first_secondary(level);
  const auto ordinal = [&](int64_t u) { return u < level.box.size ? 0 : u - level.box.size - first[cell(u)] + 1; };
  std::vector<const Edge *> sorted;
  for (const Edge &e : level.edges) sorted.push_back(&e);
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Edge *p, const Edge *q) { return cell(p->low) < cell(q->low); });
  EdgeList list;
  list.first.assign(level.box.size, 0), list.count.assign(level.box.size, 0);
  for (const Edge *e : sorted) {
    const int64_t at = cell(e->low);
    if (list.count[at]++ == 0) list.first[at] = static_cast<int32_t>(list.ends.size());
    list.ends.push_back(e->axis | ordinal(e->low) << 2 | ordinal(e->high) << (2 + kOrdinalBits));
    list.weight.push_back(e->weight);
  }
  return list;
}

// The next cell along an axis; -1: it is not held.
int64_t cell_above(const Level &level, int64_t cell, int axis) {
  int64_t c[3];
  level.box.coordinates(cell, c);
  if (++c[axis] == level.box.n[axis]) {
    if (!level.periodic[axis]) return -1;
    c[axis] = 0;
  }
  return level.box.at(c[0], c[1], c[2]);
}

}  // namespace

std::vector<uint8_t> fetch_cell_kinds(Ranks &ranks, const dcg_operator &given, const Partition &own, const Partition &held) {
  return fetch_cells(ranks, given.cells, own, held);
}

LocalOperator fetch_operator(Ranks &ranks, const dcg_operator &given, const Partition &own, const Partition &held) {
  LocalOperator made;
  made.op = given;
  made.op.periodic = made.op.open = 0;
  held.held(made.op.shape);
  made.cells = fetch_cells(ranks, given.cells, own, held);
  made.op.cells = made.cells.data();
  for (int a = 0; a < 3; ++a) {
    const bool periodic = given.periodic >> a & 1;
    if (periodic && !held.cut(a)) made.op.periodic |= 1 << a;
    if (periodic || !held.here) continue;
    if (held.low[a][held.place[a]] == 0) made.op.open |= given.open & 1 << (2 * a);
    if (held.high[a][held.place[a]] == held.n[a]) made.op.open |= given.open & 2 << (2 * a);
  }
  if (given.unit > 0.0) return made;
  // Which arrays are given may differ between ranks: one that any rank has is made on all.
  int64_t shape[3];
  own.held(shape);
  const int64_t cells = shape[0] * shape[1] * shape[2];
  double has[4];
  for (int a = 0; a < 3; ++a) has[a] = given.weights[a] ? 1.0 : 0.0;
  has[3] = given.shift ? 1.0 : 0.0;
  ranks.allreduce(has, 4);
  std::vector<double> nothing;
  const auto or_zero = [&](const double *array, int64_t size) {
    if (array) return array;
    nothing.assign(size, 0.0);
    return static_cast<const double *>(nothing.data());
  };
  for (int a = 0; a < 3; ++a) {
    made.op.weights[a] = nullptr;
    if (!(has[a] > 0.0)) continue;
    made.weights[a] = fetch_faces(ranks, or_zero(given.weights[a], cells / shape[a] * (shape[a] + 1)), a, own, held);
    made.op.weights[a] = made.weights[a].data();
  }
  made.op.shift = nullptr;
  if (has[3] > 0.0) {
    made.shift = fetch_cells(ranks, or_zero(given.shift, cells), own, held);
    made.op.shift = made.shift.data();
  }
  return made;
}

std::vector<int32_t> first_secondary(const Level &level) {
  std::vector<int32_t> first(level.box.size, -1);
  for (int64_t e = level.secondary - 1; e >= 0; --e) first[level.secondary_cell[e]] = static_cast<int32_t>(e);
  return first;
}

void fetch_level(Ranks &ranks, const Level &made, const Partition &made_on, const Partition &to, Level &level) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  int64_t shape[3];
  to.held(shape);
  level.box.reset(shape);
  for (int a = 0; a < 3; ++a) level.periodic[a] = to.periodic_here(a), level.dirichlet_across[a] = 0;
  level.constant = false;
  level.secondary = 0, level.secondary_cell.clear(), level.edges.clear(), level.unstructured.clear();

  const bool has_secondary = ranks.allreduce(static_cast<double>(made.secondary)) > 0.0;
  std::vector<Home> home(has_secondary ? level.box.size : 0);  // of held cells
  Halo cells(ranks);
  for_homes(to, made_on, kOrigin, shape, [&](const int64_t at[3], const Home &owner) {
    const int64_t u = level.box.at(at[0], at[1], at[2]);
    if (has_secondary) home[u] = owner;
    cells.add(u, owner.rank, owner.primary());
  });
  cells.create(made.box.size);

  // Secondary unknowns: how many each cell has, and where its owner keeps the first one.
  Halo secondary(ranks), edges(ranks);
  EdgeList theirs, mine;
  std::vector<int32_t> first(level.box.size, -1);
  if (has_secondary) {
    std::vector<int32_t> number(made.box.size, 0), their_number(level.box.size, 0), their_first(level.box.size, 0);
    for (const int64_t cell : made.secondary_cell) ++number[cell];
    cells.broadcast(number.data(), their_number.data());
    cells.broadcast(first_secondary(made).data(), their_first.data());
    theirs = list_edges(made);
    mine.first.assign(level.box.size, 0), mine.count.assign(level.box.size, 0);
    cells.broadcast(theirs.first.data(), mine.first.data());
    cells.broadcast(theirs.count.data(), mine.count.data());
    for (int64_t u = 0; u < level.box.size; ++u) {
      if (their_number[u]) first[u] = static_cast<int32_t>(level.secondary);
      for (int32_t m = 0; m < their_number[u]; ++m) {
        secondary.add(level.box.size + level.secondary, home[u].rank, home[u].secondary(their_first[u] + m));
        ++level.secondary, level.secondary_cell.push_back(u);
      }
      for (int32_t m = 0; m < mine.count[u]; ++m) {
        edges.add(static_cast<int64_t>(mine.ends.size()), home[u].rank, mine.first[u] + m);
        mine.ends.push_back(0);
      }
    }
    secondary.create(made.box.size + made.secondary);
    edges.create(static_cast<int64_t>(theirs.ends.size()));
    mine.weight.resize(mine.ends.size());
    edges.broadcast(theirs.ends.data(), mine.ends.data());
    edges.broadcast(theirs.weight.data(), mine.weight.data());
  }

  const int64_t n = level.box.size + level.secondary;
  const auto fetch = [&](const Field<float> &from, Field<float> &into) {
    fill(into, n, 0.0f, 1);
    cells.broadcast(from.data(), into.data());
    if (has_secondary) secondary.broadcast(from.data(), into.data());
  };
  for (int a = 0; a < 3; ++a) fetch(made.weight[a], level.weight[a]), fetch(made.dirichlet[a], level.dirichlet[a]);
  fetch(made.shift, level.shift), fetch(made.diagonal, level.diagonal), fetch(made.omega_dinv, level.omega_dinv);
  fill(level.x, n, 0.0f, 1), fill(level.b, n, 0.0f, 1);

  size_t at = 0;
  for (int64_t u = 0; u < level.box.size && has_secondary; ++u)
    for (int32_t m = 0; m < mine.count[u]; ++m, ++at) {
      const int axis = static_cast<int>(mine.ends[at] & 3);
      const int64_t mask = (int64_t{1} << kOrdinalBits) - 1, low = mine.ends[at] >> 2 & mask, high = mine.ends[at] >> (2 + kOrdinalBits);
      const int64_t above = cell_above(level, u, axis);
      if (above < 0) continue;
      const auto unknown = [&](int64_t cell, int64_t ordinal) { return ordinal ? level.box.size + first[cell] + ordinal - 1 : cell; };
      level.edges.push_back({unknown(u, low), unknown(above, high), mine.weight[at], static_cast<int8_t>(axis)});
    }
  std::sort(level.edges.begin(), level.edges.end(), [](const Edge &p, const Edge &q) {
    return std::tie(p.low, p.high, p.axis) < std::tie(q.low, q.high, q.axis);
  });
  restore_derived(level, 1);
}

}  // namespace dcg
