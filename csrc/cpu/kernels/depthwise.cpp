// Channels last: tiles of eight pixels of a row, channels along the vectors.
#include "depthwise.hpp"

#include "depthwise_tile.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

FASTCONV_INLINE Vec<float> permute(Vec<float> v, Mask<float> index) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_permutexvar_ps((__mmask16)0xffff, (__m512i)index, (__m512)v);
#elif defined(__AVX2__)
  return (Vec<float>)_mm256_permutevar8x32_ps((__m256)v, (__m256i)index);
#else
  Vec<float> to;
  for (int i = 0; i < kLanes<float>; ++i) to[i] = v[index[i]];
  return to;
#endif
}
FASTCONV_INLINE Vec<double> permute(Vec<double> v, Mask<double> index) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_permutexvar_pd((__mmask8)0xff, (__m512i)index, (__m512d)v);
#else
  Vec<double> to;
  for (int i = 0; i < kLanes<double>; ++i) to[i] = v[index[i]];
  return to;
#endif
}

enum class Source { channels, permuted };

// The pixels of a row, from one source.
template <class T, Source source>
struct Pixels {
  const T* row;
  int64_t pitch;
  int count;
  Mask<T> index;

  FASTCONV_INLINE Pixels(const LaneArgs<T>& a, const LaneSource<T>& from, int64_t y)
      : row(a.in + y * a.w.in * a.in_channels + from.at), pitch(a.in_channels), count(int(from.count)) {
    if constexpr (source != Source::channels) __builtin_memcpy(&index, from.index, sizeof index);
  }
  // Pixel x0 + i.
  FASTCONV_INLINE Vec<T> operator()(int64_t x0, int64_t i) const {
    const T* pixel = row + x0 * pitch + i * pitch;
    if constexpr (source == Source::channels) return load(pixel);
    return permute(load_partial(pixel, count), index);
  }
};

// Calls body(input row pixels, index of their tap row and source) for all that position p of block b reads.
template <class T, Source source, class Body>
FASTCONV_INLINE void for_rows(const LaneArgs<T>& a, int64_t p, int64_t b, Body body) {
  const int64_t inputs = source == Source::channels ? 1 : a.inputs;
  for (int64_t r = 0; r < a.h.taps; ++r) {
    const int64_t y = p * a.h.stride + a.h.first + r * a.h.step;
    if (uint64_t(y) >= uint64_t(a.h.in)) continue;
    for (int64_t j = 0; j < inputs; ++j)
      body(Pixels<T, source>(a, a.sources[b * inputs + j], y), (b * a.h.taps + r) * inputs + j);
  }
}

// `count` pixels from column q of row p on, one block of channels.
template <class T, Source source, int kTaps, int kStride, bool kInside>
FASTCONV_INLINE void forward_tile(const LaneForward<T>& a, int64_t p, int64_t q, int count, int64_t b, T* to) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[kTile];
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) acc[i] = load(a.bias + b * lanes);
  for_rows<T, source>(a, p, b, [&](const Pixels<T, source>& pixels, int64_t at) FASTCONV_LAMBDA {
    const T* w = a.weights + at * a.w.taps * lanes;
    add_taps<T, kTaps, kStride, kInside>(
        a.w, q, count, pixels, [=](int64_t k) FASTCONV_LAMBDA { return load(w + k * lanes); }, acc);
  });
  if (a.relu)
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) acc[i] = select<T>(acc[i] < zero<T>(), zero<T>(), acc[i]);
  const int width = int(a.blocks[b].count);
  const int64_t pitch = a.w.out_step * a.out_channels;
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
    if (!kInside && i >= count) break;
    if (width == lanes)
      store(to + i * pitch, acc[i]);
    else
      store_partial(to + i * pitch, acc[i], width);
  }
}

template <class T, Source source, int kTaps, int kStride>
void forward_rows(const LaneForward<T>& args, int64_t begin, int64_t end) {
  const LaneForward<T> a = args;   // a copy, which no store can alias
  for (int64_t p = begin; p < end; ++p) {
    T* row = a.out + ((a.h.out_first + p * a.h.out_step) * a.w.extent + a.w.out_first) * a.out_channels;
    for (int64_t q = 0; q < a.w.out; q += kTile) {
      const bool inside = is_inside<kTaps, kStride>(a.w, q);
      const int count = a.w.out - q < kTile ? int(a.w.out - q) : kTile;
      T* to = row + q * a.w.out_step * a.out_channels;
      for (int64_t b = 0; b < a.block_count; ++b)
        if (inside)
          forward_tile<T, source, kTaps, kStride, kTaps != 0>(a, p, q, kTile, b, to + a.blocks[b].at);
        else
          forward_tile<T, source, kTaps, kStride, false>(a, p, q, count, b, to + a.blocks[b].at);
    }
  }
}

template <class T, Source source, int kTaps, int kStride, int kCount, bool kInside>
FASTCONV_INLINE void gradient_tile(const LaneGradient<T>& a, int64_t p, int64_t q, int64_t b) {
  constexpr int lanes = kLanes<T>;
  const T* from = a.grad + (p * a.w.out + q) * a.out_channels + a.blocks[b].at;
  const int width = int(a.blocks[b].count);
  Vec<T> grad[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i)
    grad[i] = width == lanes ? load(from + i * a.out_channels) : load_partial(from + i * a.out_channels, width);
  for_rows<T, source>(a, p, b, [&](const Pixels<T, source>& pixels, int64_t at) FASTCONV_LAMBDA {
    add_products<T, kTaps, kStride, kCount, kInside>(a.w, q, pixels, grad, a.sums + at * a.w.taps * lanes);
  });
  if (!a.bias) return;
  Vec<T> sum = grad[0];
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) sum += grad[i];
  store(a.bias + b * lanes, load(a.bias + b * lanes) + sum);
}

template <class T, Source source, int kTaps, int kStride>
void gradient_rows(const LaneGradient<T>& args, int64_t begin, int64_t end) {
  const LaneGradient<T> a = args;
  for (int64_t p = begin; p < end; ++p) {
    int64_t q = 0;
    for (; q + kTile <= a.w.out; q += kTile) {
      const bool inside = is_inside<kTaps, kStride>(a.w, q);
      for (int64_t b = 0; b < a.block_count; ++b)
        if (inside)
          gradient_tile<T, source, kTaps, kStride, kTile, kTaps != 0>(a, p, q, b);
        else
          gradient_tile<T, source, kTaps, kStride, kTile, false>(a, p, q, b);
    }
    while (q < a.w.out)
      choose_count(a.w.out - q, [&](auto count) FASTCONV_LAMBDA {
        for (int64_t b = 0; b < a.block_count; ++b)
          gradient_tile<T, source, kTaps, kStride, decltype(count)::value, false>(a, p, q, b);
        q += decltype(count)::value;
      });
  }
}

template <class T, Source source>
void forward_from(const LaneForward<T>& a, int64_t begin, int64_t end) {
  choose_taps(a.w, [&](auto kind) FASTCONV_LAMBDA {
    forward_rows<T, source, decltype(kind)::taps, decltype(kind)::stride>(a, begin, end);
  });
}
template <class T, Source source>
void gradient_from(const LaneGradient<T>& a, int64_t begin, int64_t end) {
  choose_taps<3>(a.w, [&](auto kind) FASTCONV_LAMBDA {
    gradient_rows<T, source, decltype(kind)::taps, decltype(kind)::stride>(a, begin, end);
  });
}

template <class T>
void lane_forward(const LaneForward<T>& a, int64_t begin, int64_t end) {
  a.permute ? forward_from<T, Source::permuted>(a, begin, end)
            : forward_from<T, Source::channels>(a, begin, end);
}

template <class T>
void lane_gradient(const LaneGradient<T>& a, int64_t begin, int64_t end) {
  a.permute ? gradient_from<T, Source::permuted>(a, begin, end)
            : gradient_from<T, Source::channels>(a, begin, end);
}

}   // namespace

template <class T>
DepthwiseKernels<T> depthwise_kernels() {
  DepthwiseKernels<T> kernels = plane_kernels<T>();
  kernels.lanes = kLanes<T>;
  kernels.lane_forward = lane_forward<T>;
  kernels.lane_gradient = lane_gradient<T>;
  return kernels;
}
template DepthwiseKernels<float> depthwise_kernels();
template DepthwiseKernels<double> depthwise_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
