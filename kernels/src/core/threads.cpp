// libgomp and the C library end the process where they cannot start a thread, or give it memory for its thread-local variables. So we start as many
// threads ourselves first, which may fail, and then OpenMP's pool, whose threads make everything that they need to throw.

#include "core/threads.hpp"

#include <omp.h>
#include <pthread.h>

#include <cstdio>
#include <vector>

#include "core/error.hpp"

namespace dcg {

namespace {

constexpr int64_t kMost = 4096;
constexpr size_t kRoom = 65536;  // bytes: more than a thread needs at its start beside its stack

thread_local int pool = 1;  // threads of the calling thread's pool, with itself

void *wait_for_the_others(void *all) {
  pthread_mutex_lock(static_cast<pthread_mutex_t *>(all));  // held until the last one has started
  pthread_mutex_unlock(static_cast<pthread_mutex_t *>(all));
  return nullptr;
}

size_t stack_bytes() {
  size_t bytes = 0;
  pthread_attr_t attributes;
  if (pthread_getattr_default_np(&attributes) == 0) {
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
  }
  return bytes;
}

// The C library keeps their stacks for the next threads.
void try_to_start(int threads) {
  std::vector<pthread_t> started;
  started.reserve(threads);
  pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&all);
  bool failed = false;
  for (pthread_t thread; static_cast<int>(started.size()) < threads && !failed; started.push_back(thread))
    if ((failed = pthread_create(&thread, nullptr, wait_for_the_others, &all) != 0)) break;
  pthread_mutex_unlock(&all);
  for (const pthread_t thread : started) pthread_join(thread, nullptr);
  if (!failed) return;
  char text[200];
  std::snprintf(text, sizeof text,
                "out of memory or processes: %d more thread(s) of %zu bytes of stack were asked for; give fewer (the option threads, OMP_NUM_THREADS)",
                threads, stack_bytes());
  throw OutOfMemory(text);
}

void start_pool(int threads) {
  try_to_start(threads - 1);
  std::vector<std::vector<char>>(threads + 16, std::vector<char>(kRoom));  // there is room
#pragma omp parallel num_threads(threads)
  {
    last_error();
    try {
      throw 0;
    } catch (int) {
    }
  }
}

}  // namespace

int choose_threads(int64_t wanted) {
  const int64_t threads = wanted > 0 ? wanted : omp_get_max_threads();
  require(threads <= kMost, "threads: more than 4096 were asked for (by the option or by OMP_NUM_THREADS); at most as many as there are cores are of use");
  if (threads > 1 && threads != pool && !omp_in_parallel()) start_pool(static_cast<int>(threads)), pool = static_cast<int>(threads);
  return static_cast<int>(threads);
}

void forget_threads() { pool = 1; }

}  // namespace dcg
