// An output slice of a convolution in three dimensions is a convolution in two of the slices that its depth
// taps read, taken as more channels: what makes the latter fast, Winograd's way too, serves both. Slices are
// gathered a piece at a time into memory that is written again and again; the padding in depth is left out, not
// computed. Kernels of one row and column, or of one slice, need no copies at all.
#include "volume.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "../../core/memory.hpp"
#include "../conv.hpp"
#include "../tiling.hpp"
#include "slices.hpp"

namespace fastconv::cpu {
namespace {

// Of a piece's arrays. Each piece packs the weight again: pieces are no smaller than it.
constexpr int64_t kPieceBytes = int64_t{4} << 20;

ConvProblem depth_problem(const ConvProblem& p) {
  ConvProblem q;
  q.spatial = 1;
  q.batch = q.in_channels = q.out_channels = 1;
  q.input[0] = p.input[0];
  q.kernel[0] = p.kernel[0];
  q.output[0] = p.output[0];
  q.stride[0] = p.stride[0];
  q.dilation[0] = p.dilation[0];
  q.pad_before[0] = p.pad_before[0];
  return q;
}

// The convolution in two dimensions of `images` slices with `taps` slices to each.
ConvProblem planar_problem(const ConvProblem& p, int64_t images, int64_t taps, bool backward) {
  ConvProblem q;
  q.batch = images;
  q.in_channels = p.in_channels * (backward ? 1 : taps);
  q.out_channels = p.out_channels * (backward ? taps : 1);
  q.groups = p.groups;
  for (int i = 0; i < 2; ++i) {
    q.input[i] = p.input[i + 1];
    q.kernel[i] = p.kernel[i + 1];
    q.output[i] = p.output[i + 1];
    q.stride[i] = p.stride[i + 1];
    q.dilation[i] = p.dilation[i + 1];
    q.pad_before[i] = p.pad_before[i + 1];
    q.pad_after[i] = p.pad_after[i + 1];
  }
  return q;
}

// The same convolution of the same memory in two dimensions, where there is one: of (D, H * W), or, channels
// last, of every slice.
std::optional<ConvProblem> without_copies(const ConvProblem& p, bool channels_last) {
  const auto alone = [&](int d) {
    return p.kernel[d] == 1 && p.stride[d] == 1 && p.pad_before[d] == 0 && p.output[d] == p.input[d];
  };
  if (channels_last && alone(0)) return planar_problem(p, p.batch * p.input[0], 1, false);
  if (!alone(1) || !alone(2)) return std::nullopt;
  ConvProblem q = p;
  q.spatial = 2;
  q.input[1] = q.output[1] = p.input[1] * p.input[2];
  return q;
}

bool both_last(const View& a, const View& b) {
  return a.format == MemoryFormat::channels_last && b.format == MemoryFormat::channels_last;
}

View reshaped(View view, Shape shape) {
  view.shape = std::move(shape);
  return view;
}

View piece_of(const View& like, void* data, Shape shape) {
  View view = reshaped(like, std::move(shape));
  view.data = data;
  return view;
}

int64_t input_plane(const ConvProblem& p) { return p.input[1] * p.input[2]; }
int64_t output_plane(const ConvProblem& p) { return p.output[1] * p.output[2]; }

std::vector<Reached> parts_of(const ConvProblem& p, const Depth& depth, bool backward) {
  return reached(depth.axis, p.batch * (backward ? input_plane(p) : output_plane(p)));
}

// A part's slices in pieces of nearly equal numbers of images, from the problem alone.
struct Pieces {
  int64_t weights;            // of the folded weight
  int64_t gathered, direct;   // elements an image: of the array that is gathered, of the other
  int64_t images, count;

  Pieces(const ConvProblem& p, const Folding& f, const Reached& part, int64_t itemsize)
      : weights(p.out_channels * f.taps * f.inputs * f.cells),
        gathered(f.taps * (f.backward ? p.out_channels * output_plane(p) : p.in_channels * input_plane(p))),
        direct(f.backward ? p.in_channels * input_plane(p) : p.out_channels * output_plane(p)),
        images(p.batch * int64_t(part.positions.size())),
        count(div_up(images, std::max<int64_t>(1, std::max(kPieceBytes, 2 * weights * itemsize) /
                                                      ((gathered + direct) * itemsize)))) {}
  int64_t begin(int64_t i) const { return part_begin(images, count, i); }

  template <class Body>
  void each(Body&& body) const {
    for (int64_t i = 0; i < count; ++i) body(begin(i), begin(i + 1));
  }
};

Depth forward_depth(const ConvProblem& p) { return {forward_correlation(depth_problem(p)).w, 0, 1}; }

// One for each residue of the position modulo the stride.
std::vector<Depth> backward_depths(const ConvProblem& p, bool& complete) {
  const BackwardParts backward = backward_correlations(depth_problem(p));
  complete = backward.complete;
  std::vector<Depth> depths;
  for (const Correlation& c : backward.parts) depths.push_back({c.w, c.weight_base, c.weight_w});
  return depths;
}

template <class T>
void correlate(const ConvProblem& p, bool backward, const View& in, const View& weight, const View* bias,
               Activation activation, Algorithm algorithm, const View& out) {
  bool complete = true;
  const std::vector<Depth> depths =
      backward ? backward_depths(p, complete) : std::vector<Depth>{forward_depth(p)};
  if (!complete) fill_unreached(out, bias, activation);
  for (const Depth& depth : depths) {
    for (const Reached& part : parts_of(p, depth, backward)) {
      const Folding folding(p, depth, part, backward);
      const Pieces pieces(p, folding, part, sizeof(T));
      const bool in_place = folding.kernel == 1;
      const memory::Buffer folded(in_place ? 0 : size_t(pieces.weights) * sizeof(T));
      if (!in_place) fold(folding, p.out_channels, weight.as<const T>(), folded.as<T>());
      const View taps = in_place ? weight : piece_of(weight, folded.as<T>(), {});

      pieces.each([&](int64_t begin, int64_t end) {
        const ConvProblem q = planar_problem(p, end - begin, folding.taps, backward);
        const memory::Buffer source(size_t((end - begin) * pieces.gathered) * sizeof(T));
        const memory::Buffer result(size_t((end - begin) * pieces.direct) * sizeof(T));
        gather(in, p.groups, depth.axis, part, begin, end, source.as<T>());
        const View x = piece_of(in, source.as<T>(), backward ? q.output_shape() : q.input_shape());
        const View y = piece_of(out, result.as<T>(), backward ? q.input_shape() : q.output_shape());
        const auto run = backward ? conv_transpose : conv_forward;
        run(q, x, taps, bias, activation, algorithm, Precision::highest, y);
        scatter(result.as<const T>(), depth.axis, part, begin, end, out);
      });
    }
  }
}

template <class T>
void backward_weight(const ConvProblem& p, const View& grad, const View& x, Algorithm algorithm, const View& dw,
                     const View* db) {
  const Depth depth = forward_depth(p);
  const Axis each{p.output[0], p.output[0], 1, 1, 0,
                  1,           p.output[0], 0, 1};   // the gradient's slices themselves
  std::memset(dw.data, 0, size_t(dw.elements()) * sizeof(T));
  if (db) std::memset(db->data, 0, size_t(db->elements()) * sizeof(T));
  const memory::Buffer bias(db ? size_t(p.out_channels) * sizeof(T) : 0);
  for (const Reached& part : parts_of(p, depth, false)) {
    const Folding folding(p, depth, part, false);
    const Pieces pieces(p, folding, part, sizeof(T));
    const memory::Buffer folded(size_t(pieces.weights) * sizeof(T));
    pieces.each([&](int64_t begin, int64_t end) {
      const ConvProblem q = planar_problem(p, end - begin, folding.taps, false);
      const memory::Buffer inputs(size_t((end - begin) * pieces.gathered) * sizeof(T));
      const memory::Buffer grads(size_t((end - begin) * pieces.direct) * sizeof(T));
      gather(x, p.groups, depth.axis, part, begin, end, inputs.as<T>());
      gather(grad, 1, each, {0, 1, part.positions}, begin, end, grads.as<T>());
      const View sum = piece_of(dw, bias.as<T>(), {p.out_channels});
      conv_backward_weight(q, piece_of(grad, grads.as<T>(), q.output_shape()),
                           piece_of(x, inputs.as<T>(), q.input_shape()), algorithm, Precision::highest,
                           piece_of(dw, folded.as<T>(), q.weight_shape()), db ? &sum : nullptr);
      add_unfolded(folding, p.out_channels, folded.as<const T>(), dw.as<T>());
      if (db)
        for (int64_t k = 0; k < p.out_channels; ++k) db->as<T>()[k] += bias.as<const T>()[k];
    });
  }
}

}   // namespace

const char* volume_implementation(const ConvProblem& p, Pass pass, Algorithm algorithm, DType dtype,
                                  MemoryFormat source, MemoryFormat result) {
  constexpr MemoryFormat last = MemoryFormat::channels_last;
  if (const auto q = without_copies(p, source == last && result == last))
    return conv_implementation(*q, pass, algorithm, Precision::highest, dtype, source, result);
  bool complete = true;
  const bool backward = pass == Pass::backward_input;
  const std::vector<Depth> depths =
      backward ? backward_depths(p, complete) : std::vector<Depth>{forward_depth(p)};
  if (depths.empty()) return "zero";   // no output reads the input
  // Of the first piece of the part with most products: edges may run another.
  const std::vector<Reached> parts = parts_of(p, depths.front(), backward);
  const Reached& part = *std::max_element(parts.begin(), parts.end(), [](const Reached& a, const Reached& b) {
    return a.taps() * int64_t(a.positions.size()) < b.taps() * int64_t(b.positions.size());
  });
  const Folding folding(p, depths.front(), part, backward);
  const Pieces pieces(p, folding, part, itemsize(dtype));
  const int64_t images = pieces.count > 0 ? pieces.begin(1) : 0;
  const ConvProblem q = planar_problem(p, images, folding.taps, backward);
  return conv_implementation(q, pass, algorithm, Precision::highest, dtype, source, result);
}

void volume_forward(const ConvProblem& p, const View& x, const View& weight, const View* bias,
                    Activation activation, Algorithm algorithm, const View& y) {
  if (const auto q = without_copies(p, both_last(x, y)))
    return conv_forward(*q, reshaped(x, q->input_shape()), weight, bias, activation, algorithm,
                        Precision::highest, reshaped(y, q->output_shape()));
  const auto run = x.dtype == DType::float32 ? correlate<float> : correlate<double>;
  run(p, false, x, weight, bias, activation, algorithm, y);
}

void volume_backward_input(const ConvProblem& p, const View& grad, const View& weight, const View* bias,
                           Activation activation, Algorithm algorithm, const View& dx) {
  if (const auto q = without_copies(p, both_last(grad, dx)))
    return conv_transpose(*q, reshaped(grad, q->output_shape()), weight, bias, activation, algorithm,
                          Precision::highest, reshaped(dx, q->input_shape()));
  const auto run = grad.dtype == DType::float32 ? correlate<float> : correlate<double>;
  run(p, true, grad, weight, bias, activation, algorithm, dx);
}

void volume_backward_weight(const ConvProblem& p, const View& grad, const View& x, Algorithm algorithm,
                            const View& dw, const View* db) {
  if (const auto q = without_copies(p, both_last(grad, x)))
    return conv_backward_weight(*q, reshaped(grad, q->output_shape()), reshaped(x, q->input_shape()), algorithm,
                                Precision::highest, dw, db);
  const auto run = grad.dtype == DType::float32 ? backward_weight<float> : backward_weight<double>;
  run(p, grad, x, algorithm, dw, db);
}

}   // namespace fastconv::cpu
