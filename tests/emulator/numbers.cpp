// The device's conversions between float32 and the narrower types.
#include <cmath>
#include <cstring>

#include "simt.hpp"

namespace simt {
namespace {

uint32_t to_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

float from_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Without its lowest `count` bits, to nearest, ties to even.
uint32_t round_off(uint32_t bits, int count) {
  return (bits + (1u << (count - 1)) - 1 + (bits >> count & 1)) >> count;
}

}   // namespace

float half_to_float(uint16_t bits) {
  const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023, sign = (bits & 0x8000u) << 16;
  if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  return std::copysign(std::ldexp(float(fraction), -24), from_bits(sign));
}

uint16_t float_to_half(float x) {
  if (std::isnan(x)) return 0x7fff;
  const uint32_t bits = to_bits(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x47800000u) return uint16_t(sign | 0x7c00u);   // 65536
  if (magnitude >= 0x38800000u) return uint16_t(sign | round_off(magnitude - (112u << 23), 13));
  return uint16_t(sign | uint32_t(std::nearbyint(std::ldexp(from_bits(magnitude), 24))));
}

uint16_t float_to_bfloat16(float x) { return std::isnan(x) ? 0x7fff : uint16_t(round_off(to_bits(x), 16)); }

float bfloat16_to_float(uint16_t bits) { return from_bits(uint32_t(bits) << 16); }

// Ties away from zero.
uint32_t float_to_tf32(float x) {
  if (std::isnan(x)) return 0x7fffffff;
  return std::isinf(x) ? to_bits(x) : (to_bits(x) + 0x1000u) & 0xffffe000u;
}

// The tensor cores read the upper 19 bits.
float tf32_to_float(uint32_t bits) { return from_bits(bits & 0xffffe000u); }

}   // namespace simt
