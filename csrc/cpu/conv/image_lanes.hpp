// Arrays turned so that images lie along the vectors, a block of as many images as a vector has lanes after the
// other: for batches of small images with few channels, where neither the columns of a plane nor the channels
// would fill a vector.
#pragma once

#include "correlation.hpp"

namespace fastconv::cpu {

// Lanes of the widest vectors: choices do not depend on the machine.
constexpr int64_t kImageLanes = 16;

// A turned block: channel i of column x of line y is the vector i * channel + y * line + (left + x) * column.
// Columns outside the array are zeros.
struct Turned {
  int64_t channels, height, columns;   // of the array
  int64_t left, width;                 // zero columns before the array's, all columns
  int64_t channel, line, column, block;
};

// Pixels one after the other, the channels of each side by side; no zero columns.
Turned turned_pixels(int64_t channels, int64_t height, int64_t columns);

// Those of lines [first, end), of which some may lie outside, of all blocks of a (batch, channels, height,
// columns) array.
template <class T>
void turn_images(const Turned&, const T* from, MemoryFormat, int64_t batch, int64_t first, int64_t end, T* to);

// Rows [p0, p1) of one block of an (images, channels, height, columns) array whose first image is at `to`, from
// vectors [channel][pixel] (planes) or [pixel][channel].
template <class T>
void put_images(const T* computed, bool planes, int64_t channels, int64_t height, int64_t columns, int64_t p0,
                int64_t p1, int64_t images, T* to, MemoryFormat);

// Whether n of 16 lanes at a time leave more than a tenth of them empty.
bool wasteful(int64_t n);

}   // namespace fastconv::cpu
