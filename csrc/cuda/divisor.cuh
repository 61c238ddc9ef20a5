// Division by numbers that the host knows, without the device's slow division.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fastconv::cuda {

// n / value for n below half of Word's range, by one multiplication (Granlund, Montgomery 1994).
template <class Word>
struct Divisor {
  Word value = 1, multiplier = 1;
  int shift = 0;

  Divisor() = default;
  explicit Divisor(int64_t divisor) : value(Word(divisor)) {
    __extension__ typedef unsigned __int128 Wide;
    while ((Wide(1) << shift) < Wide(value)) ++shift;
    const Wide whole = Wide(1) << (8 * sizeof(Word));
    multiplier = Word(whole * ((Wide(1) << shift) - value) / value + 1);
  }
};
using Divisor32 = Divisor<uint32_t>;
using Divisor64 = Divisor<uint64_t>;

__device__ __forceinline__ uint32_t operator/(uint32_t n, const Divisor32& d) {
  return (__umulhi(n, d.multiplier) + n) >> d.shift;
}
__device__ __forceinline__ int64_t operator/(int64_t n, const Divisor64& d) {
  return int64_t((__umul64hi(uint64_t(n), d.multiplier) + uint64_t(n)) >> d.shift);
}

// The quotient; what is left of n stays in it.
template <class N, class Word>
__device__ __forceinline__ N split(N& n, const Divisor<Word>& d) {
  const N quotient = n / d;
  n -= quotient * N(d.value);
  return quotient;
}

}   // namespace fastconv::cuda
