// Division of 32-bit numbers by one that is known at the launch: a multiplication and a shift.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fastconv::cuda {

// Exact for numerators below 2^31 (Granlund and Montgomery, 1994): multiplier = ceil(2^(31 + bits) / divisor)
// is below 2^32, as 2^(bits - 1) < divisor <= 2^bits.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(int64_t divisor) : divisor_(uint32_t(divisor)) {
    if (divisor == 1) return;
    int bits = 1;
    while ((int64_t(1) << bits) < divisor) ++bits;
    multiplier_ = uint32_t(((uint64_t(1) << (31 + bits)) + uint64_t(divisor) - 1) / uint64_t(divisor));
    shift_ = uint32_t(bits - 1);
  }
  __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
    return divisor_ == 1 ? n : __umulhi(n, multiplier_) >> shift_;
  }
  // n becomes the quotient.
  __device__ __forceinline__ uint32_t remainder(uint32_t& n) const {
    const uint32_t q = quotient(n), r = n - q * divisor_;
    n = q;
    return r;
  }

 private:
  uint32_t divisor_ = 1, multiplier_ = 0, shift_ = 0;
};

}   // namespace fastconv::cuda
