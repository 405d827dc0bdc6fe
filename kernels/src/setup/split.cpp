#include "setup/split.hpp"

#include <algorithm>

namespace dcg {

void Splitter::start(int m) {
  pairs_.clear();
  diagonal_.assign(m, 0.0), root_.resize(m), part_.resize(m), place_.assign(m, -1);
  for (int u = 0; u < m; ++u) root_[u] = u;
}

// The common case, known without merging: a cube, a square or a pair of cells, all edges there, whose diagonals differ by a factor of at most 1.5 and
// whose edges are at least kStrong of the largest one. Let U be the part of the smallest D, of k members. Every other part has at least k / 1.5
// members, so that there are too few of them to share the edges that leave U with less than k times the weakest edge for each.
bool Splitter::whole() const {
  const size_t members = diagonal_.size(), edges = pairs_.size();
  if (!((members == 8 && edges == 12) || (members == 4 && edges == 4) || (members == 2 && edges == 1))) return false;
  const auto [least, most] = std::minmax_element(diagonal_.begin(), diagonal_.end());
  if (*most > 1.5 * *least) return false;
  return std::all_of(pairs_.begin(), pairs_.end(), [&, bound = kStrong * *most](const Pair &pair) { return pair.w >= bound; });
}

void Splitter::set_quotient(Pair &pair) const { pair.quotient = pair.w / std::min(diagonal_[pair.u], diagonal_[pair.v]); }

// The part of v becomes part of u's.
void Splitter::join(int u, int v) {
  diagonal_[u] += diagonal_[v];
  std::replace(root_.begin(), root_.end(), v, u);
  size_t kept = 0;
  for (const Pair &pair : pairs_) {
    Pair moved = pair;
    if (moved.u == v) moved.u = u;
    if (moved.v == v) moved.v = u;
    if (moved.u == moved.v) continue;
    if (moved.u > moved.v) std::swap(moved.u, moved.v);
    if (moved.u == u || moved.v == u) {
      int &place = place_[moved.u == u ? moved.v : moved.u];
      if (place >= 0) {
        pairs_[place].w += moved.w;
        continue;
      }
      place = static_cast<int>(kept);
    }
    pairs_[kept++] = moved;
  }
  pairs_.resize(kept);
  for (Pair &pair : pairs_)
    if (pair.u == u || pair.v == u) place_[pair.u == u ? pair.v : pair.u] = -1, set_quotient(pair);
}

void Splitter::merge_many() {
  for (Pair &pair : pairs_) set_quotient(pair);
  while (!pairs_.empty()) {
    const Pair best = *std::max_element(pairs_.begin(), pairs_.end(), [](const Pair &a, const Pair &b) {
      return a.quotient != b.quotient ? a.quotient < b.quotient : a.u != b.u ? a.u > b.u : a.v > b.v;
    });
    if (best.quotient < kStrong) break;
    join(best.u, best.v);
  }
}

// The same in tables of all pairs, without a branch that cannot be foreseen. quotient: 0 but for u < v.
void Splitter::merge_few() {
  double weight[kFew][kFew] = {}, quotient[kFew][kFew] = {}, d[kFew];
  std::fill(std::copy(diagonal_.begin(), diagonal_.end(), d), d + kFew, 1.0);
  for (const Pair &pair : pairs_) {
    weight[pair.u][pair.v] = weight[pair.v][pair.u] = pair.w;
    quotient[pair.u][pair.v] = pair.w / std::min(d[pair.u], d[pair.v]);
  }
  for (;;) {
    const double *first = quotient[0];
    double largest = 0.0;
#pragma omp simd reduction(max : largest)
    for (int at = 0; at < kFew * kFew; ++at) largest = first[at] > largest ? first[at] : largest;
    if (largest < kStrong) return;
    const int at = static_cast<int>(std::find(first, first + kFew * kFew, largest) - first), u = at / kFew, v = at % kFew;
    std::replace(root_.begin(), root_.end(), v, u);
    d[u] += d[v];
    for (int x = 0; x < kFew; ++x) {
      weight[u][x] += weight[v][x];
      weight[v][x] = weight[x][v] = quotient[v][x] = quotient[x][v] = 0.0;
    }
    weight[u][u] = 0.0;
    for (int x = 0; x < kFew; ++x) {
      weight[x][u] = weight[u][x];
      quotient[std::min(u, x)][std::max(u, x)] = weight[u][x] / std::min(d[u], d[x]);
    }
  }
}

int Splitter::merge() {
  if (whole()) {
    std::fill(part_.begin(), part_.end(), 0);
    return 1;
  }
  if (diagonal_.size() <= kFew) {
    merge_few();
  } else {
    merge_many();
  }
  int parts = 0;
  for (size_t u = 0; u < root_.size(); ++u) part_[u] = root_[u] == static_cast<int>(u) ? parts++ : part_[root_[u]];
  return parts;
}

}  // namespace dcg
