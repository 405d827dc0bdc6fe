// Errors as codes across the C boundary, with a text per thread.
#pragma once

#include <new>
#include <stdexcept>
#include <string>

#include "deepcg.h"

namespace dcg {

std::string &last_error();

inline void require(bool holds, const char *message) {
  if (!holds) throw std::invalid_argument(message);
}

// b has a part outside the range of a singular operator.
struct Inconsistent : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

inline void check_callback(const char *function, int code) {
  if (code) throw std::runtime_error(std::string(function) + " returned error code " + std::to_string(code));
}

// Runs the body of an API function; nothing is thrown across the boundary.
template <class Body>
int guarded(Body &&body) noexcept {
  try {
    body();
    return DCG_OK;
  } catch (const Inconsistent &e) {
    last_error() = e.what();
    return DCG_INCONSISTENT;
  } catch (const std::invalid_argument &e) {
    last_error() = e.what();
    return DCG_INVALID_ARGUMENT;
  } catch (const std::bad_alloc &) {
    last_error() = "out of memory";
    return DCG_OUT_OF_MEMORY;
  } catch (const std::exception &e) {
    last_error() = e.what();
    return DCG_INTERNAL;
  } catch (...) {
    last_error() = "unknown error";
    return DCG_INTERNAL;
  }
}

// Throws the error of a function of this library, with its text.
inline void pass_on(int code) {
  if (code == DCG_OK) return;
  const std::string text = last_error();
  if (code == DCG_INVALID_ARGUMENT) throw std::invalid_argument(text);
  if (code == DCG_OUT_OF_MEMORY) throw std::bad_alloc();
  throw std::runtime_error(text);
}

}  // namespace dcg
