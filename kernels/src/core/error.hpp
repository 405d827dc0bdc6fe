// Errors as codes across the C boundary, with a text per thread.
#pragma once

#include <stdexcept>
#include <string>

#include "core/memory.hpp"
#include "deepcg.h"

namespace dcg {

const char *last_error() noexcept;
void set_last_error(const char *text) noexcept;

inline void require(bool holds, const char *message) {
  if (!holds) throw std::invalid_argument(message);
}

// b has a part outside the range of a singular operator.
struct Inconsistent : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// For another part of the package: a model that runs in Python.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check_callback(const char *function, int code) {
  if (code) throw std::runtime_error(std::string(function) + " returned error code " + std::to_string(code));
}

// Runs the body of an API function; nothing is thrown across the boundary.
template <class Body>
int guarded(Body &&body) noexcept {
  const auto failed = [](int code, const char *text) noexcept { return set_last_error(text), code; };
  try {
    body();
    return DCG_OK;
  } catch (const Inconsistent &e) {
    return failed(DCG_INCONSISTENT, e.what());
  } catch (const Unsupported &e) {
    return failed(DCG_UNSUPPORTED, e.what());
  } catch (const std::invalid_argument &e) {
    return failed(DCG_INVALID_ARGUMENT, e.what());
  } catch (const OutOfMemory &e) {
    return failed(DCG_OUT_OF_MEMORY, e.what());
  } catch (const std::bad_alloc &) {
    return failed(DCG_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception &e) {
    return failed(DCG_INTERNAL, e.what());
  } catch (...) {
    return failed(DCG_INTERNAL, "unknown error");
  }
}

// Throws the error of a function of this library, with its text.
inline void pass_on(int code) {
  if (code == DCG_OK) return;
  const std::string text = last_error();
  if (code == DCG_INVALID_ARGUMENT) throw std::invalid_argument(text);
  if (code == DCG_OUT_OF_MEMORY) throw OutOfMemory(text.c_str());
  if (code == DCG_UNSUPPORTED) throw Unsupported(text);
  throw std::runtime_error(text);
}

}  // namespace dcg
