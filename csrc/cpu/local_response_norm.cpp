#include "local_response_norm.hpp"

#include <algorithm>
#include <vector>

#include "../core/memory.hpp"
#include "isa.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

// The channels that channel c's response is measured over: [c - before, c + after].
struct Window {
  int64_t before, after;

  // Of the channels whose windows hold c.
  Window mirrored() const { return {after, before}; }
  int64_t size() const { return before + after + 1; }
};

Window window_of(int64_t size, int64_t channels) {
  return {std::min(size / 2, channels - 1), std::min((size - 1) / 2, channels - 1)};
}

template <class T>
class ResponseNorm {
 public:
  ResponseNorm(const NormProblem& p, const ResponseNormParameters& parameters, MemoryFormat format)
      : images_(p.batch),
        channels_(p.channels),
        plane_(p.plane()),
        rows_(format == MemoryFormat::channels_last || plane_ == 1),
        window_(window_of(parameters.size, channels_)),
        terms_{parameters.k, parameters.alpha / double(parameters.size), parameters.beta} {}

  void forward(const T* x, T* y) const {
    if (!rows_) return each_piece([&](int64_t at, int64_t n) { forward_piece(x + at, y + at, n); });
    each_lines([&](int64_t at, int64_t pixels, T* lines) {
      Pointers list;
      fill(lines, x + at, pixels);
      kernels_.forward(along(list, lines, window_, pixels), terms_, x + at, y + at);
    });
  }

  void backward(const T* grad, const T* x, T* dx) const {
    if (!rows_)
      return each_piece([&](int64_t at, int64_t n) { backward_piece(grad + at, x + at, dx + at, n); });
    each_lines([&](int64_t at, int64_t pixels, T* lines) {
      Pointers list;
      T *slopes = lines + pixels * pitch(), *power = slopes + pixels * pitch();
      fill(lines, x + at, pixels);
      std::fill_n(slopes, pixels * pitch(), T(0));
      kernels_.slopes(along(list, lines, window_, pixels), terms_, grad + at, x + at, power, slopes + margin());
      kernels_.backward(along(list, slopes, window_.mirrored(), pixels), terms_, grad + at, x + at, power,
                        dx + at);
    });
  }

 private:
  using Pointers = std::vector<const T*>;

  static constexpr int64_t kPiece = 1024;    // pixels, of fewer channels than kRing
  static constexpr int64_t kRing = 16384;    // elements that a window keeps of a piece
  static constexpr int64_t kLines = 2048;    // elements of a scratch of lines
  static constexpr int64_t kGrain = 32768;   // elements a chunk

  // ---- Planes: channels are rows of pixels ----

  template <class Body>
  void each_piece(Body&& body) const {
    const int64_t most = std::clamp<int64_t>(kRing / window_.size(), 64, kPiece);
    const int64_t parts = std::max<int64_t>(1, div_up(plane_, most)), items = images_ * parts;
    const double flops = double(channels_) * double(plane_) / double(parts) * kMoveFlops;
    parallel_items(items, flops, [&](int64_t i) {
      const int64_t begin = part_begin(plane_, parts, i % parts),
                    end = part_begin(plane_, parts, i % parts + 1);
      body(i / parts * channels_ * plane_ + begin, end - begin);
    });
  }

  template <class Row>
  Responses<T> across(Pointers& list, const Window& window, int64_t c, int64_t n, Row&& row) const {
    list.clear();
    const int64_t last = std::min(channels_ - 1, c + window.after);
    for (int64_t i = std::max<int64_t>(0, c - window.before); i <= last; ++i) list.push_back(row(i));
    return {list.data(), int64_t(list.size()), 1, 0, 0, n, {}};
  }
  // Of channel c, where there is one: a row begins anew in memory, which nothing else foresees.
  const T* ahead(const T* x, int64_t c) const { return c < channels_ ? x + c * plane_ : nullptr; }

  void forward_piece(const T* x, T* y, int64_t n) const {
    Pointers list;
    for (int64_t c = 0; c < channels_; ++c) {
      Responses<T> r = across(list, window_, c, n, [&](int64_t i) { return x + i * plane_; });
      r.ahead[0] = ahead(x, c + window_.after + 1);
      kernels_.forward(r, terms_, x + c * plane_, y + c * plane_);
    }
  }

  // A ring holds the powers and slopes of as many channels as the window of a gradient has.
  void backward_piece(const T* grad, const T* x, T* dx, int64_t n) const {
    const Window mirrored = window_.mirrored();
    const int64_t size = mirrored.size();
    const memory::Buffer ring(size_t(2 * size * n) * sizeof(T));
    const auto slope = [&](int64_t c) { return ring.as<T>() + c % size * n; };
    const auto power = [&](int64_t c) { return slope(c) + size * n; };
    Pointers list;
    for (int64_t c = 0; c < channels_ + mirrored.after; ++c) {
      if (c < channels_) {
        Responses<T> r = across(list, window_, c, n, [&](int64_t i) { return x + i * plane_; });
        r.ahead[0] = ahead(x, c + window_.after + 1);
        r.ahead[1] = ahead(grad, c + 1);
        kernels_.slopes(r, terms_, grad + c * plane_, x + c * plane_, power(c), slope(c));
      }
      const int64_t now = c - mirrored.after;
      if (now < 0) continue;
      const Responses<T> r = across(list, mirrored, now, n, slope);
      kernels_.backward(r, terms_, grad + now * plane_, x + now * plane_, power(now), dx + now * plane_);
    }
  }

  // ---- Lines: channels lie beside each other; copies of them have zeros on both sides ----

  int64_t margin() const { return window_.before; }   // at least as wide as `after`
  int64_t pitch() const { return channels_ + 2 * margin(); }

  template <class Body>
  void each_lines(Body&& body) const {
    const int64_t together = std::max<int64_t>(1, kLines / pitch()), pixels = images_ * plane_;
    const int64_t grain = round_up(std::max<int64_t>(1, kGrain / channels_), together);
    parallel_ranges(pixels, grain, [&](int64_t begin, int64_t end) {
      const memory::Buffer lines(size_t(3 * together * pitch()) * sizeof(T));
      for (int64_t at = begin; at < end; at += together)
        body(at * channels_, std::min(together, end - at), lines.as<T>());
    });
  }

  void fill(T* lines, const T* x, int64_t pixels) const {
    for (int64_t i = 0; i < pixels; ++i, x += channels_) {
      lines = std::fill_n(lines, margin(), T(0));
      lines = std::copy_n(x, channels_, lines);
      lines = std::fill_n(lines, margin(), T(0));
    }
  }

  Responses<T> along(Pointers& list, const T* lines, const Window& window, int64_t pixels) const {
    list.clear();
    for (int64_t i = -window.before; i <= window.after; ++i) list.push_back(lines + margin() + i);
    return {list.data(), int64_t(list.size()), pixels, pitch(), channels_, channels_, {}};
  }

  int64_t images_, channels_, plane_;
  bool rows_;
  Window window_;
  ResponseTerms terms_;
  const LocalResponseNormKernels<T>& kernels_ = kernels<T>().local_response_norm;
};

template <class T>
void run(const NormProblem& problem, const ResponseNormParameters& p, const View& x, const View& y) {
  ResponseNorm<T>(problem, p, x.format).forward(x.as<const T>(), y.as<T>());
}

template <class T>
void run_backward(const NormProblem& problem, const ResponseNormParameters& p, const View& grad, const View& x,
                  const View& dx) {
  ResponseNorm<T>(problem, p, x.format).backward(grad.as<const T>(), x.as<const T>(), dx.as<T>());
}

}   // namespace

void local_response_norm(const NormProblem& problem, const ResponseNormParameters& p, const View& x,
                         const View& y) {
  (x.dtype == DType::float32 ? run<float> : run<double>)(problem, p, x, y);
}

void local_response_norm_backward(const NormProblem& problem, const ResponseNormParameters& p, const View& grad,
                                  const View& x, const View& dx) {
  (x.dtype == DType::float32 ? run_backward<float> : run_backward<double>)(problem, p, grad, x, dx);
}

}   // namespace fastconv::cpu
