// Every line of PTX that the kernels use, one function an instruction. Where no CUDA compiler reads this file,
// the functions come from the emulator that tests the kernels (tests/emulator/emulated_prim.hpp).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fastconv::cuda {

struct half;   // types.cuh
struct bfloat16;
constexpr unsigned kFullMask = 0xffffffffu;

}   // namespace fastconv::cuda

#ifndef __CUDACC__
#include <emulated_prim.hpp>
#else

namespace fastconv::cuda {

// The kernel's static shared memory, one structure a kernel; begins at a multiple of 16 bytes.
template <class T>
__device__ __forceinline__ T& static_shared() {
  static_assert(alignof(T) <= 16);
  __shared__ __align__(16) unsigned char bytes[sizeof(T)];
  return *reinterpret_cast<T*>(bytes);
}

// What the launch asked for beyond it; begins at a multiple of 16 bytes.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  static_assert(alignof(T) <= 16);
  extern __shared__ __align__(16) unsigned char fastconv_dynamic_shared[];
  return reinterpret_cast<T*>(fastconv_dynamic_shared);
}

// 16 bytes in one instruction, to a multiple of them in global memory.
__device__ __forceinline__ void store_words(void* to, const uint32_t (&words)[4]) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(words[0]), "r"(words[1]),
               "r"(words[2]), "r"(words[3])
               : "memory");
}

// ---- Conversions: to nearest, ties to even; tf32: ties away from zero, the only mode that it has. ----

__device__ __forceinline__ float half_to_float(uint16_t bits) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
  return result;
}
__device__ __forceinline__ uint16_t float_to_half(float x) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
__device__ __forceinline__ uint16_t float_to_bfloat16(float x) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
// Two at once; `low` goes to the lower half.
__device__ __forceinline__ uint32_t float_to_half2(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
__device__ __forceinline__ uint32_t float_to_bfloat162(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
__device__ __forceinline__ uint32_t float_to_tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}

// ---- Matrix fragments. All 32 lanes take part. ----

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// 1, 2 or 4 matrices of 8x8 16-bit elements from shared memory. Lanes 8m to 8m+7 point to the rows of matrix m,
// 16 bytes each and aligned so; lane l receives elements 2(l%4), 2(l%4)+1 of row l/4 (transposed: of column
// l/4).
template <int count, bool transposed>
__device__ __forceinline__ void ldmatrix(uint32_t (&r)[count], const void* row) {
  static_assert(count == 1 || count == 2 || count == 4);
  const uint32_t address = shared_address(row);
#define FASTCONV_LDMATRIX(shape, registers, ...)                                     \
  if constexpr (transposed)                                                          \
    asm volatile("ldmatrix.sync.aligned.m8n8." shape ".trans.shared.b16 {" registers \
                 : __VA_ARGS__                                                       \
                 : "r"(address)                                                      \
                 : "memory");                                                        \
  else                                                                               \
    asm volatile("ldmatrix.sync.aligned.m8n8." shape ".shared.b16 {" registers       \
                 : __VA_ARGS__                                                       \
                 : "r"(address)                                                      \
                 : "memory")
  if constexpr (count == 1)
    FASTCONV_LDMATRIX("x1", "%0}, [%1];", "=r"(r[0]));
  else if constexpr (count == 2)
    FASTCONV_LDMATRIX("x2", "%0, %1}, [%2];", "=r"(r[0]), "=r"(r[1]));
  else
    FASTCONV_LDMATRIX("x4", "%0, %1, %2, %3}, [%4];", "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]));
#undef FASTCONV_LDMATRIX
}

// d (16x8) += a (16 x depth) b (depth x 8) in float32, of bfloat16 or half (depth 16) or tf32 (T = float, depth
// 8, operands from float_to_tf32). With g = lane/4 and t = lane%4:
//   d[0..1]  row g,   columns 2t, 2t+1          d[2..3]  row g+8
//   16 bits  a[0], a[1]: rows g, g+8, k 2t, 2t+1   a[2], a[3]: the same at k+8   b[0], b[1]: k 2t, 2t+1; at
//   k+8; column g tf32     a[0], a[1]: rows g, g+8, k t          a[2], a[3]: at k+4            b[0], b[1]: k t;
//   k+4; column g
template <class T>
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

#define FASTCONV_MMA(T, shape, type)                                                                      \
  template <>                                                                                             \
  __device__ __forceinline__ void mma<T>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { \
    asm("mma.sync.aligned." shape ".row.col.f32." type "." type                                           \
        ".f32 "                                                                                           \
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                 \
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
  }
FASTCONV_MMA(bfloat16, "m16n8k16", "bf16")
FASTCONV_MMA(half, "m16n8k16", "f16")
FASTCONV_MMA(float, "m16n8k8", "tf32")
#undef FASTCONV_MMA

// ---- Asynchronous copies from global to shared memory. ----

// Copies source_bytes and fills up with zeros; both addresses are multiples of `bytes` even where nothing is
// read. 16 bytes pass by the L1 cache. The copy may be read after the wait that covers its group, by other
// threads after a barrier that follows.
template <int bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, int source_bytes = bytes) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  const uint32_t to = shared_address(shared);
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(source_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(bytes),
                 "r"(source_bytes)
                 : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most `groups_left` of the calling thread's groups are under way.
template <int groups_left>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
}

}   // namespace fastconv::cuda

#endif
