// Splits the unknowns of a block by the strength of their couplings.
#pragma once

#include <cstdint>
#include <vector>

namespace dcg {

constexpr double kStrong = 0.1;  // parts are merged whose coupling is at least this share of the smaller diagonal; a uniform 3-D grid has 1/6
constexpr int kMostMembers = 256;  // of a block that is split as one

// Merges parts, singletons at first, as long as some pair U, V has w_UV >= threshold min(D_U, D_V): the pair with the largest quotient first.
// D is the sum of the members' diagonals, which merging does not lower: a part keeps what ties it to its surroundings.
class Splitter {
 public:
  // Members 0..m-1 with these diagonals, and no couplings.
  void start(int m);
  void diagonal(int u, double d) { diagonal_[u] = d; }
  void couple(int u, int v, double w) { weight_[u * m_ + v] += w; }  // once for each of (u, v) and (v, u)

  // The number of parts; part_of(u) then numbers them in the order of their smallest members.
  int merge(double threshold);
  int part_of(int u) const { return part_[u]; }

 private:
  void look_for_partner(int u);

  int m_ = 0;
  std::vector<double> weight_, diagonal_, quotient_;  // quotient_, partner_: of each part the best pair with a later one
  std::vector<int> partner_, root_, part_;
  std::vector<char> alive_;
};

}  // namespace dcg
