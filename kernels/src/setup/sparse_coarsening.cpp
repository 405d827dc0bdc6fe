// The level below, from a grid level and from a sparse one.

#include "setup/sparse_coarsening.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "setup/networks.hpp"
#include "setup/split.hpp"

namespace dcg {

namespace {

constexpr double kLeast = 0.5, kSeries = 0.85, kAnyDirection = 0.5;  // of g, as the formula has them
constexpr double kHeld = 0.8;           // of its diagonal: an unknown of so large a slack needs no correction
constexpr double kTwice = 0.45;         // a level is visited twice where it has at most this share of the unknowns above
constexpr double kHardlySmaller = 0.9;  // a level of more than this share of the unknowns above is not worth its visit

// What a thread needs for a block.
struct Scratch {
  std::vector<int64_t> members;
  std::vector<int32_t> place;  // of unknowns of the next level in the row that is made, -1 elsewhere
  Splitter splitter;
  std::vector<int32_t> neighbour;  // rows of its blocks
  std::vector<float> weight;
  std::vector<double> sums;
  std::vector<int32_t> reached;
};

template <class Network>
class SparseCoarsening {
 public:
  SparseCoarsening(Network &fine, SparseLevel &coarse, int threads) : fine_(fine), coarse_(coarse), threads_(threads), scratch_(threads) {
    for (int a = 0; a < 3; ++a) coarse.n[a] = fine.coarsening()[a].coarse(), coarse.periodic[a] = fine.periodic()[a];
    blocks_ = coarse.n[0] * coarse.n[1] * coarse.n[2];
  }

  // Returns the number of unknowns.
  int64_t find_unknowns() {
    first_.assign(blocks_ + 1, 0);
    each_block([&](int64_t block, Scratch &s) { first_[block + 1] = split(s); });
    for (int64_t b = 0; b < blocks_; ++b) first_[b + 1] += first_[b];
    require(first_[blocks_] <= std::numeric_limits<int32_t>::max(), "operator: too many unknowns for one process");
    return coarse_.unknowns = first_[blocks_];
  }

  void find_edges() {
    coarse_.visits = static_cast<double>(coarse_.unknowns) <= kTwice * static_cast<double>(fine_.unknowns()) ? 2 : 1;
    each_block([&](int64_t block, Scratch &s) {
      for (const int64_t u : s.members)
        if (fine_.parent(u) >= 0) fine_.parent(u) += static_cast<int32_t>(first_[block]);
      for (const int64_t u : s.members) look_inside(u);
    });
    for (Field<float> *f : {&coarse_.slack, &coarse_.anchor, &coarse_.shift, &coarse_.inverse_diagonal, &coarse_.x, &coarse_.y, &coarse_.b})
      fill(*f, kLanes * coarse_.slices(), 0.0f, threads_);
    fill(coarse_.start, coarse_.unknowns + 1, int64_t{0}, threads_), coarse_.cell.resize(coarse_.unknowns);
    each_block([&](int64_t block, Scratch &s) { add_rows(block, s); });
    join_rows();
    slice_rows();
  }

 private:
  // A share of the blocks by each thread, in order.
  template <class Body>
  void each_block(Body &&body) {
    const int parts = blocks_ > 512 ? threads_ : 1;
    parallel_for(parts, parts > 1, threads_, [&](int64_t part) {
      Scratch &s = scratch_[part];
      for (int64_t b = blocks_ * part / parts; b < blocks_ * (part + 1) / parts; ++b) {
        const int64_t at[3] = {b / coarse_.n[2] / coarse_.n[1], b / coarse_.n[2] % coarse_.n[1], b % coarse_.n[2]};
        s.members.clear();
        fine_.members(at, s.members);
        if (!s.members.empty()) body(b, s);
      }
    });
  }

  double slack(int64_t u) { return fine_.anchor(u) + fine_.shift(u); }

  // Numbers the parts of a block from 0 on. Unknowns that their slack holds belong to none: relaxation solves for them.
  int32_t split(Scratch &s) {
    int32_t parts = 0;
    const auto lone = std::remove_if(s.members.begin(), s.members.end(), [&](int64_t u) { return slack(u) >= kHeld * fine_.diagonal(u); });
    std::for_each(lone, s.members.end(), [&](int64_t u) { fine_.parent(u) = -1; });
    s.members.erase(lone, s.members.end());
    const int64_t all = static_cast<int64_t>(s.members.size());
    for (int64_t begin = 0; begin < all; begin += kMostMembers) {
      const int m = static_cast<int>(std::min<int64_t>(kMostMembers, all - begin));
      const int64_t *member = s.members.data() + begin;
      for (int p = 0; p < m; ++p) fine_.parent(member[p]) = p;
      s.splitter.start(m);
      for (int p = 0; p < m; ++p) {
        s.splitter.diagonal(p, fine_.diagonal(member[p]));
        fine_.edges_in_block(member[p], [&](int64_t v, float w, int) {
          const int32_t q = fine_.parent(v);
          if (q > p && q < m && member[q] == v) s.splitter.couple(p, q, w);
        });
      }
      const int here = s.splitter.merge();
      for (int p = 0; p < m; ++p) fine_.parent(member[p]) = parts + s.splitter.part_of(p);
      parts += here;
    }
    return parts;
  }

  void look_inside(int64_t u) {
    Inside inside{};
    double sum = 0.0, diagonals = 0.0;
    fine_.edges_in_block(u, [&](int64_t v, float w, int axis) {
      if (fine_.parent(v) != fine_.parent(u)) return;
      sum += w, diagonals += w * fine_.diagonal(v);
      inside.any = std::max(inside.any, w);
      if (axis >= 0) inside.along[axis] = std::max(inside.along[axis], w);
    });
    const double mean = sum > 0.0 ? diagonals / sum : 0.0;
    inside.share = static_cast<float>(mean / (mean + fine_.diagonal(u)));
    fine_.inside(u) = inside;
  }

  // g, with one division: m_u and m_v are the denominators of R_u and R_v.
  double conductance(int64_t u, int64_t v, double w, int axis) {
    if (coarse_.visits == 1) return w;
    const Inside &at_u = fine_.inside(u), &at_v = fine_.inside(v);
    const auto strongest = [&](const Inside &inside) {
      return std::max({axis < 0 ? 0.0 : static_cast<double>(inside.along[axis]), kAnyDirection * inside.any, w});
    };
    const double m_u = strongest(at_u), m_v = strongest(at_v);
    return w * std::max(kLeast, kSeries * m_u * m_v / (m_u * m_v + w * (at_u.share * m_v + at_v.share * m_u)));
  }

  double anchor(int64_t u, double a) {
    if (coarse_.visits == 1 || !(a > 0.0)) return a;
    return a / (1.0 + a / (2.0 * std::max(static_cast<double>(fine_.inside(u).any), a)));
  }

  // The rows of a block's unknowns.
  void add_rows(int64_t block, Scratch &s) {
    s.place.resize(coarse_.unknowns, -1);
    for (int64_t c = first_[block]; c < first_[block + 1]; ++c) {
      s.reached.clear(), s.sums.clear();
      double anchors = 0.0, shifts = 0.0, diagonal = 0.0;
      for (const int64_t u : s.members) {
        if (fine_.parent(u) != c) continue;
        double own = fine_.anchor(u);
        shifts += fine_.shift(u);
        fine_.edges(u, [&](int64_t v, float w, int axis) {
          const int32_t to = fine_.parent(v);
          if (to == c) return;
          if (to < 0) {  // an unknown that is held is as good as a fixed value
            own += w;
            return;
          }
          if (s.place[to] < 0) s.place[to] = static_cast<int32_t>(s.reached.size()), s.reached.push_back(to), s.sums.push_back(0.0);
          s.sums[s.place[to]] += conductance(u, v, w, axis);
        });
        anchors += anchor(u, own);
      }
      for (size_t e = 0; e < s.reached.size(); ++e) {
        const float w = static_cast<float>(s.sums[e]);
        s.place[s.reached[e]] = -1;
        if (!(w > 0.0f)) continue;
        s.neighbour.push_back(s.reached[e]), s.weight.push_back(w);
        diagonal += w, ++coarse_.start[c + 1];
      }
      coarse_.cell[c] = block;
      coarse_.anchor[c] = static_cast<float>(anchors), coarse_.shift[c] = static_cast<float>(shifts);
      coarse_.slack[c] = static_cast<float>(anchors + shifts);
      diagonal += coarse_.slack[c];
      coarse_.inverse_diagonal[c] = diagonal >= std::numeric_limits<float>::min() ? static_cast<float>(1.0 / diagonal) : 0.0f;
    }
  }

  void join_rows() {
    for (int64_t c = 0; c < coarse_.unknowns; ++c) coarse_.start[c + 1] += coarse_.start[c];
    coarse_.neighbour.resize(coarse_.entries()), coarse_.weight.resize(coarse_.entries());
    std::vector<int64_t> begin(threads_ + 1, 0);
    for (int t = 0; t < threads_; ++t) begin[t + 1] = begin[t] + static_cast<int64_t>(scratch_[t].weight.size());
    parallel_for(threads_, coarse_.entries() > 65536, threads_, [&](int64_t t) {
      std::copy(scratch_[t].neighbour.begin(), scratch_[t].neighbour.end(), coarse_.neighbour.data() + begin[t]);
      std::copy(scratch_[t].weight.begin(), scratch_[t].weight.end(), coarse_.weight.data() + begin[t]);
    });
  }

  void slice_rows() {
    SparseLevel &level = coarse_;
    level.slice_start.assign(level.slices() + 1, 0);
    for (int64_t s = 0; s < level.slices(); ++s) {
      int64_t longest = 0;
      for (int64_t u = kLanes * s; u < std::min(kLanes * (s + 1), level.unknowns); ++u) longest = std::max(longest, level.start[u + 1] - level.start[u]);
      level.slice_start[s + 1] = level.slice_start[s] + longest;
    }
    level.slice_neighbour.resize(kLanes * level.slice_start.back()), level.slice_weight.resize(kLanes * level.slice_start.back());
    parallel_for(level.slices(), level.unknowns > 4096, threads_, [&](int64_t s) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const int64_t u = kLanes * s + lane, first = u < level.unknowns ? level.start[u] : 0, count = u < level.unknowns ? level.start[u + 1] - first : 0;
        for (int64_t e = 0; e < level.slice_start[s + 1] - level.slice_start[s]; ++e) {
          const int64_t at = kLanes * (level.slice_start[s] + e) + lane;
          level.slice_neighbour[at] = e < count ? level.neighbour[first + e] : static_cast<int32_t>(u);
          level.slice_weight[at] = e < count ? level.weight[first + e] : 0.0f;
        }
      }
    });
  }

  Network &fine_;
  SparseLevel &coarse_;
  const int threads_;
  int64_t blocks_;
  std::vector<int64_t> first_;  // unknown of each block
  std::vector<Scratch> scratch_;
};

// The unknowns that belong to each one of the next level.
void list_children(SparseLevel &fine, int64_t coarse) {
  fine.first_child.assign(coarse + 1, 0), fine.child.resize(fine.unknowns);
  for (int64_t u = 0; u < fine.unknowns; ++u)
    if (fine.parent[u] >= 0) ++fine.first_child[fine.parent[u] + 1];
  for (int64_t c = 0; c < coarse; ++c) fine.first_child[c + 1] += fine.first_child[c];
  std::vector<int64_t> next(fine.first_child.begin(), fine.first_child.end());
  for (int64_t u = 0; u < fine.unknowns; ++u)
    if (fine.parent[u] >= 0) fine.child[next[fine.parent[u]]++] = static_cast<int32_t>(u);
}

}  // namespace

bool is_rough(const Level &level, float factor, int threads) {
  if (level.constant || std::isinf(factor)) return false;
  const Box &box = level.box;
  std::vector<char> rough(threads, 0);
  parallel_for(box.n[0] * box.n[1], box.cells() > 4096, threads, [&](int64_t row) {
    char &found = rough[omp_get_thread_num()];
    if (found) return;
    const int64_t at = box.at(row / box.n[1], row % box.n[1]);
    for (int a = 0; a < 3; ++a) {
      if (box.n[a] == 1) continue;
      const float *above = &level.weight[a][at], *below = above - box.offset(a);
      int any = 0;
      for (int64_t i = 0; i < box.n[2]; ++i) any |= (above[i] > factor * below[i] && below[i] > 0.0f) | (below[i] > factor * above[i] && above[i] > 0.0f);
      if (any) found = 1;
    }
  });
  return std::any_of(rough.begin(), rough.end(), [](char found) { return found != 0; });
}

void coarsen_to_sparse(Level &fine, SparseLevel &coarse, int threads) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  pair_cells(kOrigin, fine.box.n, fine.coarsening);
  fine.unstructured.clear();
  GridNetwork network(fine, threads);
  coarse.unknowns = 0;
  SparseCoarsening<GridNetwork> to(network, coarse, threads);
  to.find_unknowns();
  to.find_edges();
}

void find_slack(Level &level, int threads) {
  fill(level.slack, level.box.size, 0.0f, threads);
  parallel_for(level.box.n[0] * level.box.n[1], level.box.cells() > 4096, threads, [&](int64_t row) {
    const int64_t at = level.box.at(row / level.box.n[1], row % level.box.n[1]);
    for (int64_t u = at; u < at + level.box.n[2]; ++u)
      level.slack[u] = (level.dirichlet[0][u] + level.dirichlet[1][u]) + level.dirichlet[2][u] + level.shift[u];
  });
  level.diagonal.release();
}

bool coarsen(SparseLevel &fine, SparseLevel &coarse, int threads) {
  constexpr int64_t kOrigin[3] = {0, 0, 0};
  pair_cells(kOrigin, fine.n, fine.coarsening);
  SparseNetwork network(fine, threads);
  coarse.unknowns = 0;
  SparseCoarsening<SparseNetwork> to(network, coarse, threads);
  to.find_unknowns();
  if (static_cast<double>(coarse.unknowns) > kHardlySmaller * static_cast<double>(fine.unknowns)) return false;
  to.find_edges();
  list_children(fine, coarse.unknowns);
  return true;
}

}  // namespace dcg
