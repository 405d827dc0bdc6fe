// The threads of one call, in the style of MPI: every thread runs the same program, knows its rank, and meets the others
// at barriers. One OpenMP region serves a whole solve; inside it nothing is forked.
#pragma once

#include <omp.h>
#include <sched.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/region.hpp"

namespace dcg {

// What wait() throws in a thread whose team lacks another one for good.
struct Abandoned {};

// A barrier that spins: the sweeps meet after every plane, too often for a system call. After a while it yields, so that
// more threads than cores still make progress.
class Barrier {
 public:
  Barrier(int size, const Thrown &thrown) : size_(size), thrown_(thrown) {}

  void resize(int size) { size_ = size; }

  void wait() {
    if (size_ == 1) return;
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      if (spins < kSpins) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      } else {
        if (thrown_.any()) throw Abandoned();
        sched_yield();
      }
    }
  }

 private:
  static constexpr int kSpins = 2000;
  int size_;
  const Thrown &thrown_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
};

// Flushes numbers too small to be normal to zero for as long as it lives, in its own thread: where a residual has died out they would
// make every operation a hundred times slower.
class FlushDenormals {
 public:
#if defined(__SSE__)
  FlushDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(before_); }

 private:
  const unsigned before_;
#else
  FlushDenormals() {}
#endif
};

struct Range {
  int64_t begin, end;
};

// The barrier and the sums of a team, which its threads share.
class Shared {
 public:
  explicit Shared(int size) : barrier(size, thrown), slots(8 * size) {}

  Thrown thrown;
  Barrier barrier;
  std::vector<double> slots;  // one cache line a thread
};

struct Team {
  int rank = 0, size = 1;
  Shared *shared = nullptr;

  void barrier() const {
    if (size > 1) shared->barrier.wait();
  }

  // This thread's part of 0..n in multiples of `grain`.
  Range part(int64_t n, int64_t grain = 1) const {
    const int64_t pieces = (n + grain - 1) / grain;
    const auto at = [&](int64_t r) { return r == size ? n : grain * (pieces * r / size); };
    return {at(rank), at(rank + 1)};
  }

  // The sum of every thread's value, added in order of rank.
  double sum(double value) const {
    if (size == 1) return value;
    shared->slots[8 * rank] = value;
    barrier();
    double total = 0.0;
    for (int r = 0; r < size; ++r) total += shared->slots[8 * r];
    barrier();
    return total;
  }
};

// Runs body(team) on every thread of a new team; the calling thread is its rank 0. What a thread throws is thrown here; the others end at their
// next barrier.
template <class Body>
void with_team(int threads, Body &&body) {
  Shared shared(threads);
#pragma omp parallel num_threads(threads)
  {
#pragma omp single
    shared.barrier.resize(omp_get_num_threads());  // there may be fewer
    const FlushDenormals flush;
    shared.thrown.keep([&] { body(Team{omp_get_thread_num(), omp_get_num_threads(), &shared}); });
  }
  shared.thrown.throw_again();
}

}  // namespace dcg
