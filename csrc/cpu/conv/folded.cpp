// Channel (a, b, c) of the folded input holds at (i, j) what channel c of the input, with its padding, holds at
// (i * stride + a, j * stride + b); its kernel's tap (q, r) is the kernel's (q * stride + a, r * stride + b),
// or 0.
#include "folded.hpp"

#include <algorithm>
#include <cstring>

#include "../../core/memory.hpp"
#include "../conv.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "choice.hpp"
#include "volume.hpp"
#include "winograd_tiles.hpp"

namespace fastconv::cpu {
namespace {

// A line of the input with its padding, as long as the folded lines of all residues together.
template <class T>
struct Folding {
  const ConvProblem &p, &q;
  MemoryFormat format;   // of the input, and of its folded array
  bool last = format == MemoryFormat::channels_last;
  // Channels last a line holds all channels of its pixels side by side, in planes it has one.
  int64_t lines = last ? 1 : p.in_channels, pixel = last ? p.in_channels : 1;
  int64_t stretch = p.stride[1] * pixel, length = q.input[1] * stretch;
  int64_t read[2] = {read_of(0), read_of(1) * pixel};   // rows, and elements of a line: the rest meets no tap

  int64_t read_of(int i) const {
    return std::clamp<int64_t>((p.output[i] - 1) * p.stride[i] + p.kernel[i] - p.pad_before[i], 0, p.input[i]);
  }
  bool reads_all() const { return read_of(0) == p.input[0] && read_of(1) == p.input[1]; }

  // Calls move(line of the input or null, folded line) for all residues and lines of every image.
  template <class Line, class Move>
  void each(Line* array, T* folded, Move move) const {
    const int64_t plane = q.input[0] * q.input[1], image = plane * q.in_channels, width = p.input[1] * pixel;
    parallel_items(p.batch * lines, kMoveFlops * double(image) / double(lines), [&](int64_t item) {
      const int64_t n = item / lines, c = item % lines;
      const memory::Buffer line(size_t(length) * sizeof(T));
      std::memset(line.as<T>(), 0, size_t(length) * sizeof(T));
      for (int64_t a = 0; a < p.stride[0]; ++a)
        for (int64_t i = 0; i < q.input[0]; ++i) {
          const int64_t y = i * p.stride[0] + a - p.pad_before[0];
          const bool inside = y >= 0 && y < read[0];
          T* const at = last ? folded + n * image + i * q.input[1] * q.in_channels + a * stretch
                             : folded + n * image + (a * p.stride[1] * lines + c) * plane + i * q.input[1];
          move(inside ? array + (item * p.input[0] + y) * width : nullptr, line.as<T>(), at);
        }
    });
  }

  void fold(const T* x, T* to) const {
    const auto& pack = kernels<T>().pack;
    const ptrdiff_t residue = lines * q.input[0] * q.input[1];
    const int64_t before = p.pad_before[1] * pixel;
    each(x, to, [&](const T* from, T* line, T* at) {
      if (from)
        std::memcpy(line + before, from, size_t(read[1]) * sizeof(T));
      else
        std::memset(line + before, 0, size_t(read[1]) * sizeof(T));
      if (last)
        pack.copy(line, stretch, at, q.in_channels, q.input[1], stretch, stretch);
      else if (stretch == 2)
        for (int64_t b = 0; b < 2; ++b) {
          const Segment even = {0, 0, q.input[1]};
          pack.gather(line + b, 0, at + b * residue, 0, 1, &even, 1, 2);
        }
      else
        pack.transpose(line, stretch, at, residue, q.input[1], stretch);
    });
  }
  void unfold(T* from, T* dx) const {
    const auto& pack = kernels<T>().pack;
    const ptrdiff_t residue = lines * q.input[0] * q.input[1];
    each(dx, from, [&](T* to, T* line, T* at) {
      if (!to) return;
      if (last)
        pack.copy(at, q.in_channels, line, stretch, q.input[1], stretch, stretch);
      else
        pack.transpose(at, residue, line, stretch, stretch, q.input[1]);
      std::memcpy(to, line + p.pad_before[1] * pixel, size_t(read[1]) * sizeof(T));
    });
  }
};

// Calls with(number of a weight, its place in the folded weight), output channels at once.
template <class With>
void each_weight(const ConvProblem& p, const ConvProblem& q, With with) {
  const int64_t taps = q.kernel[0] * q.kernel[1], kernel = p.kernel[0] * p.kernel[1];
  parallel_items(p.out_channels, kMoveFlops * double(p.in_channels * kernel), [&](int64_t k) {
    for (int64_t r = 0; r < p.kernel[0]; ++r)
      for (int64_t s = 0; s < p.kernel[1]; ++s) {
        const int64_t residue = r % p.stride[0] * p.stride[1] + s % p.stride[1];
        int64_t to = (k * q.in_channels + residue * p.in_channels) * taps + r / p.stride[0] * q.kernel[1] +
                     s / p.stride[1];
        int64_t number = k * p.in_channels * kernel + r * p.kernel[1] + s;
        for (int64_t c = 0; c < p.in_channels; ++c, number += kernel, to += taps) with(number, to);
      }
  });
}

template <class T>
void fold_weight(const ConvProblem& p, const ConvProblem& q, const View& weight, const View& folded) {
  T* const to = folded.as<T>();
  std::memset(to, 0, size_t(folded.elements()) * sizeof(T));
  each_weight(p, q, [&](int64_t i, int64_t at) { to[at] = weight.as<const T>()[i]; });
}

template <class T>
void forward(const ConvProblem& p, const ConvProblem& q, const View& x, const View& weight, const View* bias,
             Activation activation, const View& y) {
  const OwnArray in(x, q.input_shape()), taps(weight, q.weight_shape());
  fold_weight<T>(p, q, weight, taps.view);
  Folding<T>{p, q, x.format}.fold(x.as<T>(), in.view.as<T>());
  conv_forward(q, in.view, taps.view, bias, activation, Algorithm::winograd, Precision::highest, y);
}

template <class T>
void backward_input(const ConvProblem& p, const ConvProblem& q, const View& grad, const View& weight,
                    const View* bias, Activation activation, const View& dx) {
  const OwnArray out(dx, q.input_shape()), taps(weight, q.weight_shape());
  fold_weight<T>(p, q, weight, taps.view);
  std::optional<OwnArray> repeated;
  if (bias) {
    repeated.emplace(*bias, Shape{q.in_channels});
    for (int64_t i = 0; i < q.in_channels; ++i)
      repeated->view.as<T>()[i] = bias->as<const T>()[i % p.in_channels];
  }
  conv_transpose(q, grad, taps.view, bias ? &repeated->view : nullptr, activation, Algorithm::winograd,
                 Precision::highest, out.view);
  const Folding<T> folding{p, q, dx.format};
  if (!folding.reads_all()) fill_unreached(dx, bias, activation);
  folding.unfold(out.view.as<T>(), dx.as<T>());
}

template <class T>
void backward_weight(const ConvProblem& p, const ConvProblem& q, const View& grad, const View& x,
                     const View& dw, const View* db) {
  const OwnArray in(x, q.input_shape()), taps(dw, q.weight_shape());
  Folding<T>{p, q, x.format}.fold(x.as<T>(), in.view.as<T>());
  conv_backward_weight(q, grad, in.view, Algorithm::winograd, Precision::highest, taps.view, db);
  const T* const from = taps.view.as<const T>();
  each_weight(p, q, [&](int64_t i, int64_t at) { dw.as<T>()[i] = from[at]; });
}

}   // namespace

std::optional<ConvProblem> folded_problem(const ConvProblem& p, Pass pass, Algorithm algorithm,
                                          MemoryFormat format) {
  // In multiply-adds of the direct way: of a weight; of an element that is moved, channels last and in planes;
  // and the margin of what is estimated. Fitted to layers whose faster way was measured.
  constexpr double kWeight = 60;
  struct Cost {
    double products, moved[2];
  };
  const auto [margin, moves] = pass == Pass::forward          ? Cost{1.4, {25, 50}}
                               : pass == Pass::backward_input ? Cost{1.1, {25, 25}}
                                                              : Cost{0.9, {25, 100}};
  if (algorithm != Algorithm::automatic || p.spatial != 2 || p.groups > 1) return std::nullopt;
  ConvProblem q = p;
  for (int i = 0; i < 2; ++i) {
    if (pass == Pass::backward_weight && p.input[i] < p.kernel[i]) return std::nullopt;   // as without strides
    q.kernel[i] = div_up(p.kernel[i], p.stride[i]);
    q.input[i] = p.output[i] + q.kernel[i] - 1;
    q.stride[i] = 1;
    q.pad_before[i] = q.pad_after[i] = 0;
  }
  const bool strided = p.stride[0] > 1 || p.stride[1] > 1;
  if (!strided || p.dilation[0] > 1 || p.dilation[1] > 1 || !winograd_possible(forward_correlation(q)))
    return std::nullopt;
  q.in_channels *= p.stride[0] * p.stride[1];
  const Correlation whole = forward_correlation(p), c = forward_correlation(q);
  const double products = pass == Pass::backward_weight  ? winograd_weight_cost(c)
                          : pass == Pass::backward_input ? winograd_cost(backward_correlations(q).parts.front())
                                                         : winograd_cost(c);
  const double moved = double(p.batch * q.in_channels) * double(q.input[0] * q.input[1]);
  const double weights = double(c.depth() * c.out_channels);
  const double direct = double(p.batch * whole.pixels()) * double(whole.depth() * p.out_channels);
  const double cost = margin * products + moves[format == MemoryFormat::contiguous] * moved + kWeight * weights;
  return cost < direct ? std::optional(q) : std::nullopt;
}

void folded_forward(const ConvProblem& p, const ConvProblem& q, const View& x, const View& weight,
                    const View* bias, Activation activation, const View& y) {
  (x.dtype == DType::float32 ? forward<float> : forward<double>)(p, q, x, weight, bias, activation, y);
}

void folded_backward_input(const ConvProblem& p, const ConvProblem& q, const View& grad, const View& weight,
                           const View* bias, Activation activation, const View& dx) {
  const auto run = grad.dtype == DType::float32 ? backward_input<float> : backward_input<double>;
  run(p, q, grad, weight, bias, activation, dx);
}

void folded_backward_weight(const ConvProblem& p, const ConvProblem& q, const View& grad, const View& x,
                            const View& dw, const View* db) {
  (x.dtype == DType::float32 ? backward_weight<float> : backward_weight<double>)(p, q, grad, x, dw, db);
}

}   // namespace fastconv::cpu
