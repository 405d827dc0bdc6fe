// Messages between ranks, by the caller's functions.

#include "distributed/ranks.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"

namespace dcg {

Ranks::Ranks(const dcg_ranks &given) : count(1), gather(given.gather > 0 ? given.gather : 32768), calls_(given) {
  require(given.create && given.destroy && given.broadcast && given.reduce && given.allreduce, "ranks: none of its functions may be NULL");
  require(given.gather >= 0, "ranks.gather: a number of cells, or 0 for the default, is needed");
  for (int a = 0; a < 3; ++a) {
    require(given.ranks[a] > 0, "ranks.ranks: at least one rank along every axis is needed");
    require(given.place[a] >= 0 && given.place[a] < given.ranks[a], "ranks.place: from 0 to below the number of ranks along each axis");
    require(given.starts[a], "ranks.starts must not be NULL");
    ranks[a] = given.ranks[a], place[a] = given.place[a], count *= ranks[a];
    starts[a].assign(given.starts[a], given.starts[a] + ranks[a] + 1);
    require(starts[a][0] == 0, "ranks.starts: the first slab starts at cell 0");
    for (int p = 0; p < ranks[a]; ++p) require(starts[a][p] < starts[a][p + 1], "ranks.starts: every slab needs at least one cell");
  }
  number = (place[0] * ranks[1] + place[1]) * ranks[2] + place[2];
}

void Ranks::allreduce(double *values, int64_t n) {
  if (count > 1) send([&](const dcg_ranks &calls) { return calls.allreduce(calls.context, n, values); });
  if (failed_) std::fill(values, values + n, std::numeric_limits<double>::quiet_NaN());
}

double Ranks::maximum(double value) {
  std::vector<double> of(count, 0.0);
  of[number] = value;
  allreduce(of.data(), count);
  return *std::max_element(of.begin(), of.end());
}

void Ranks::check() const {
  if (failed_) throw std::runtime_error("a message-passing function failed");
}

void Halo::clear() {
  if (halo_) ranks_->calls_.destroy(ranks_->calls_.context, halo_);
  halo_ = nullptr, ranks_ = nullptr;
  own_.clear(), leaf_.clear(), root_.clear(), owner_.clear();
}

void Halo::reset(Ranks &ranks) {
  clear();
  ranks_ = &ranks;
}

void Halo::add(int64_t leaf, int32_t owner, int64_t root) {
  if (owner != ranks_->number) {
    leaf_.push_back(leaf), root_.push_back(root), owner_.push_back(owner);
  } else if (!own_.empty() && own_.back().leaf + own_.back().length == leaf && own_.back().root + own_.back().length == root) {
    ++own_.back().length;
  } else {
    own_.push_back({leaf, root, 1});
  }
}

void Halo::create(int64_t roots) {
  if (ranks_->count == 1) return;
  const int64_t n = static_cast<int64_t>(leaf_.size());
  void *made = nullptr;
  ranks_->send([&](const dcg_ranks &calls) {
    return calls.create(calls.context, roots, n, leaf_.data(), owner_.data(), root_.data(), &made);
  });
  halo_ = made;
}

void Halo::broadcast_bytes(int32_t bytes, const void *roots, void *leaves) const {
  ranks_->send([&](const dcg_ranks &calls) { return calls.broadcast(calls.context, halo_, bytes, roots, leaves); });
}

void Halo::reduce(const float *leaves, float *roots) const {
  for (const Run &run : own_)
    for (int64_t m = 0; m < run.length; ++m) roots[run.root + m] += leaves[run.leaf + m];
  if (halo_) ranks_->send([&](const dcg_ranks &calls) { return calls.reduce(calls.context, halo_, leaves, roots); });
}

int64_t Halo::bytes() const {
  return static_cast<int64_t>(sizeof(Run) * own_.capacity() + 8 * (leaf_.capacity() + root_.capacity()) + 4 * owner_.capacity());
}

}  // namespace dcg
