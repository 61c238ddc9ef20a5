// Channels last: tiles of eight pixels of a row, channels along the vectors.
#include "depthwise.hpp"

#include "depthwise_lanes.hpp"
#include "depthwise_tile.hpp"
#include "lanes.hpp"

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

// Accumulators of a tile: this many vectors side by side times as many pixels as leave registers for the
// weights.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kAccumulators = 16;
#else
constexpr int kAccumulators = 8;
#endif

// The pixels of a row, from one source for each of the vectors.
template <class T, Source source, int kWide>
struct Pixels {
  const T* row[kWide];
  int64_t pitch;
  int count;
  Mask<T> index;

  FASTCONV_INLINE Pixels(const LaneArgs<T>& a, const LaneSource<T>* from, int64_t y)
      : pitch(a.in_channels), count(int(from->count)) {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) row[v] = a.in + y * a.w.in * a.in_channels + from[v].at;
    if constexpr (source != Source::channels) __builtin_memcpy(&index, from->index, sizeof index);
  }
  // Vector v of pixel x0 + i.
  FASTCONV_INLINE Vec<T> operator()(int64_t x0, int64_t i, int v) const {
    const T* pixel = row[v] + x0 * pitch + i * pitch;
    if constexpr (source == Source::channels) return load(pixel);
    return permute(load_partial(pixel, count), index);
  }
};

// Calls body(input row pixels, index of their tap row and source) for all that position p of block b reads, and
// of the kWide - 1 blocks after it.
template <class T, Source source, int kWide = 1, class Body>
FASTCONV_INLINE void for_rows(const LaneArgs<T>& a, int64_t p, int64_t b, Body body) {
  const int64_t inputs = source == Source::channels ? 1 : a.inputs;
  for (int64_t r = 0; r < a.h.taps; ++r) {
    const int64_t y = p * a.h.stride + a.h.first + r * a.h.step;
    if (uint64_t(y) >= uint64_t(a.h.in)) continue;
    for (int64_t j = 0; j < inputs; ++j)
      body(Pixels<T, source, kWide>(a, a.sources + b * inputs + j, y), (b * a.h.taps + r) * inputs + j);
  }
}

// Fetches pixels [x0, x1) of a row ahead: all channels of the pass.
template <class T>
FASTCONV_INLINE void fetch(const LaneArgs<T>& a, const T* row, int64_t pitch, int64_t x0, int64_t x1) {
  const int64_t last = a.block_count - 1, end = a.blocks[last].at + a.blocks[last].count;
  for (int64_t x = x0; x < x1; ++x)
    for (int64_t c = a.blocks[0].at; c < end; c += 64 / int64_t(sizeof(T)))
      __builtin_prefetch(row + x * pitch + c);
}
// What positions [q0, q1) of row p + 1 read first, in whatever chunk they are.
template <class T>
FASTCONV_INLINE void fetch_next(const LaneArgs<T>& a, int64_t p, int64_t q0, int64_t q1) {
  if (!a.far) return;
  const int64_t end = (p + 1) * a.h.stride + a.h.first + (a.h.taps - 1) * a.h.step + 1;
  const int64_t x1 = q1 * a.w.stride < a.w.in ? q1 * a.w.stride : a.w.in;
  for (int64_t y = end - a.h.stride; y < end && y < a.h.in; ++y)
    if (y >= 0) fetch(a, a.in + y * a.w.in * a.in_channels, a.in_channels, q0 * a.w.stride, x1);
}

// `count` pixels from column q of row p on, kWide blocks of channels.
template <class T, Source source, int kTaps, int kStride, bool kInside, int kWide, int kLong>
FASTCONV_INLINE void forward_tile(const LaneForward<T>& a, int64_t p, int64_t q, int count, int64_t b, T* to) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[kWide][kLong];
#pragma GCC unroll 4
  for (int v = 0; v < kWide; ++v)
#pragma GCC unroll 8
    for (int i = 0; i < kLong; ++i) acc[v][i] = load(a.bias + (b + v) * lanes);
  for_rows<T, source, kWide>(a, p, b, [&](const Pixels<T, source, kWide>& pixels, int64_t at) FASTCONV_LAMBDA {
    const T* w = a.weights + at * a.w.taps * lanes;
    const int64_t block = a.h.taps * a.w.taps * lanes;   // from one to the next; more inputs have kWide = 1
    add_taps<T, kTaps, kStride, kInside, kWide, kLong>(
        a.w, q, count, pixels,
        [=](int64_t k, int v) FASTCONV_LAMBDA { return load(w + v * block + k * lanes); }, acc);
  });
  if (a.relu)
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v)
#pragma GCC unroll 8
      for (int i = 0; i < kLong; ++i) acc[v][i] = positive<T>(acc[v][i]);
  const int width = int(a.blocks[b].count);
  const int64_t pitch = a.w.out_step * a.out_channels;
  T* block[kWide];
#pragma GCC unroll 4
  for (int v = 0; v < kWide; ++v) block[v] = to + a.blocks[b + v].at;
#pragma GCC unroll 8
  for (int i = 0; i < kLong; ++i) {
    if (!kInside && i >= count) break;
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v)
      if (kWide > 1 || width == lanes)
        store(block[v] + i * pitch, acc[v][i]);
      else
        store_partial(block[v] + i * pitch, acc[v][i], width);
  }
}

// `count` pixels of the blocks from b on.
template <class T, Source source, int kTaps, int kStride, bool kInside, int kWide, int kLong>
FASTCONV_INLINE void forward_blocks(const LaneForward<T>& a, int64_t p, int64_t q, int count, T* to,
                                    int64_t b = 0) {
  for (; b + kWide <= a.block_count; b += kWide)
    forward_tile<T, source, kTaps, kStride, kInside, kWide, kLong>(a, p, q, count, b, to);
  if constexpr (kWide > 1)
    forward_blocks<T, source, kTaps, kStride, kInside, kWide / 2, kLong>(a, p, q, count, to, b);
}

// Tiles of kWide blocks times kLong pixels.
template <class T, Source source, int kTaps, int kStride, int kWide, int kLong = kAccumulators / kWide>
void forward_rows(const LaneForward<T>& args, int64_t begin, int64_t end) {
  const LaneForward<T> a = args;   // a copy, which no store can alias
  for (int64_t p = begin; p < end; ++p) {
    T* row = a.out + ((a.h.out_first + p * a.h.out_step) * a.w.extent + a.w.out_first) * a.out_channels;
    for (int64_t q = 0; q < a.w.out; q += kLong) {
      T* to = row + q * a.w.out_step * a.out_channels;
      fetch_next(a, p, q, q + kLong);
      if (is_inside<kTaps, kStride, kLong>(a.w, q))
        forward_blocks<T, source, kTaps, kStride, kTaps != 0, kWide, kLong>(a, p, q, kLong, to);
      else
        forward_blocks<T, source, kTaps, kStride, false, kWide, kLong>(
            a, p, q, a.w.out - q < kLong ? int(a.w.out - q) : kLong, to);
    }
  }
}

// Lines that hold channels of two blocks, as all do where the array does not begin on one, are still in L1 when
// the next block comes only if the blocks' loads follow each other: pixels lie powers of two apart and share
// few sets. So a tile takes blocks side by side where registers allow. With a stride nothing that a pixel loads
// serves the next, and wide tiles cost nothing.
template <class T, Source source, int kTaps, int kStride>
void forward_rows_of(const LaneForward<T>& a, int64_t begin, int64_t end) {
  constexpr bool kMany = kAccumulators == 16;
  constexpr int kWide = source != Source::channels || kTaps != 3 ? 1 : kStride == 2 && kMany ? 4 : 2;
  a.block_count<kWide ? forward_rows<T, source, kTaps, kStride, 1, 8>(a, begin, end) : forward_rows < T, source,
                kTaps, kStride, kWide, kWide == 1 || (kWide == 2 && kMany) ? 8 : 4>(a, begin, end);
}

template <class T, Source source, int kTaps, int kStride, int kCount, bool kInside, int kWide>
FASTCONV_INLINE void gradient_tile(const LaneGradient<T>& a, int64_t p, int64_t q, int64_t b) {
  constexpr int lanes = kLanes<T>;
  Vec<T> grad[kWide][kCount];
#pragma GCC unroll 2
  for (int v = 0; v < kWide; ++v) {
    const T* from = a.grad + (p * a.w.out + q) * a.out_channels + a.blocks[b + v].at;
    const int width = int(a.blocks[b + v].count);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i)
      grad[v][i] = kWide > 1 || width == lanes ? load(from + i * a.out_channels)
                                               : load_partial(from + i * a.out_channels, width);
  }
  for_rows<T, source, kWide>(a, p, b, [&](const Pixels<T, source, kWide>& pixels, int64_t at) FASTCONV_LAMBDA {
    add_products<T, kTaps, kStride, kCount, kInside, kWide>(
        a.w, q, pixels, grad, a.sums + at * a.w.taps * lanes, a.h.taps * a.w.taps * lanes);
  });
  if (!a.bias) return;
#pragma GCC unroll 2
  for (int v = 0; v < kWide; ++v) {
    Vec<T> sum = grad[v][0];
#pragma GCC unroll 8
    for (int i = 1; i < kCount; ++i) sum += grad[v][i];
    store(a.bias + (b + v) * lanes, load(a.bias + (b + v) * lanes) + sum);
  }
}

// Two blocks side by side where registers allow.
template <class T, Source source, int kTaps, int kStride, int kCount, bool kInside>
FASTCONV_INLINE void gradient_blocks(const LaneGradient<T>& a, int64_t p, int64_t q) {
  int64_t b = 0;
  if constexpr (source == Source::channels && kAccumulators == 16 && kTaps == 3)
    for (; b + 2 <= a.block_count; b += 2)
      gradient_tile<T, source, kTaps, kStride, kCount, kInside, 2>(a, p, q, b);
  for (; b < a.block_count; ++b) gradient_tile<T, source, kTaps, kStride, kCount, kInside, 1>(a, p, q, b);
}

template <class T, Source source, int kTaps, int kStride>
void gradient_rows(const LaneGradient<T>& args, int64_t begin, int64_t end) {
  const LaneGradient<T> a = args;
  for (int64_t p = begin; p < end; ++p) {
    int64_t q = 0;
    for (; q + kTile <= a.w.out; q += kTile) {
      fetch_next(a, p, q, q + kTile);
      if (a.far && p + 1 < a.h.out)
        fetch(a, a.grad + (p + 1) * a.w.out * a.out_channels, a.out_channels, q, q + kTile);
      if (is_inside<kTaps, kStride>(a.w, q))
        gradient_blocks<T, source, kTaps, kStride, kTile, kTaps != 0>(a, p, q);
      else
        gradient_blocks<T, source, kTaps, kStride, kTile, false>(a, p, q);
    }
    while (q < a.w.out)
      choose_count(a.w.out - q, [&](auto count) FASTCONV_LAMBDA {
        gradient_blocks<T, source, kTaps, kStride, decltype(count)::value, false>(a, p, q);
        q += decltype(count)::value;
      });
  }
}

template <class T, Source source>
void forward_from(const LaneForward<T>& a, int64_t begin, int64_t end) {
  choose_taps(a.w, [&](auto kind) FASTCONV_LAMBDA {
    forward_rows_of<T, source, decltype(kind)::taps, decltype(kind)::stride>(a, begin, end);
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
  if (lane_walk(a, begin, end)) return;
  a.permute ? forward_from<T, Source::permuted>(a, begin, end)
            : forward_from<T, Source::channels>(a, begin, end);
}

template <class T>
void lane_gradient(const LaneGradient<T>& a, int64_t begin, int64_t end) {
  if (lane_walk_gradient(a, begin, end)) return;
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
  kernels.lane_quad = lane_quad<T>;
  return kernels;
}
template DepthwiseKernels<float> depthwise_kernels();
template DepthwiseKernels<double> depthwise_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
