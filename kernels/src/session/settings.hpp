// The options of a session, by name.
#pragma once

#include <cstdint>
#include <string>

namespace dcg {

constexpr int64_t kTenPerUnknown = -1;  // the default of `maxiter`
constexpr int64_t kAll = -1;            // of `window`

struct Settings {
  std::string model = "auto", models, method = "auto", inconsistent = "project", fallback = "auto", source;
  int64_t threads = 0, gather = 0, window = 32, maxiter = kTenPerUnknown;
  int64_t keep_uncoupled = 0;
  double rtol = 1e-6, atol = 0.0, rounding = 0.0;
  int64_t scaling = 1;

  // Throws, with what would be right, where there is no such option or it cannot have this value.
  void set(const std::string &name, const std::string &value);
};

}  // namespace dcg
