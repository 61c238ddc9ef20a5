// What forward and backward-input have in common. Both are correlations of one array with the weight:
//
//   out[n, k, p * out_step + out_first] = bias[k] + sum over c, t of in[n, c, p * stride + first + t * step] *
//   w(k, c, t)
//
// for each of two axes. Forward is one of them. Backward-input is one for every residue of the output position
// modulo the stride: the taps that reach it, in the gradient, at stride 1.
#pragma once

#include <cstddef>
#include <vector>

#include "../../core/backend.hpp"
#include "../kernels/depthwise.hpp"

namespace fastconv::cpu {

struct Axis {
  int64_t in;    // extent of the array that is read; outside it are zeros
  int64_t out;   // positions computed
  int64_t taps;
  int64_t stride, first, step;           // position o, tap t reads o * stride + first + t * step
  int64_t extent, out_first, out_step;   // position o lies at out_first + o * out_step of `extent`

  bool dense() const { return out_step == 1; }
};

inline TapAxis tap_axis(const Axis& a) {
  return {a.in, a.out, a.taps, a.stride, a.first, a.step, a.extent, a.out_first, a.out_step};
}

struct Correlation {
  int64_t batch, groups;
  int64_t in_channels, out_channels;   // of one group
  Axis h, w;
  // w(k, c, r, s) of group g: base + g * group + k * out + c * in + r * tap_h + s * tap_w
  ptrdiff_t weight_base, weight_group, weight_out, weight_in, weight_h, weight_w;

  int64_t taps() const { return h.taps * w.taps; }
  int64_t depth() const { return in_channels * taps(); }
  int64_t pixels() const { return h.out * w.out; }
  double flops_per_pixel() const { return 2.0 * double(depth()) * double(out_channels) * double(groups); }
};

// The part of its result that is output columns [begin, end).
inline Correlation columns_of(Correlation c, int64_t begin, int64_t end) {
  c.w.out = end - begin;
  c.w.first += begin * c.w.stride;
  c.w.out_first += begin * c.w.out_step;
  return c;
}

// Groups that are not worth a matrix product each: depthwise convolution and its like.
bool few_channels_a_group(const Correlation&);
// Other convolutions whose output channels (of a group) leave half a vector of them empty and more: computed as
// dot products over many input channels or in planes, where pixels fill the vectors.
bool few_outputs(const Correlation&);

// 1-D problems count as 2-D ones of height 1; of 3-D ones (volume.cpp) the correlations are those of a slice.
inline bool is_planar(const ConvProblem& problem) { return problem.spatial <= 2; }

Correlation forward_correlation(const ConvProblem&);
// One correlation for each residue of the position modulo the stride that a tap reaches; where some are not
// reached (complete is false) the gradient there is zero.
struct BackwardParts {
  std::vector<Correlation> parts;
  bool complete;
};
BackwardParts backward_correlations(const ConvProblem&);

template <class T>
struct CorrelationData {
  const T* in;
  MemoryFormat in_format;
  const T* weight;
  const T* bias;   // or null
  Activation activation;
  T* out;
  MemoryFormat out_format;
};

// One way to compute a correlation. conv.cpp tries them in order.
struct CorrelationAlgorithm {
  const char* name;
  bool (*accepts)(const Correlation&, MemoryFormat in, MemoryFormat out);
  void (*run_float)(const Correlation&, const CorrelationData<float>&);
  void (*run_double)(const Correlation&, const CorrelationData<double>&);
  // All correlations that make one result; null: one after the other.
  void (*parts_float)(const std::vector<Correlation>&, const CorrelationData<float>&) = nullptr;
  void (*parts_double)(const std::vector<Correlation>&, const CorrelationData<double>&) = nullptr;
  // A result computed in pieces has the same bits where they begin at multiples of these.
  int64_t piece_images = 1, piece_rows = 1;
};
extern const CorrelationAlgorithm depthwise;                // depthwise.cpp
extern const CorrelationAlgorithm planar_depthwise;         // depthwise_planes.cpp
extern const CorrelationAlgorithm winograd_lanes_2x2_3x3;   // winograd_lanes.cpp
extern const CorrelationAlgorithm winograd_lanes_4x4_3x3;
extern const CorrelationAlgorithm winograd_lanes_2x2_5x5;
extern const CorrelationAlgorithm winograd_lanes_3x3_4x4;
extern const CorrelationAlgorithm winograd_lanes_4x4_2x2;
extern const CorrelationAlgorithm winograd_2x2_3x3;   // winograd.cpp
extern const CorrelationAlgorithm winograd_4x4_3x3;
extern const CorrelationAlgorithm winograd_2x2_5x5;
extern const CorrelationAlgorithm winograd_3x3_4x4;
extern const CorrelationAlgorithm winograd_4x4_2x2;
extern const CorrelationAlgorithm channels_last_dot;   // channels_last_dot.cpp
extern const CorrelationAlgorithm channels_last_few;   // channels_last_few.cpp
extern const CorrelationAlgorithm channels_last;       // channels_last.cpp
extern const CorrelationAlgorithm turned_strips;
extern const CorrelationAlgorithm batch_lanes;     // batch_lanes.cpp
extern const CorrelationAlgorithm planar_direct;   // planar_direct.cpp
extern const CorrelationAlgorithm planar_gemm;     // planar_gemm.cpp

// One way to compute the gradient of the weight; grad and x may lie differently.
template <class T>
struct WeightGradientData {
  const T* grad;
  MemoryFormat grad_format;
  const T* x;
  MemoryFormat x_format;
  T* dw;
  T* db;   // or null
};
struct WeightGradientAlgorithm {
  const char* name;
  bool (*accepts)(const Correlation&, MemoryFormat grad, MemoryFormat x);
  void (*run_float)(const Correlation&, const WeightGradientData<float>&);
  void (*run_double)(const Correlation&, const WeightGradientData<double>&);
};
extern const WeightGradientAlgorithm winograd_weight_2x2_3x3;   // winograd_weight.cpp
extern const WeightGradientAlgorithm winograd_weight_4x4_3x3;
extern const WeightGradientAlgorithm winograd_weight_2x2_5x5;
extern const WeightGradientAlgorithm winograd_weight_3x3_4x4;
extern const WeightGradientAlgorithm winograd_weight_4x4_2x2;
extern const WeightGradientAlgorithm depthwise_gradient;          // depthwise.cpp
extern const WeightGradientAlgorithm planar_depthwise_gradient;   // depthwise_planes.cpp
extern const WeightGradientAlgorithm weight_dot;                  // weight_dot.cpp
extern const WeightGradientAlgorithm weight_rows;                 // weight_rows.cpp
extern const WeightGradientAlgorithm weight_gemm;                 // weight_gemm.cpp

// Whether a kernel of one tap reads inside its input only and steps over pixels.
bool skips_pixels(const Correlation&);
// The pixels of all planes that such a kernel reads, side by side, and the correlation over them.
template <class T>
Correlation without_skips(const Correlation&, const T* in, T* to);

// The weight as a row for each output channel of steps (tap row, tap, input channel).
template <class T>
void weight_rows_of(const Correlation&, const T* weight, T* to);

// Backward, the kernels of neighbouring output channels lie side by side. Tap by tap instead, output channels
// side by side, they can be packed row by row.
template <class T>
void turn_kernels(std::vector<Correlation>& parts, const T* weight, T* turned);

}   // namespace fastconv::cpu
