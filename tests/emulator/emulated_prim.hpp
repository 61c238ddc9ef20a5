// Included by csrc/cuda/prim.cuh where no CUDA compiler reads it: the same functions, run by the emulator.
#pragma once

#include "simt.hpp"

namespace fastconv::cuda {

template <class T>
T& static_shared() {
  return *static_cast<T*>(simt::static_shared_memory(sizeof(T)));
}
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(simt::dynamic_shared_memory(sizeof(T)));
}

// The compiler's instrumentation reports it as one store of 16 bytes.
inline void store_words(void* to, const uint32_t (&words)[4]) {
  using Words = uint32_t __attribute__((vector_size(16), may_alias));
  *static_cast<Words*>(to) = Words{words[0], words[1], words[2], words[3]};
}

inline float half_to_float(uint16_t bits) { return simt::half_to_float(bits); }
inline uint16_t float_to_half(float x) { return simt::float_to_half(x); }
inline uint16_t float_to_bfloat16(float x) { return simt::float_to_bfloat16(x); }
inline uint32_t float_to_half2(float low, float high) {
  return simt::float_to_half(low) | uint32_t(simt::float_to_half(high)) << 16;
}
inline uint32_t float_to_bfloat162(float low, float high) {
  return simt::float_to_bfloat16(low) | uint32_t(simt::float_to_bfloat16(high)) << 16;
}
inline uint32_t float_to_tf32(float x) { return simt::float_to_tf32(x); }

template <int count, bool transposed>
void ldmatrix(uint32_t (&r)[count], const void* row) {
  static_assert(count == 1 || count == 2 || count == 4);
  simt::load_matrix(r, row, count, transposed);
}

template <class T>
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
inline void mma<bfloat16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  simt::multiply_matrices(simt::MatrixType::bfloat16, d, a, b);
}
template <>
inline void mma<half>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  simt::multiply_matrices(simt::MatrixType::half, d, a, b);
}
template <>
inline void mma<float>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  simt::multiply_matrices(simt::MatrixType::tf32, d, a, b);
}

template <int bytes>
void cp_async(void* shared, const void* global, int source_bytes = bytes) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
  simt::async_copy(shared, global, bytes, size_t(source_bytes));
}
inline void cp_async_commit() { simt::async_commit(); }
template <int groups_left>
void cp_async_wait() {
  simt::async_wait(groups_left);
}

}   // namespace fastconv::cuda
