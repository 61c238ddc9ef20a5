// Arrays for kernels whose sums go by vectors: their bits must not depend on where an array begins.
#pragma once

#include <optional>

#include "launch.cuh"
#include "types.cuh"

namespace fastconv::cuda {

// The array, or a copy of it where it does not begin at a multiple of 16 bytes. Null stays null.
class Aligned {
 public:
  Aligned(const View* view, const char* operation) {
    if (view == nullptr) return;
    data_ = view->data;
    if (is_aligned(data_, 16)) return;
    const int64_t bytes = view->elements() * itemsize(view->dtype);
    copy_.emplace(view->device, bytes, operation);
    check(cudaMemcpyAsync(copy_->as<void>(), data_, size_t(bytes), cudaMemcpyDeviceToDevice,
                          static_cast<cudaStream_t>(view->device.stream)),
          operation);
    data_ = copy_->as<void>();
  }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data_);
  }

 private:
  const void* data_ = nullptr;
  std::optional<Workspace> copy_;
};

}   // namespace fastconv::cuda
