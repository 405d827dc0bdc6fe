// Blocks given back, by size.

#include "core/memory.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

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
    for (const auto &[bytes, block] : blocks_) std::free(block);
    blocks_.clear(), total_ = 0;
  }

  std::mutex &mutex() { return mutex_; }

 private:
  static constexpr size_t kMost = size_t{1} << 30;
  std::mutex mutex_;
  std::multimap<size_t, char *> blocks_;
  size_t total_ = 0;
};

Kept kept;

}  // namespace

char *take_block(size_t &bytes) {
  bytes = (bytes + kHuge - 1) / kHuge * kHuge;
  if (char *block = kept.take(bytes)) return block;
  char *block = static_cast<char *>(std::aligned_alloc(kHuge, bytes));
  if (!block) throw std::bad_alloc();
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

extern "C" int dcg_release_memory(void) {
  return dcg::guarded([] { dcg::release_kept(); });
}
