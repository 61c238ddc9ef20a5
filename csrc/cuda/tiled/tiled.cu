#include <algorithm>
#include <optional>
#include <type_traits>
#include <vector>

#include "../conv/algorithm.hpp"
#include "../launch.cuh"
#include "../types.cuh"
#include "build.hpp"
#include "kernels.hpp"
// Convolution and linear layers as tiled matrix products: on the tensor cores half, bfloat16 and, by TF32
// products, float32; otherwise float32 and float64.
namespace fastconv::cuda::tiled {
namespace {

// Results are to fill so many blocks. A constant, because what runs is to depend on the problem alone.
constexpr int64_t kBlocks = 132;
constexpr int64_t kMost = int64_t{1} << 30;   // of pixels and elements that are counted in 32 bits

int64_t pixels_of(const View& view) {
  int64_t count = 1;
  for (size_t i = 2; i < view.shape.size(); ++i) count *= view.shape[i];
  return count;
}

// Planes of one pixel, or a single plane, lie channels last as well.
bool is_planar(const View& view) {
  return view.format == MemoryFormat::contiguous && pixels_of(view) > 1 && view.shape[1] > 1;
}

// An array as cells of channels: where it lies so already, itself.
template <class T>
class Cells {
 public:
  Cells(const Call& call, const View& view, int groups, int cell) {
    const int64_t channels = view.shape[1] / groups, lanes = cell / int64_t(sizeof(T));
    cells = int(ceil_div(channels, lanes));
    pixel = int64_t(groups) * cells;
    data = view.data;
    if (!is_planar(view) && channels % lanes == 0 && is_aligned(view.data, 16)) return;
    const int64_t pixels = pixels_of(view);
    storage_.emplace(call.device, view.shape[0] * pixels * pixel * cell, call.operation);
    data = storage_->template as<T>();
    copy_to_cells<T>(call,
                     {view.data, storage_->template as<T>(), view.shape[0], pixels, groups, int(channels),
                      cells, is_planar(view)},
                     cell);
  }

  const void* data;
  int cells;       // of a tap
  int64_t pixel;   // cells from one to the next

 private:
  std::optional<Workspace> storage_;
};

int64_t taps_of(const Correlation& c) { return int64_t(c.d.taps) * c.h.taps * c.w.taps; }

bool one_tap(const Correlation& c) {
  return taps_of(c) == 1 && c.d.residues == 1 && c.h.residues == 1 && c.w.residues == 1;
}

// Every position reads its own pixel.
bool is_matrix(const Correlation& c) {
  const auto straight = [](const CorrelationAxis& a) {
    return a.stride == 1 && a.part[0].first == 0 && a.in == a.extent;
  };
  return one_tap(c) && straight(c.d) && straight(c.h) && straight(c.w);
}

// Where four channels fill what a tap has, 16-bit cells of 8 bytes leave fewer products with zeros.
template <class T>
int cell_bytes(int64_t channels, int64_t taps) {
  return sizeof(T) == 2 && channels <= 4 && taps > 1 ? 8 : 16;
}

// Tiles of columns are as good as full of `columns`; where large ones are too few for the device, small ones.
template <class Unit, class T>
Shape correlation_shape(const Correlation& c) {
  if (sizeof(T) == 8) return Shape::square;
  const int64_t n = c.out_channels;
  const auto blocks = [&](int64_t rows, int64_t columns) {
    const int64_t positions = int64_t(c.batch) * c.d.extent * c.h.extent * c.w.extent;
    return ceil_div(positions, rows) * ceil_div(n, columns) * c.groups;
  };
  if (n <= 32) return Shape::narrow;
  // A smaller tile takes about 1.2 times a large one's time for the same products.
  const bool large = 5 * ceil_div(n, 128) * 128 < 6 * ceil_div(n, 64) * 64;
  if (large && blocks(128, 128) >= kBlocks) return Shape::large;
  return std::is_same_v<Unit, TensorCore> && blocks(128, 64) >= kBlocks ? Shape::tall : Shape::square;
}

template <class Unit, class T>
Shape gradient_shape(const WeightGradient& c, int64_t columns) {
  if (columns <= 64 || sizeof(T) == 8) return Shape::square;
  if (c.out_channels > 64) return Shape::large;
  return std::is_same_v<Unit, TensorCore> ? Shape::wide : Shape::square;
}

// The weight in the order that the kernel reads: packed, or where it lies.
template <class T>
class Weight {
 public:
  // `c`: any of the correlation's launches, its cells known.
  Weight(const Call& call, const Correlation& c, const View& view, const ConvProblem& p, int cell, bool forward)
      : cell_(cell) {
    const int64_t in = p.in_channels / p.groups, kernel = view.elements() / (p.out_channels * in);
    const bool whole = one_tap(c) && kernel == 1 && is_aligned(view.data, 16) && in % kLanes16<T> == 0;
    turned = whole && !forward && is_matrix(c);
    row_ = in / kLanes16<T>;
    data_ = view.data;
    if (turned || (whole && forward)) return;
    storage_.emplace(call.device, c.groups * taps_of(c) * c.cells * cell * c.out_channels, call.operation);
    data_ = storage_->template as<T>();
    const int64_t outermost = in * kernel;   // OIHW
    copy_ = {view.data,
             storage_->template as<T>(),
             p.out_channels / p.groups * outermost,
             forward ? outermost : kernel,
             forward ? kernel : outermost,
             p.spatial > 1 ? int(p.kernel[p.spatial - 2]) : 1,
             int(p.kernel[p.spatial - 1])};
  }

  // For one launch.
  void prepare(const Call& call, Correlation& c) const {
    c.weight = data_;
    c.weight_row = row_;
    if (storage_) pack_weight<T>(call, c, copy_, cell_);
  }
  bool turned;

 private:
  const void* data_;
  int64_t row_;
  int cell_;
  WeightCopy copy_{};
  std::optional<Workspace> storage_;
};

template <class Unit, class T>
void correlate_arrays(const Call& call, const ConvProblem& p, std::vector<Correlation> launches, bool forward,
                      const View& source, const View& weight, const View* bias, Activation activation,
                      const View& result) {
  Correlation& first = launches.front();
  const int cell = cell_bytes<T>(first.channels, taps_of(first));
  const Cells<T> cells(call, source, first.groups, cell);
  first.cells = cells.cells;
  const Weight<T> packed(call, first, weight, p, cell, forward);
  const bool planar = is_planar(result);
  const bool dense = first.d.out_step == 1 && first.h.out_step == 1 && first.w.out_step == 1;
  const int64_t side_by_side = planar ? (dense ? pixels_of(result) : 1) : first.out_channels;
  const Source kind = is_matrix(first) ? Source::rows : cell == 8 ? Source::small_taps : Source::taps;
  const Shape shape = correlation_shape<Unit, T>(first);
  for (Correlation& c : launches) {
    c.source = cells.data;
    c.cells = cells.cells;
    c.source_pixel = cells.pixel;
    c.bias = bias != nullptr ? bias->data : nullptr;
    c.activation = activation;
    c.result = result.data;
    c.planar = planar;
    c.wide = is_aligned(result.data, 16) && side_by_side % kLanes16<T> == 0;
    packed.prepare(call, c);
    launch_correlation<Unit, T>(call, c, shape, kind, packed.turned);
  }
}

template <class Unit, class T>
void weight_gradient_arrays(const Call& call, const ConvProblem& p, const View& grad, const View& x,
                            const View& dw, const View* db) {
  constexpr int depth = int(64 / sizeof(T));
  WeightGradient g = weight_gradient_of(p, depth);
  const int cell = cell_bytes<T>(g.channels, g.taps);
  const Cells<T> x_cells(call, x, g.groups, cell), grad_cells(call, grad, g.groups, 16);
  g.cells = x_cells.cells;
  g.x = x_cells.data;
  g.x_pixel = x_cells.pixel;
  g.grad = grad_cells.data;
  g.grad_group = grad_cells.cells;
  g.grad_pixel = grad_cells.pixel;

  const int64_t columns = int64_t(g.taps) * g.cells * (cell / int64_t(sizeof(T)));
  const Shape shape = cell == 8 ? Shape::square : gradient_shape<Unit, T>(g, columns);
  const int64_t tile_m = shape == Shape::large ? 128 : 64, tile_n = shape == Shape::square ? 64 : 128;
  const int64_t tiles = ceil_div(g.out_channels, tile_m) * ceil_div(columns, tile_n) * g.groups;
  // Two blocks a multiprocessor, each with work enough for its partial sums' way to memory and back.
  const int64_t stages = ceil_div(g.positions, depth);
  const int64_t wanted = std::max<int64_t>(1, std::min(2 * kBlocks / tiles, stages / 8));
  g.stages_a_split = int(ceil_div(stages, wanted));
  g.splits = int(ceil_div(stages, g.stages_a_split));
  constexpr int64_t size = sizeof(Accumulator<T>);
  const Workspace partial(call.device, g.splits * g.groups * g.out_channels * columns * size, call.operation);
  g.partial = partial.as<void>();
  launch_weight_gradient<Unit, T>(call, g, shape, cell);
  finish_weight_gradient<T>(call, g, cell, dw.data);
  if (db == nullptr) return;

  const int slices = int(std::clamp<int64_t>(g.positions / 512, 1, 2 * kBlocks));
  const Workspace sums(call.device, slices * g.grad_pixel * kLanes16<T> * size, call.operation);
  bias_gradient<T>(call, g, slices, sums.as<void>(), db->data);
}

// Calls run(T) with the type of the arrays.
template <class Unit, class Run>
void with_type(DType dtype, const Run& run) {
  if constexpr (std::is_same_v<Unit, TensorCore>) {
    if (dtype == DType::float16) return run(static_cast<half*>(nullptr));
    if (dtype == DType::bfloat16) return run(static_cast<bfloat16*>(nullptr));
  } else {
    if (dtype == DType::float64) return run(static_cast<double*>(nullptr));
  }
  run(static_cast<float*>(nullptr));
}
template <class Pointer>
using Pointed = std::remove_pointer_t<Pointer>;

template <class Unit>
bool computes(DType dtype, Precision precision) {
  if (std::is_same_v<Unit, Simt>) return dtype == DType::float32 || dtype == DType::float64;
  return dtype == DType::float16 || dtype == DType::bfloat16 ||
         (dtype == DType::float32 && precision == Precision::tf32);
}

// Not for depthwise convolution and its like, which would multiply zeros above all.
template <class Unit>
bool accepts(const ConvCall& call) {
  const ConvProblem& p = call.problem;
  if (!computes<Unit>(call.dtype, call.precision)) return false;
  if (p.in_channels == 0 || p.groups > 2048) return false;
  if (p.groups > 1 && std::min(p.in_channels, p.out_channels) / p.groups < 8) return false;
  // Padding of channels included.
  int64_t in = p.batch, out = p.batch,
          weight = (p.in_channels / p.groups + 8) * (p.out_channels + 8 * p.groups);
  for (int d = 0; d < p.spatial; ++d) {
    in *= p.input[d];
    out *= p.output[d];
    weight *= p.kernel[d];
    for (int64_t extent : {p.stride[d], p.dilation[d] * p.kernel[d], p.pad_before[d], p.pad_after[d]})
      if (extent >= kMost / 4) return false;
  }
  if (call.pass == Pass::forward && !fits_forward(p)) return false;
  if (call.pass == Pass::backward_input && !fits_backward(p)) return false;
  return in < kMost && out < kMost && weight < kMost;
}

template <class Unit>
void forward(const char* operation, const ConvProblem& p, const View& x, const View& weight, const View* bias,
             Activation activation, const View& y) {
  with_type<Unit>(x.dtype, [&](auto* type) {
    correlate_arrays<Unit, Pointed<decltype(type)>>({x.device, operation}, p, forward_correlation(p), true, x,
                                                    weight, bias, activation, y);
  });
}

template <class Unit>
void backward_input(const char* operation, const ConvProblem& p, const View& grad, const View& weight,
                    const View* bias, Activation activation, const View& dx) {
  with_type<Unit>(grad.dtype, [&](auto* type) {
    correlate_arrays<Unit, Pointed<decltype(type)>>({grad.device, operation}, p, backward_correlation(p), false,
                                                    grad, weight, bias, activation, dx);
  });
}

template <class Unit>
void backward_weight(const char* operation, const ConvProblem& p, const View& grad, const View& x,
                     const View& dw, const View* db) {
  with_type<Unit>(grad.dtype, [&](auto* type) {
    weight_gradient_arrays<Unit, Pointed<decltype(type)>>({grad.device, operation}, p, grad, x, dw, db);
  });
}

template <class Unit>
constexpr ConvAlgorithm algorithm(const char* name) {
  return {name, accepts<Unit>, forward<Unit>, backward_input<Unit>, backward_weight<Unit>};
}

}   // namespace
}   // namespace fastconv::cuda::tiled

namespace fastconv::cuda {

const ConvAlgorithm tensor_core_conv = tiled::algorithm<tiled::TensorCore>("tensor-core");
const ConvAlgorithm simt_conv = tiled::algorithm<tiled::Simt>("simt");

}   // namespace fastconv::cuda
