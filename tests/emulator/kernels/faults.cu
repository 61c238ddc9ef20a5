// Kernels that are wrong, each in one way that the emulator must name.
#include <cstring>
#include <exception>
#include <string>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"

namespace fastconv::cuda {

struct Cells {
  float values[64];
};

__global__ void past_the_end_kernel(float* data, int count) { data[count + int(threadIdx.x)] = 1; }
__global__ void before_the_start_kernel(float* data, int) { data[-1 - int(threadIdx.x)] = 1; }
__global__ void read_past_the_end_kernel(float* data, int count) { data[0] = data[count]; }
__global__ void host_memory_kernel(float* data, int, const float* host) { data[0] = *host; }
__global__ void misaligned_kernel(float* data, int) { store_vector<4>(data + 1, load_vector<4>(data + 4)); }
__global__ void division_kernel(float* data, int count) { data[0] = float(64 / (count - 64)); }
__global__ void different_barriers_kernel(float* data, int) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  data[threadIdx.x] = 0;
}
__global__ void early_return_kernel(float* data, int) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  data[threadIdx.x] = 0;
}
__global__ void lane_missing_kernel(float* data, int) {
  if (threadIdx.x == 3) return;
  data[threadIdx.x] = __shfl_xor_sync(kFullMask, 1.0f, 1);
}
__global__ void lane_at_barrier_kernel(float* data, int) {
  if (threadIdx.x != 3) data[threadIdx.x] = __shfl_xor_sync(kFullMask, 1.0f, 1);
  __syncthreads();
}
__global__ void mask_without_caller_kernel(float* data, int) {
  data[threadIdx.x] = __shfl_xor_sync(0xffu, 1.0f, 1);
}
__global__ void shuffle_from_outside_kernel(float* data, int) {
  if (threadIdx.x < 8) data[threadIdx.x] = __shfl_xor_sync(0xffu, 1.0f, 8);
}
__global__ void different_operations_kernel(float* data, int) {
  data[threadIdx.x] =
      threadIdx.x % 2 ? __shfl_xor_sync(kFullMask, 1.0f, 1) : __shfl_down_sync(kFullMask, 1.0f, 1);
}
__global__ void race_between_warps_kernel(float* data, int) {
  Cells& shared = static_shared<Cells>();
  shared.values[threadIdx.x] = data[threadIdx.x];
  data[threadIdx.x] = shared.values[threadIdx.x ^ 32];
}
__global__ void race_within_warp_kernel(float* data, int) {
  Cells& shared = static_shared<Cells>();
  shared.values[threadIdx.x] = data[threadIdx.x];
  data[threadIdx.x] = shared.values[threadIdx.x ^ 1];
}
__global__ void write_after_read_kernel(float* data, int) {
  Cells& shared = static_shared<Cells>();
  shared.values[threadIdx.x] = data[threadIdx.x];
  __syncthreads();
  const float value = shared.values[threadIdx.x ^ 32];
  shared.values[threadIdx.x] = value;
}
__global__ void two_writers_kernel(float*, int) { static_shared<Cells>().values[threadIdx.x % 32] = 1; }
__global__ void past_shared_kernel(float* data, int) { data[0] = dynamic_shared<float>()[64]; }
__global__ void unwaited_copy_kernel(float* data, int) {
  Cells& shared = static_shared<Cells>();
  cp_async<4>(shared.values + threadIdx.x, data + threadIdx.x);
  cp_async_commit();
  cp_async_wait<1>();
  data[threadIdx.x] = shared.values[threadIdx.x];
}
__global__ void uncommitted_copy_kernel(float* data, int) {
  Cells& shared = static_shared<Cells>();
  cp_async<4>(shared.values + threadIdx.x, data + threadIdx.x);
  cp_async_wait<0>();
  data[threadIdx.x] = shared.values[threadIdx.x];
}
__global__ void copy_without_barrier_kernel(float* data, int) {
  Cells& shared = static_shared<Cells>();
  cp_async<4>(shared.values + threadIdx.x, data + threadIdx.x);
  cp_async_commit();
  cp_async_wait<0>();
  data[threadIdx.x] = shared.values[threadIdx.x ^ 32];
}
__global__ void misaligned_copy_kernel(float* data, int) {
  cp_async<16>(static_shared<Cells>().values + 1, data);
}
__global__ void deep_stack_kernel(float* data, int count) {
  volatile char large[128 * 1024];
  large[count] = 1;
  data[0] = float(large[count]);
}
__global__ void poison_kernel(float* data, int) {
  data[threadIdx.x] = static_shared<Cells>().values[threadIdx.x] + dynamic_shared<float>()[threadIdx.x];
}

}   // namespace fastconv::cuda

// data: `count` floats. Null, or what went wrong.
extern "C" const char* run_fault(const char* name, float* data, int count, unsigned threads,
                                 size_t shared_bytes) {
  using namespace fastconv::cuda;
  static std::string error;
  static const struct {
    const char* name;
    void (*kernel)(float*, int);
  } kKernels[] = {
#define FAULT(name) {#name, name##_kernel}
      FAULT(past_the_end),
      FAULT(before_the_start),
      FAULT(read_past_the_end),
      FAULT(misaligned),
      FAULT(division),
      FAULT(different_barriers),
      FAULT(early_return),
      FAULT(lane_missing),
      FAULT(lane_at_barrier),
      FAULT(mask_without_caller),
      FAULT(shuffle_from_outside),
      FAULT(different_operations),
      FAULT(race_between_warps),
      FAULT(race_within_warp),
      FAULT(write_after_read),
      FAULT(two_writers),
      FAULT(past_shared),
      FAULT(unwaited_copy),
      FAULT(uncommitted_copy),
      FAULT(copy_without_barrier),
      FAULT(misaligned_copy),
      FAULT(deep_stack),
      FAULT(poison),
#undef FAULT
  };
  try {
    const float on_the_host = 1;
    if (std::strcmp(name, "host_memory") == 0)
      launch(name, host_memory_kernel, 1, threads, shared_bytes, nullptr, data, count, &on_the_host);
    for (const auto& one : kKernels)
      if (std::strcmp(name, one.name) == 0)
        launch(name, one.kernel, 1, threads, shared_bytes, nullptr, data, count);
  } catch (const std::exception& caught) {
    error = caught.what();
    return error.c_str();
  }
  return nullptr;
}
