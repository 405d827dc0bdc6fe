#include "matrix/matrix.hpp"

#include <algorithm>

#include "core/checks.hpp"
#include "core/error.hpp"

namespace dcg {

namespace {

std::string name_cell(const dcg_matrix &m, const int64_t g[3]) {
  const std::string z = std::to_string(g[0]), y = std::to_string(g[1]), x = std::to_string(g[2]);
  return m.dim == 2 ? "cell (" + z + ", " + x + ")" : "cell (" + z + ", " + y + ", " + x + ")";
}

std::string name_own(const dcg_matrix &m, const char *what, int64_t number) {
  int64_t c[3];
  Frame(m.count, m.shape).place(m.cell ? m.cell[number] : number, c);
  for (int a = 0; a < 3; ++a) c[a] += m.first[a];
  return what + std::to_string(m.first_row + number) + " (" + name_cell(m, c) + ")";
}

}  // namespace

std::string name_row(const dcg_matrix &m, int64_t row) { return name_own(m, "row ", row); }

std::string name_row_of(const dcg_matrix &m, int64_t u) { return name_row(m, m.cell ? std::find(m.cell, m.cell + m.rows, u) - m.cell : u); }

std::string name_column(const dcg_matrix &m, int block, int64_t column) {
  if (block == 0) return name_own(m, "column ", column);
  int64_t g[3];
  Frame(m.shape, m.shape).place(m.ghost[column], g);
  return "the column of " + name_cell(m, g);
}

std::string name_signs(const dcg_matrix &m, int64_t negative, int64_t positive) {
  const auto name = [&](int64_t row) { return row < 0 ? std::string("a row of another process") : name_row(m, row); };
  return "indefinite: the diagonal is negative in " + name(negative) + " and positive in " + name(positive) +
         "; a positive or a negative (semi-)definite matrix is needed";
}

void check(const dcg_matrix &m) {
  count_cells(m.shape);
  int64_t cells = 1;
  for (int a = 0; a < 3; ++a) {
    require(m.first[a] >= 0 && m.count[a] >= 0 && m.first[a] <= m.shape[a] - m.count[a], "first, count: the box lies in the grid");
    cells *= m.count[a];
  }
  require(m.index_bytes == 4 || m.index_bytes == 8, "index_bytes: 4 or 8 is needed");
  require(m.rows >= 0 && (m.cell ? m.rows <= cells : m.rows == cells), "rows: one for every cell of the box is needed");
  require(m.rows == 0 || (m.start[0] && m.column[0] && m.value[0]), "start, column and value must not be NULL");
  require(!m.start[1] || (m.column[1] && m.value[1]), "column, value: those of the second block must not be NULL where it has starts");
  require(m.ghosts >= 0 && (m.ghost || m.ghosts == 0), "ghosts, ghost: the number of columns of the second block, and their cells, are needed");
  require(!(m.keep_uncoupled && m.sum), "keep_uncoupled: only where there is one process");
  for (int64_t row = 0; m.cell && row < m.rows; ++row)
    if (m.cell[row] < 0 || m.cell[row] >= cells)
      throw std::invalid_argument("cell: row " + std::to_string(m.first_row + row) + " has cell " + std::to_string(m.cell[row]) +
                                  "; a flat index into the box is needed");
}

void Processes::sum(std::vector<double> &values, const Refusal &refusal) const {
  const bool mine = !refusal.text.empty();
  values.push_back(mine);
  if (m_.sum && m_.sum(m_.context, static_cast<int64_t>(values.size()), values.data()))
    throw std::runtime_error("a message-passing function failed");
  const bool any = values.back() > 0.0;
  values.pop_back();
  if (mine) throw std::invalid_argument(refusal.text);
  if (any) throw std::invalid_argument("another process refused its rows");
}

bool Processes::all(bool mine) const {
  std::vector<double> against = {double(!mine)};
  sum(against, {});
  return against[0] == 0.0;
}

}  // namespace dcg
