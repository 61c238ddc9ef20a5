// Which algorithm computes a correlation, and how it is called on arrays that lie otherwise than it wants.
#pragma once

#include <type_traits>

#include "../../core/memory.hpp"
#include "../memory_format.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {

// What runs, and the memory formats it runs in; where they are not the caller's, arrays are copied.
struct Choice {
  const CorrelationAlgorithm* algorithm;
  MemoryFormat in, out;
};
Choice choose(const Correlation&, Algorithm, MemoryFormat in, MemoryFormat out);

// std::invalid_argument where nothing implements the algorithm that the caller asks for.
void require_implemented(const ConvProblem&, Algorithm);

// Algorithms of both kinds have a function each for float and double.
template <class Implementation, class Data>
void run(const Implementation& algorithm, const Correlation& c, const Data& data) {
  if constexpr (std::is_invocable_v<decltype(algorithm.run_float), const Correlation&, const Data&>)
    algorithm.run_float(c, data);
  else
    algorithm.run_double(c, data);
}

// An array of the pool's that is like another one but for its shape.
struct OwnArray {
  const memory::Buffer buffer;
  const View view;

  OwnArray(const View& like, const Shape& shape)
      : buffer(size_t(shaped(like, shape, nullptr).elements() * itemsize(like.dtype))),
        view(shaped(like, shape, buffer.as<void>())) {}

 private:
  static View shaped(View view, const Shape& shape, void* data) {
    view.shape = shape;
    view.data = data;
    return view;
  }
};

// An (N, C, H, W) array as it lies, or its copy in the format wanted.
template <class T>
class Formatted {
 public:
  Formatted(const View& view, MemoryFormat format)
      : copy_(view.format != format ? size_t(view.elements()) * sizeof(T) : 0),
        data_(view.format != format ? copy_.as<const T>() : view.as<const T>()) {
    if (view.format != format)
      copy_format(view.as<const T>(), view.format, copy_.as<T>(), view.shape[0], view.shape[1],
                  view.elements() / (view.shape[0] * view.shape[1]));
  }
  const T* data() const { return data_; }

 private:
  const memory::Buffer copy_;
  const T* data_;
};

// Where a result is written: the array itself, or a buffer that `finish` copies to it.
template <class T>
class FormattedResult {
 public:
  FormattedResult(const View& view, MemoryFormat format)
      : view_(view),
        format_(format),
        copy_(view.format != format ? size_t(view.elements()) * sizeof(T) : 0),
        data_(view.format != format ? copy_.as<T>() : view.as<T>()) {}
  T* data() const { return data_; }
  void finish() const {
    if (view_.format != format_)
      copy_format<T>(data_, format_, view_.as<T>(), view_.shape[0], view_.shape[1],
                     view_.elements() / (view_.shape[0] * view_.shape[1]));
  }

 private:
  const View& view_;
  const MemoryFormat format_;
  const memory::Buffer copy_;
  T* const data_;
};

}   // namespace fastconv::cpu
