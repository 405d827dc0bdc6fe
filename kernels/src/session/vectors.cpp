// Vectors over rows, vectors over cells; one application of the preconditioner, and its own iteration, on either.

#include <algorithm>
#include <cmath>

#include "core/cell_kinds.hpp"
#include "core/error.hpp"
#include "session/session.hpp"

using namespace dcg;

namespace {

// cells = scale times rows, by `times` of each row where that is not NULL; 0 where there is no unknown.
template <class Times>
void to_cells(const Reading &reading, const double *rows, double *cells, Times &&times) {
  const int64_t *cell = reading.placement().cell_of_rows(), n = reading.rows();
  const uint8_t *kind = reading.op().cells;
#pragma omp parallel for schedule(static) if (n > 32768)
  for (int64_t i = 0; i < n; ++i) {
    const int64_t u = cell ? cell[i] : i;
    cells[u] = kind[u] == kFluid ? times(i) * rows[i] : 0.0;
  }
}

}  // namespace

void dcg_solver::residual_to_cells(double scale, const double *rows, double *cells) const {
  if (reading->scaling().empty()) return to_cells(*reading, rows, cells, [=](int64_t) { return scale; });
  to_cells(*reading, rows, cells, [scale, r = reading->scaling().row.data()](int64_t i) { return scale * r[i]; });
}

void dcg_solver::guess_to_cells(double scale, const double *rows, double *cells) const {
  if (reading->scaling().empty()) return to_cells(*reading, rows, cells, [=](int64_t) { return scale; });
  to_cells(*reading, rows, cells, [scale, c = reading->scaling().column.data()](int64_t i) { return scale / c[i]; });
}

double dcg_solver::norm2(const double *cells) {
  double square = 0.0;
  if (const Scaling &scaling = reading->scaling(); scaling.empty()) {
    pass_on(dcg_dot(reading->placement().cells(), cells, cells, &square));
  } else {
    const int64_t *cell = reading->placement().cell_of_rows();
    for (int64_t i = 0; i < reading->rows(); ++i) square += std::pow(cells[cell ? cell[i] : i] / scaling.row[i], 2);
  }
  return std::sqrt(ranks() ? ranks()->allreduce(square) : square);
}

double dcg_solver::scaled_target(const double *r, double target) {
  if (reading->scaling().empty()) return target;
  double square;
  pass_on(dcg_dot(reading->placement().cells(), r, r, &square));
  const double norm = norm2(r);
  return norm > 0.0 ? 0.5 * target * std::sqrt(square) / norm : target;
}

void dcg_solver::from_cells(double scale, const double *cells, double *rows) const {
  const int64_t *cell = reading->placement().cell_of_rows(), n = reading->rows();
  const uint8_t *kind = reading->op().cells;
  const double *times = reading->scaling().empty() ? nullptr : reading->scaling().column.data();
#pragma omp parallel for schedule(static) if (n > 32768)
  for (int64_t i = 0; i < n; ++i) {
    const int64_t u = cell ? cell[i] : i;
    if (kind[u] == kFluid) rows[i] = scale * (times ? times[i] : 1.0) * cells[u];
  }
}

void dcg_solver::add_fixed(double times, const double *fixed, double *cells) const {
  const int64_t *cell = reading->placement().cell_of_rows();
  for (const LoneRows::Entry &entry : reading->lone().dropped)
    cells[cell ? cell[entry.row] : entry.row] += times * reading->facts().sign * entry.value * fixed[entry.column];
}

void dcg_solver::rhs_to_cells(double scale, const double *b, double *cells, std::vector<double> &fixed) const {
  const LoneRows &lone = reading->lone();
  if (!direct()) std::fill(cells, cells + reading->placement().cells(), 0.0);
  residual_to_cells(reading->facts().sign * scale, b, cells);
  if (!reading->facts().dropped) return;
  fixed.assign(reading->rows() + reading->ghosts(), 0.0);
  for (int64_t k = 0; k < lone.diagonal(); ++k) fixed[lone.row[k]] = scale * b[lone.row[k]] * lone.inverse[k];
  reading->fetch(fixed.data(), fixed.data() + reading->rows());
  add_fixed(-1.0, fixed.data(), cells);
}

void dcg_solver::solve_lone_rows(const double *b, double *rows) const {
  const LoneRows &lone = reading->lone();
  for (size_t k = 0; k < lone.row.size(); ++k)
    rows[lone.row[k]] = b && static_cast<int64_t>(k) < lone.diagonal() ? b[lone.row[k]] * lone.inverse[k] : 0.0;
}

double dcg_solver::project(double *rows) {
  prepare_solve();
  double squares[2] = {0.0, 0.0};  // of what is taken by the null space, and of rows that are zero
  if (direct()) {
    squares[0] = std::pow(null_space->project(rows), 2);
    if (ranks()) squares[0] /= ranks()->count;  // it is a sum over them already
  } else if (!null_space->empty()) {
    z.assign(reading->placement().cells(), 0.0);
    residual_to_cells(1.0, rows, z.data());
    null_space->project(z.data());
    const int64_t *cell = reading->placement().cell_of_rows();
    const double *times = reading->scaling().empty() ? nullptr : reading->scaling().row.data();
    for (int64_t i = 0; i < reading->rows(); ++i) {
      const int64_t u = cell ? cell[i] : i;
      if (reading->op().cells[u] != kFluid) continue;
      const double left = z[u] / (times ? times[i] : 1.0);
      squares[0] += std::pow(rows[i] - left, 2), rows[i] = left;
    }
  }
  const LoneRows &lone = reading->lone();
  for (size_t k = lone.diagonal(); k < lone.row.size(); ++k) squares[1] += std::pow(rows[lone.row[k]], 2), rows[lone.row[k]] = 0.0;
  if (ranks()) ranks()->allreduce(squares, 2);
  return std::sqrt(squares[0] + squares[1]);
}

// Messages of the set-up before the first application, then those of one, are told apart.
void dcg_solver::count_messages(int64_t cycles) {
  if (!messages || exchanges) return;
  int64_t sent = 0, received = 0;
  messages->take_counts(sent, received);
  if (cycles) exchanges = sent / cycles, bytes = received / cycles;
}

const double *dcg_solver::find_inverse_diagonal() {
  prepare_solve();  // which lets go of an earlier matrix's
  if (inverse_diagonal.empty() && reading->placement().cells() > 0) {
    inverse_diagonal.resize(reading->placement().cells());
    box->diagonal(inverse_diagonal.data());
    for (size_t u = 0; u < inverse_diagonal.size(); ++u) {
      double &d = inverse_diagonal[u];
      d = reading->op().cells[u] != kFluid ? 0.0 : d > 0.0 ? 1.0 / d : 1.0;
    }
  }
  return inverse_diagonal.data();
}

void dcg_solver::precondition(const double *from, double *to) {
  const int64_t n = reading->placement().cells();
  if (preconditioner.apply) return check_callback("preconditioner.apply", preconditioner.apply(preconditioner.context, from, to));
  if (levels) return pass_on(dcg_multilevel_apply(levels, from, to));
  const double *inverse = settings.model == "jacobi" ? find_inverse_diagonal() : nullptr;
  for (int64_t u = 0; u < n; ++u) to[u] = inverse ? inverse[u] * from[u] : from[u];
}

void dcg_solver::apply(const double *from, double *to) {
  count_messages(0);
  apply(from, to, levels);
  if (levels) count_messages(1);
}

void dcg_solver::apply(const double *from, double *to, dcg_multilevel *by) {
  const auto inner = [&](const double *a, double *b) { by ? pass_on(dcg_multilevel_apply(by, a, b)) : precondition(a, b); };
  const double sign = reading->facts().sign;
  const int64_t n = reading->rows();
  const LoneRows &lone = reading->lone();
  if (by && direct()) {
    inner(from, to);  // 0 where there is no unknown, whatever is given there
    if (sign < 0.0)
      for (int64_t i = 0; i < n; ++i) to[i] = -to[i];
  } else {
    r.resize(reading->placement().cells()), z.resize(r.size());
    residual_to_cells(sign, from, r.data());
    inner(r.data(), z.data());
    std::fill(to, to + n, 0.0);
    from_cells(1.0, z.data(), to);
  }
  for (int64_t k = 0; k < lone.diagonal(); ++k) to[lone.row[k]] = lone.inverse[k] * from[lone.row[k]];
}

void dcg_solver::iterate(int32_t window, double *x, double *residual, double target, int64_t maxiter, double *history, double *steps,
                         int64_t *iterations, int32_t *result) {
  require(levels, "solver: a diagonal matrix, and the models jacobi and none, have no iteration of their own; dcg_solver_solve has");
  const double sign = reading->facts().sign;
  double *to = x, *from = residual;
  count_messages(0);
  if (direct()) {
    for (const int64_t row : reading->lone().row) residual[row] = 0.0;
    if (sign < 0.0)
      for (int64_t i = 0; i < reading->rows(); ++i) residual[i] = -residual[i];
  } else {
    r.resize(reading->placement().cells()), z.resize(r.size());
    from = r.data(), to = z.data();
    residual_to_cells(sign, residual, from);
    guess_to_cells(1.0, x, to);
    target = scaled_target(from, target);
  }
  pass_on(window == 1 ? dcg_multilevel_cg(levels, to, from, target, maxiter, history, steps, iterations, result)
                      : dcg_multilevel_directions(levels, window, to, from, target, maxiter, history, steps, iterations, result));
  if (!direct()) from_cells(1.0, to, x);
  count_messages(std::max<int64_t>(*iterations, 1));
}

extern "C" int dcg_solver_apply(dcg_solver *solver, const double *r, double *z) {
  return guarded([&] {
    require(solver && r && z && r != z, "solver, r and z must not be NULL, nor r be z");
    const Solving solving(*solver);
    solver->set_up();
    solver->apply(r, z);
  });
}

extern "C" int dcg_solver_apply_classical(dcg_solver *solver, const double *r, double *z) {
  return guarded([&] {
    require(solver && r && z && r != z, "solver, r and z must not be NULL, nor r be z");
    const Solving solving(*solver);
    const bool unknowns = solver->need_reading().facts().unknowns > 0;
    if (!unknowns) solver->set_up();
    solver->apply(r, z, unknowns ? solver->need_classical() : nullptr);
  });
}

extern "C" int dcg_solver_iterate(dcg_solver *solver, int32_t window, double *x, double *r, double target, int64_t maxiter, double *history,
                                  double *steps, int64_t *iterations, int32_t *result) {
  return guarded([&] {
    require(solver && x && r && iterations && result && ((history && steps) || maxiter == 0), "no argument may be NULL");
    const Solving solving(*solver);
    solver->set_up();
    solver->iterate(window, x, r, target, maxiter, history, steps, iterations, result);
  });
}

extern "C" int dcg_solver_project(dcg_solver *solver, double *rows, int64_t *count, double *removed) {
  return guarded([&] {
    require(solver, "solver must not be NULL");
    solver->need_idle();
    solver->need_reading();
    solver->prepare_solve();
    if (count) *count = static_cast<int64_t>(solver->null_space->count()) + solver->reading->facts().empty;
    const double taken = rows ? solver->project(rows) : 0.0;
    if (removed) *removed = taken;
  });
}

extern "C" int dcg_solver_to_cells(dcg_solver *solver, int32_t what, const double *rows, double *cells) {
  return guarded([&] {
    require(solver && rows && cells, "solver, rows and cells must not be NULL");
    require(what == DCG_RHS || what == DCG_GUESS, "what: DCG_RHS or DCG_GUESS is needed");
    solver->need_reading();
    std::vector<double> fixed;
    if (what == DCG_RHS) return solver->rhs_to_cells(1.0, rows, cells, fixed);
    if (!solver->direct()) std::fill(cells, cells + solver->reading->placement().cells(), 0.0);
    solver->guess_to_cells(1.0, rows, cells);
  });
}

extern "C" int dcg_solver_from_cells(dcg_solver *solver, const double *cells, const double *b, double *rows) {
  return guarded([&] {
    require(solver && rows && cells, "solver, cells and rows must not be NULL");
    std::fill(rows, rows + solver->need_reading().rows(), 0.0);
    solver->from_cells(1.0, cells, rows);
    solver->solve_lone_rows(b, rows);
  });
}
