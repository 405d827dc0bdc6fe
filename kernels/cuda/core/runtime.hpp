// The few calls of the CUDA runtime that are needed, and what stands in for them where the sources are compiled for the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#endif

#include "core/host_device.hpp"

namespace dcg::cuda {

#if defined(__CUDACC__)

using Stream = cudaStream_t;

inline void check_call(cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not find it again
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}
inline void check_launch() { check_call(cudaGetLastError()); }
inline int devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) cudaGetLastError(), count = 0;  // no driver, no GPU: none
  return count;
}
inline std::string device_name() {
  int device = 0;
  cudaDeviceProp properties;
  check_call(cudaGetDevice(&device));
  check_call(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}
inline void *allocate(size_t bytes) {
  void *memory = nullptr;
  check_call(cudaMalloc(&memory, bytes));
  return memory;
}
inline void release(void *memory) { cudaFree(memory); }
inline void copy(void *to, const void *from, size_t bytes, Stream stream) {  // either way; the host's side is reusable after it
  check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
  check_call(cudaStreamSynchronize(stream));
}
inline void copy_within(void *to, const void *from, size_t bytes, Stream stream) {  // on the device, not waited for
  check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream));
}
inline void clear(void *memory, size_t bytes, Stream stream) { check_call(cudaMemsetAsync(memory, 0, bytes, stream)); }
inline void wait(Stream stream) { check_call(cudaStreamSynchronize(stream)); }

// Seconds that work on the default stream takes.
template <class Work>
double seconds_of(Work &&work) {
  cudaEvent_t begin, end;
  float milliseconds = 0.0f;
  check_call(cudaEventCreate(&begin)), check_call(cudaEventCreate(&end));
  check_call(cudaEventRecord(begin));
  work();
  check_call(cudaEventRecord(end)), check_call(cudaEventSynchronize(end));
  check_call(cudaEventElapsedTime(&milliseconds, begin, end));
  cudaEventDestroy(begin), cudaEventDestroy(end);
  return 1e-3 * milliseconds;
}

#else

using Stream = void *;

inline int devices() { return 1; }
inline std::string device_name() { return "host"; }
inline void *allocate(size_t bytes) {
  void *memory = std::malloc(bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}
inline void release(void *memory) { std::free(memory); }
inline void copy_within(void *to, const void *from, size_t bytes, Stream) { std::memcpy(to, from, bytes); }
inline void copy(void *to, const void *from, size_t bytes, Stream) { std::memcpy(to, from, bytes); }
inline void clear(void *memory, size_t bytes, Stream) { std::memset(memory, 0, bytes); }
inline void wait(Stream) {}

template <class Work>
double seconds_of(Work &&work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

#endif

// Device memory that is given back together.
class Arena {
 public:
  template <class T>
  T *zeros(int64_t n) {
    const size_t bytes = sizeof(T) * static_cast<size_t>(n > 0 ? n : 1);
    owned_.emplace_back(allocate(bytes));
    bytes_ += static_cast<int64_t>(bytes);
    clear(owned_.back().get(), bytes, {});
    return static_cast<T *>(owned_.back().get());
  }
  template <class T>
  T *upload(const T *from, int64_t n) {
    T *to = zeros<T>(n);
    if (n > 0) copy(to, from, sizeof(T) * static_cast<size_t>(n), {});
    return to;
  }
  template <class T>
  T *upload(const std::vector<T> &from) {
    return upload(from.data(), static_cast<int64_t>(from.size()));
  }
  int64_t bytes() const { return bytes_; }

 private:
  struct Release {
    void operator()(void *memory) const { release(memory); }
  };
  std::vector<std::unique_ptr<void, Release>> owned_;
  int64_t bytes_ = 0;
};

}  // namespace dcg::cuda
