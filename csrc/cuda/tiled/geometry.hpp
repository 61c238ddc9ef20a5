// What the tiled kernels are told: plain data, passed by value.
//
// Forward and backward-input are both correlations of one array with the weight, the latter one for every
// residue of the position modulo the stride (a part). Problems of one and two dimensions have a depth (and
// height) of 1. Arrays that are read lie channels last in cells of 16 bytes; where a tap has only up to 4
// channels of 16 bits, in cells of 8.
#pragma once

#include <cstdint>

#include "../divisor.cuh"
#include "core/backend.hpp"

namespace fastconv::cuda::tiled {

constexpr int kMostParts = 8;   // of an axis in one launch

// Position o, tap t reads o * stride + first + t * step, outside the array zeros, and lies at
// out_first + o * out_step of the result.
struct AxisPart {
  int taps = 0, first = 0;
  int out = 0, out_first = 0;
  int kernel_first = 0;   // tap t is kernel_first + t * kernel_step of the kernel
  int taps_before = 0;    // of the axis's parts before this one
  Divisor32 out_divisor;
};

struct CorrelationAxis {
  int in = 1, stride = 1, extent = 1, out_step = 1;
  int step = 1, kernel_step = 1;
  uint32_t line_step = 0,
           pixel_step = 0;      // of d and h: a tap's, in the word of `Lines`, in pixels of the source
  int residues = 1, taps = 1;   // of all launches together
  int parts = 1;                // of this launch, the first the longest
  AxisPart part[kMostParts];
};

// Plane and row of the pixel that a tap reads are added and compared in one word, rows in its lower `shift`
// bits. Either has the highest bit of its field added to it: the sum has that bit where the number is not
// negative, and what is left of the sum without the extent where it is not below the extent.
struct Lines {
  int shift;
  uint32_t bias, extents;
};

struct Correlation {
  CorrelationAxis d, h, w;
  Lines lines;
  int batch, groups;
  int cells;              // a tap's, of one group
  int channels;           // of the source, of one group
  int out_channels;       // of one group
  int64_t source_pixel;   // cells from pixel to pixel
  const void *source, *weight, *bias;
  int64_t weight_row;   // turned weight: cells from one channel of the source to the next
  void* result;
  bool planar;   // the result is NCHW
  bool wide;     // the result may be written 16 bytes at a time
  Activation activation;
};

struct GradientAxis {
  int in, out, stride, first, step, taps;
  Divisor32 out_divisor;
};

// dw(k, c, tap) = sum over positions of grad(k) * x(c) at the tap, over ranges of positions: partial sums of
// shape (splits, groups, out_channels, taps, channels rounded up to cells) in what sums are kept in.
struct WeightGradient {
  GradientAxis d, h, w;
  int taps;
  int groups, cells, channels, out_channels;   // of one group
  int64_t x_pixel, grad_pixel;                 // cells of x, chunks of grad from pixel to pixel
  int grad_group;                              // chunks of grad from group to group
  int positions, splits, stages_a_split;
  uint32_t advance_line, advance_column;   // a stage's positions on
  const void *grad, *x;
  void* partial;
};

}   // namespace fastconv::cuda::tiled
