// Gradients of average pooling, NCHW, where windows are alike. What a row of windows passes on is spread over
// its columns once; rows of gradients are sums of those. Several are spread at a time, and filled before they
// are read: a load across two recent stores waits.
#include "average_pool_shares.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int64_t kKept = 2 * kAlikeRows;   // spread rows: those that a row of gradients needs, and new ones

template <class T>
class SpreadRows {
 public:
  explicit SpreadRows(const MeanWindows<T>& w)
      : shares_{w, nullptr, {}},
        piece_(shares_.even(0, w.input[2])),
        columns_(w.output[2]),
        first_(most(piece_.begin, 0)),
        count_(most(0, least(piece_.end, columns_) - first_)),
        share_(T(1) / w.divisor) {
    constexpr int64_t n = kLanes<T>;
    pitch_ = (w.input[2] + 2 * n - 1) / (2 * n) * (2 * n);
    line_pitch_ = (piece_.end - piece_.begin + n - 1) / n * n + 3 * n;
    for (int64_t i = 0; i < kAlikeRows * line_pitch_ + kBesides; i += n) store(lines_ + i, zero<T>());
  }

  // Rows [begin, begin + rows) of the windows of a plane.
  template <int kStride>
  FASTCONV_INLINE void add(const T* plane, int64_t begin, int64_t rows) {
    constexpr int64_t n = kLanes<T>;
    const T* from = plane + begin * columns_ + first_;
    T* line = lines_ + (first_ - piece_.begin);
    for (int64_t r = 0; r < rows; ++r, from += columns_, line += line_pitch_) {
      int64_t c = 0;
      for (; c + n <= count_; c += n) {
        __builtin_prefetch(from + c + kAhead);
        store(line + c, load(from + c) * share_);
      }
      if (c < count_) store(line + c, load_partial(from + c, int(count_ - c)) * share_);
    }
    for (int64_t r = 0; r < rows; ++r)
      shares_.template finish_even<kStride>(piece_, lines_ + r * line_pitch_, at(begin + r), pitch_);
  }
  const T* at(int64_t window) const { return kept_ + window % kKept * pitch_; }
  T* at(int64_t window) { return kept_ + window % kKept * pitch_; }

 private:
  Shares<T> shares_;
  const Piece piece_;   // the whole row
  const int64_t columns_, first_, count_;
  const T share_;
  int64_t pitch_, line_pitch_;
  alignas(kVectorBytes) T lines_[kAlikeRows * (kAlikeWidth + 2 * kEvenKernel + kBesides) + kBesides];
  alignas(kVectorBytes) T kept_[kKept * (kAlikeWidth + kBesides)];
};

// The sum of the rows of windows h.
template <class T>
FASTCONV_INLINE void sum_spread(const SpreadRows<T>& rows, const Span& h, int64_t width, T* to, int64_t room) {
  constexpr int n = kLanes<T>;
  const int64_t count = h.end - h.begin;
  if (count <= 0) {
    for (int64_t c = 0; c < width; c += n) store_up_to(to + c, zero<T>(), width - c, room - c);
    return;
  }
  const T *a = rows.at(h.begin), *b = rows.at(h.begin + 1), *d = rows.at(h.begin + 2);
  const auto all = [&](auto sum) FASTCONV_LAMBDA {
    for (int64_t c = 0; c < width; c += n) store_up_to(to + c, sum(c), width - c, room - c);
  };
  if (count == 1) return all([&](int64_t c) FASTCONV_LAMBDA { return load(a + c); });
  if (count == 2) return all([&](int64_t c) FASTCONV_LAMBDA { return load(a + c) + load(b + c); });
  if (count == 3)
    return all([&](int64_t c) FASTCONV_LAMBDA { return load(a + c) + load(b + c) + load(d + c); });
  all([&](int64_t c) FASTCONV_LAMBDA {
    Vec<T> sum = load(a + c) + load(b + c);
    for (int64_t k = 2; k < count; ++k) sum += load(rows.at(h.begin + k) + c);
    return sum;
  });
}

template <int kStride, class T>
void alike_backward(const MeanWindows<T>& w, const T* grad, T* dx, int64_t begin, int64_t end,
                    bool past_caches) {
  const int64_t width = w.input[2], size = w.output[1] * w.output[2];
  SpreadRows<T> spread(w);
  RowsOut<T> out(dx, past_caches);
  for (int64_t row = begin; row < end;) {
    const int64_t plane = row / w.input[1], first = row % w.input[1];
    const Span* spans = w.windows[1] + first;
    const int64_t rows = least(w.input[1] - first, end - row), last = spans[rows - 1].end;
    int64_t next = spans[0].begin;
    for (int64_t r = 0; r < rows; ++r, ++row) {
      if (next < spans[r].end) {
        const int64_t fresh = least(kAlikeRows, last - next);
        spread.template add<kStride>(grad + plane * size, next, fresh);
        next += fresh;
      }
      sum_spread(spread, spans[r], width, out.next(width), (end - row) * width);
    }
  }
  out.finish();
}

}   // namespace

template <class T>
void average_alike_backward(const MeanWindows<T>& windows, const T* grad, T* dx, int64_t begin, int64_t end,
                            bool past_caches) {
  const MeanWindows<T> w = windows;   // a copy, which no store below can alias
  w.stride == 1 ? alike_backward<1>(w, grad, dx, begin, end, past_caches)
                : alike_backward<2>(w, grad, dx, begin, end, past_caches);
}

template void average_alike_backward(const MeanWindows<float>&, const float*, float*, int64_t, int64_t, bool);
template void average_alike_backward(const MeanWindows<double>&, const double*, double*, int64_t, int64_t,
                                     bool);

}   // namespace fastconv::cpu::FASTCONV_ISA
