// Convolutions of few channels a group: nothing is shared between groups, so that they are no matrix product.
// Channels last, neighbouring channels fill a vector; in planes, neighbouring columns do.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

// One axis of a correlation (conv/correlation.hpp): position o, tap t reads o * stride + first + t * step.
struct TapAxis {
  int64_t in, out, taps, stride, first, step;
  int64_t extent, out_first, out_step;   // position o lies at out_first + o * out_step of `extent`
};

template <class T>
struct LaneIndexOf {
  using type = int64_t;
};
template <>
struct LaneIndexOf<float> {
  using type = int32_t;
};

// One input channel of every group of a vector: `count` channels of a pixel from `at` on, permuted.
template <class T>
struct LaneSource {
  int64_t at, count;
  const typename LaneIndexOf<T>::type* index;
};

// A vector of output channels: `count` from `at` on.
struct LaneBlock {
  int64_t at, count;
};

// Rows of one image, channels last.
template <class T>
struct LaneArgs {
  TapAxis h, w;
  int64_t in_channels, out_channels;   // of a pixel, all groups
  int64_t inputs;                      // input channels of a group
  bool permute;                        // else every source is a whole vector, in order
  bool far;                            // not permuted; what is read comes from memory, and is fetched ahead
  const LaneSource<T>* sources;        // [block][input]
  const LaneBlock* blocks;
  int64_t block_count;
  const T* in;
};
template <class T>
struct LaneForward : LaneArgs<T> {
  const T* weights;   // [block][h tap][input][w tap][lane]
  const T* bias;      // [block][lane]
  bool relu;
  T* out;
};
template <class T>
struct LaneGradient : LaneArgs<T> {
  const T* grad;
  T* sums;   // [block][h tap][input][w tap][lane], added to
  T* bias;   // [block][lane], added to; or null
};

// Planes. The columns of a result of stride 2 have two residues, each an axis of its own.
template <class T>
struct PlaneForward {
  TapAxis h, w[2];
  int residues;
  int64_t groups, inputs, outputs;   // inputs and outputs of a group
  const T* in;
  const T* weights[2];   // [channel][input][w tap][h tap]
  const T* bias;         // or null
  bool relu;
  T *out, *out_end;   // up to out_end may be written, and is overwritten later
};
template <class T>
struct PlaneGradient {
  TapAxis h, w;
  int64_t inputs;
  const T *in, *grad;               // the planes of one output channel in the first image
  ptrdiff_t in_image, grad_image;   // from one image to the next
  T* sums;                          // [input][w tap][h tap][lane], added to
  T* bias;                          // [lane], added to; or null
};

template <class T>
struct DepthwiseKernels {
  int64_t lanes;
  // Positions [begin, end) of the axis h.
  void (*lane_forward)(const LaneForward<T>&, int64_t begin, int64_t end);
  void (*lane_gradient)(const LaneGradient<T>&, int64_t begin, int64_t end);
  // Four residues of stride 2, the rows' outermost: positions [begin, end) of the even rows and as many of the
  // odd ones. False, and nothing done, where the kernel does not know them.
  bool (*lane_quad)(const LaneForward<T>* parts, int64_t begin, int64_t end);
  // The same of planes [first, last) of all images.
  void (*plane_forward)(const PlaneForward<T>&, int64_t first, int64_t last, int64_t begin, int64_t end);
  // The same of both residues of the rows.
  void (*plane_pair)(const PlaneForward<T>& even, const PlaneForward<T>& odd, int64_t first, int64_t last,
                     int64_t begin, int64_t end);
  // Output rows [begin, end) of all images.
  void (*plane_gradient)(const PlaneGradient<T>&, int64_t begin, int64_t end);
  // to[i] = the sum of the lanes of vector i.
  void (*fold)(const T* vectors, int64_t count, T* to);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
DepthwiseKernels<T> depthwise_kernels();
}
#endif

}   // namespace fastconv::cpu
