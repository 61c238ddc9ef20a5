// Between the memory formats of arrays (N, C, ...).
#pragma once

#include "../core/view.hpp"

namespace fastconv::cpu {

// Copies an array of N images from `from_format` into the other memory format.
template <class T>
void copy_format(const T* from, MemoryFormat from_format, T* to, int64_t batch, int64_t channels,
                 int64_t pixels);

// The same of views whose formats differ, of elements of 4 or 8 bytes whatever they mean.
void copy_format(const View& from, const View& to);

}   // namespace fastconv::cpu
