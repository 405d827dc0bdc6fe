// The passes of FCG(m) over arrays of the host, with their guards.

#include "krylov/host_fcg.hpp"

#include <cmath>

#include "krylov/jacobi.hpp"
#include "operator/vectors.hpp"

namespace dcg {

HostFcg::HostFcg(KrylovState &state, int64_t window)
    : state_(state), system_(state.system()), window_(window), pace_(state) {}

bool HostFcg::propose(int candidate) {
  if (state_.stopped()) return false;
  if (candidate == 0) {
    now_ = &room(window_.next());
    needed_ = DCG_DECREASE * jacobi_slope(state_);
    system_.precondition(state_.r(), now_->d.data());
  } else {
    if (candidate == 1) ++in_a_row_, ++failures_, ++state_.fallbacks;
    if (candidate == 2) window_.clear();  // rounding may have spoilt it: the plain direction before giving up
    if (candidate == 3) return false;
    jacobi_direction(state_, now_->d.data());
  }
  system_.project(now_->d.data());
  return true;
}

void HostFcg::orthogonalise() {
  for (int64_t n = window_.count() - 1; n >= 0; --n) {
    const Direction &before = directions_[static_cast<size_t>(window_.earlier(n))];
    const double overlap = state_.dot(now_->d.data(), before.Ad.data());
    add(system_.n, -overlap / before.curvature, before.d.data(), now_->d.data(), state_.threads());
  }
}

void HostFcg::product() {
  system_.product(now_->d.data(), now_->Ad.data());
  now_->curvature = state_.dot(now_->d.data(), now_->Ad.data());
  slope_ = state_.dot(now_->d.data(), state_.r());
  state_.indefinite(now_->d.data(), now_->curvature);
}

bool HostFcg::accepts(int candidate) {
  if (state_.stopped()) return false;
  double decrease = -1.0;  // there is none
  if (now_->curvature > 0.0 && std::isfinite(now_->curvature)) decrease = slope_ * slope_ / now_->curvature;
  if (!std::isfinite(decrease)) decrease = -1.0;
  if (candidate > 0) return decrease >= 0.0;
  if (!(decrease >= needed_)) return false;
  in_a_row_ = 0;
  return true;
}

void HostFcg::advance() {
  const bool drifted = state_.advance(slope_ / now_->curvature, now_->d.data(), now_->Ad.data());
  window_.keep();
  if (drifted) window_.clear();
  const bool stalled = pace_.take() && (pace_.slow() || !pace_.halved());
  gave_up_ = stalled || state_.stalled() || in_a_row_ >= DCG_PATIENCE || failures_ >= DCG_MOST_FAILURES;
}

HostFcg::Direction &HostFcg::room(int64_t place) {
  if (place == static_cast<int64_t>(directions_.size())) {
    directions_.emplace_back();
    for (Field<double> *v : {&directions_.back().d, &directions_.back().Ad}) v->resize(std::max<int64_t>(system_.n, 1));
  }
  return directions_[static_cast<size_t>(place)];
}

}  // namespace dcg
