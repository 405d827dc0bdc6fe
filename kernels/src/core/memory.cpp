// Allocations, and the blocks given back, by size.

#include "core/memory.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "core/error.hpp"

namespace dcg {

namespace {

class Kept {
 public:
  ~Kept() { release(); }

  char *take(size_t &bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto fitting = blocks_.lower_bound(bytes);
    if (fitting == blocks_.end() || fitting->first > bytes + bytes / 2) return nullptr;
    char *block = fitting->second;
    bytes = fitting->first, total_ -= bytes;
    blocks_.erase(fitting);
    return block;
  }

  bool give(char *block, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (total_ + bytes > kMost) return false;
    blocks_.emplace(bytes, block);
    total_ += bytes;
    return true;
  }

  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    clear();
  }

  // Whether there was anything to give up. Not where a thread is here, which may be this one: an entry of the map is an allocation too.
  bool release_if_free() {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    return lock && clear();
  }

  std::mutex &mutex() { return mutex_; }

 private:
  bool clear() {
    const bool any = !blocks_.empty();
    for (const auto &[bytes, block] : blocks_) std::free(block);
    blocks_.clear(), total_ = 0;
    return any;
  }

  static constexpr size_t kMost = size_t{1} << 30;
  std::mutex mutex_;
  std::multimap<size_t, char *> blocks_;
  size_t total_ = 0;
};

Kept kept;

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes) noexcept { std::snprintf(text_, sizeof text_, "out of memory: %zu bytes were asked for", bytes); }

OutOfMemory::OutOfMemory(const char *text) noexcept { std::snprintf(text_, sizeof text_, "%s", text); }

void *allocate(size_t alignment, size_t bytes) {
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;
  if (whole < bytes) throw OutOfMemory(bytes);
  do {
    if (void *block = alignment > alignof(std::max_align_t) ? std::aligned_alloc(alignment, whole) : std::malloc(whole)) return block;
  } while (kept.release_if_free());
  throw OutOfMemory(bytes);
}

char *take_block(size_t &bytes) {
  bytes = (bytes + kHuge - 1) / kHuge * kHuge;
  if (char *block = kept.take(bytes)) return block;
  char *block = static_cast<char *>(allocate(kHuge, bytes));
  madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

void give_back(char *block, size_t bytes) {
  try {
    if (kept.give(block, bytes)) return;
  } catch (const std::bad_alloc &) {  // no room for its entry
  }
  std::free(block);
}

void release_kept() { kept.release(); }

void lock_kept() { kept.mutex().lock(); }

void unlock_kept() { kept.mutex().unlock(); }

}  // namespace dcg

// The kernels' own operator new, whose exception says how much was asked for. kernels.map keeps it from everybody else. Sanitizers have theirs.
#if !defined(DCG_SANITIZED)
void *operator new(std::size_t bytes) { return dcg::allocate(alignof(std::max_align_t), bytes ? bytes : 1); }
void *operator new[](std::size_t bytes) { return operator new(bytes); }
#endif

extern "C" int dcg_release_memory(void) {
  return dcg::guarded([] { dcg::release_kept(); });
}
