// The rule's evaluation, iteration by iteration.

#include "krylov/stopping.hpp"

#include <algorithm>
#include <cmath>

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
  if (limits.from_zero) {
    copy(system.n, b, r_, threads_);
    r_norm_ = norm2(r_);
  } else {
    r_norm_ = system.residual(b, x, r_);
  }
  const double norm = system.measure(r_, r_norm_);
  judge(norm);
  record(norm);
}

bool KrylovState::advance(double alpha, const double *d, const double *Ad) {
  double square = step(system_.n, alpha, d, Ad, x_, r_, threads_);
  system_.sum(&square, 1);
  const double claimed = r_norm_ = std::sqrt(square);
  double norm = system_.measure(r_, claimed);
  ++iterations;
  const LinearSystem::Verdict verdict = system_.judge(iterations, norm, limits_.target);
  bool drifted = false;
  if (verdict == LinearSystem::kStop) {
    stop(DCG_STOPPED);
  } else if (verdict == LinearSystem::kEnough || iterations % DCG_CHECK_EVERY == 0) {
    if (spare_.empty()) spare_.resize(std::max<int64_t>(system_.n, 1));
    double *const true_r = spare_.data();
    r_norm_ = system_.residual(b_, x_, true_r);
    double difference = distance_square(system_.n, true_r, r_, threads_);
    system_.sum(&difference, 1);
    drifted = std::sqrt(difference) > DCG_DISAGREEMENT * r_norm_;
    restarts += drifted;
    copy(system_.n, true_r, r_, threads_);
    norm = system_.measure(r_, r_norm_);
    judge(norm);
    if (!stopped()) look_for_floor(claimed, drifted);
  }
  record(norm);
  return drifted;
}

void KrylovState::accept(int64_t count, const double *history) {
  for (int64_t n = 0; n + 1 < count; ++n) ++iterations, record(history[n]);
  r_norm_ = system_.residual(b_, x_, r_);
  if (count == 0) return;
  ++iterations;
  const double norm = system_.measure(r_, r_norm_);
  judge(norm);
  if (!stopped()) look_for_floor(history[count - 1], false);
  record(norm);
}

double KrylovState::dot(const double *a, const double *b) const {
  double value = dcg::dot(system_.n, a, b, threads_);
  system_.sum(&value, 1);
  return value;
}

double KrylovState::norm2(const double *v) const { return system_.elsewhere() ? system_.norm(v) : std::sqrt(dot(v, v)); }

void KrylovState::judge(double norm) {
  const LinearSystem::Verdict verdict = system_.judge(iterations, norm, limits_.target);
  if (verdict == LinearSystem::kEnough) stop(DCG_CONVERGED);
  if (verdict == LinearSystem::kStop) stop(DCG_STOPPED);
}

void KrylovState::look_for_floor(double claimed, bool drifted) {
  const double norm = r_norm_;
  unhalved_ = norm > 0.5 * last_true_ ? unhalved_ + 1 : 0;
  last_true_ = std::min(norm, last_true_);
  if (const double bound = system_.norm_bound(); bound > 0.0) {
    const double rounding = DCG_ROUNDING * bound * norm2(x_);
    if (norm <= rounding && (unhalved_ >= 1 || claimed < 0.1 * norm)) stop(DCG_ATTAINABLE);
  } else if (drifted && unhalved_ >= 2) {  // ||A|| is not known: the recurrence goes on falling, and the true residual does not
    stop(DCG_ATTAINABLE);
  }
}

void KrylovState::record(double norm) {
  residuals.push_back(norm);
  if (!stopped() && iterations >= limits_.maxiter) stop(DCG_MAXITER);
  if (!system_.observe(iterations, norm, x_) && !stopped()) stop(DCG_STOPPED);
}

}  // namespace dcg
