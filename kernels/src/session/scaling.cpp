#include "session/scaling.hpp"

#include <cmath>

#include "matrix/row_passes.hpp"

namespace dcg {

namespace {

constexpr double kSame = 1e-9;  // relative: two ways round the matrix that lead to scales this close lead to one
constexpr int kSweeps = 8;      // as many as take the rough part out of A v; what is smooth the levels serve

template <class Index>
double entry(const dcg_csr &m, int64_t row, int64_t column) {
  double sum = 0.0;
  for_entries<Index>(m, row, [&](int64_t at, double value, int) { sum += at == column ? value : 0.0; });
  return sum;
}

template <class Index>
bool is_coupled(const dcg_csr &m, int64_t row) {
  bool coupled = false;
  for_entries<Index>(m, row, [&](int64_t column, double value, int) { coupled |= column != row && value != 0.0; });
  return coupled;
}

// From row to row: r_j = r_i a_ij / a_ji.
template <class Index>
std::vector<double> symmetrise(const dcg_csr &m) {
  std::vector<double> scale(m.rows, 0.0);
  std::vector<int64_t> reached;
  for (int64_t first = 0; first < m.rows; ++first) {
    if (scale[first] > 0.0) continue;
    scale[first] = 1.0;
    reached.assign(1, first);
    for (size_t next = 0; next < reached.size(); ++next) {
      const int64_t i = reached[next];
      bool possible = true;
      for_entries<Index>(m, i, [&](int64_t j, double forth, int) {
        if (j == i || forth == 0.0 || !is_coupled<Index>(m, j)) return;
        const double there = scale[i] * forth / entry<Index>(m, j, i);
        if (!(there > 0.0 && std::isfinite(there))) {
          possible = false;
        } else if (scale[j] == 0.0) {
          scale[j] = there;
          reached.push_back(j);
        } else {
          possible &= std::fabs(there - scale[j]) <= kSame * there;
        }
      });
      if (!possible) return {};
    }
  }
  return scale;
}

struct Sums {
  double diagonal, others;  // a_ii; the sum of a_ij v_j over the others
};

template <class Index>
Sums sums_of(const dcg_csr &m, const std::vector<double> &value, const std::vector<double> &v, int64_t i) {
  const Index *start = static_cast<const Index *>(m.start[0]), *column = static_cast<const Index *>(m.column[0]);
  Sums s{0.0, 0.0};
  for (Index e = start[i]; e < start[i + 1]; ++e) column[e] == i ? s.diagonal += value[e] : s.others += value[e] * v[column[e]];
  return s;
}

// By how much rows of V A V sum to less than 0, relative to their diagonals, on the average.
template <class Index>
double lacking_of(const dcg_csr &m, const std::vector<double> &value, const std::vector<double> &v) {
  double lacking = 0.0;
  for (int64_t i = 0; i < m.rows; ++i)
    if (const Sums s = sums_of<Index>(m, value, v, i); s.diagonal != 0.0) lacking -= std::fmin(0.0, 1.0 + s.others / (s.diagonal * v[i]));
  return m.rows ? lacking / static_cast<double>(m.rows) : 0.0;
}

// Gauss-Seidel on A v = 0, back and forth, from two guesses: of the constants, and of what a scaling to this diagonal would have made of them. The one
// that leaves less to fall short.
template <class Index>
std::vector<double> near_kernel(const dcg_csr &m, const std::vector<double> &value) {
  std::vector<double> best;
  double least = HUGE_VAL;
  for (const bool by_diagonal : {false, true}) {
    std::vector<double> v(m.rows, 1.0);
    if (by_diagonal)
      for (int64_t i = 0; i < m.rows; ++i) {
        const double root = std::sqrt(std::fabs(sums_of<Index>(m, value, v, i).diagonal));
        if (root > 0.0 && is_coupled<Index>(m, i)) v[i] = 1.0 / root;
      }
    const auto relax = [&](int64_t i) {
      const Sums s = sums_of<Index>(m, value, v, i);
      if (const double next = -s.others / s.diagonal; next > 0.0 && std::isfinite(next)) v[i] = next;
    };
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (int64_t i = 0; i < m.rows; ++i) relax(i);
      for (int64_t i = m.rows; i-- > 0;) relax(i);
    }
    const double lacking = lacking_of<Index>(m, value, v);
    if (best.empty() || lacking < least) best = std::move(v), least = lacking;
  }
  return best;
}

template <class Index>
std::vector<double> scaled(const dcg_csr &m, const std::vector<double> &row, const std::vector<double> &columns) {
  const Index *start = static_cast<const Index *>(m.start[0]), *column = static_cast<const Index *>(m.column[0]);
  std::vector<double> value(m.rows ? start[m.rows] : 0);
  for (int64_t i = 0; i < m.rows; ++i)
    for (Index e = start[i]; e < start[i + 1]; ++e) value[e] = row[i] * m.value[0][e] * columns[column[e]];
  return value;
}

}  // namespace

std::vector<double> Scaling::values(const dcg_csr &m) const {
  return m.index_bytes == 4 ? scaled<int32_t>(m, row, column) : scaled<int64_t>(m, row, column);
}

Scaling symmetrising(const dcg_csr &m) {
  Scaling made;
  made.row = m.index_bytes == 4 ? symmetrise<int32_t>(m) : symmetrise<int64_t>(m);
  if (!made.row.empty()) made.column.assign(m.rows, 1.0);
  return made;
}

double falls_short(const dcg_csr &m, const Scaling &scaling) {
  const std::vector<double> ones(m.rows, 1.0), value = (scaling.empty() ? Scaling{ones, ones} : scaling).values(m);
  return m.index_bytes == 4 ? lacking_of<int32_t>(m, value, ones) : lacking_of<int64_t>(m, value, ones);
}

Scaling balancing(const dcg_csr &m, const Scaling &from) {
  Scaling made = from;
  if (made.empty()) made.row.assign(m.rows, 1.0), made.column.assign(m.rows, 1.0);
  const std::vector<double> value = made.values(m);
  const std::vector<double> v = m.index_bytes == 4 ? near_kernel<int32_t>(m, value) : near_kernel<int64_t>(m, value);
  for (int64_t i = 0; i < m.rows; ++i) made.row[i] *= v[i], made.column[i] *= v[i];
  return made;
}

}  // namespace dcg
