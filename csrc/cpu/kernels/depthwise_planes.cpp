// Planes: tiles of eight rows, columns along the vectors. Columns outside the plane are masked, not copied.
#include "depthwise_columns.hpp"
#include "depthwise_line.hpp"
#include "depthwise_tile.hpp"
#include "lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// As choose_taps, with the stride of the columns: known where that of the rows is the same, or by itself.
template <int kLeast, class Body>
FASTCONV_INLINE void choose_columns(const TapAxis& h, int64_t stride, Body body) {
  bool known = false;
  choose_taps<kLeast>(h, [&](auto kind) FASTCONV_LAMBDA {
    constexpr int rows = decltype(kind)::stride;
    if constexpr (rows > 0)
      if (stride == rows) {
        known = true;
        body(kind, Count<rows>{});
      }
  });
  if (known) return;
  if (stride == 1) return body(Kind<0, 0>{}, Count<1>{});
  stride == 2 ? body(Kind<0, 0>{}, Count<2>{}) : body(Kind<0, 0>{}, Count<0>{});
}

// One vector of columns of the positions [p, p + rows). kInside: as is_inside says of the rows.
template <class T, int kTaps, int kStride, int kColumnStride, bool kInside>
FASTCONV_INLINE void sum_columns(const PlaneForward<T>& a, const Plane<T>& plane, int residue, int64_t p,
                                 int rows, int64_t q, int count, Vec<T> (*to)[kTile]) {
  Vec<T>* const acc = *to;
  const TapAxis& w = a.w[residue];
  const T* weights = plane.weights[residue];
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) acc[i] = broadcast(plane.bias);
  for (int64_t j = 0; j < a.inputs; ++j)
    for (int64_t s = 0; s < w.taps; ++s, weights += a.h.taps) {
      const Columns<T, kColumnStride> columns(w, plane.in + j * a.h.in * w.in, q, s, count);
      columns.rows([&](auto row) FASTCONV_LAMBDA {
        add_taps<T, kTaps, kStride, kInside>(
            a.h, p, rows, row, [=](int64_t k, int) FASTCONV_LAMBDA { return broadcast(weights[k]); }, to);
      });
    }
  if constexpr (kColumnStride == 2)
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) acc[i] = reordered<T>(acc[i]);
  if (a.relu)
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) acc[i] = positive<T>(acc[i]);
}

template <class T>
FASTCONV_INLINE void store_some(T* to, Vec<T> v, int64_t count) {
  if (count >= kLanes<T>)
    store(to, v);
  else if (count > 0)
    store_partial(to, v, int(count));
}

// Where a row is no run of vectors.
template <class T>
__attribute__((noinline)) void scatter(const T* tile, int rows, int count, T* to, int64_t pitch, int64_t step) {
  for (int i = 0; i < rows; ++i)
    for (int l = 0; l < count; ++l) to[i * pitch + l * step] = tile[i * kLanes<T> + l];
}

template <class T, int kTaps, int kStride, int kColumnStride, bool kInside>
FASTCONV_INLINE void forward_tile(const PlaneForward<T>& a, const Plane<T>& plane, int64_t p, int rows,
                                  int64_t q, int count, T* to) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[kTile];
  sum_columns<T, kTaps, kStride, kColumnStride, kInside>(a, plane, 0, p, rows, q, count, &acc);
  const int64_t pitch = a.h.out_step * a.w[0].extent, step = a.w[0].out_step;
  // Rows shorter than a vector run over into the next, which are written later.
  const bool over = a.h.out_step == 1 && a.out_end - (to + (rows - 1) * pitch) >= lanes;
  if (step == 1 && (count == lanes || over)) {
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      if (!kInside && i >= rows) break;
      store(to + i * pitch, acc[i]);
    }
  } else {
    T tile[kTile * lanes];
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) store(tile + i * lanes, acc[i]);
    scatter(tile, rows, count, to, pitch, step);
  }
}

template <class T, int kTaps, int kStride, int kColumnStride>
void forward_planes(const PlaneForward<T>& args, int64_t first, int64_t last, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<T>;
  const PlaneForward<T> a = args;   // a copy, which no store can alias
  const TapAxis& w = a.w[0];
  for (int64_t i = first; i < last; ++i) {
    const Plane<T> plane(a, i);
    for (int64_t p = begin; p < end; p += kTile) {
      const int rows = end - p < kTile ? int(end - p) : kTile;
      const bool inside = rows == kTile && is_inside<kTaps, kStride>(a.h, p);
      T* out = plane.out + (a.h.out_first + p * a.h.out_step) * w.extent + w.out_first;
      for (int64_t at = 0; at < w.out; at += lanes) {
        at = line_tiles(a, plane, at, out);
        if (at == w.out) break;
        // The last vector of a row overlaps the one before.
        const int64_t q = w.out >= lanes && w.out - at < lanes ? w.out - lanes : at;
        const int count = w.out - q < lanes ? int(w.out - q) : lanes;
        T* to = out + q * w.out_step;
        if (inside)
          forward_tile<T, kTaps, kStride, kColumnStride, kTaps != 0>(a, plane, p, kTile, q, count, to);
        else
          forward_tile<T, kTaps, kStride, kColumnStride, false>(a, plane, p, rows, q, count, to);
      }
    }
  }
}

// Both residues of the columns.
template <class T, int kTaps>
void forward_pairs(const PlaneForward<T>& args, int64_t first, int64_t last, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<T>;
  const PlaneForward<T> a = args;
  const int64_t width = a.w[0].extent, pitch = a.h.out_step * width;
  for (int64_t index = first; index < last; ++index) {
    const Plane<T> plane(a, index);
    for (int64_t p = begin; p < end; p += kTile) {
      const int rows = end - p < kTile ? int(end - p) : kTile;
      T* out = plane.out + (a.h.out_first + p * a.h.out_step) * width;
      for (int64_t q = 0; q < a.w[0].out; q += lanes) {
        Vec<T> even[kTile], odd[kTile];
        sum_columns<T, kTaps, kTaps ? 1 : 0, 1, false>(a, plane, 0, p, rows, q, lanes, &even);
        sum_columns<T, kTaps, kTaps ? 1 : 0, 1, false>(a, plane, 1, p, rows, q, lanes, &odd);
        T* to = out + 2 * q;
#pragma GCC unroll 8
        for (int i = 0; i < kTile; ++i) {
          if (i >= rows) break;
          Vec<T> low, high;
          interleave<T>(even[i], odd[i], low, high);
          store_some(to + i * pitch, low, width - 2 * q);
          store_some(to + i * pitch + lanes, high, width - 2 * q - lanes);
        }
      }
    }
  }
}

template <class T>
void plane_forward(const PlaneForward<T>& a, int64_t first, int64_t last, int64_t begin, int64_t end) {
  if (walk_forward(a, first, last, begin, end)) return;
  if (a.residues == 2) {
    if (a.h.taps == 1) return forward_pairs<T, 1>(a, first, last, begin, end);
    return a.h.taps == 2 && a.h.step == 1 ? forward_pairs<T, 2>(a, first, last, begin, end)
                                          : forward_pairs<T, 0>(a, first, last, begin, end);
  }
  choose_columns<1>(a.h, a.w[0].stride, [&](auto kind, auto columns) FASTCONV_LAMBDA {
    forward_planes<T, decltype(kind)::taps, decltype(kind)::stride, decltype(columns)::value>(a, first, last,
                                                                                              begin, end);
  });
}

// Columns from q on of the positions [p, p + kCount) of an image.
template <class T, int kTaps, int kStride, int kColumnStride, int kCount, bool kInside>
FASTCONV_INLINE void gradient_tile(const PlaneGradient<T>& a, const T* in, const T* from, int64_t p,
                                   int64_t q) {
  constexpr int lanes = kLanes<T>;
  const int count = a.w.out - q < lanes ? int(a.w.out - q) : lanes;
  const LaneMask<T> mask(LaneRange{0, count});
  Vec<T> grad[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    const T* at = from + (p + i) * a.w.out + q;
    grad[i] = count == lanes ? load(at) : mask.load_from(at);
    if constexpr (kColumnStride == 2) grad[i] = reordered<T>(grad[i]);   // as the columns are
  }
  T* sums = a.sums;
  for (int64_t j = 0; j < a.inputs; ++j)
    for (int64_t s = 0; s < a.w.taps; ++s, sums += a.h.taps * lanes) {
      const Columns<T, kColumnStride> columns(a.w, in + j * a.h.in * a.w.in, q, s, count);
      columns.rows([&](auto row) FASTCONV_LAMBDA {
        add_products<T, kTaps, kStride, kCount, kInside>(a.h, p, row, &grad, sums);
      });
    }
  if (!a.bias) return;
  Vec<T> sum = grad[0];
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) sum += grad[i];
  store(a.bias, load(a.bias) + sum);
}

template <class T, int kTaps, int kStride, int kColumnStride>
void gradient_planes(const PlaneGradient<T>& args, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<T>;
  const PlaneGradient<T> a = args;
  const Inside inside(a.w);
  const bool line = is_line(a.h) && a.w.stride == 1;
  for (int64_t row = begin; row < end;) {
    const int64_t n = row / a.h.out, p = row % a.h.out;
    const T *in = a.in + n * a.in_image, *grad = a.grad + n * a.grad_image;
    const int64_t left = a.h.out - p < end - row ? a.h.out - p : end - row;
    if (left >= kTile) {
      for (int64_t q = 0; q < a.w.out; q += lanes)
        if (is_inside<kTaps, kStride>(a.h, p))
          gradient_tile<T, kTaps, kStride, kColumnStride, kTile, kTaps != 0>(a, in, grad, p, q);
        else
          gradient_tile<T, kTaps, kStride, kColumnStride, kTile, false>(a, in, grad, p, q);
      row += kTile;
    } else {
      choose_count(left, [&](auto count) FASTCONV_LAMBDA {
        for (int64_t q = 0; q < a.w.out; q += lanes) {
          for (; line && q >= inside.begin && q + kTile * lanes <= inside.end; q += kTile * lanes)
            gradient_line(a, in, grad, q);
          if (q == a.w.out) break;
          gradient_tile<T, kTaps, kStride, kColumnStride, decltype(count)::value, false>(a, in, grad, p, q);
        }
        row += decltype(count)::value;
      });
    }
  }
}

template <class T>
void plane_pair(const PlaneForward<T>& even, const PlaneForward<T>& odd, int64_t first, int64_t last,
                int64_t begin, int64_t end) {
  if (walk_pair(even, odd, first, last, begin, end)) return;
  plane_forward(even, first, last, begin, end < even.h.out ? end : even.h.out);
  plane_forward(odd, first, last, begin, end < odd.h.out ? end : odd.h.out);
}

template <class T>
void plane_gradient(const PlaneGradient<T>& a, int64_t begin, int64_t end) {
  if (walk_gradient(a, begin, end)) return;
  choose_columns<3>(a.h, a.w.stride, [&](auto kind, auto columns) FASTCONV_LAMBDA {
    gradient_planes<T, decltype(kind)::taps, decltype(kind)::stride, decltype(columns)::value>(a, begin, end);
  });
}

template <class T>
void fold(const T* vectors, int64_t count, T* to) {
  constexpr int lanes = kLanes<T>;
  for (int64_t i = 0; i < count; i += lanes) {
    const int some = count - i < lanes ? int(count - i) : lanes;
    Vec<T> v[lanes];
    for (int k = 0; k < lanes; ++k) v[k] = k < some ? load(vectors + (i + k) * lanes) : zero<T>();
    store_partial(to + i, sums_of<T>(v), some);
  }
}

}   // namespace

template <class T>
DepthwiseKernels<T> plane_kernels() {
  return {kLanes<T>, nullptr, nullptr, nullptr, plane_forward<T>, plane_pair<T>, plane_gradient<T>, fold<T>};
}
template DepthwiseKernels<float> plane_kernels();
template DepthwiseKernels<double> plane_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
