// A solve: rows to cells, the part of b that A can reach, the iteration, cells to rows.

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "krylov/solve.hpp"
#include "session/cell_system.hpp"

using namespace dcg;

namespace {

constexpr int kModerate = 332;      // powers of two up to which squares neither over- nor underflow: 1e100
constexpr int kNothing = -1000000;  // the binary exponent of 0
constexpr char kBeyondRange[] = "b: the solution is beyond the range of float64; scale A or b";
constexpr int kUseless = 80;        // powers of two by which A x may exceed b before a guess x is nothing but rounding
constexpr double kRoundingOfB = 1e-15;  // of ||b||: what rounding leaves of a b that lies in the null space

// What a pass over a vector over rows tells. Only unknowns and rows that are diagonal only count.
struct Scan {
  double largest;  // magnitude, over all ranks
  bool over_cells; // it may serve as a vector over cells
};

Scan scan(dcg_solver &s, const double *v, const char *name) {
  const int64_t n = s.reading->rows(), *cell = s.reading->placement().cell_of_rows();
  const uint8_t *kind = s.reading->op().cells;
  double most = 0.0, not_finite = 0.0;  // a maximum loses NaN, a sum of 0 v does not
  int64_t outside = 0;
#pragma omp parallel for simd schedule(static) reduction(max : most) reduction(+ : not_finite, outside) if (n > 32768)
  for (int64_t i = 0; i < n; ++i) {
    const bool unknown = kind[cell ? cell[i] : i] == DCG_FLUID;
    const double value = unknown ? std::fabs(v[i]) : 0.0;
    most = value > most ? value : most, not_finite += 0.0 * value, outside += !unknown & (v[i] != 0.0);
  }
  for (int64_t k = 0; k < s.reading->lone().diagonal(); ++k) {
    const double value = std::fabs(v[s.reading->lone().row[k]]);
    most = value > most ? value : most, not_finite += 0.0 * value;
  }
  if (not_finite != 0.0) most = std::numeric_limits<double>::infinity();
  if (s.ranks()) most = s.ranks()->maximum(most);
  if (std::isinf(most)) throw std::invalid_argument(std::string(name) + ": contains NaN or infinity; finite numbers are needed");
  return {most, s.direct() && outside == 0};
}

// b for the unknowns alone, over cells, in numbers of moderate size; and what becomes of the other rows.
class RightHandSide {
 public:
  RightHandSide(dcg_solver &s, const double *b, bool over_cells, double scale) : s(s), scale(scale) {
    const Reading &read = *s.reading;
    const LoneRows &lone = read.lone();
    values = b;
    if (!over_cells || scale * read.facts().sign != 1.0 || read.facts().dropped || !s.null_space->empty()) {
      s.rhs.resize(read.placement().cells());
      s.rhs_to_cells(scale, b, s.rhs.data(), fixed);
      values = s.rhs.data();
    }
    reference = s.norm2(values);
    if (!s.null_space->empty()) {
      projected = take_off(s, s.rhs.data());
      if (negligible(projected)) projected = 0.0;
      if (projected > 0.0 && s.settings.inconsistent == "error") refuse(projected / scale, reference / scale, s.null_space->count());
      const double before = reference;
      reference = s.norm2(values);
      if (reference <= DCG_CONSISTENT * before) {  // the means had the rounding of a sum over all cells; now they are of small numbers
        take_off(s, s.rhs.data());
        reference = s.norm2(values);
      }
      if (reference <= kRoundingOfB * before) {  // b is consistent to rounding: nothing is left of it
        std::fill(s.rhs.begin(), s.rhs.end(), 0.0);
        reference = 0.0;
      }
    }
    zero = reference == 0.0;
    if (!read.facts().diagonal) return;
    double square = 0.0;
    for (int64_t k = 0; k < lone.diagonal(); ++k) square += std::pow(scale * b[lone.row[k]], 2);
    if (s.ranks()) square = s.ranks()->allreduce(square);
    if (read.facts().dropped) {  // as the caller's b has it
      s.add_fixed(1.0, fixed.data(), s.rhs.data());
      reference = s.norm2(values);
      s.add_fixed(-1.0, fixed.data(), s.rhs.data());
    }
    reference = std::hypot(reference, std::sqrt(square));
  }

  // Whether a part of b is neither more than rounding of b nor felt at the tolerance.
  bool negligible(double part) const { return part <= std::min(DCG_CONSISTENT * reference, 0.1 * target_of(s.settings.rtol, s.settings.atol * scale, reference)); }

  const double *values;    // b itself where it can serve
  bool zero;               // b has nothing for the unknowns
  double projected = 0.0;
  double reference;        // the norm that rtol refers to: of b less its part outside the range of A

 private:
  dcg_solver &s;
  const double scale;
  std::vector<double> fixed;  // the solution of rows that are diagonal only

  [[noreturn]] static void refuse(double removed, double norm, size_t components) {
    char text[320];
    std::snprintf(text, sizeof text,
                  "b: %.3e of its norm %.3e lies outside the range of the operator, which is singular on %zu component(s) without an OPEN face; make b "
                  "sum to zero there, or pass inconsistent='project'",
                  removed, norm, components);
    throw Inconsistent(text);
  }
};

dcg_krylov_options options_of(const dcg_solver &s, const CellSystem &system, bool in_units_of_a) {
  dcg_krylov_options options{};
  const bool own = s.preconditioner.apply, fcg = s.settings.method == "dcd";
  const bool compiled = own ? s.preconditioner.run != nullptr : s.levels && !(fcg && s.messages);  // the kernels keep windows on one rank only
  int32_t *method = options.chain;
  if (compiled && !in_units_of_a && !s.observed) *method++ = DCG_COMPILED;
  *method++ = fcg ? DCG_FCG : !own || s.preconditioner.trusted ? DCG_CG : DCG_FLEXIBLE_CG;
  method = std::fill_n(method, system.fallbacks.size(), DCG_FALLBACK_CG);
  if (s.settings.fallback != "none") *method = DCG_JACOBI_CG;
  options.window = window_of(s), options.threads = static_cast<int32_t>(s.settings.threads);
  options.maxiter = s.settings.maxiter == kTenPerUnknown ? 10 * std::max<int64_t>(s.reading->facts().unknowns, 1) : s.settings.maxiter;
  return options;
}

// What each fallback did; `chain` is of dcg_krylov_options.
std::vector<dcg_step> steps_of(const dcg_solver &s, const CellSystem &system, const int32_t *chain, const KrylovState &run) {
  std::vector<dcg_step> made;
  auto fallback = system.fallbacks.begin();
  for (int n = 0; n < DCG_CHAIN; ++n) {
    if (chain[n] != DCG_FALLBACK_CG && chain[n] != DCG_JACOBI_CG) continue;
    const char *name = chain[n] == DCG_JACOBI_CG ? "jacobi" : *fallback++ == Fallback::kClassical ? "multigrid" : s.fallback.name;
    if (run.done[n] > 0) made.push_back({name, run.done[n]});
  }
  return made;
}

// A solution beyond float64's range cannot be told; one that is rounded to denormal numbers or 0 is judged as it is.
void check_range(dcg_solver &s, CellSystem &system, double target, double to_cells, const double *b, double *cells, const double *x,
                 KrylovState &run) {
  double infinite = 0.0, rounded = 0.0;
  std::vector<double> told(cells, cells + system.n);
  s.guess_to_cells(to_cells, x, told.data());
  for (int64_t u = 0; u < system.n; ++u) infinite += !std::isfinite(told[u]), rounded += told[u] != cells[u];
  double counts[] = {infinite, rounded};
  system.sum(counts, 2);
  if (counts[0] > 0.0) throw std::invalid_argument(kBeyondRange);
  if (counts[1] == 0.0) return;
  s.r.resize(system.n);
  const double norm = system.measure(s.r.data(), system.residual(b, told.data(), s.r.data()));
  run.residuals.back() = norm;
  if (run.reason == DCG_CONVERGED && !(norm <= target)) run.reason = DCG_ATTAINABLE;
}

// The rows that are diagonal only: float64 may not hold b_i / a_ii.
void judge_lone_rows(dcg_solver &s, const double *b, const double *x, double scale, double target, KrylovState &run) {
  const LoneRows &lone = s.reading->lone();
  if (!s.reading->facts().diagonal) return;
  double sums[] = {0.0, 0.0};  // of squares of what is left; of values that are infinite
  for (int64_t k = 0; k < lone.diagonal(); ++k) {
    const int64_t row = lone.row[k];
    sums[0] += std::pow(scale * (b[row] - x[row] / lone.inverse[k]), 2), sums[1] += !std::isfinite(x[row]);
  }
  if (s.ranks()) s.ranks()->allreduce(sums, 2);
  if (sums[1] > 0.0) throw std::invalid_argument(kBeyondRange);
  const double norm = std::hypot(run.residuals.back(), std::sqrt(sums[0]));
  if (norm <= target || run.reason != DCG_CONVERGED) return;
  run.reason = DCG_ATTAINABLE, run.residuals.back() = norm;
}

}  // namespace

extern "C" int dcg_solver_solve(dcg_solver *solver, const double *b, double *x, dcg_result *result) {
  return guarded([&] {
    require(solver && b && x && b != x, "solver, b and x must not be NULL, nor b be x");
    dcg_solver &s = *solver;
    const Solving solving(s);
    s.set_up();
    const double started = now();
    const Threads threads(s.settings.threads);
    s.prepare_solve();
    s.observed = s.observer.observe != nullptr;
    if (s.ranks()) s.observed = s.ranks()->maximum(s.observed) > 0.0;
    const Scan of_b = scan(s, b, "b"), of_x = scan(s, x, "x");
    // binary exponents of A, b and A x, whose products may over- or underflow
    const int of_a = s.norm_bound > 0.0 ? std::ilogb(std::min(s.norm_bound, std::numeric_limits<double>::max())) : 0;  // the sum of two weights may overflow
    int size = of_b.largest > 0.0 ? std::ilogb(of_b.largest) : kNothing, of_product = kNothing;
    if (of_x.largest > 0.0) of_product = of_a + std::ilogb(of_x.largest) + 1;
    const bool from_zero = of_product == kNothing || of_product > size + kUseless;
    if (!from_zero) size = std::max(size, of_product);
    const double scale = size > kNothing && std::abs(size) > kModerate ? std::exp2(std::clamp(-size - 1, -1000, 1000)) : 1.0;
    const double unit = std::abs(of_a) > kModerate ? std::exp2(-of_a) : 1.0;
    const RightHandSide rhs(s, b, of_b.over_cells, scale);
    CellSystem system(s, b, scale, unit);
    double *cells = x;  // where the iteration is
    if (!s.direct() || scale != 1.0 || unit != 1.0) {
      s.z.assign(system.n, 0.0);
      cells = s.z.data();
    }
    dcg_krylov_options options = options_of(s, system, unit != 1.0);
    options.from_zero = from_zero || rhs.zero;
    if (options.from_zero) {
      std::fill_n(cells, system.n, 0.0);
    } else {
      if (cells != x || !of_x.over_cells) s.guess_to_cells(scale / unit, x, cells);
      s.null_space->project(cells);
    }
    options.rtol = s.settings.rtol, options.atol = s.settings.atol * scale, options.norm = rhs.reference;
    options.worst_guess = DCG_WORST_GUESS;
    system.target = target_of(options.rtol, options.atol, options.norm);
    KrylovState run = solve(system, options, rhs.values, cells);
    s.null_space->project(cells);
    if (cells != x) {
      s.from_cells(unit / scale, cells, x);
      if (scale != 1.0 || unit != 1.0 || !s.reading->scaling().empty()) check_range(s, system, system.target, scale / unit, rhs.values, cells, x, run);
    }
    s.solve_lone_rows(b, x);
    judge_lone_rows(s, b, x, scale, system.target, run);
    s.residuals = run.residuals;
    for (double &residual : s.residuals) residual /= scale;
    s.steps = steps_of(s, system, options.chain, run);
    if (!result) return;
    *result = {};
    result->reason = run.reason, result->text = reason_text(run.reason), result->iterations = run.iterations;
    result->fallbacks = run.fallbacks, result->condition = run.condition;
    if (!s.destroyed) result->step = s.steps.data(), result->steps = static_cast<int64_t>(s.steps.size());
    const double unreachable = rhs.negligible(system.unreachable) ? 0.0 : system.unreachable;
    result->residuals = s.destroyed ? nullptr : s.residuals.data(), result->projected = (rhs.projected + unreachable) / scale;
    result->setup_seconds = s.setup_seconds, result->solve_seconds = now() - started;
  });
}
