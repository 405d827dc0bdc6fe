// How many threads a call gets.
#pragma once

#include <cstdint>

namespace dcg {

// As many as are wanted; 0: as many as OpenMP would take. Throws OutOfMemory where so many cannot be started: OpenMP would end the process.
int choose_threads(int64_t wanted);
// After the end of this thread's pool.
void forget_threads();

}  // namespace dcg
