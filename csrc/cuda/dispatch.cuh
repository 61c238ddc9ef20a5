// From a dtype to a type.
#pragma once

#include "core/view.hpp"
#include "types.cuh"

namespace fastconv::cuda {

// body(T{}) with the floating type of this dtype; the bindings let no other through.
template <class Body>
void with_float_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float64:
      return body(double{});
    case DType::float16:
      return body(half{});
    case DType::bfloat16:
      return body(bfloat16{});
    default:
      return body(float{});
  }
}

}   // namespace fastconv::cuda
