#include "core/error.hpp"

#include <cstdio>

namespace dcg {

namespace {

thread_local char text[1024] = "";  // no string: it must hold "out of memory"

}  // namespace

const char *last_error() noexcept { return text; }

void set_last_error(const char *why) noexcept { std::snprintf(text, sizeof text, "%s", why); }

}  // namespace dcg

extern "C" int dcg_abi_version(void) { return DCG_ABI_VERSION; }

extern "C" const char *dcg_last_error(void) { return dcg::last_error(); }
