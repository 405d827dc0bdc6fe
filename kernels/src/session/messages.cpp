#include "session/messages.hpp"

#include <algorithm>

namespace dcg {

Messages::Messages(const dcg_ranks &given) : given_(given), functions_(given), ranks_(nullptr) {
  functions_.context = this;
  if (given.create) functions_.create = create;  // `Ranks` refuses what is missing
  if (given.destroy) functions_.destroy = destroy;
  if (given.broadcast) functions_.broadcast = broadcast;
  if (given.reduce) functions_.reduce = reduce;
  if (given.allreduce) functions_.allreduce = allreduce;
  ranks_ = std::make_unique<Ranks>(functions_);
  for (int a = 0; a < 3; ++a) functions_.starts[a] = ranks_->starts[a].data();
}

int Messages::create(void *context, int64_t size, int64_t n, const int64_t *leaf, const int32_t *owner, const int64_t *root, void **halo) {
  const dcg_ranks &given = static_cast<Messages *>(context)->given_;
  auto made = std::make_unique<Counted>(Counted{nullptr, n});
  const int code = given.create(given.context, size, n, leaf, owner, root, &made->halo);
  if (code == 0) *halo = made.release();
  return code;
}

int Messages::destroy(void *context, void *halo) {
  const dcg_ranks &given = static_cast<Messages *>(context)->given_;
  const std::unique_ptr<Counted> counted(static_cast<Counted *>(halo));
  return given.destroy(given.context, counted->halo);
}

int Messages::broadcast(void *context, void *halo, int32_t bytes, const void *roots, void *leaves) {
  Messages &m = *static_cast<Messages *>(context);
  const Counted &counted = *static_cast<Counted *>(halo);
  ++m.exchanges_, m.bytes_ += bytes * counted.leaves;
  return m.given_.broadcast(m.given_.context, counted.halo, bytes, roots, leaves);
}

int Messages::reduce(void *context, void *halo, const float *leaves, float *roots) {
  Messages &m = *static_cast<Messages *>(context);
  const Counted &counted = *static_cast<Counted *>(halo);
  ++m.exchanges_, m.bytes_ += static_cast<int64_t>(sizeof(float)) * counted.leaves;
  return m.given_.reduce(m.given_.context, counted.halo, leaves, roots);
}

int Messages::allreduce(void *context, int64_t n, double *values) {
  const dcg_ranks &given = static_cast<Messages *>(context)->given_;
  return given.allreduce(given.context, n, values);
}

void Messages::take_counts(int64_t &exchanges, int64_t &bytes) {
  exchanges = static_cast<int64_t>(ranks_->maximum(static_cast<double>(exchanges_)));
  bytes = static_cast<int64_t>(ranks_->maximum(static_cast<double>(bytes_)));
  exchanges_ = bytes_ = 0;
}

RowNumbers::RowNumbers(const Ranks &ranks) : ranks_(ranks), first_(1, 0) {
  for (int32_t rank = 0; rank < ranks.count; ++rank) {
    int64_t first[3], count[3];
    box(rank, first, count);
    first_.push_back(first_.back() + count[0] * count[1] * count[2]);
  }
}

void RowNumbers::box(int32_t rank, int64_t first[3], int64_t count[3]) const {
  for (int a = 2; a >= 0; --a) {
    const int64_t *start = &ranks_.starts[a][rank % ranks_.ranks[a]];
    first[a] = start[0], count[a] = start[1] - start[0];
    rank /= ranks_.ranks[a];
  }
}

RowNumbers::Place RowNumbers::find(int64_t row) const {
  Place place;
  place.owner = static_cast<int32_t>(std::upper_bound(first_.begin(), first_.end(), row) - first_.begin()) - 1;
  place.row = row - first_[place.owner];
  int64_t first[3], count[3], inside = place.row;
  box(place.owner, first, count);
  for (int a = 2; a >= 0; --a) place.cell[a] = first[a] + inside % count[a], inside /= count[a];
  return place;
}

int32_t RowNumbers::owner(const int64_t cell[3], int64_t inside[3], int64_t count[3]) const {
  int32_t rank = 0;
  for (int a = 0; a < 3; ++a) {
    const std::vector<int64_t> &starts = ranks_.starts[a];
    const int64_t slab = std::upper_bound(starts.begin(), starts.end(), cell[a]) - starts.begin() - 1;
    inside[a] = cell[a] - starts[slab], count[a] = starts[slab + 1] - starts[slab];
    rank = rank * ranks_.ranks[a] + static_cast<int32_t>(slab);
  }
  return rank;
}

}  // namespace dcg
