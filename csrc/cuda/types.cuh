// The 16-bit floating types, what sums of each type are kept in, and vectors of 16 bytes.
#pragma once

#include <cstring>

#include "prim.cuh"

namespace fastconv::cuda {

struct half {
  uint16_t bits;
};
struct bfloat16 {
  uint16_t bits;
};

// Sums and functions are computed in this type.
template <class T>
struct Wide {
  using Type = float;
};
template <>
struct Wide<double> {
  using Type = double;
};
template <class T>
using Accumulator = typename Wide<T>::Type;

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(half x) { return half_to_float(x.bits); }
__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }

template <class T>
__device__ __forceinline__ T narrow(Accumulator<T> x) {
  return x;
}
template <>
__device__ __forceinline__ half narrow<half>(float x) {
  return {float_to_half(x)};
}
template <>
__device__ __forceinline__ bfloat16 narrow<bfloat16>(float x) {
  return {float_to_bfloat16(x)};
}

// One load or store instruction where N elements make 2, 4, 8 or 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T values[N];

  __device__ __forceinline__ T& operator[](int i) { return values[i]; }
  __device__ __forceinline__ const T& operator[](int i) const { return values[i]; }
};
template <class T>
constexpr int kLanes16 = int(16 / sizeof(T));   // elements of a 16-byte access

// `from` and `to` are multiples of the vector's size; 16 bytes of a 16-bit type go to global memory.
template <int N, class T>
__device__ __forceinline__ Vector<T, N> load_vector(const T* from) {
  return *reinterpret_cast<const Vector<T, N>*>(from);
}
template <int N, class T>
__device__ __forceinline__ void store_vector(T* to, const Vector<T, N>& values) {
  if constexpr (sizeof(values) == 16 && sizeof(T) < 4) {   // which the compiler splits, element by element
    uint32_t words[4];
    memcpy(words, &values, sizeof words);
    store_words(to, words);
  } else {
    *reinterpret_cast<Vector<T, N>*>(to) = values;
  }
}

__host__ __device__ __forceinline__ bool is_aligned(const void* pointer, int bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % unsigned(bytes) == 0;
}

}   // namespace fastconv::cuda
