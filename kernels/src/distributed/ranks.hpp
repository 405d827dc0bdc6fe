// What the kernels ask of a message-passing library, which the caller brings (dcg_ranks).
#pragma once

#include <cstdint>
#include <vector>

#include "deepcg.h"

namespace dcg {

class Ranks {
 public:
  // Refuses what no grid can be cut into.
  explicit Ranks(const dcg_ranks &given);

  int ranks[3], place[3];
  int count, number;  // of all, this rank's
  std::vector<int64_t> starts[3];
  int64_t gather;

  void sum(double *values, int64_t n);  // over all ranks
  double sum(double value) { return sum(&value, 1), value; }
  double largest(double value);

  // A failure of the caller's functions is thrown; but not from within a team of threads: while this lives, nothing is sent any more after a
  // failure, sums are NaN, and check() throws afterwards.
  class Quiet {
   public:
    explicit Quiet(Ranks &ranks) : ranks_(ranks) { ranks_.quiet_ = true; }
    ~Quiet() { ranks_.quiet_ = false; }

   private:
    Ranks &ranks_;
  };
  void check() const;

 private:
  friend class Copies;
  dcg_ranks calls_;
  bool failed_ = false, quiet_ = false;

  template <class Call>
  void send(Call &&call) {
    if (!failed_) failed_ = call(calls_) != 0;
    if (!quiet_) check();
  }
};

// Places of an array that are copies of places of other ranks' arrays, or of this rank's own, which take no message.
class Copies {
 public:
  Copies() = default;
  Copies(const Copies &) = delete;
  ~Copies() { clear(); }

  void clear();
  void add(int64_t leaf, int32_t owner, int64_t root, int32_t here);
  void link(Ranks &ranks, int64_t roots);  // after the last add(); roots: places of the arrays that have them here

  template <class T>
  void spread(const T *roots, T *leaves) const {
    for (const Run &run : own_)
      for (int64_t m = 0; m < run.length; ++m) leaves[run.leaf + m] = roots[run.root + m];
    if (links_) spread_bytes(sizeof(T), roots, leaves);
  }
  void add_up(const float *leaves, float *roots) const;  // roots += leaves

  int64_t bytes() const;

 private:
  struct Run {
    int64_t leaf, root, length;
  };
  void spread_bytes(int32_t bytes, const void *roots, void *leaves) const;

  Ranks *ranks_ = nullptr;
  std::vector<Run> own_;
  std::vector<int64_t> leaf_, root_;  // of other ranks'
  std::vector<int32_t> owner_;
  void *links_ = nullptr;
};

}  // namespace dcg
