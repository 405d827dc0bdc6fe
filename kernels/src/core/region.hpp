// Parallel regions whose threads may throw. An exception that leaves an OpenMP region ends the process, so it is kept inside and thrown after it.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

#include "core/threads.hpp"

namespace dcg {

// The first exception of a region's threads.
class Thrown {
 public:
  // Runs body() unless a thread has thrown before.
  template <class Body>
  void keep(Body &&body) noexcept {
    if (any()) return;
    try {
      body();
    } catch (...) {
      if (!any_.exchange(true)) first_ = std::current_exception();
    }
  }

  bool any() const { return any_.load(std::memory_order_relaxed); }

  // After the region.
  void throw_again() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::atomic<bool> any_{false};
  std::exception_ptr first_;
};

// Calls body(i) for i from 0 to n - 1, in equal parts by `threads` threads where `parallel` says so.
template <class Body>
void parallel_for(int64_t n, bool parallel, int threads, Body &&body) {
  Thrown thrown;
#pragma omp parallel for schedule(static) num_threads(threads) if (parallel)
  for (int64_t i = 0; i < n; ++i) thrown.keep([&] { body(i); });
  thrown.throw_again();
}

// By as many threads as OpenMP would take.
template <class Body>
void parallel_for(int64_t n, bool parallel, Body &&body) {
  parallel_for(n, parallel, choose_threads(0), body);
}

}  // namespace dcg
