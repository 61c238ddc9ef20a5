#include "launch.cuh"

#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

namespace fastconv::cuda {
namespace {

constexpr int kMaxDevices = 64;

class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

struct DeviceState {
  std::once_flag asked, pooled;
  DeviceLimits limits{};
  cudaMemPool_t pool = nullptr;
};

DeviceState& state_of(int device) {
  static DeviceState states[kMaxDevices];
  if (device < 0 || device >= kMaxDevices)
    throw std::runtime_error("no CUDA device: number " + std::to_string(device));
  return states[device];
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "CUDA device");
  return value;
}

DeviceLimits ask(int device) {
  const DeviceLimits limits = {attribute(cudaDevAttrMultiProcessorCount, device),
                               attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
                               attribute(cudaDevAttrComputeCapabilityMajor, device),
                               attribute(cudaDevAttrComputeCapabilityMinor, device)};
  if (limits.major < 8)
    throw std::runtime_error("no CUDA device: fastconv needs compute capability 8.0 or newer, device " +
                             std::to_string(device) + " has " + std::to_string(limits.major) + "." +
                             std::to_string(limits.minor));
  return limits;
}

// Private, so that keeping what has been freed is nobody else's concern.
cudaMemPool_t make_pool(int device) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  cudaMemPool_t pool = nullptr;
  check(cudaMemPoolCreate(&pool, &properties), "CUDA memory pool");
  uint64_t keep = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "CUDA memory pool");
  return pool;
}

}   // namespace

void check(cudaError_t error, const char* operation) {
  if (error == cudaSuccess) return;
  const std::string text = std::string(operation) + ": CUDA error: " + cudaGetErrorString(error);
  cudaGetLastError();   // the next call starts clean, where the error is not one of those that stay
  if (error == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw std::runtime_error(text);
}

const DeviceLimits& device_limits(int device) {
  DeviceState& state = state_of(device);
  std::call_once(state.asked, [&] { state.limits = ask(device); });
  return state.limits;
}

DeviceGuard::DeviceGuard(const Device& device, const char* operation) {
  device_limits(device.index);
  check(cudaGetDevice(&previous_), operation);
  if (device.index == previous_) return;
  check(cudaSetDevice(device.index), operation);
  changed_ = true;
}

DeviceGuard::~DeviceGuard() {
  if (changed_) cudaSetDevice(previous_);
}

Workspace::Workspace(const Device& device, int64_t bytes, const char* operation)
    : stream_(static_cast<cudaStream_t>(device.stream)) {
  if (bytes == 0) return;
  DeviceState& state = state_of(device.index);
  std::call_once(state.pooled, [&] { state.pool = make_pool(device.index); });
  check(cudaMallocFromPoolAsync(&data_, size_t(bytes), state.pool, stream_), operation);
}

Workspace::~Workspace() {
  if (data_ != nullptr) cudaFreeAsync(data_, stream_);
}

}   // namespace fastconv::cuda
