#include "core/error.hpp"

namespace dcg {

std::string &last_error() {
  static thread_local std::string text;
  return text;
}

}  // namespace dcg

extern "C" int dcg_abi_version(void) { return DCG_ABI_VERSION; }

extern "C" const char *dcg_last_error(void) { return dcg::last_error().c_str(); }
