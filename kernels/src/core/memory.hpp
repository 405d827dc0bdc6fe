// Memory that ended: an error that says how much was asked for. Memory of large fields: what is given back is kept for the next hierarchy, because
// pages new to a process cost more than the set-up that fills them.
#pragma once

#include <cstddef>
#include <new>

namespace dcg {

// Thrown by every allocation of the kernels, `new` and the standard library's containers too.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes) noexcept;
  explicit OutOfMemory(const char *text) noexcept;
  const char *what() const noexcept override { return text_; }

 private:
  char text_[240];
};

// A block of memory on a multiple of `alignment`, for std::free. Where there is none left, the kept blocks go first.
void *allocate(size_t alignment, size_t bytes);

constexpr size_t kHuge = size_t{1} << 21;  // bytes of a huge page

// A block of at least `bytes`, on a huge page's boundary; `bytes` becomes its size.
char *take_block(size_t &bytes);
void give_back(char *block, size_t bytes);
void release_kept();
// Around a fork, so that no other thread is among the kept blocks meanwhile.
void lock_kept();
void unlock_kept();

}  // namespace dcg
