// The caller's messages between ranks, counted; and who owns which rows.
#pragma once

#include <memory>
#include <vector>

#include "distributed/ranks.hpp"

namespace dcg {

class Messages {
 public:
  explicit Messages(const dcg_ranks &given);
  Messages(const Messages &) = delete;

  // The caller's functions, which count; what they point to lives as long as this.
  const dcg_ranks &functions() const { return functions_; }
  Ranks &ranks() { return *ranks_; }

  // Exchanges, and bytes received here, since the last call: the most on any rank. Collective.
  void take_counts(int64_t &exchanges, int64_t &bytes);

 private:
  dcg_ranks given_, functions_;
  std::unique_ptr<Ranks> ranks_;
  int64_t exchanges_ = 0, bytes_ = 0;

  struct Counted {
    void *halo;
    int64_t leaves;
  };
  static int create(void *, int64_t size, int64_t n, const int64_t *leaf, const int32_t *owner, const int64_t *root, void **halo);
  static int destroy(void *, void *halo);
  static int broadcast(void *, void *halo, int32_t bytes, const void *roots, void *leaves);
  static int reduce(void *, void *halo, const float *leaves, float *roots);
  static int allreduce(void *, int64_t n, double *values);
};

// The rows of a matrix over ranks: those of rank 0 first, each rank's in the order of its box's cells.
class RowNumbers {
 public:
  explicit RowNumbers(const Ranks &ranks);

  int64_t first(int32_t rank) const { return first_[rank]; }
  int64_t rows() const { return first_.back(); }

  struct Place {
    int32_t owner;
    int64_t row;      // among the owner's
    int64_t cell[3];  // of the whole grid
  };
  Place find(int64_t row) const;
  // The box's cells along each axis and its first one.
  void box(int32_t rank, int64_t first[3], int64_t count[3]) const;
  // Which rank has a cell of the whole grid, and the cell within that one's box.
  int32_t owner(const int64_t cell[3], int64_t inside[3], int64_t count[3]) const;

 private:
  const Ranks &ranks_;
  std::vector<int64_t> first_;
};

}  // namespace dcg
