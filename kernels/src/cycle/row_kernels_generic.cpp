// The row kernels for any machine.

#define DCG_ROWS kGenericRows
#define DCG_ROWS_NAME "generic"
#include "cycle/row_kernels.inc"

namespace dcg {

const RowKernels &best_rows() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2Rows;
#endif
  return kGenericRows;
}

}  // namespace dcg
