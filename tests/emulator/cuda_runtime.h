// Stands in for CUDA's header where a kernel's source is compiled for the emulator: the part of it that
// csrc/cuda uses. What is missing here does not compile there, synchronisation with the host above all.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tuple>
#include <utility>

#include "simt.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

// ---- Device functions ----

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::block_barrier({file, line});
}
inline int __syncthreads_and(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return simt::block_vote(0, predicate, {file, line});
}
inline int __syncthreads_or(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return simt::block_vote(1, predicate, {file, line});
}
inline int __syncthreads_count(int predicate, const char* file = __builtin_FILE(),
                               int line = __builtin_LINE()) {
  return simt::block_vote(2, predicate, {file, line});
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { simt::warp_barrier(mask); }

namespace simt {
template <class T>
T shuffle_value(Shuffle kind, unsigned mask, T value, unsigned operand, int width) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = shuffle(kind, mask, bits, operand, width);
  memcpy(&value, &bits, sizeof value);
  return value;
}
}   // namespace simt

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize) {
  return simt::shuffle_value(simt::Shuffle::index, mask, value, unsigned(lane), width);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  return simt::shuffle_value(simt::Shuffle::up, mask, value, delta, width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  return simt::shuffle_value(simt::Shuffle::down, mask, value, delta, width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize) {
  return simt::shuffle_value(simt::Shuffle::exclusive_or, mask, value, unsigned(lanes), width);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) { return simt::ballot(mask, predicate); }
inline int __any_sync(unsigned mask, int predicate) { return simt::ballot(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return simt::ballot(mask, predicate) == mask; }

#define SIMT_REDUCE(name, kind)                                  \
  inline unsigned name(unsigned mask, unsigned value) {          \
    return simt::reduce(simt::Reduce::kind, false, mask, value); \
  }
#define SIMT_SIGNED_REDUCE(name, kind)                                         \
  SIMT_REDUCE(name, kind)                                                      \
  inline int name(unsigned mask, int value) {                                  \
    return int(simt::reduce(simt::Reduce::kind, true, mask, unsigned(value))); \
  }
SIMT_SIGNED_REDUCE(__reduce_add_sync, add)
SIMT_SIGNED_REDUCE(__reduce_min_sync, min)
SIMT_SIGNED_REDUCE(__reduce_max_sync, max)
SIMT_REDUCE(__reduce_and_sync, bit_and)
SIMT_REDUCE(__reduce_or_sync, bit_or)
SIMT_REDUCE(__reduce_xor_sync, bit_xor)
#undef SIMT_REDUCE
#undef SIMT_SIGNED_REDUCE

template <class T>
T __ldg(const T* address) {
  return *address;
}

#define SIMT_MIN_MAX(T)                            \
  inline T min(T a, T b) { return b < a ? b : a; } \
  inline T max(T a, T b) { return a < b ? b : a; }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(long)
SIMT_MIN_MAX(unsigned long)
SIMT_MIN_MAX(long long)
SIMT_MIN_MAX(unsigned long long)
#undef SIMT_MIN_MAX
// As on the device, a NaN gives way to the other operand.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll((unsigned long long)x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ typedef unsigned __int128 Wide;
  return (unsigned long long)((Wide(a) * b) >> 64);
}
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline double normcdf(double x) { return double(0.5L * erfcl(-x * 0.707106781186547524400844362104849039L)); }
inline float normcdff(float x) { return float(normcdf(double(x))); }

namespace simt {
template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
}   // namespace simt
inline int __float_as_int(float x) { return simt::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return simt::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return simt::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return simt::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return simt::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return simt::bit_cast<double>(x); }

// ---- The host's side ----

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorLaunchFailure = 719,
};
enum cudaDeviceAttr {
  cudaDevAttrMaxGridDimX = 5,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold = 4 };
enum cudaMemAllocationType { cudaMemAllocationTypePinned = 1 };
enum cudaMemLocationType { cudaMemLocationTypeDevice = 1 };
enum cudaMemcpyKind { cudaMemcpyDeviceToDevice = 3 };

using cudaStream_t = struct CUstream_st*;
using cudaMemPool_t = struct CUmemPoolHandle_st*;
struct cudaMemLocation {
  cudaMemLocationType type;
  int id;
};
struct cudaMemPoolProps {
  cudaMemAllocationType allocType;
  int handleTypes;
  cudaMemLocation location;
};
struct cudaLaunchAttribute {};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

const char* cudaGetErrorString(cudaError_t error);   // after a failed kernel: what it did wrong
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value);
cudaError_t cudaMallocFromPoolAsync(void** address, size_t bytes, cudaMemPool_t pool, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* address, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream);

namespace simt {
struct Kernel {
  const void* function;
  void (*run)(void* call);   // calls it with its arguments
  void* call;
  size_t call_bytes;
};
cudaError_t launch(const cudaLaunchConfig_t& config, const Kernel& kernel);
cudaError_t set_attribute(const void* function, cudaFuncAttribute attribute, int value);
}   // namespace simt

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
  return simt::set_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
  } call{kernel, {std::forward<Arguments>(arguments)...}};
  const auto run = [](void* data) {
    const Call& made = *static_cast<const Call*>(data);
    std::apply(made.kernel, made.parameters);
  };
  return simt::launch(*config, {reinterpret_cast<const void*>(kernel), run, &call, sizeof call});
}
