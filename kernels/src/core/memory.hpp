// Memory of large fields. What is given back is kept for the next hierarchy: pages new to a process cost more than the set-up
// that fills them.
#pragma once

#include <cstddef>

namespace dcg {

constexpr size_t kHuge = size_t{1} << 21;  // bytes of a huge page

// A block of at least `bytes`, on a huge page's boundary; `bytes` becomes its size.
char *take_block(size_t &bytes);
void give_back(char *block, size_t bytes);
void release_kept();
// Around a fork, so that no other thread is among the kept blocks meanwhile.
void lock_kept();
void unlock_kept();

}  // namespace dcg
