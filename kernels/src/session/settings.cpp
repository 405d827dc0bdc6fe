// Options as text: what each may be is a table.

#include "session/settings.hpp"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "core/number.hpp"

namespace dcg {

namespace {

struct Option {
  const char *name, *right;
  std::string Settings::*text;
  int64_t Settings::*count;
  double Settings::*number;
  std::vector<std::string> words;  // all that the text may be; none: any
};

const std::vector<Option> &options() {
  static const std::vector<Option> all = {
      {"model", "auto, multigrid, jacobi, none, a shipped model's name or a model file", &Settings::model, nullptr, nullptr, {}},
      {"models", "a folder", &Settings::models, nullptr, nullptr, {}},
      {"method", "auto, cg or dcd", &Settings::method, nullptr, nullptr, {"auto", "cg", "dcd"}},
      {"window", "an integer >= 0, or all", nullptr, &Settings::window, nullptr, {}},
      {"rtol", "a finite number >= 0", nullptr, nullptr, &Settings::rtol, {}},
      {"atol", "a finite number >= 0", nullptr, nullptr, &Settings::atol, {}},
      {"maxiter", "an integer >= 0, or default", nullptr, &Settings::maxiter, nullptr, {}},
      {"inconsistent", "project or error", &Settings::inconsistent, nullptr, nullptr, {"project", "error"}},
      {"fallback", "auto, multigrid, amg, jacobi or none", &Settings::fallback, nullptr, nullptr, {"auto", "multigrid", "amg", "jacobi", "none"}},
      {"threads", "an integer >= 0", nullptr, &Settings::threads, nullptr, {}},
      {"rounding", "a finite number >= 0", nullptr, nullptr, &Settings::rounding, {}},
      {"scaling", "0 or 1", nullptr, &Settings::scaling, nullptr, {}},
      {"keep_uncoupled", "0 or 1", nullptr, &Settings::keep_uncoupled, nullptr, {}},
      {"gather", "an integer >= 0", nullptr, &Settings::gather, nullptr, {}},
      {"source", "any text", &Settings::source, nullptr, nullptr, {}},
  };
  return all;
}

[[noreturn]] void refuse(const Option &option, const std::string &value) {
  throw std::invalid_argument(std::string(option.name) + ": \"" + value + "\" given; " + option.right + " is needed");
}

double number_of(const Option &option, const std::string &value) {
  double number = 0.0;
  if (!dcg::parse_number(value, number) || !std::isfinite(number) || number < 0.0) refuse(option, value);
  return number;
}

int64_t parse_count(const Option &option, const std::string &value) {
  if (option.count == &Settings::maxiter && value == "default") return kTenPerUnknown;
  if (option.count == &Settings::window && value == "all") return kAll;
  char *end = nullptr;
  errno = 0;
  const long long number = std::strtoll(value.c_str(), &end, 10);
  if (value.empty() || *end || errno || number < 0) refuse(option, value);
  return number;
}

}  // namespace

void Settings::set(const std::string &name, const std::string &value) {
  std::string names;
  for (const Option &option : options()) {
    names += (names.empty() ? "" : ", ") + std::string(option.name);
    if (name != option.name) continue;
    if (option.number) {
      this->*option.number = number_of(option, value);
    } else if (option.count) {
      this->*option.count = parse_count(option, value);
    } else {
      bool fits = option.words.empty();
      for (const std::string &word : option.words) fits |= word == value;
      if (!fits) refuse(option, value);
      this->*option.text = value;
    }
    return;
  }
  throw std::invalid_argument("name: there is no option \"" + name + "\"; one of " + names + " is needed");
}

}  // namespace dcg
