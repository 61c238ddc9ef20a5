// A pointer and how its elements lie. Owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "problem.hpp"

namespace fastconv {

enum class DType : uint8_t { float32, float64, int32, int64, float16, bfloat16 };
enum class DeviceType : uint8_t { cpu, cuda };
struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  void* stream = nullptr;   // where a CUDA operation is queued; null is the default stream

  bool same_place(const Device& other) const { return type == other.type && index == other.index; }
};

// How an (N, C, *spatial) array lies. An array that is both counts as contiguous.
enum class MemoryFormat : uint8_t { contiguous, channels_last };

// Whether an array of so many dimensions may lie channels last.
constexpr bool has_formats(size_t rank) { return rank >= 3 && rank <= 2 + kMaxSpatial; }

constexpr int64_t itemsize(DType dtype) {
  if (dtype == DType::float16 || dtype == DType::bfloat16) return 2;
  return dtype == DType::float32 || dtype == DType::int32 ? 4 : 8;
}

// Sums of a floating type, and statistics of them, are of this one.
constexpr DType accumulator(DType dtype) { return dtype == DType::float64 ? dtype : DType::float32; }

// Kernels receive views that are dense in `format`; strided arrays are copied before (bindings/arrays.hpp).
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::float32;
  MemoryFormat format = MemoryFormat::contiguous;
  Device device;

  int64_t elements() const {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}   // namespace fastconv
