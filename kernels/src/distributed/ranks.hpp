// Messages between ranks, by functions of a message-passing library that the caller brings (dcg_ranks).
#pragma once

#include <cstdint>
#include <vector>

#include "deepcg.h"

namespace dcg {

class Ranks {
 public:
  // Refuses cuts that no grid can have.
  explicit Ranks(const dcg_ranks &given);

  int ranks[3], place[3];       // along each axis; where this one is
  int count, number;            // of all; this one's
  std::vector<int64_t> starts[3];
  int64_t gather;               // levels of so many cells or fewer agglomerate on rank 0

  void allreduce(double *values, int64_t n);  // sums
  double allreduce(double value) { return allreduce(&value, 1), value; }
  double maximum(double value);

  // A failure of the caller's functions is thrown, but a team of threads cannot throw. While a Quiet lives, nothing is sent after a
  // failure and sums are NaN; check() throws afterwards.
  class Quiet {
   public:
    explicit Quiet(Ranks &ranks) : ranks_(ranks) { ranks_.quiet_ = true; }
    ~Quiet() { ranks_.quiet_ = false; }

   private:
    Ranks &ranks_;
  };
  void check() const;

 private:
  friend class Halo;
  dcg_ranks calls_;
  bool failed_ = false, quiet_ = false;

  template <class Call>
  void send(Call &&call) {
    if (!failed_) failed_ = call(calls_) != 0;
    if (!quiet_) check();
  }
};

// A pattern of copies as PETSc's PetscSF has them: each leaf, an entry of an array here, has a root, an entry of an array on its owner.
// Where this rank is the owner, no message is sent.
class Halo {
 public:
  Halo() = default;
  explicit Halo(Ranks &ranks) : ranks_(&ranks) {}
  Halo(const Halo &) = delete;
  ~Halo() { clear(); }

  // reset(), add() for each leaf, create(): on all ranks together
  void clear();
  void reset(Ranks &ranks);
  void add(int64_t leaf, int32_t owner, int64_t root);
  void create(int64_t roots);  // length of the arrays whose entries are roots on this rank

  template <class T>
  void broadcast(const T *roots, T *leaves) const {
    for (const Run &run : own_)
      for (int64_t m = 0; m < run.length; ++m) leaves[run.leaf + m] = roots[run.root + m];
    if (halo_) broadcast_bytes(sizeof(T), roots, leaves);
  }
  void reduce(const float *leaves, float *roots) const;  // roots += leaves

  int64_t bytes() const;

 private:
  struct Run {
    int64_t leaf, root, length;
  };
  void broadcast_bytes(int32_t bytes, const void *roots, void *leaves) const;

  Ranks *ranks_ = nullptr;
  std::vector<Run> own_;
  std::vector<int64_t> leaf_, root_;  // of other ranks' roots
  std::vector<int32_t> owner_;
  void *halo_ = nullptr;  // the caller's
};

}  // namespace dcg
