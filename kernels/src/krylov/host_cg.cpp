// The passes of conjugate gradients over arrays of the host, with their guards.

#include "krylov/host_cg.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "krylov/jacobi.hpp"
#include "krylov/lanczos.hpp"
#include "operator/vectors.hpp"

namespace dcg {

HostCg::HostCg(KrylovState &state, Kind kind) : state_(state), system_(state.system()), kind_(kind), pace_(state) {
  cg.scaled = false;
  cg.target = -1.0, cg.maxiter = std::numeric_limits<int64_t>::max();  // the state says when to stop
}

void HostCg::load() {
  const int64_t n = std::max<int64_t>(system_.n, 1);
  for (Field<double> *v : {&z_, &p_, &product_}) v->resize(n);
  if (kind_ == kFlexible) before_.resize(n);
}

double HostCg::precondition() {
  by_jacobi_ = kind_ == kJacobi;
  if (by_jacobi_) return jacobi();
  system_.precondition(state_.r(), z_.data());
  const double slope = state_.dot(state_.r(), z_.data());
  if (slope > DCG_ALIGNMENT * state_.r_norm() * state_.norm2(z_.data()) && std::isfinite(slope)) return slope;
  ++failures_;
  return take_jacobi();
}

double HostCg::conjugate() {
  if (kind_ == kFlexible && cg.previous_slope > 0.0) cg.beta = (cg.slope - state_.dot(before_.data(), z_.data())) / cg.previous_slope;
  combine(cg.previous_slope > 0.0 ? cg.beta : 0.0);
  if (cg.previous_slope > 0.0 && !(0.5 * cg.slope < along_ && along_ < 2.0 * cg.slope)) {
    ++lost_, cg.previous_slope = 0.0;
    combine(0.0);
  }
  double curvature = product();
  if (curvature > 0.0 && std::isfinite(curvature)) return curvature;
  if (state_.indefinite(p_.data(), curvature)) return curvature;
  if (by_jacobi_ && cg.previous_slope == 0.0) {  // nothing is left to try
    if (state_.norm2(product_.data()) == 0.0) state_.stop(DCG_BREAKDOWN);
    return curvature;
  }
  ++failures_;
  cg.slope = take_jacobi();
  combine(0.0);
  return product();
}

double HostCg::advance() {
  cg.alpha = along_ / cg.curvature;
  if (kind_ == kFlexible) copy(system_.n, state_.r(), before_.data(), state_.threads());
  if (cg.previous_slope == 0.0) alphas_.clear(), betas_.clear();
  alphas_.push_back(cg.alpha), betas_.push_back(cg.previous_slope > 0.0 ? cg.beta : 0.0);
  if (by_jacobi_ && kind_ != kJacobi) ++state_.fallbacks;
  if (state_.advance(cg.alpha, p_.data(), product_.data())) cg.slope = 0.0;  // which the next iteration finds as the previous one
  if (pace_.take()) pace_.slow();  // the state keeps the answer
  return state_.r_norm() * state_.r_norm();
}

double HostCg::condition() const { return lanczos_condition(static_cast<int64_t>(alphas_.size()), alphas_.data(), betas_.data(), 1); }

double HostCg::take_jacobi() {
  by_jacobi_ = true, cg.previous_slope = 0.0;
  return jacobi();
}

double HostCg::jacobi() {
  jacobi_direction(state_, z_.data());
  const double slope = state_.dot(state_.r(), z_.data());
  if (slope < 0.0) state_.stop(DCG_BREAKDOWN);  // a diagonal that is not positive
  return slope;
}

void HostCg::combine(double beta) {
  if (beta == 0.0) {
    copy(system_.n, z_.data(), p_.data(), state_.threads());
  } else {
    scale_and_add(system_.n, beta, z_.data(), p_.data(), state_.threads());
  }
  system_.project(p_.data());
  along_ = state_.dot(p_.data(), state_.r());
}

double HostCg::product() {
  system_.product(p_.data(), product_.data());
  return state_.dot(p_.data(), product_.data());
}

}  // namespace dcg
