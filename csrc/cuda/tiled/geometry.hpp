// What the tiled kernels are told: plain data, passed by value.
//
// Forward and backward-input are both correlations of one array with the weight, the latter one for every
// residue of the position modulo the stride (a part). Arrays that are read lie channels last in cells of 16
// bytes; where a tap has only up to 4 channels of 16 bits, in cells of 8.
#pragma once

#include <cstdint>

#include "../divisor.cuh"
#include "core/backend.hpp"

namespace fastconv::cuda::tiled {

constexpr int kMostParts = 4;   // of an axis: the largest stride of backward-input

// Position o, tap t reads o * stride + first + t * step, outside the array zeros, and lies at
// out_first + o * out_step of the result.
struct AxisPart {
  int taps = 0, first = 0, step = 0;
  int out = 0, out_first = 0;
  int kernel_first = 0, kernel_step = 0;   // tap t is kernel_first + t * kernel_step of the kernel
  int taps_before = 0;                     // of the axis's parts before this one
  Divisor32 out_divisor;
};

struct CorrelationAxis {
  int in = 1, stride = 1, extent = 1, out_step = 1;
  int parts = 1, taps = 1;   // taps of all parts together
  AxisPart part[kMostParts];
};

struct Correlation {
  CorrelationAxis h, w;
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

// dw(k, c, r, s) = sum over positions of grad(k) * x(c) at the tap, over ranges of positions: partial sums of
// shape (splits, groups, out_channels, taps, channels rounded up to cells) in what sums are kept in.
struct WeightGradient {
  int h_in, w_in, h_out, w_out;
  int h_stride, w_stride, h_first, w_first, h_step, w_step, h_taps, w_taps;
  int groups, cells, channels, out_channels;   // of one group
  int64_t x_pixel, grad_pixel;                 // cells of x, chunks of grad from pixel to pixel
  int grad_group;                              // chunks of grad from group to group
  int positions, splits, stages_a_split;
  int advance_image, advance_row, advance_column;   // a stage's positions on
  Divisor32 h_out_divisor, w_out_divisor;
  const void *grad, *x;
  void* partial;
};

}   // namespace fastconv::cuda::tiled
