// Reading a matrix: kinds of rows, those of other ranks around the box, the operator; then what the kernels' vectors do not hold.

#include "session/reading.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/cell_kinds.hpp"
#include "core/checks.hpp"
#include "core/error.hpp"
#include "matrix/row_passes.hpp"
#include "session/box_operator.hpp"
#include "session/null_space.hpp"

namespace dcg {

namespace {

constexpr double kShort = 0.02;  // of the diagonals, on the average: from here on it pays to balance those that fall short of their couplings
constexpr double kAsymmetryOfRanks = 1e-9;  // of y.Ax against x.Ay, which rounding leaves at 1e-16 times a few

template <class Body>
void for_entries(const dcg_csr &m, int64_t row, Body &&body) {
  m.index_bytes == 4 ? for_entries<int32_t>(m, row, body) : for_entries<int64_t>(m, row, body);
}

int64_t ghost_row(const dcg_csr &m, int64_t column) {
  return m.index_bytes == 4 ? static_cast<const int32_t *>(m.ghost)[column] : static_cast<const int64_t *>(m.ghost)[column];
}

// A number in [0, 1) that depends on the row and on nothing else (splitmix64).
double random_of(uint64_t row, uint64_t seed) {
  uint64_t z = row * 2 + seed + 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ z >> 31) >> 11) * 0x1p-53;
}

void check(const dcg_csr &m, bool several) {
  require(m.index_bytes == 4 || m.index_bytes == 8, "matrix.index_bytes: 4 or 8 is needed");
  require(m.rows >= 0 && m.ghosts >= 0, "matrix.rows, matrix.ghosts: 0 or more is needed");
  require(m.rows == 0 || (m.start[0] && m.column[0] && m.value[0]), "matrix.start[0], column[0], value[0] must not be NULL");
  require(!m.start[1] || several, "matrix.start[1]: columns of other ranks given, and there is one process only; NULL is needed");
  require(!m.start[1] || m.rows == 0 || (m.column[1] && m.value[1]) || m.ghosts == 0, "matrix.column[1], value[1] must not be NULL");
  require(m.ghosts == 0 || m.ghost, "matrix.ghost must not be NULL where there are columns of other ranks");
}

// Where one rank throws, all do.
template <class Body>
void agree(Ranks *ranks, Body &&body) {
  double refused = 0.0;
  std::string why;
  try {
    body();
  } catch (const std::invalid_argument &error) {
    if (!ranks) throw;
    refused = 1.0, why = error.what();
  }
  if (!ranks || ranks->allreduce(refused) == 0.0) return;
  throw std::invalid_argument(why.empty() ? "another process refused its rows" : why);
}

}  // namespace

Reading::~Reading() { dcg_matrix_scan_destroy(scan_); }

void Reading::read(const dcg_csr &matrix, const Grid &grid, const Settings &settings, Messages *messages, bool same_pattern) {
  scaling_ = {};
  const auto read_scaled = [&](Scaling scaling) {
    scaling_ = std::move(scaling);
    if (scaling_.empty()) return read_values(matrix, grid, settings, messages, true);
    const std::vector<double> values = scaling_.values(matrix);
    dcg_csr scaled = matrix;
    scaled.value[0] = values.data();
    read_values(scaled, grid, settings, messages, true);
  };
  try {
    read_values(matrix, grid, settings, messages, same_pattern);
  } catch (const std::invalid_argument &error) {
    if (messages || !settings.scaling || !scan_ || !scan_->asymmetric) throw;
    Scaling symmetric = symmetrising(matrix);
    if (symmetric.empty()) throw std::invalid_argument(std::string(error.what()) + "; no scaling of its rows makes this one symmetric");
    read_scaled(std::move(symmetric));
  }
  if (messages || !settings.scaling) return;
  if (!facts_.shifted || !(*std::min_element(op_.shift, op_.shift + placement_.cells()) < 0.0)) return;
  const double before = falls_short(matrix, scaling_);
  if (!(before > kShort)) return;
  Scaling balanced = balancing(matrix, scaling_);
  if (falls_short(matrix, balanced) < 0.5 * before) read_scaled(std::move(balanced));
}

void Reading::read_values(const dcg_csr &matrix, const Grid &grid, const Settings &settings, Messages *messages, bool same_pattern) {
  Ranks *ranks = messages ? &messages->ranks() : nullptr;
  agree(ranks, [&] {
    check(matrix, messages != nullptr);
    if (!same_pattern) place(matrix, grid, ranks);
    require(matrix.rows == rows_ && matrix.ghosts == ghosts_,
            "same_pattern: the number of rows or of other ranks' columns is another than the last matrix had; 0 is needed");
  });
  if (messages && !same_pattern) link_kinds(*messages);

  const int64_t *n = placement_.count, size = placement_.cells();
  dcg_matrix m{};
  std::copy(placement_.shape, placement_.shape + 3, m.shape), std::copy(placement_.first, placement_.first + 3, m.first);
  std::copy(n, n + 3, m.count);
  m.rows = rows_, m.first_row = placement_.first_row, m.cell = placement_.cell_of_rows(), m.index_bytes = matrix.index_bytes;
  for (int block = 0; block < 2; ++block)
    m.start[block] = matrix.start[block], m.column[block] = matrix.column[block], m.value[block] = matrix.value[block];
  m.ghosts = ghosts_, m.ghost = ghost_cell_.data(), m.rounding = settings.rounding;
  m.cells = grid.cells.empty() ? nullptr : grid.cells.data(), m.dim = grid.dim, m.keep_uncoupled = settings.keep_uncoupled != 0;
  if (messages) m.sum = messages->functions().allreduce, m.context = messages->functions().context;

  uint8_t *kinds = kinds_.make((n[0] + 2) * (n[1] + 2) * (n[2] + 2));
  double *weights[3];
  for (int a = 0; a < 3; ++a) weights[a] = weights_[a].make((n[0] + (a == 0)) * (n[1] + (a == 1)) * (n[2] + (a == 2)));
  if (!scan_) pass_on(dcg_matrix_scan_create(&scan_));
  agree(ranks, [&] { pass_on(dcg_matrix_scan_rows(&m, scan_, same_pattern, kinds)); });
  if (messages) around_.broadcast(kinds, kinds);
  pass_on(dcg_matrix_read(&m, scan_, kinds, cells_.make(size), weights, shift_.make(size), &facts_));
  if (messages && !linked_ && (facts_.unit == 0.0 || facts_.dropped)) link_ghosts(matrix, *messages);
  if (messages && facts_.unit == 0.0) check_symmetry(matrix, *ranks);  // equal faces all round are told by each side's rows
  if (messages && facts_.unit == 0.0 && (facts_.diagonal || facts_.empty)) agree_on_faces(weights);
  find_lone_rows(matrix);
  find_dropped(matrix);
  set_operator();
  settle_row_sums(messages);
  correct_ghosts_ = false;
  for (const Correction &one : scan_->corrections) correct_ghosts_ |= one.column >= Correction::kGhost;
  double flags[2] = {double(!scan_->corrections.empty()), double(correct_ghosts_)};
  if (ranks) ranks->allreduce(flags, 2);
  corrected_ = flags[0] > 0.0, correct_ghosts_ = flags[1] > 0.0;
  if (messages && !linked_ && correct_ghosts_) link_ghosts(matrix, *messages);
}

// Sums of rows that rounding explains are left to the judge on components that are singular without them. Elsewhere the operator has them.
void Reading::settle_row_sums(Messages *messages) {
  double count = static_cast<double>(scan_->row_sums.size());
  if (messages) count = messages->ranks().allreduce(count);
  if (count == 0.0) return;
  NullSpace null_space;
  null_space.find(BoxOperator(op_, placement_, messages, numbers_.get()), messages);
  const std::vector<bool> singular = null_space.mask(placement_.cells());
  double kept = 0.0;
  for (const RowSum &sum : scan_->row_sums)
    if (singular[sum.cell]) scan_->corrections.push_back({sum.cell, Correction::kZero, sum.value});
    else kept = 1.0;
  if (messages) kept = messages->ranks().allreduce(kept);
  if (kept == 0.0) return;
  double *const shift = shift_.make(placement_.cells());
  if (!facts_.shifted) std::fill(shift, shift + placement_.cells(), 0.0);
  for (const RowSum &sum : scan_->row_sums)
    if (!singular[sum.cell]) shift[sum.cell] += sum.value;
  op_.shift = shift, facts_.shifted = 1;
}

bool Reading::correct(const double *x, double *r) const {
  if (!corrected_) return false;
  std::vector<double> there(correct_ghosts_ ? ghosts_ : 0);
  if (correct_ghosts_) fetch(x, there.data());
  for (const Correction &one : scan_->corrections) {
    const double beside = one.column == Correction::kZero ? 0.0 : one.column < Correction::kGhost ? x[one.column] : there[one.column - Correction::kGhost];
    r[one.cell] -= one.value * (x[one.cell] - beside);
  }
  return true;
}

void Reading::place(const dcg_csr &matrix, const Grid &grid, const Ranks *ranks) {
  numbers_ = ranks ? std::make_unique<RowNumbers>(*ranks) : nullptr;
  placement_ = Placement(grid, matrix.rows, numbers_.get(), ranks ? ranks->number : 0);
  for (int a = 0; a < 3; ++a)
    require(!ranks || ranks->starts[a].back() == grid.shape[a], "ranks.starts: the last value along each axis has to be the grid's size");
  rows_ = matrix.rows, ghosts_ = matrix.ghosts, linked_ = false;
  ghost_cell_.resize(ghosts_);
  for (int64_t g = 0; g < ghosts_; ++g) {
    const int64_t row = ghost_row(matrix, g), *n = placement_.shape;
    require(row >= 0 && row < numbers_->rows(), "matrix.ghost: a row of the whole matrix is needed for every column of other ranks");
    const RowNumbers::Place at = numbers_->find(row);
    ghost_cell_[g] = (at.cell[0] * n[1] + at.cell[1]) * n[2] + at.cell[2];
  }
}

void Reading::take(const dcg_operator &op, Ranks *ranks) {
  check(op);
  placement_ = {};
  std::copy(op.shape, op.shape + 3, placement_.shape), std::copy(op.shape, op.shape + 3, placement_.count);
  std::fill(placement_.first, placement_.first + 3, 0);
  if (ranks) {
    numbers_ = std::make_unique<RowNumbers>(*ranks);
    numbers_->box(ranks->number, placement_.first, placement_.count);
    for (int a = 0; a < 3; ++a) placement_.shape[a] = ranks->starts[a].back();
    agree(ranks, [&] {
      require(std::equal(op.shape, op.shape + 3, placement_.count), "op.shape: the sizes of this rank's box of the grid are needed");
    });
  }
  op_ = op;
  rows_ = placement_.cells(), ghosts_ = 0;
  lone_ = {};
  facts_ = {};
  corrected_ = correct_ghosts_ = false;
  scaling_ = {};
  facts_.sign = 1.0, facts_.unit = op.unit, facts_.periodic = op.periodic, facts_.open = op.open, facts_.shifted = op.shift != nullptr;
  const double unknowns = static_cast<double>(std::count(op.cells, op.cells + rows_, kFluid));
  facts_.unknowns = static_cast<int64_t>(ranks ? ranks->allreduce(unknowns) : unknowns);
}

int64_t Reading::bytes() const {
  int64_t sum = kinds_.bytes() + cells_.bytes() + shift_.bytes() + static_cast<int64_t>(8 * placement_.cell.capacity());
  for (const Room<double> &w : weights_) sum += w.bytes();
  return sum;
}

// Ghosts beside the box's sides, where other ranks' cells are there; across the grid's ends too, in case an axis is periodic.
void Reading::link_kinds(Messages &messages) {
  const int64_t *n = placement_.count;
  const Padded padded(n);
  around_.reset(messages.ranks());
  for (int a = 0; a < 3; ++a) {
    if (messages.ranks().ranks[a] == 1) continue;  // the kernels turn these themselves
    for (const int64_t beyond : {int64_t{-1}, n[a]})
      for_layer(n, a, beyond, [&](const int64_t at[3]) {
        int64_t cell[3], inside[3], count[3];
        for (int b = 0; b < 3; ++b) cell[b] = (placement_.first[b] + at[b] + placement_.shape[b]) % placement_.shape[b];
        const int32_t owner = numbers_->owner(cell, inside, count);
        around_.add(padded.at(at), owner, Padded(count).at(inside));
      });
  }
  around_.create((n[0] + 2) * (n[1] + 2) * (n[2] + 2));
}

void Reading::link_ghosts(const dcg_csr &matrix, Messages &messages) {
  others_.reset(messages.ranks());
  for (int64_t g = 0; g < ghosts_; ++g) {
    const RowNumbers::Place at = numbers_->find(ghost_row(matrix, g));
    others_.add(g, at.owner, at.row);
  }
  others_.create(rows_);
  linked_ = true;
}

// The face between an unknown and another rank's cell that is none: only the unknown's row tells its weight, and both ranks need it.
void Reading::agree_on_faces(double *const weights[3]) {
  const int64_t *n = placement_.count;
  const Padded padded(n);
  std::vector<double> of_cell((n[0] + 2) * (n[1] + 2) * (n[2] + 2), 0.0);
  for (int s = 0; s < 6; ++s) {
    const int a = s >> 1;
    const bool at_end = s & 1 ? placement_.first[a] + n[a] == placement_.shape[a] : placement_.first[a] == 0;
    const auto for_side = [&](int side, auto &&body) {  // body(cell in the box, the face on that side of it)
      for_layer(n, a, side & 1 ? n[a] - 1 : 0, [&](const int64_t c[3]) {
        body(c, weights[a][face_below(n, c, a) + (side & 1 ? face_step(n, a) : 0)]);
      });
    };
    for_side(s ^ 1, [&](const int64_t c[3], double &weight) { of_cell[padded.at(c)] = weight; });
    around_.broadcast(of_cell.data(), of_cell.data());
    if (!at_end || facts_.periodic >> a & 1) for_side(s, [&](const int64_t c[3], double &weight) {
      const int64_t here = padded.at(c), there = here + (s & 1 ? 1 : -1) * padded.stride[a];
      if (kinds_.data()[here] == DCG_ROW_UNKNOWN || kinds_.data()[there] != DCG_ROW_UNKNOWN || !(of_cell[there] > 0.0)) return;
      weight = of_cell[there];
      cells_.data()[(c[0] * n[1] + c[1]) * n[2] + c[2]] = kOpen;
    });
    std::fill(of_cell.begin(), of_cell.end(), 0.0);
  }
}

void Reading::fetch(const double *rows, double *ghosts) const {
  if (linked_) others_.broadcast(rows, ghosts);
}

// Couplings between ranks are known to one side each, so that the reading cannot compare them: y.Ax and x.Ay tell, for some x and y that are 0
// in rows without couplings.
void Reading::check_symmetry(const dcg_csr &matrix, Ranks &ranks) {
  std::vector<double> x[2], ghosts[2];
  for (int v = 0; v < 2; ++v) {
    x[v].resize(rows_), ghosts[v].resize(ghosts_);
    for (int64_t i = 0; i < rows_; ++i) x[v][i] = cells_.data()[i] == kFluid ? random_of(placement_.first_row + i, v) : 0.0;
    fetch(x[v].data(), ghosts[v].data());
  }
  double sums[4] = {0.0, 0.0, 0.0, 0.0};  // y.Ax, x.Ay, y.y, Ax.Ax
  for (int64_t i = 0; i < rows_; ++i) {
    double product[2] = {0.0, 0.0};
    for_entries(matrix, i, [&](int64_t column, double value, int block) {
      for (int v = 0; v < 2; ++v) product[v] += value * (block ? ghosts[v] : x[v])[column];
    });
    sums[0] += x[1][i] * product[0], sums[1] += x[0][i] * product[1];
    sums[2] += x[1][i] * x[1][i], sums[3] += product[0] * product[0];
  }
  ranks.allreduce(sums, 4);
  const double asymmetry = std::fabs(sums[0] - sums[1]) / std::max(std::sqrt(sums[2] * sums[3]), 1e-10);
  if (!(asymmetry > kAsymmetryOfRanks)) return;
  char text[240];
  std::snprintf(text, sizeof text,
                "not symmetric: for two vectors x and y that are 0 in rows that are diagonal only, y.Ax and x.Ay differ by %g of |y| |Ax|; a "
                "symmetric matrix is needed",
                asymmetry);
  throw std::invalid_argument(text);
}

const uint8_t &Reading::kind_of(int64_t row) const {
  const int64_t *n = placement_.count, u = placement_.cell.empty() ? row : placement_.cell[row];
  const int64_t c[3] = {u / (n[1] * n[2]), u / n[2] % n[1], u % n[2]};
  return kinds_.data()[Padded(n).at(c)];
}

// Rows that are no unknowns, and 1 / diagonal of those that have one.
void Reading::find_lone_rows(const dcg_csr &matrix) {
  lone_ = {};
  if (!facts_.diagonal && !facts_.empty) return;
  const int64_t line = placement_.cell.empty() ? placement_.count[2] : 1;
  const Padded padded(placement_.count);
  std::vector<int64_t> zero;
  for (int64_t first = 0; first < rows_; first += line) {
    if (line > 1) {
      const int64_t c[3] = {first / line / placement_.count[1], first / line % placement_.count[1], 0};
      const uint8_t *kind = kinds_.data() + padded.at(c);
      if (kind[0] == DCG_ROW_UNKNOWN && !std::memcmp(kind, kind + 1, line - 1)) continue;  // all of them: most lines
    }
    for (int64_t row = first; row < first + line; ++row) {
      const uint8_t kind = kind_of(row);
      if (kind == DCG_ROW_DIAGONAL) lone_.row.push_back(row);
      if (kind == DCG_ROW_EMPTY) zero.push_back(row);
    }
  }
  for (const int64_t row : lone_.row) {
    double diagonal = 0.0;
    for_entries(matrix, row, [&](int64_t column, double value, int block) { diagonal += block == 0 && column == row ? value : 0.0; });
    lone_.inverse.push_back(1.0 / diagonal);
  }
  lone_.row.insert(lone_.row.end(), zero.begin(), zero.end());
}

// The entries of unknowns in the columns of rows that are diagonal only.
void Reading::find_dropped(const dcg_csr &matrix) {
  if (!facts_.dropped) return;
  std::vector<double> diagonal(rows_, 0.0), there(ghosts_, 0.0);
  for (int64_t k = 0; k < lone_.diagonal(); ++k) diagonal[lone_.row[k]] = 1.0;
  fetch(diagonal.data(), there.data());
  const Padded padded(placement_.count);
  for (int64_t row = 0; row < rows_; ++row) {
    const uint8_t *kind = &kind_of(row);
    bool beside = false;
    for (const int64_t step : padded.stride) beside |= kind[step] == DCG_ROW_DIAGONAL || kind[-step] == DCG_ROW_DIAGONAL;
    if (*kind != DCG_ROW_UNKNOWN || !(beside || !scan_->corrections.empty())) continue;
    for_entries(matrix, row, [&](int64_t column, double value, int block) {
      if ((block ? there : diagonal)[column] != 0.0 && value != 0.0) lone_.dropped.push_back({row, column + block * rows_, value});
    });
  }
}

// What the kernels need not have is given back: weights where all are one, shift where there is none.
void Reading::set_operator() {
  const int64_t *n = placement_.count;
  op_ = {};
  std::copy(n, n + 3, op_.shape);
  op_.cells = cells_.data(), op_.unit = facts_.unit, op_.periodic = facts_.periodic, op_.open = facts_.open;
  for (int a = 0; a < 3; ++a) {
    if (facts_.unit > 0.0 || placement_.shape[a] == 1) weights_[a].drop();
    op_.weights[a] = weights_[a].data();
  }
  if (facts_.unit == 0.0 && !op_.weights[2]) {  // the kernels want weights along x: a grid of one column has none there
    const int64_t faces = n[0] * n[1] * (n[2] + 1);
    op_.weights[2] = weights_[2].make(faces);
    std::fill(weights_[2].data(), weights_[2].data() + faces, 0.0);
  }
  if (!facts_.shifted) shift_.drop();
  op_.shift = shift_.data();
}

}  // namespace dcg
