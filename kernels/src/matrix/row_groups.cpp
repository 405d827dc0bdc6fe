#include "matrix/row_groups.hpp"

#include <cmath>

#include "core/clones.hpp"

namespace dcg {

namespace {

template <class Index, int N>
inline __attribute__((always_inline)) bool has_columns(const Group<Index> &group, const Index *start, const Index *column, Index row) {
  Index wrong = 0;
  for (int r = 0; r <= kGroup; ++r) wrong |= (start[r] - start[0]) ^ group.start[r];
  if (wrong) return false;  // there may be fewer columns than are compared
  for (int t = 0; t < N * kGroup; ++t) wrong |= (column[t] - row) ^ group.column[t];
  return wrong == 0;
}

template <class Index, int N>
inline __attribute__((always_inline)) bool has_values(const Group<Index> &group, const double *value) {
  int64_t wrong = 0;
  for (int t = 0; t < N * kGroup; ++t) wrong |= std::fabs(value[t] - group.value[t]) <= group.tolerance[t] ? 0 : 1;
  return wrong == 0;
}

template <class Index, int N>
inline __attribute__((always_inline)) int64_t count_of(const Group<Index> &group, int64_t most, const Index *start, const Index *column,
                                                       const double *value, Index row) {
  int64_t g = 0;
  for (; g < most; ++g, row += kGroup, value += N * kGroup) {
    if (start && !has_columns<Index, N>(group, start + g * kGroup, column + g * N * kGroup, row)) break;
    if (!has_values<Index, N>(group, value)) break;
  }
  return g;
}

}  // namespace

DCG_CLONES int64_t count_groups(const Group<int32_t> &group, int64_t most, const int32_t *start, const int32_t *column, const double *value,
                                int32_t row) {
  return group.count == 7 ? count_of<int32_t, 7>(group, most, start, column, value, row)
                          : count_of<int32_t, 5>(group, most, start, column, value, row);
}
DCG_CLONES int64_t count_groups(const Group<int64_t> &group, int64_t most, const int64_t *start, const int64_t *column, const double *value,
                                int64_t row) {
  return group.count == 7 ? count_of<int64_t, 7>(group, most, start, column, value, row)
                          : count_of<int64_t, 5>(group, most, start, column, value, row);
}

}  // namespace dcg
