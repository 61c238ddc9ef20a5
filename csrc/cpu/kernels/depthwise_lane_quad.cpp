// Channels last, backward-input of 3x3 kernels of stride 2. Along each axis one residue of the result has two
// taps and the other the middle one: a pixel of the gradient is loaded once a row of results for the four that
// it reaches.
#include "depthwise_lanes.hpp"
#include "depthwise_residues.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int kBlocks = 16;   // whose weights are put side by side

// Taps 0 and 1 of the residues that have two, then the others' only one: [block][row][column][lane].
template <class T>
struct QuadWeights {
  T lanes[kBlocks][3][3][kLanes<T>];

  FASTCONV_INLINE void put(const T* from, int64_t blocks, int row, int rows, int column, int columns) {
    for (int64_t b = 0; b < blocks; ++b)
      for (int r = 0; r < rows; ++r)
        for (int s = 0; s < columns; ++s, from += kLanes<T>) store(lanes[b][row + r][column + s], load(from));
  }
  // two: the residue that has two taps.
  QuadWeights(const LaneForward<T>* parts, int two, int64_t first, int64_t blocks) {
    for (int h = 0; h < 2; ++h)
      for (int w = 0; w < 2; ++w) {
        const LaneForward<T>& part = parts[2 * h + w];
        const int rows = h == two ? 2 : 1, columns = w == two ? 2 : 1;
        put(part.weights + first * rows * columns * kLanes<T>, blocks, h == two ? 0 : 2, rows, w == two ? 0 : 2,
            columns);
      }
  }
};

// Two rows of results from two rows of the gradient, of which `top` and `bottom` say whether they are there.
template <class T, int kTwo, bool kTop, bool kBottom, int kWide>
struct QuadWalk {
  static constexpr int kMiddle = kTwo == 0;   // which of two pixels, and rows, the only tap reads
  const T* in[kWide];
  int64_t row, pixel, pixels;
  const T (*weights)[3][3][kLanes<T>];
  T* out[kWide];   // the first pixel of the even row
  int64_t out_row, out_pixel;
  bool odd_row, far, relu;

  using Pixel = Vec<T>[kWide][2];
  FASTCONV_INLINE void read(int64_t x, Pixel& to) const {
#pragma GCC unroll 2
    for (int v = 0; v < kWide; ++v)
#pragma GCC unroll 2
      for (int r = 0; r < 2; ++r) {
        const bool there = r == 0 ? kTop : kBottom;
        to[v][r] = there && uint64_t(x) < uint64_t(pixels) ? load(in[v] + r * row + x * pixel) : zero<T>();
      }
  }
  // What the next two rows read and write.
  FASTCONV_INLINE void fetch(int64_t q, int64_t x) const {
    __builtin_prefetch(in[0] + 2 * row + x * pixel);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      __builtin_prefetch(out[0] + (2 + i / 2) * out_row + (2 * q + i % 2) * out_pixel, 1);
  }
  FASTCONV_INLINE void put(int v, int64_t q, int h, int w, Vec<T> value) const {
    store(out[v] + h * out_row + (2 * q + w) * out_pixel, relu ? positive<T>(value) : value);
  }
  // Columns 2q and, where kOdd, 2q + 1.
  template <bool kOdd>
  FASTCONV_INLINE void results(int64_t q, const Pixel& left, const Pixel& right, const T* bias) const {
    constexpr int kOne = 1 - kTwo;
    constexpr bool kHasMiddle = kMiddle ? kBottom : kTop;
#pragma GCC unroll 2
    for (int v = 0; v < kWide; ++v) {
      const auto& w = weights[v];
      const Vec<T> start = load(bias + v * kLanes<T>);
      Vec<T> two = start, one = start, middle_two = start, middle_one = start;
#pragma GCC unroll 2
      for (int r = 0; r < 2; ++r) {
        if (r == 0 ? !kTop : !kBottom) continue;
        two += left[v][r] * load(w[r][0]) + right[v][r] * load(w[r][1]);
        one += (kMiddle ? right : left)[v][r] * load(w[r][2]);
      }
      if (kHasMiddle) {
        middle_two += left[v][kMiddle] * load(w[2][0]) + right[v][kMiddle] * load(w[2][1]);
        middle_one += (kMiddle ? right : left)[v][kMiddle] * load(w[2][2]);
      }
      if (kTwo == 0 || odd_row) {
        if (kTwo == 0 || kOdd) put(v, q, kTwo, kTwo, two);
        if (kOne == 0 || kOdd) put(v, q, kTwo, kOne, one);
      }
      if (kOne == 0 || odd_row) {
        if (kTwo == 0 || kOdd) put(v, q, kOne, kTwo, middle_two);
        if (kOne == 0 || kOdd) put(v, q, kOne, kOne, middle_one);
      }
    }
  }
  FASTCONV_INLINE void columns(int64_t first, int64_t extent, int64_t q, int64_t end, const T* bias) const {
    Pixel left, right;
    read(q + first, left);
    for (; q < end && 2 * q + 1 < extent; ++q) {
      read(q + first + 1, right);
      if (far) fetch(q, q + first + 1);
      results<true>(q, left, right, bias);
#pragma GCC unroll 2
      for (int v = 0; v < kWide; ++v) left[v][0] = right[v][0], left[v][1] = right[v][1];
    }
    if (q == end) return;
    read(q + first + 1, right);
    results<false>(q, left, right, bias);
  }
};

template <class T, int kTwo, bool kTop, bool kBottom, int kWide>
FASTCONV_INLINE void quad_blocks(const LaneForward<T>& a, int64_t p, const QuadWeights<T>& weights,
                                 int64_t first, int64_t b, int64_t q, int64_t end) {
  const int64_t row = a.w.in * a.in_channels, out_row = a.w.extent * a.out_channels;
  QuadWalk<T, kTwo, kTop, kBottom, kWide> walk = {{},
                                                  row,
                                                  a.in_channels,
                                                  a.w.in,
                                                  &weights.lanes[b - first],
                                                  {},
                                                  out_row,
                                                  a.out_channels,
                                                  2 * p + 1 < a.h.extent,
                                                  a.far,
                                                  a.relu};
#pragma GCC unroll 2
  for (int v = 0; v < kWide; ++v) {
    walk.in[v] = a.in + (p + a.h.first) * row + a.sources[b + v].at;
    walk.out[v] = a.out + 2 * p * out_row + a.blocks[b + v].at;
  }
  walk.columns(a.w.first, a.w.extent, q, end, a.bias + b * kLanes<T>);
}

template <class T, int kTwo, bool kTop, bool kBottom>
void quad_row(const LaneForward<T>& a, int64_t p, const QuadWeights<T>& weights, int64_t first,
              int64_t blocks) {
  for_segments((a.w.extent + 1) / 2, [&](int64_t q, int64_t end) FASTCONV_LAMBDA {
    int64_t b = first;
    for (; b + 2 <= first + blocks; b += 2)
      quad_blocks<T, kTwo, kTop, kBottom, 2>(a, p, weights, first, b, q, end);
    if (b < first + blocks) quad_blocks<T, kTwo, kTop, kBottom, 1>(a, p, weights, first, b, q, end);
  });
}

template <class T, int kTwo>
void quad_rows(const LaneForward<T>* parts, int64_t begin, int64_t end) {
  const LaneForward<T> a = parts[3 * kTwo];   // the part of two taps along both axes
  for (int64_t first = 0; first < a.block_count; first += kBlocks) {
    const int64_t blocks = a.block_count - first < kBlocks ? a.block_count - first : kBlocks;
    const QuadWeights<T> weights(parts, kTwo, first, blocks);
    for (int64_t p = begin; p < end; ++p) {
      const bool top = uint64_t(p + a.h.first) < uint64_t(a.h.in);
      const bool bottom = uint64_t(p + a.h.first + 1) < uint64_t(a.h.in);
      if (top && bottom)
        quad_row<T, kTwo, true, true>(a, p, weights, first, blocks);
      else if (top)
        quad_row<T, kTwo, true, false>(a, p, weights, first, blocks);
      else if (bottom)
        quad_row<T, kTwo, false, true>(a, p, weights, first, blocks);
      else
        quad_row<T, kTwo, false, false>(a, p, weights, first, blocks);
    }
  }
}

}   // namespace

template <class T>
bool lane_quad(const LaneForward<T>* parts, int64_t begin, int64_t end) {
  const TapAxis &even = parts[0].h, &odd = parts[2].h, &left = parts[0].w, &right = parts[1].w;
  if (parts[0].permute) return false;
  if (has_middle(odd, even, 1) && has_middle(right, left, 1)) return quad_rows<T, 1>(parts, begin, end), true;
  if (has_middle(even, odd, 0) && has_middle(left, right, 0)) return quad_rows<T, 0>(parts, begin, end), true;
  return false;
}
template bool lane_quad(const LaneForward<float>*, int64_t, int64_t);
template bool lane_quad(const LaneForward<double>*, int64_t, int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
