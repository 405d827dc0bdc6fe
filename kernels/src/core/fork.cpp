// Fork: the child has one thread, the one that forked. libgomp does not know: its pool in the child lists threads that are gone, and the next
// parallel region would wait for them forever. We end the forking thread's pool before the fork. Parent and child then start new ones.

#include <omp.h>
#include <pthread.h>

#include "core/memory.hpp"
#include "core/threads.hpp"

// LLVM's runtime, which also serves programs compiled for libgomp, looks after a fork itself.
extern "C" void __kmpc_fork_call(void *, int, void (*)(int *, int *, ...), ...) __attribute__((weak));

namespace dcg {

namespace {

void before_fork() {
  if (!__kmpc_fork_call) omp_pause_resource_all(omp_pause_soft);  // does nothing within a parallel region: regions in the child are nested, of one thread
  forget_threads();
  lock_kept();
}

const int registered = pthread_atfork(before_fork, unlock_kept, unlock_kept);

}  // namespace

}  // namespace dcg
