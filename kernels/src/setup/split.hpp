// Splits the unknowns of a block by the strength of their couplings.
#pragma once

#include <cstdint>
#include <vector>

namespace dcg {

constexpr double kStrong = 0.1;  // parts are merged whose coupling is at least this share of the smaller diagonal; a uniform 3-D grid has 1/6
constexpr int kMostMembers = 256;  // of a block that is split as one

// Merges parts, singletons at first, as long as some pair U, V has w_UV >= kStrong min(D_U, D_V): the pair with the largest quotient first, of equal
// ones the one with the first members. D is the sum of the members' diagonals, which merging does not lower: a part keeps what ties it to its surroundings.
class Splitter {
 public:
  // Members 0..m-1, without couplings.
  void start(int m);
  void diagonal(int u, double d) { diagonal_[u] = d; }
  void couple(int u, int v, double w) { pairs_.push_back({u, v, w, 0.0}); }  // once for u < v

  // The number of parts; part_of(u) then numbers them in the order of their smallest members.
  int merge();
  int part_of(int u) const { return part_[u]; }

 private:
  struct Pair {
    int u, v;  // u < v, the smallest members of two parts
    double w, quotient;
  };

  bool whole() const;
  void merge_few();
  void merge_many();
  void set_quotient(Pair &pair) const;
  void join(int u, int v);

  static constexpr int kFew = 8;  // members of a block of cells: most blocks have no more

  std::vector<Pair> pairs_;
  std::vector<double> diagonal_;
  std::vector<int> root_, part_, place_;  // place_: of the pair of a part with the one that grows, -1 elsewhere
};

}  // namespace dcg
