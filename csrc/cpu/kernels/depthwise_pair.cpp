// Backward-input of 3x3 kernels of stride 2 over planes. Along each axis one residue of the result has two taps
// and the other the middle one; a row of the gradient is loaded once for the three rows that it reaches.
#include "depthwise_plane.hpp"
#include "depthwise_residues.hpp"
#include "depthwise_walk.hpp"
#include "lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// The columns of a row of the gradient that the two taps read.
template <class T>
struct TwoColumns {
  Vec<T> at[2];
};

template <class T>
struct PairOut {
  T* to;                  // columns 2q and 2q + 1 of row 2p
  int64_t width, ahead;   // of a row, and to what is fetched
  int64_t left;           // columns from 2q on
  const T* end;           // rows shorter than two vectors run over into the next, which are written later
  bool over, relu;

  FASTCONV_INLINE void put(Vec<T> even, Vec<T> odd) {
    constexpr int lanes = kLanes<T>;
    if (relu) {
      even = positive<T>(even);
      odd = positive<T>(odd);
    }
    Vec<T> low, high;
    interleave<T>(even, odd, low, high);
    if (left >= 2 * lanes || (over && end - to >= 2 * lanes)) {
      store(to, low);
      store(to + lanes, high);
    } else {
      store_partial(to, low, left < lanes ? int(left) : lanes);
      if (left > lanes) store_partial(to + lanes, high, left < 2 * lanes ? int(left - lanes) : lanes);
    }
    if (ahead > 0) __builtin_prefetch(to + ahead, 1);
    to += width;
  }
};

// Weights: taps 0 and 1 of the residue that has two, then the other's only one.
template <class T>
struct PairWeights {
  Vec<T> w[3][3];

  // `two`: the residue of two taps, the same for rows and columns; each part is [w tap][h tap].
  FASTCONV_INLINE PairWeights(const Plane<T> (&rows)[2], int two) {
    const T *tt = rows[two].weights[two], *to = rows[two].weights[1 - two];
    const T *ot = rows[1 - two].weights[two], *oo = rows[1 - two].weights[1 - two];
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) w[r][s] = broadcast(tt[s * 2 + r]);
      w[r][2] = broadcast(to[r]);
      w[2][r] = broadcast(ot[r]);
    }
    w[2][2] = broadcast(oo[0]);
  }
};

template <class T, int kTwo, bool kMasked>
FASTCONV_INLINE void walk_rows_pair(const Strip<T, 2, 1>& strip, const TapAxis& h, int64_t rows_out,
                                    const T* in, int64_t pitch, int64_t ahead, int64_t begin, int64_t end,
                                    const PairWeights<T>& weights, Vec<T> bias, PairOut<T> out) {
  const Vec<T>(&w)[3][3] = weights.w;
  constexpr int kMiddle = kTwo == 0;   // which of the two columns, and rows, the only tap reads
  const auto row = [&](int64_t y) FASTCONV_LAMBDA {
    TwoColumns<T> x = {{zero<T>(), zero<T>()}};
    if (uint64_t(y) >= uint64_t(h.in)) return x;
    __builtin_prefetch(in + y * pitch + ahead);
    strip.template taps<kMasked>(in + y * pitch, [&](int s, Vec<T> v) FASTCONV_LAMBDA { x.at[s] = v; });
    return x;
  };
  const auto put = [&](Vec<T> two, Vec<T> one)
                       FASTCONV_LAMBDA { kTwo == 0 ? out.put(two, one) : out.put(one, two); };
  const auto middle = [&](const TwoColumns<T>& x) FASTCONV_LAMBDA {
    put(bias + x.at[0] * w[2][0] + x.at[1] * w[2][1], bias + x.at[kMiddle] * w[2][2]);
  };
  TwoColumns<T> x = row(begin + h.first);
  for (int64_t p = begin; p < end; ++p) {
    if (kTwo == 1) middle(x);
    Vec<T> two = bias + x.at[0] * w[0][0] + x.at[1] * w[0][1], one = bias + x.at[kMiddle] * w[0][2];
    x = row(p + h.first + 1);
    if (kTwo == 0 || 2 * p + 1 < rows_out)
      put(two + x.at[0] * w[1][0] + x.at[1] * w[1][1], one + x.at[kMiddle] * w[1][2]);
    if (kTwo == 0 && 2 * p + 1 < rows_out) middle(x);
  }
}

template <class T, int kTwo>
void pair_planes(const PlaneForward<T>& even_rows, const PlaneForward<T>& odd_rows, int64_t first, int64_t last,
                 int64_t begin, int64_t end) {
  const PlaneForward<T> even = even_rows, odd = odd_rows;   // copies, which no store can alias
  const TapAxis h = kTwo ? odd.h : even.h;
  TapAxis w = even.w[kTwo];
  w.out = even.w[0].out;
  const int64_t width = w.extent, band = walk_rows<T>(w.in + 2 * width), ahead = fetch_distance<T>(band * w.in);
  const int64_t out_ahead = store_distance<T>(end - begin, band, 2 * width);
  Strips<T, 2, 1> strips(w, true);
  for (int64_t i = first; i < last; ++i) {
    const Plane<T> rows[2] = {{even, i}, {odd, i}};
    const PairWeights<T> weights(rows, kTwo);
    const Vec<T> bias = broadcast(rows[0].bias);
    for (int64_t p = begin; p < end; p += band) {
      const int64_t until = end - p < band ? end : p + band;
      strips.each([&](const Strip<T, 2, 1>& strip) FASTCONV_LAMBDA {
        const T* in = rows[0].in + strip.q + w.first;
        const PairOut<T> out = {rows[0].out + 2 * p * width + 2 * strip.q,
                                width,
                                out_ahead,
                                width - 2 * strip.q,
                                even.out_end,
                                strips.last == 0,
                                even.relu};
        if (strip.whole)
          walk_rows_pair<T, kTwo, false>(strip, h, h.extent, in, w.in, ahead, p, until, weights, bias, out);
        else
          walk_rows_pair<T, kTwo, true>(strip, h, h.extent, in, w.in, ahead, p, until, weights, bias, out);
      });
    }
  }
}

}   // namespace

template <class T>
bool walk_pair(const PlaneForward<T>& even, const PlaneForward<T>& odd, int64_t first, int64_t last,
               int64_t begin, int64_t end) {
  if (even.inputs != 1 || even.residues != 2 || odd.residues != 2) return false;
  if (has_middle(odd.h, even.h, 1) && has_middle(even.w[1], even.w[0], 1))
    return pair_planes<T, 1>(even, odd, first, last, begin, end), true;
  if (has_middle(even.h, odd.h, 0) && has_middle(even.w[0], even.w[1], 0))
    return pair_planes<T, 0>(even, odd, first, last, begin, end), true;
  return false;
}
template bool walk_pair(const PlaneForward<float>&, const PlaneForward<float>&, int64_t, int64_t, int64_t,
                        int64_t);
template bool walk_pair(const PlaneForward<double>&, const PlaneForward<double>&, int64_t, int64_t, int64_t,
                        int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
