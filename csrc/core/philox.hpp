// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, 2011): four random words from a counter and a key, so that any
// element of a stream is computed by itself. Compiled by every backend.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FASTCONV_EVERYWHERE __host__ __device__ __forceinline__
#else
#define FASTCONV_EVERYWHERE inline __attribute__((always_inline))
#endif

namespace fastconv {

constexpr int kPhiloxRounds = 10;

struct PhiloxWords {
  uint32_t word[4];
};

FASTCONV_EVERYWHERE PhiloxWords philox(uint64_t counter, uint64_t key) {
  uint32_t a = uint32_t(counter), b = uint32_t(counter >> 32), c = 0, d = 0;
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p = uint64_t(0xD2511F53u) * a, q = uint64_t(0xCD9E8D57u) * c;
    a = uint32_t(q >> 32) ^ b ^ k0;
    b = uint32_t(q);
    c = uint32_t(p >> 32) ^ d ^ k1;
    d = uint32_t(p);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

// Words go to elements in blocks: word w of counter 64 b + j is element 256 b + 64 w + j's, so that
// neighbouring counters serve neighbouring elements.
constexpr int kPhiloxRun = 64, kPhiloxBlock = 4 * kPhiloxRun;

// The element is dropped where its word is below this.
inline uint32_t dropout_threshold(double p) {
  const double scaled = p * 4294967296.0;
  return scaled >= 4294967295.0 ? 4294967295u : uint32_t(scaled);
}

}   // namespace fastconv
