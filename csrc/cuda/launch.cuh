// What every launcher needs: checked launches, memory for the time of a call, the device of the arrays.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/view.hpp"

namespace fastconv::cuda {

// Throws where `error` is one: std::bad_alloc for memory, otherwise std::runtime_error; both name the
// operation. Kernels run asynchronously, so that an error may be an earlier call's.
void check(cudaError_t error, const char* operation);

struct DeviceLimits {
  int multiprocessors;
  int shared_bytes;   // of a block, by opt-in
  int major, minor;   // compute capability
};
// Asked once a device. std::runtime_error where its compute capability is below 8.0.
const DeviceLimits& device_limits(int device);

// Sets the device of a call's views, and restores the caller's.
class DeviceGuard {
 public:
  DeviceGuard(const Device& device, const char* operation);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

// Device memory in the order of the stream: used by what is launched while this lives, reused afterwards. It
// comes from a pool of the library's own, which keeps what it has.
class Workspace {
 public:
  Workspace(const Device& device, int64_t bytes, const char* operation);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // From `offset` bytes on; a multiple of 256 is aligned for everything.
  template <class T>
  T* as(int64_t offset = 0) const {
    return reinterpret_cast<T*>(static_cast<char*>(data_) + offset);
  }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
};

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Blocks for a loop of `step` items a block over `count`: enough to fill the device `waves` times, no more. For
// loops whose result does not depend on the number of blocks.
inline dim3 loop_grid(const Device& device, int64_t count, int64_t step, int waves = 8) {
  const int64_t most = int64_t(device_limits(device.index).multiprocessors) * waves;
  return dim3(unsigned(std::max<int64_t>(1, std::min(ceil_div(count, step), most))));
}

constexpr size_t kSharedByDefault = 48 * 1024;   // what a kernel gets without opting in

template <class... Parameters, class... Arguments>
void launch(const char* operation, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            void* stream, Arguments&&... arguments) {
  if (shared_bytes > kSharedByDefault)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes)),
          operation);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), operation);
}

}   // namespace fastconv::cuda
