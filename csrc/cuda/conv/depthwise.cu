// Groups of few channels (depthwise convolution), where both arrays lie channels last or both in planes.
#include <functional>
#include <numeric>

#include "../aligned.cuh"
#include "../dispatch.cuh"
#include "../launch.cuh"
#include "algorithm.hpp"
#include "depthwise.cuh"
#include "depthwise_planes.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t kMost = int64_t{1} << 30;   // of pixels and weights that are counted in 32 bits
constexpr int64_t kBlocks = 4 * 132;          // of the weight's gradient; a constant, for its sums depend on it
constexpr int64_t kLeast = 16;                // positions that one of its threads adds up

struct PlanarAxis {
  int64_t in = 1, kernel = 1, out = 1, stride = 1, dilation = 1, pad = 0;
};

// Axis 0 is the height, 1 the width; 1-D problems have a height of 1.
PlanarAxis planar_axis(const ConvProblem& p, int axis) {
  const int d = axis - (2 - p.spatial);
  if (d < 0) return {};
  return {p.input[d], p.kernel[d], p.output[d], p.stride[d], p.dilation[d], p.pad_before[d]};
}

DepthwiseAxis forward_axis(const PlanarAxis& a) {
  return {int(a.in),     int(a.stride), int(-a.pad),     int(a.dilation),
          int(a.kernel), Divisor32(1),  Divisor64(a.out)};
}
DepthwiseAxis backward_axis(const PlanarAxis& a) {
  return {int(a.out), 1, int(a.pad), int(-a.dilation), int(a.kernel), Divisor32(a.stride), Divisor64(a.in)};
}

// A pixel or less lies both ways and counts as contiguous.
bool lies_last(MemoryFormat format, int64_t pixels) {
  return format == MemoryFormat::channels_last || pixels <= 1;
}

int64_t pixels_of(const ConvProblem& p, const int64_t (&extents)[kMaxSpatial]) {
  return std::accumulate(extents, extents + p.spatial, int64_t{1}, std::multiplies<>());
}

// Of the input (or its gradient) and the output (or its).
bool lie_last(const ConvProblem& p, MemoryFormat in, MemoryFormat out) {
  return lies_last(in, pixels_of(p, p.input)) && lies_last(out, pixels_of(p, p.output));
}

bool accepts(const ConvCall& call) {
  const ConvProblem& p = call.problem;
  if (p.spatial > 2 || p.groups == 1 || std::min(p.in_channels, p.out_channels) / p.groups >= 8) return false;
  int64_t weight = p.in_channels / p.groups * p.out_channels;
  for (int d = 0; d < p.spatial; ++d) {
    weight *= p.kernel[d];
    for (int64_t extent : {p.stride[d], p.dilation[d] * p.kernel[d], p.pad_before[d], p.pad_after[d]})
      if (extent >= kMost / 16) return false;
  }
  const bool planes = call.source == MemoryFormat::contiguous && call.result == MemoryFormat::contiguous;
  const bool forward = call.pass == Pass::forward;
  if (!planes && !lie_last(p, forward ? call.source : call.result, forward ? call.result : call.source))
    return false;
  const int64_t in = pixels_of(p, p.input), out = pixels_of(p, p.output);
  return p.batch * in < kMost && p.batch * out < kMost && weight < kMost && p.in_channels < kMost / 16 &&
         p.out_channels < kMost / 16;
}

// Calls run(each, lanes) as the kernels are told (depthwise.cuh).
template <class T, class Run>
void with_lanes(bool vectors, bool each, const Run& run) {
  if (!vectors) return run(std::false_type{}, std::integral_constant<int, 1>{});
  constexpr std::integral_constant<int, kLanes16<T>> lanes{};
  each ? run(std::true_type{}, lanes) : run(std::false_type{}, lanes);
}

template <class T>
void correlate(const char* operation, const ConvProblem& p, bool forward, const View& source,
               const View& weight, const View* bias, Activation activation, const View& result) {
  const PlanarAxis h = planar_axis(p, 0), w = planar_axis(p, 1);
  const int64_t from = (forward ? p.in_channels : p.out_channels),
                to = forward ? p.out_channels : p.in_channels;
  DepthwiseCorrelation c{};
  c.h = forward ? forward_axis(h) : backward_axis(h);
  c.w = forward ? forward_axis(w) : backward_axis(w);
  c.row = int(c.w.extent.value);
  c.w.extent = Divisor64(ceil_div(c.row, kDepthwiseRun));
  c.channels = int(to);
  c.source_channels = int(from);
  c.members = int(from / p.groups);
  c.group = Divisor32(to / p.groups);
  c.activation = activation;

  const int64_t taps = h.kernel * w.kernel, weights = to * c.members * taps;
  const Workspace packed(source.device, weights * int64_t(sizeof(T)), operation);
  const DepthwiseWeight order = {c.channels,           c.members, int(taps), c.group, Divisor32(to),
                                 Divisor32(c.members), forward};
  launch(operation, depthwise_weight_kernel<T>, dim3(unsigned(ceil_div(weights, kDepthwiseThreads))),
         kDepthwiseThreads, 0, source.device.stream, order, weight.as<const T>(), packed.as<T>(), int(weights));

  const bool each = from == p.groups && to == p.groups;
  const bool vectors = to % kLanes16<T> == 0 && is_aligned(source.data, 16) && is_aligned(result.data, 16);
  with_lanes<T>(vectors, each, [&](auto of_one, auto lanes) {
    constexpr int N = decltype(lanes)::value;
    c.vectors = Divisor64(to / N);
    c.count = p.batch * int64_t(c.h.extent.value) * int64_t(c.w.extent.value) * (to / N);
    launch(operation, depthwise_kernel<T, decltype(of_one)::value, N>,
           loop_grid(source.device, c.count, kDepthwiseThreads, 16), kDepthwiseThreads, 0, source.device.stream,
           c, source.as<const T>(), packed.as<const T>(), bias != nullptr ? bias->as<const T>() : nullptr,
           result.as<T>());
  });
}

template <class T>
void correlate_planes(const char* operation, const ConvProblem& p, bool forward, const View& source,
                      const View& weight, const View* bias, Activation activation, const View& result) {
  const PlanarAxis h = planar_axis(p, 0), w = planar_axis(p, 1);
  const int64_t from = (forward ? p.in_channels : p.out_channels),
                to = forward ? p.out_channels : p.in_channels;
  const int64_t taps = h.kernel * w.kernel, row = p.in_channels / p.groups * taps;   // of the weight
  DepthwisePlanes c{};
  c.h = forward ? forward_axis(h) : backward_axis(h);
  c.w = forward ? forward_axis(w) : backward_axis(w);
  c.rows = int(c.h.extent.value);
  c.h.extent = Divisor64(ceil_div(c.rows, kPlaneRun));
  c.members = int(from / p.groups);
  c.source_channels = int(from);
  c.channels = Divisor64(to);
  c.group = Divisor64(to / p.groups);
  c.weight_group = p.out_channels / p.groups * row;
  c.weight_lane = forward ? row : taps;
  c.weight_member = forward ? taps : row;
  c.count = p.batch * to * int64_t(c.h.extent.value) * int64_t(c.w.extent.value);
  c.activation = activation;
  launch(operation, depthwise_planes_kernel<T>, loop_grid(source.device, c.count, kDepthwiseThreads, 16),
         kDepthwiseThreads, 0, source.device.stream, c, source.as<const T>(), weight.as<const T>(),
         bias != nullptr ? bias->as<const T>() : nullptr, result.as<T>());
}

DepthwiseGradient gradient_of(const ConvProblem& p, bool bias) {
  const PlanarAxis h = planar_axis(p, 0), w = planar_axis(p, 1);
  DepthwiseGradient g{};
  g.h_in = int(h.in), g.w_in = int(w.in), g.h_stride = int(h.stride), g.w_stride = int(w.stride);
  g.h_first = int(-h.pad), g.w_first = int(-w.pad), g.h_step = int(h.dilation), g.w_step = int(w.dilation);
  g.w_taps = int(w.kernel), g.taps = int(h.kernel * w.kernel);
  g.h_out = Divisor32(h.out), g.w_out = Divisor32(w.out);
  g.channels = int(p.out_channels), g.x_channels = int(p.in_channels);
  g.members = int(p.in_channels / p.groups);
  g.group = Divisor32(p.out_channels / p.groups);
  g.blocks = int(ceil_div(g.taps, kDepthwiseTaps));
  g.positions = int(p.batch * h.out * w.out);
  g.bias = bias;
  return g;
}

// As many chunks of positions as blocks, `across` each, are work enough, where threads add up several
// positions.
void set_chunks(DepthwiseGradient& g, int64_t across, int64_t rows) {
  const int64_t wanted =
      std::clamp<int64_t>(g.positions / (rows * kLeast), 1, std::max<int64_t>(1, kBlocks / across));
  g.chunk = int(ceil_div(g.positions, wanted));
  g.chunks = int(ceil_div(g.positions, g.chunk));
}

template <class T>
void weight_gradient(const char* operation, const ConvProblem& p, const View& grad, const View& x,
                     const View& dw, const View* db) {
  using A = Accumulator<T>;
  DepthwiseGradient g = gradient_of(p, db != nullptr);
  const bool last = lie_last(p, x.format, grad.format);
  const bool each = p.in_channels == p.groups && p.out_channels == p.groups;
  const bool vectors = last && g.channels % kLanes16<T> == 0;
  const int64_t columns = g.channels / (vectors ? kLanes16<T> : 1), units = int64_t(g.members) * g.blocks;
  while (last && g.column_bits < 5 && (int64_t{1} << g.column_bits) < columns) ++g.column_bits;
  const int64_t across = units * ceil_div(columns, int64_t{1} << g.column_bits);
  set_chunks(g, across, kDepthwiseThreads >> g.column_bits);

  const int64_t partial_rows = units * kDepthwiseTaps + 1;
  const Workspace partial(dw.device, g.chunks * partial_rows * g.channels * int64_t(sizeof(A)), operation);
  const auto start = [&](auto kernel, const T* of_grad, const T* of_x) {
    launch(operation, kernel, dim3(unsigned(across), unsigned(g.chunks)), kDepthwiseThreads, 0,
           dw.device.stream, g, int(units), of_grad, of_x, partial.as<A>());
  };
  if (last) {
    const Aligned own_grad(&grad, operation), own_x(&x, operation);
    with_lanes<T>(vectors, each, [&](auto of_one, auto lanes) {
      start(depthwise_gradient_kernel<T, decltype(of_one)::value, decltype(lanes)::value>, own_grad.as<T>(),
            own_x.as<T>());
    });
  } else {
    start(depthwise_planes_gradient_kernel<T>, grad.as<const T>(), x.as<const T>());
  }
  const int64_t elements = (int64_t(g.members) * g.taps + int(g.bias)) * g.channels;
  launch(operation, depthwise_finish_kernel<T>, dim3(unsigned(ceil_div(elements, kDepthwiseThreads))),
         kDepthwiseThreads, 0, dw.device.stream, g, int(units), partial.as<const A>(), dw.as<T>(),
         db != nullptr ? db->as<T>() : nullptr);
}

void forward(const char* operation, const ConvProblem& p, const View& x, const View& weight, const View* bias,
             Activation activation, const View& y) {
  with_float_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto run = lie_last(p, x.format, y.format) ? correlate<T> : correlate_planes<T>;
    run(operation, p, true, x, weight, bias, activation, y);
  });
}

void backward_input(const char* operation, const ConvProblem& p, const View& grad, const View& weight,
                    const View* bias, Activation activation, const View& dx) {
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto run = lie_last(p, dx.format, grad.format) ? correlate<T> : correlate_planes<T>;
    run(operation, p, false, grad, weight, bias, activation, dx);
  });
}

void backward_weight(const char* operation, const ConvProblem& p, const View& grad, const View& x,
                     const View& dw, const View* db) {
  with_float_type(dw.dtype, [&](auto zero) { weight_gradient<decltype(zero)>(operation, p, grad, x, dw, db); });
}

}   // namespace

const ConvAlgorithm depthwise_conv = {"depthwise", accepts, forward, backward_input, backward_weight};

}   // namespace fastconv::cuda
