// The rule's evaluation, iteration by iteration.

#include "krylov/stopping.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/threads.hpp"
#include "operator/vectors.hpp"

namespace dcg {

const char *reason_text(int32_t reason) {
  switch (reason) {
    case DCG_CONVERGED: return "converged";
    case DCG_ATTAINABLE: return "attainable accuracy";
    case DCG_MAXITER: return "maximum number of iterations";
    case DCG_BREAKDOWN: return "breakdown: a direction of non-positive curvature was met; the operator is not positive definite";
    case DCG_STOPPED: return "stopped by the caller";
    case DCG_STALLED: return "stalled: the iteration no longer reduces the residual";
    default: return "";
  }
}

KrylovState::KrylovState(LinearSystem &system, const dcg_krylov_options &limits, const double *b, double *x, double *r)
    : system_(system), limits_(limits), threads_(choose_threads(limits.threads)), b_(b), x_(x), r_(r) {
  if (!r_) {
    own_.resize(std::max<int64_t>(system.n, 1));
    r_ = own_.data();
  }
  best_is_zero_ = limits.from_zero && !system.elsewhere();
  if (limits.from_zero) {
    copy(system.n, b, r_, threads_);
    r_norm_ = norm2(r_);
  } else {
    r_norm_ = system.residual(b, x, r_);
    if (const double worst = limits.worst_guess * limits.norm; worst > 0.0 && !(r_norm_ <= worst)) {
      best_is_zero_ = true;
      std::fill_n(x, system.n, 0.0);
      r_norm_ = system.residual(b, x, r_);
    }
  }
  const double norm = system.measure(r_, r_norm_);
  target_ = target_of(limits.rtol, limits.atol, limits.norm < 0.0 ? norm : limits.norm);
  judge(norm);
  record(norm);
  if (!stopped()) keep(norm);
}

bool KrylovState::advance(double alpha, const double *d, const double *Ad) {
  double square = step(system_.n, alpha, d, Ad, x_, r_, threads_);
  system_.sum(&square, 1);
  const double claimed = r_norm_ = std::sqrt(square);
  exact_ = false;
  double norm = system_.measure(r_, claimed);
  ++iterations;
  const LinearSystem::Verdict verdict = system_.judge(iterations, norm, target_);
  bool drifted = false;
  if (verdict == LinearSystem::kStop) {
    stop(DCG_STOPPED);
  } else if (verdict == LinearSystem::kEnough || iterations % DCG_CHECK_EVERY == 0) {
    if (recurrence_.empty()) recurrence_.resize(std::max<int64_t>(system_.n, 1));
    copy(system_.n, r_, recurrence_.data(), threads_);
    norm = evaluate();
    double difference = distance_square(system_.n, r_, recurrence_.data(), threads_);
    system_.sum(&difference, 1);
    drifted = std::sqrt(difference) > DCG_DISAGREEMENT * r_norm_;
    restarts += drifted;
    judge(norm);
    if (!stopped()) look_for_floor(claimed, drifted);
    if (!stopped()) keep(norm);
  }
  record(norm);
  return drifted;
}

void KrylovState::accept(int64_t count, const double *history) {
  for (int64_t n = 0; n + 1 < count; ++n) ++iterations, record(history[n]);
  double norm = evaluate();
  if (count == 0) return;
  ++iterations;
  if (!(norm <= best_)) norm = go_back();
  judge(norm);
  if (!stopped()) look_for_floor(history[count - 1], false);
  if (!stopped()) keep(norm);
  record(norm);
}

void KrylovState::settle() {
  if (reason == DCG_CONVERGED || reason == DCG_STOPPED) return;
  double norm = residuals.back();
  if (!exact_) {
    norm = evaluate();
    judge(norm);  // the limit of iterations may have come first
    if (reason == DCG_CONVERGED) best_ = norm;
  }
  if (!(norm <= best_)) norm = go_back();
  if (!stopped()) keep(norm);
  residuals.back() = norm;
}

double KrylovState::evaluate() {
  r_norm_ = system_.residual(b_, x_, r_);
  exact_ = true;
  return system_.measure(r_, r_norm_);
}

void KrylovState::keep(double norm) {
  if (!(norm < best_)) return;
  best_ = norm;
  if (iterations > 0) best_is_zero_ = false;
  if (best_is_zero_) return;
  if (system_.elsewhere()) return system_.keep(false);
  best_x_.resize(std::max<int64_t>(system_.n, 1));
  copy(system_.n, x_, best_x_.data(), threads_);
}

double KrylovState::go_back() {
  if (std::isinf(best_)) return r_norm_;  // there is none
  if (system_.elsewhere()) {
    system_.keep(true);
  } else if (best_is_zero_) {
    std::fill_n(x_, system_.n, 0.0);
  } else {
    copy(system_.n, best_x_.data(), x_, threads_);
  }
  evaluate();
  return best_;
}

double KrylovState::dot(const double *a, const double *b) const {
  double value = dcg::dot(system_.n, a, b, threads_);
  system_.sum(&value, 1);
  return value;
}

double KrylovState::norm2(const double *v) const { return std::sqrt(dot(v, v)); }

void KrylovState::judge(double norm) {
  const LinearSystem::Verdict verdict = system_.judge(iterations, norm, target_);
  if (verdict == LinearSystem::kEnough) stop(DCG_CONVERGED);
  if (verdict == LinearSystem::kStop) stop(DCG_STOPPED);
}

void KrylovState::look_for_floor(double claimed, bool drifted) {
  const double norm = r_norm_;
  unhalved_ = norm > 0.5 * last_true_ ? unhalved_ + 1 : 0;
  last_true_ = std::min(norm, last_true_);
  if ((unhalved_ == 0 && !(claimed < 0.1 * norm)) || !near_rounding()) return;
  if (const double size = magnitude(); size >= 0.0) {
    if (norm <= std::ldexp(DCG_ROUNDING * size, std::min(unhalved_, kPatient))) stop(DCG_ATTAINABLE);
  } else if (drifted && unhalved_ >= 2) {  // |A| is not known: the recurrence goes on falling, and the true residual does not
    stop(DCG_ATTAINABLE);
  }
}

bool KrylovState::find_diagonal(const double *&inverse) const {
  inverse = system_.elsewhere() ? nullptr : system_.inverse_diagonal();
  double missing = !inverse && (system_.n > 0 || system_.elsewhere());
  system_.sum(&missing, 1);  // a rank without rows has none, and cannot tell
  return missing == 0.0;
}

bool KrylovState::near_rounding() const {
  const double *inverse;
  if (!find_diagonal(inverse)) return true;
  double largest = 0.0;
  for (int64_t i = 0; i < system_.n; ++i) largest = std::max(largest, inverse[i] != 0.0 ? std::fabs(1.0 / inverse[i]) : 0.0);
  system_.sum(&largest, 1);  // of several ranks: more than the largest, which does no harm
  return r_norm_ <= std::ldexp(DCG_ROUNDING * kGenerous * (2.0 * largest * norm2(x_) + norm2(b_)), kPatient);
}

bool KrylovState::may_be_rounding() {
  if (!near_rounding()) return false;
  const double size = magnitude();
  return size < 0.0 || r_norm_ <= std::ldexp(DCG_ROUNDING * size, kPatient);
}

bool KrylovState::leave_for_fallback(double ratio, int64_t count) {
  const double norm = residuals.back();
  if (!followed_ || stopped() || !(norm > target_)) return false;
  // a target of 0 stands for what rounding of the first residual leaves
  const double goal = std::max(target_, DCG_ROUNDING * residuals.front());
  const double further = ratio < 1.0 ? static_cast<double>(count) * std::log(goal / norm) / std::log(ratio) : std::numeric_limits<double>::infinity();
  slow_ = further > DCG_FURTHER && !may_be_rounding();
  return slow_;
}

double KrylovState::magnitude() {
  double size = system_.magnitude(b_, x_);
  std::vector<double> rows;
  if (size >= 0.0 || !magnitudes(x_, rows)) return size;
  double square = 0.0;
  for (int64_t i = 0; i < system_.n; ++i) square += std::pow(rows[i] + std::fabs(b_[i]), 2);
  system_.sum(&square, 1);
  return std::sqrt(square);
}

bool KrylovState::magnitudes(const double *v, std::vector<double> &rows) {
  const double *inverse;
  if (!find_diagonal(inverse)) return false;
  std::vector<double> sizes(system_.n);
  rows.resize(std::max<int64_t>(system_.n, 1));
  for (int64_t i = 0; i < system_.n; ++i) sizes[i] = std::fabs(v[i]);
  system_.product(sizes.data(), rows.data());  // d |v| - |off-diagonals| |v|
  for (int64_t i = 0; i < system_.n; ++i) {
    const double own = inverse[i] != 0.0 ? sizes[i] / inverse[i] : 0.0;
    rows[i] = std::max(std::fabs(2.0 * own - rows[i]), std::fabs(own));
  }
  return true;
}

bool KrylovState::indefinite(const double *d, double curvature) {
  std::vector<double> rows;
  if (!(curvature < 0.0) || !std::isfinite(curvature) || !magnitudes(d, rows)) return false;
  double size = 0.0;
  for (int64_t i = 0; i < system_.n; ++i) size += std::fabs(d[i]) * rows[i];
  system_.sum(&size, 1);
  if (-curvature > 16.0 * DCG_ROUNDING * size) stop(DCG_BREAKDOWN);
  return stopped();
}

void KrylovState::record(double norm) {
  residuals.push_back(norm);
  if (!stopped() && iterations >= limits_.maxiter) stop(DCG_MAXITER);
  if (!system_.observe(iterations, norm, x_) && !stopped()) stop(DCG_STOPPED);
}

}  // namespace dcg
