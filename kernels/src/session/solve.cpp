// A solve: rows to cells, the part of b that A can reach, the iteration, cells to rows.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "krylov/solve.hpp"
#include "session/session.hpp"

using namespace dcg;

namespace {

constexpr double kSmallest = 1e-100, kLargest = 1e100;  // magnitudes whose squares neither over- nor underflow
constexpr double kConsistent = 1e-12;                   // of ||b||: what rounding leaves of b outside the range of A

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Over all ranks.
double norm2(dcg_solver &s, const double *v) {
  double square;
  pass_on(dcg_dot(static_cast<int64_t>(s.rhs.size()), v, v, &square));
  return std::sqrt(s.ranks() ? s.ranks()->allreduce(square) : square);
}

double largest(dcg_solver &s, const double *v, const char *name) {
  const int64_t n = s.reading->rows();
  double most = 0.0;
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(max : most) reduction(&& : finite) if (n > 32768)
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::fabs(v[i])), finite = finite && std::isfinite(v[i]);
  if (!finite) most = std::numeric_limits<double>::infinity();
  if (s.ranks()) most = s.ranks()->maximum(most);
  if (std::isinf(most)) throw std::invalid_argument(std::string(name) + ": contains NaN or infinity; finite numbers are needed");
  return most;
}

// b for the unknowns alone, over cells, in numbers of moderate size; and what becomes of the other rows.
class RightHandSide {
 public:
  RightHandSide(dcg_solver &s, const double *b, double scale) : s(s), rhs(s.rhs) {
    const Reading &read = *s.reading;
    const LoneRows &lone = read.lone();
    rhs.assign(read.placement().cells(), 0.0);
    s.to_cells(read.facts().sign * scale, b, rhs.data());
    double square = 0.0;
    for (int64_t k = 0; k < lone.diagonal(); ++k) square += std::pow(scale * b[lone.row[k]], 2);
    if (s.ranks()) square = s.ranks()->allreduce(square);
    if (read.facts().dropped) {
      fixed.assign(read.rows() + read.ghosts(), 0.0);
      for (int64_t k = 0; k < lone.diagonal(); ++k) fixed[lone.row[k]] = scale * b[lone.row[k]] * lone.inverse[k];
      read.fetch(fixed.data(), fixed.data() + read.rows());
    }
    move(-1.0);
    const double norm = norm2(s, rhs.data());
    projected = s.null_space.project(rhs.data());
    if (projected <= kConsistent * norm) projected = 0.0;
    if (projected > 0.0 && s.settings.inconsistent == "error") refuse(projected / scale, norm / scale);
    move(1.0);  // as the caller's b has it
    reference = std::hypot(norm2(s, rhs.data()), std::sqrt(square));
    move(-1.0);
  }

  double projected, reference;  // of b less its part outside the range of A: the norm that rtol refers to

 private:
  dcg_solver &s;
  std::vector<double> &rhs, fixed;  // the solution of rows that are diagonal only

  void move(double times) {
    const int64_t *cell = s.reading->placement().cell_of_rows();
    for (const LoneRows::Entry &entry : s.reading->lone().dropped)
      rhs[cell ? cell[entry.row] : entry.row] += times * s.reading->facts().sign * entry.value * fixed[entry.column];
  }

  [[noreturn]] static void refuse(double removed, double norm) {
    char text[320];
    std::snprintf(text, sizeof text,
                  "b: %.3e of its norm %.3e lies outside the range of the matrix, which is singular where nothing fixes the values; make b sum to "
                  "zero on each such component, or set the option inconsistent to project",
                  removed, norm);
    throw std::invalid_argument(text);
  }
};

// What the iterations see: vectors over the cells of this process.
class CellSystem : public LinearSystem {
 public:
  explicit CellSystem(dcg_solver &s) : s(s), threads(static_cast<int32_t>(s.settings.threads)) { n = static_cast<int64_t>(s.rhs.size()); }

  void product(const double *x, double *y) override { s.box->product(x, y, threads); }
  double residual(const double *b, const double *x, double *r) override {
    const double square = s.box->residual(b, x, r, threads);
    if (s.null_space.empty()) return std::sqrt(s.ranks() ? s.ranks()->allreduce(square) : square);
    s.null_space.project(r);
    return norm2(s, r);
  }
  void project(double *v) override { s.null_space.project(v); }
  void precondition(const double *r, double *z) override { s.precondition(r, z); }
  void sum(double *values, int64_t count) override {
    if (s.ranks()) s.ranks()->allreduce(values, count);
  }
  const double *inverse_diagonal() override { return s.find_inverse_diagonal(); }
  double norm_bound() override {
    const dcg_operator &op = s.reading->op();
    double bound = 4.0 * s.dim() * op.unit;  // Gershgorin
    if (op.unit == 0.0) pass_on(dcg_norm_bound(&op, &bound));
    return s.ranks() ? s.ranks()->maximum(bound) : bound;
  }
  bool run(double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations) override {
    int32_t result = 0;
    pass_on(s.settings.method == "dcd"
                ? dcg_multilevel_directions(s.levels, static_cast<int32_t>(s.settings.window), x, r, target, maxiter, history, steps, iterations, &result)
                : dcg_multilevel_cg(s.levels, x, r, target, maxiter, history, steps, iterations, &result));
    return result != 2;
  }

 private:
  dcg_solver &s;
  const int32_t threads;
};

dcg_krylov_options options_of(const dcg_solver &s) {
  dcg_krylov_options options{};
  const bool fcg = s.settings.method == "dcd", compiled = s.levels && !(fcg && s.messages);  // the kernels keep windows on one rank only
  options.chain[0] = compiled ? DCG_COMPILED : fcg ? DCG_FCG : DCG_CG;
  options.chain[1] = DCG_JACOBI_CG;
  options.window = static_cast<int32_t>(s.settings.window), options.threads = static_cast<int32_t>(s.settings.threads);
  options.maxiter = s.settings.maxiter == kTenPerUnknown ? 10 * std::max<int64_t>(s.reading->facts().unknowns, 1) : s.settings.maxiter;
  return options;
}

}  // namespace

extern "C" int dcg_solver_solve(dcg_solver *solver, const double *b, double *x, dcg_result *result) {
  return guarded([&] {
    require(solver && b && x, "solver, b and x must not be NULL");
    dcg_solver &s = *solver;
    s.set_up();
    const double started = now();
    const Threads threads(s.settings.threads);
    const Reading &read = *s.reading;
    const LoneRows &lone = read.lone();
    s.prepare_solve();
    const double size_b = largest(s, b, "b"), size_x = largest(s, x, "x");
    const double moderate = std::max(size_b, size_x);
    const double scale = moderate > 0.0 && (moderate < kSmallest || moderate > kLargest) ? std::exp2(std::min(-std::ilogb(moderate) - 1, 1000)) : 1.0;
    const RightHandSide rhs(s, b, scale);
    s.z.resize(s.rhs.size());
    std::fill(s.z.begin(), s.z.end(), 0.0);
    if (size_x > 0.0) s.to_cells(scale, x, s.z.data());
    s.null_space.project(s.z.data());
    CellSystem system(s);
    dcg_krylov_options options = options_of(s);
    options.target = std::max(s.settings.rtol * rhs.reference, s.settings.atol * scale);
    options.from_zero = size_x == 0.0;
    const KrylovState run = solve(system, options, s.rhs.data(), s.z.data());
    s.null_space.project(s.z.data());
    s.from_cells(1.0 / scale, s.z.data(), x);
    for (size_t k = 0; k < lone.row.size(); ++k)
      x[lone.row[k]] = static_cast<int64_t>(k) < lone.diagonal() ? b[lone.row[k]] * lone.inverse[k] : 0.0;
    s.residuals = run.residuals;
    for (double &residual : s.residuals) residual /= scale;
    if (!result) return;
    *result = {};
    result->reason = run.reason, result->text = reason_text(run.reason), result->iterations = run.iterations;
    result->fallbacks = run.fallbacks, result->condition = run.condition;
    result->residuals = s.residuals.data(), result->projected = rhs.projected / scale;
    result->setup_seconds = s.setup_seconds, result->solve_seconds = now() - started;
  });
}
