// A solve: rows to cells, the part of b that A can reach, the iteration, cells to rows.

#include <algorithm>
#include <cfloat>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "session/session.hpp"

using namespace dcg;

namespace {

constexpr int64_t kCheckEvery = 50;  // iterations between evaluations of b - A x
constexpr double kSmallest = 1e-100, kLargest = 1e100;  // magnitudes whose squares neither over- nor underflow
constexpr double kConsistent = 1e-12;                   // of ||b||: what rounding leaves of b outside the range of A

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double norm2(int64_t n, const double *v) {
  double square;
  pass_on(dcg_dot(n, v, v, &square));
  return std::sqrt(square);
}

double norm2(const std::vector<double> &v) { return norm2(static_cast<int64_t>(v.size()), v.data()); }

double largest(int64_t n, const double *v, const char *name) {
  double most = 0.0;
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(max : most) reduction(&& : finite) if (n > 32768)
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::fabs(v[i])), finite = finite && std::isfinite(v[i]);
  if (!finite) throw std::invalid_argument(std::string(name) + ": contains NaN or infinity; finite numbers are needed");
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
    if (read.facts().dropped) {
      fixed.assign(read.rows() + read.ghosts(), 0.0);
      for (int64_t k = 0; k < lone.diagonal(); ++k) fixed[lone.row[k]] = scale * b[lone.row[k]] * lone.inverse[k];
      read.fetch(fixed.data(), fixed.data() + read.rows());
    }
    move(-1.0);
    const double norm = norm2(rhs);
    projected = s.null_space.project(rhs.data());
    if (projected <= kConsistent * norm) projected = 0.0;
    if (projected > 0.0 && s.settings.inconsistent == "error") refuse(projected / scale, norm / scale);
    move(1.0);  // as the caller's b has it
    reference = std::hypot(norm2(rhs), std::sqrt(square));
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

// Conjugate gradients, or conjugate directions, in the preconditioner's own compiled loop; b - A x itself decides every kCheckEvery iterations.
// TO BE REPLACED by the driver of krylov/solve.hpp.
class Iteration {
 public:
  Iteration(dcg_solver &s, double *x, double target, int64_t maxiter, bool from_zero) : s(s), op(s.reading->op()), x(x), r(s.rhs.size()) {
    s.residuals.clear();
    double norm = from_zero ? start() : residual();
    s.residuals.push_back(norm);
    if (norm <= target) reason = 0;
    double best = std::numeric_limits<double>::infinity(), bound = 0.0;
    pass_on(op.unit > 0.0 ? DCG_OK : dcg_norm_bound(&op, &bound));
    if (op.unit > 0.0) bound = 4.0 * s.dim() * op.unit;
    int unhalved = 0;
    std::vector<double> history(kCheckEvery), steps(2 * kCheckEvery);
    while (reason < 0) {
      if (iterations >= maxiter) {
        reason = 2;
        break;
      }
      int64_t done = 0;
      int32_t result = 0;
      const int64_t most = std::min(kCheckEvery, maxiter - iterations);
      const double before = norm;
      pass_on(s.settings.method == "dcd"
                  ? dcg_multilevel_directions(s.levels, static_cast<int32_t>(s.settings.window), x, r.data(), target, most, history.data(), steps.data(), &done, &result)
                  : dcg_multilevel_cg(s.levels, x, r.data(), target, most, history.data(), steps.data(), &done, &result));
      s.null_space.project(x);
      iterations += done;
      s.residuals.insert(s.residuals.end(), history.begin(), history.begin() + done);
      const double claimed = s.residuals.back();
      s.residuals.back() = norm = residual();
      if (norm <= target) reason = 0;
      unhalved = norm > 0.5 * best ? unhalved + 1 : 0;
      best = std::min(best, norm);
      const double rounding = 10 * DBL_EPSILON * bound * norm2(static_cast<int64_t>(r.size()), x);
      if (reason < 0 && norm <= rounding && (unhalved >= 1 || claimed < 0.1 * norm)) reason = 1;
      if (reason < 0 && (result == 2 || !(norm < 0.5 * before))) reason = 3;
    }
  }

  int reason = -1;
  int64_t iterations = 0;

 private:
  dcg_solver &s;
  const dcg_operator &op;
  double *x;
  std::vector<double> r;

  double start() { return r = s.rhs, norm2(r); }

  double residual() {
    double square;
    pass_on(dcg_residual(&op, s.rhs.data(), x, r.data(), &square, static_cast<int32_t>(s.settings.threads)));
    if (s.null_space.empty()) return std::sqrt(square);
    s.null_space.project(r.data());
    return norm2(r);
  }
};

const char *text_of(int reason) {
  static const char *const texts[] = {"converged", "attainable accuracy", "maximum number of iterations", "breakdown"};
  return texts[reason];
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
    s.find_null_space();
    const double size_b = largest(read.rows(), b, "b"), size_x = largest(read.rows(), x, "x");
    const double moderate = std::max(size_b, size_x);
    const double scale = moderate > 0.0 && (moderate < kSmallest || moderate > kLargest) ? std::exp2(std::min(-std::ilogb(moderate) - 1, 1000)) : 1.0;
    const RightHandSide rhs(s, b, scale);
    s.z.resize(s.rhs.size());
    std::fill(s.z.begin(), s.z.end(), 0.0);
    if (size_x > 0.0) s.to_cells(scale, x, s.z.data());
    s.null_space.project(s.z.data());
    const double target = std::max(s.settings.rtol * rhs.reference, s.settings.atol * scale);
    const int64_t maxiter = s.settings.maxiter == kTenPerUnknown ? 10 * std::max<int64_t>(read.facts().unknowns, 1) : s.settings.maxiter;
    const Iteration run(s, s.z.data(), target, maxiter, size_x == 0.0);
    s.null_space.project(s.z.data());
    s.from_cells(1.0 / scale, s.z.data(), x);
    for (size_t k = 0; k < lone.row.size(); ++k)
      x[lone.row[k]] = static_cast<int64_t>(k) < lone.diagonal() ? b[lone.row[k]] * lone.inverse[k] : 0.0;
    for (double &residual : s.residuals) residual /= scale;
    if (!result) return;
    *result = {};
    result->reason = run.reason, result->text = text_of(run.reason), result->iterations = run.iterations;
    result->residuals = s.residuals.data(), result->projected = rhs.projected / scale;
    result->setup_seconds = s.setup_seconds, result->solve_seconds = now() - started;
  });
}
