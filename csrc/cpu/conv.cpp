#include "conv.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "activation.hpp"
#include "conv/choice.hpp"
#include "conv/folded.hpp"
#include "conv/volume.hpp"
#include "conv/winograd_tiles.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

// The first that accepts runs. Of the direct ones planar_gemm accepts everything in planes.
const CorrelationAlgorithm* const winograds[] = {
    &winograd_lanes_2x2_3x3, &winograd_lanes_4x4_3x3, &winograd_lanes_2x2_5x5, &winograd_lanes_3x3_4x4,
    &winograd_lanes_4x4_2x2, &winograd_2x2_3x3,       &winograd_4x4_3x3,       &winograd_2x2_5x5,
    &winograd_3x3_4x4,       &winograd_4x4_2x2};
const CorrelationAlgorithm* const correlations[] = {&depthwise,         &planar_depthwise,  &batch_lanes,
                                                    &channels_last_dot, &channels_last_few, &channels_last,
                                                    &turned_strips,     &planar_direct,     &planar_gemm};
const WeightGradientAlgorithm* const winograd_gradients[] = {&winograd_weight_2x2_3x3, &winograd_weight_4x4_3x3,
                                                             &winograd_weight_2x2_5x5, &winograd_weight_3x3_4x4,
                                                             &winograd_weight_4x4_2x2};
const WeightGradientAlgorithm* const weight_gradients[] = {&depthwise_gradient, &planar_depthwise_gradient,
                                                           &weight_rows, &weight_dot, &weight_gemm};

template <class List>
auto find(const List& list, const Correlation& c, MemoryFormat in, MemoryFormat out) {
  const auto found = std::find_if(std::begin(list), std::end(list),
                                  [&](const auto* algorithm) { return algorithm->accepts(c, in, out); });
  return found == std::end(list) ? nullptr : *found;
}

// Whether the caller asks for Winograd's way, or leaves it open and it pays.
bool by_winograd(Algorithm algorithm, bool pays) {
  return algorithm == Algorithm::winograd || (algorithm == Algorithm::automatic && pays);
}

const WeightGradientAlgorithm& choose_gradient(const Correlation& c, Algorithm algorithm, MemoryFormat grad,
                                               MemoryFormat x) {
  return by_winograd(algorithm, winograd_weight_pays(c)) ? *find(winograd_gradients, c, grad, x)
                                                         : *find(weight_gradients, c, grad, x);
}

// What runs for the correlations that together make one result, and the formats that it runs in.
struct Plan {
  MemoryFormat in, out;
  std::vector<const CorrelationAlgorithm*> algorithms;   // of each correlation
};

// Planes that several parts would turn strip by strip: turned as a whole, once.
bool turned_for_each(const std::vector<Correlation>& parts, MemoryFormat in, MemoryFormat out) {
  return std::any_of(parts.begin(), parts.end(), [&](const Correlation& part) {
    return find(correlations, part, in, out) == &turned_strips;
  });
}

Plan plan(const std::vector<Correlation>& parts, Algorithm algorithm, MemoryFormat in, MemoryFormat out) {
  const Choice first = choose(parts.front(), algorithm, in, out);
  if (parts.size() == 1) return {first.in, first.out, {first.algorithm}};
  Plan plan{first.in, first.out, {}};
  if (turned_for_each(parts, in, out)) plan.in = plan.out = MemoryFormat::channels_last;
  for (const Correlation& part : parts)   // one copy of the input serves them all
    if (!find(correlations, part, plan.in, plan.out)) plan.in = plan.out;
  for (const Correlation& part : parts) plan.algorithms.push_back(find(correlations, part, plan.in, plan.out));
  return plan;
}

// Whether the algorithm computes all parts of a result in one pass, and has done so.
template <class T>
bool run_together(const CorrelationAlgorithm& algorithm, const std::vector<Correlation>& parts,
                  const CorrelationData<T>& data) {
  if (parts.size() == 1 || !algorithm.parts_float) return false;
  if constexpr (std::is_same_v<T, float>)
    algorithm.parts_float(parts, data);
  else
    algorithm.parts_double(parts, data);
  return true;
}

void zero(void* data, int64_t bytes) {
  constexpr int64_t kGrain = int64_t{1} << 19;
  parallel_ranges(bytes, kGrain, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(data) + begin, 0, size_t(end - begin));
  });
}
void zero(const View& view) { zero(view.data, view.elements() * itemsize(view.dtype)); }

// Whether the weight of a backward pass is packed into panels of output channels, for each part anew.
bool packs_kernels(const std::vector<Correlation>& parts, const Plan& chosen) {
  if (parts.front().weight_out == 1 || parts.front().weight_out >= parts.front().weight_in)
    return false;   // forward
  for (size_t i = 0; i < parts.size(); ++i)
    if (chosen.algorithms[i] != &channels_last && chosen.algorithms[i] != &turned_strips &&
        !(chosen.algorithms[i] == &planar_gemm && parts[i].taps() == 1))
      return false;
  return true;
}

// What the result is where no part writes: the activation of the bias, or of 0.
template <class T>
void fill(const View& out, MemoryFormat format, const View* bias, Activation activation, T* result) {
  if (bias == nullptr && activation != Activation::sigmoid)
    return zero(result, out.elements() * int64_t(sizeof(T)));
  const int64_t images = out.shape[0], channels = out.shape[1], pixels = out.elements() / (images * channels);
  std::vector<T> values(size_t(channels), T(0));
  if (bias != nullptr) std::copy_n(bias->as<const T>(), channels, values.begin());
  if (activation != Activation::none) activation_kernel<T>(activation)(values.data(), values.data(), channels);
  if (format == MemoryFormat::contiguous)
    parallel_items(images * channels, kMoveFlops * double(pixels), [&](int64_t plane) {
      std::fill_n(result + plane * pixels, pixels, values[size_t(plane % channels)]);
    });
  else
    parallel_items(images * pixels, kMoveFlops * double(channels),
                   [&](int64_t pixel) { std::copy(values.begin(), values.end(), result + pixel * channels); });
}

template <class T>
void fill_result(const View& out, const View* bias, Activation activation) {
  fill(out, out.format, bias, activation, out.as<T>());
}

// `complete`: the parts make all of the result.
template <class T>
void correlate(std::vector<Correlation> parts, bool complete, Algorithm algorithm, const View& in,
               const View& weight, const View* bias, Activation activation, const View& out) {
  if (parts.empty()) return fill_result<T>(out, bias, activation);
  const Plan chosen = plan(parts, algorithm, in.format, out.format);
  const Formatted<T> source(in, chosen.in);
  const FormattedResult<T> result(out, chosen.out);
  if (!complete) fill(out, chosen.out, bias, activation, result.data());
  const bool turns = packs_kernels(parts, chosen);
  const Correlation& c = parts.front();
  const int64_t weights = c.groups * c.in_channels * c.out_channels * c.weight_out;
  const memory::Buffer turned(turns ? size_t(weights) * sizeof(T) : 0);
  if (turns) turn_kernels(parts, weight.as<const T>(), turned.as<T>());
  const CorrelationData<T> data = {source.data(),
                                   chosen.in,
                                   turns ? turned.as<const T>() : weight.as<const T>(),
                                   bias ? bias->as<const T>() : nullptr,
                                   activation,
                                   result.data(),
                                   chosen.out};
  if (!run_together(*chosen.algorithms.front(), parts, data))
    for (size_t i = 0; i < parts.size(); ++i) run(*chosen.algorithms[i], parts[i], data);
  result.finish();
}

// Few output channels (of a group) leave vectors of them empty in the weight gradient too, unless a
// channels-last input can fill them.
MemoryFormat gradient_format(const Correlation& c, MemoryFormat grad, MemoryFormat x) {
  if (few_channels_a_group(c)) return x;
  const bool planes = few_outputs(c) && (c.groups > 1 || x == MemoryFormat::contiguous);
  return planes ? MemoryFormat::contiguous : grad;
}
MemoryFormat input_format(const Correlation& c, MemoryFormat x) {
  const bool planes = c.groups > 1 && few_outputs(c);
  return planes ? MemoryFormat::contiguous : x;
}

template <class T>
void backward_weight(const Correlation& c, Algorithm algorithm, const View& grad, const View& x, const View& dw,
                     const View* db) {
  const MemoryFormat grad_format = gradient_format(c, grad.format, x.format);
  const MemoryFormat x_format = input_format(c, x.format);
  const Formatted<T> grad_source(grad, grad_format), x_source(x, x_format);
  const WeightGradientData<T> data = {grad_source.data(), grad_format, x_source.data(),
                                      x_format,           dw.as<T>(),  db ? db->as<T>() : nullptr};
  run(choose_gradient(c, algorithm, grad_format, x_format), c, data);
}

}   // namespace

Choice choose(const Correlation& c, Algorithm algorithm, MemoryFormat in, MemoryFormat out) {
  if (by_winograd(algorithm, winograd_pays(c, out))) return {find(winograds, c, in, out), in, out};
  constexpr MemoryFormat planes = MemoryFormat::contiguous;
  for (const auto& [from, to] : {std::pair(in, out), std::pair(out, out), std::pair(planes, planes)})
    if (const CorrelationAlgorithm* direct = find(correlations, c, from, to)) return {direct, from, to};
  return {};   // planes are always accepted
}

void require_implemented(const ConvProblem& problem, Algorithm algorithm) {
  if (algorithm == Algorithm::winograd && !winograd_possible(forward_correlation(problem)))
    throw std::invalid_argument(
        "convolution: algorithm \"winograd\" is for square kernels of 2x2 to 5x5 of stride and dilation 1");
}

const char* conv_implementation(const ConvProblem& problem, Pass pass, Algorithm algorithm, Precision,
                                DType dtype, MemoryFormat source, MemoryFormat result) {
  if (itemsize(dtype) < 4) return nullptr;
  if (algorithm == Algorithm::winograd && !winograd_possible(forward_correlation(problem))) return nullptr;
  if (!is_planar(problem)) return volume_implementation(problem, pass, algorithm, dtype, source, result);
  if (const auto folded = folded_problem(problem, pass, algorithm, pass == Pass::forward ? source : result))
    return conv_implementation(*folded, pass, Algorithm::winograd, Precision::highest, dtype, source, result);
  if (pass == Pass::forward)
    return choose(forward_correlation(problem), algorithm, source, result).algorithm->name;
  if (pass == Pass::backward_weight) {
    const Correlation c = forward_correlation(problem);
    return choose_gradient(c, algorithm, gradient_format(c, source, result), input_format(c, result)).name;
  }
  const std::vector<Correlation> parts = backward_correlations(problem).parts;
  if (parts.empty()) return "zero";   // no output reads the input
  return plan(parts, algorithm, source, result).algorithms.front()->name;
}

void fill_unreached(const View& result, const View* bias, Activation activation) {
  const auto run = result.dtype == DType::float32 ? fill_result<float> : fill_result<double>;
  run(result, bias, activation);
}

void conv_forward(const ConvProblem& problem, const View& x, const View& weight, const View* bias,
                  Activation activation, Algorithm algorithm, Precision, const View& y) {
  require_implemented(problem, algorithm);
  if (y.elements() == 0) return;
  if (!is_planar(problem)) return volume_forward(problem, x, weight, bias, activation, algorithm, y);
  if (const auto folded = folded_problem(problem, Pass::forward, algorithm, x.format))
    return folded_forward(problem, *folded, x, weight, bias, activation, y);
  const auto run = x.dtype == DType::float32 ? correlate<float> : correlate<double>;
  run({forward_correlation(problem)}, true, algorithm, x, weight, bias, activation, y);
}

void conv_backward_input(const ConvProblem& problem, const View& grad, const View& weight, Algorithm algorithm,
                         Precision precision, const View& dx) {
  conv_transpose(problem, grad, weight, nullptr, Activation::none, algorithm, precision, dx);
}

void conv_transpose(const ConvProblem& problem, const View& x, const View& weight, const View* bias,
                    Activation activation, Algorithm algorithm, Precision, const View& y) {
  require_implemented(problem, algorithm);
  if (y.elements() == 0) return;
  if (!is_planar(problem)) return volume_backward_input(problem, x, weight, bias, activation, algorithm, y);
  if (const auto folded = folded_problem(problem, Pass::backward_input, algorithm, y.format))
    return folded_backward_input(problem, *folded, x, weight, bias, activation, y);
  const BackwardParts backward = backward_correlations(problem);
  const bool fused = activation == Activation::none || activation == Activation::relu;
  const auto run = x.dtype == DType::float32 ? correlate<float> : correlate<double>;
  run(backward.parts, backward.complete, algorithm, x, weight, bias, fused ? activation : Activation::none, y);
  if (!fused) cpu::activation(activation, y, y);
}

void conv_backward_weight(const ConvProblem& problem, const View& grad, const View& x, Algorithm algorithm,
                          Precision, const View& dw, const View* db) {
  require_implemented(problem, algorithm);
  if (grad.elements() == 0 || x.elements() == 0) {
    zero(dw);
    if (db) zero(*db);
    return;
  }
  if (!is_planar(problem)) return volume_backward_weight(problem, grad, x, algorithm, dw, db);
  if (const auto folded = folded_problem(problem, Pass::backward_weight, algorithm, x.format))
    return folded_backward_weight(problem, *folded, grad, x, dw, db);
  const auto run = grad.dtype == DType::float32 ? backward_weight<float> : backward_weight<double>;
  run(forward_correlation(problem), algorithm, grad, x, dw, db);
}

}   // namespace fastconv::cpu
