#include "conv.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "../core/memory.hpp"
#include "conv/correlation.hpp"

namespace fastconv::cpu {
namespace {

// The first that accepts runs; the last of each memory format accepts everything.
const CorrelationAlgorithm* const correlations[] = {&channels_last_few, &channels_last, &planar_direct,
                                                    &planar_gemm};
const WeightGradientAlgorithm* const weight_gradients[] = {&weight_dot, &weight_gemm};

struct Choice {
  const CorrelationAlgorithm* algorithm;
  bool convert;   // the input to the format of the result first
};

Choice choose(const Correlation& c, MemoryFormat in, MemoryFormat out) {
  for (const bool convert : {false, true})
    for (const CorrelationAlgorithm* algorithm : correlations)
      if (algorithm->accepts(c, convert ? out : in, out)) return {algorithm, convert};
  return {nullptr, false};
}

const WeightGradientAlgorithm& choose_gradient(const Correlation& c, MemoryFormat grad, MemoryFormat x) {
  return **std::find_if(std::begin(weight_gradients), std::end(weight_gradients),
                        [&](const WeightGradientAlgorithm* a) { return a->accepts(c, grad, x); });
}

void require(const ConvProblem& problem, Algorithm algorithm) {
  if (!is_planar(problem))
    throw std::invalid_argument("convolution: 3 spatial dimensions have no CPU implementation");
  if (algorithm == Algorithm::winograd)
    throw std::invalid_argument("convolution: algorithm \"winograd\" has no CPU implementation");
}

template <class T>
void correlate(const Correlation& c, const View& in, const View& weight, const View* bias, Activation activation,
               const View& out) {
  if (c.pixels() == 0) return;
  const Choice choice = choose(c, in.format, out.format);
  CorrelationData<T> data = {in.as<const T>(),  in.format,  weight.as<const T>(), bias ? bias->as<const T>() : nullptr,
                             activation,        out.as<T>(), out.format};
  const memory::Buffer copy(choice.convert ? size_t(in.elements()) * sizeof(T) : 0);
  if (choice.convert) {
    copy_format(data.in, in.format, copy.as<T>(), c.batch, c.in_channels * c.groups, c.h.in * c.w.in);
    data.in = copy.as<T>();
    data.in_format = out.format;
  }
  if constexpr (sizeof(T) == 4)
    choice.algorithm->run_float(c, data);
  else
    choice.algorithm->run_double(c, data);
}

template <class T>
void backward_weight(const Correlation& c, const View& grad, const View& x, const View& dw, const View* db) {
  const WeightGradientData<T> data = {grad.as<const T>(), grad.format, x.as<const T>(),
                                      x.format,           dw.as<T>(),  db ? db->as<T>() : nullptr};
  const WeightGradientAlgorithm& algorithm = choose_gradient(c, grad.format, x.format);
  if constexpr (sizeof(T) == 4)
    algorithm.run_float(c, data);
  else
    algorithm.run_double(c, data);
}

void zero(const View& view) { std::memset(view.data, 0, size_t(view.elements() * itemsize(view.dtype))); }

}  // namespace

const char* conv_implementation(const ConvProblem& problem, Pass pass, Algorithm algorithm, DType,
                                MemoryFormat source, MemoryFormat result) {
  if (!is_planar(problem) || algorithm == Algorithm::winograd) return nullptr;
  if (pass == Pass::forward) return choose(forward_correlation(problem), source, result).algorithm->name;
  if (pass == Pass::backward_weight)
    return choose_gradient(forward_correlation(problem), source, result).name;
  for (const Correlation& phase : backward_correlations(problem))
    if (phase.taps() > 0) return choose(phase, source, result).algorithm->name;
  return "zero";   // no output reads the input
}

void conv_forward(const ConvProblem& problem, const View& x, const View& weight, const View* bias,
                  Activation activation, Algorithm algorithm, const View& y) {
  require(problem, algorithm);
  if (y.elements() == 0) return;
  const auto run = x.dtype == DType::float32 ? correlate<float> : correlate<double>;
  run(forward_correlation(problem), x, weight, bias, activation, y);
}

void conv_backward_input(const ConvProblem& problem, const View& grad, const View& weight, Algorithm algorithm,
                         const View& dx) {
  require(problem, algorithm);
  if (dx.elements() == 0) return;
  const std::vector<Correlation> phases = backward_correlations(problem);
  const auto reached = [](const Correlation& phase) { return phase.taps() > 0; };
  if (grad.elements() == 0 || !std::all_of(phases.begin(), phases.end(), reached)) zero(dx);
  if (grad.elements() == 0) return;
  const auto run = grad.dtype == DType::float32 ? correlate<float> : correlate<double>;
  for (const Correlation& phase : phases)
    if (reached(phase)) run(phase, grad, weight, nullptr, Activation::none, dx);
}

void conv_backward_weight(const ConvProblem& problem, const View& grad, const View& x, Algorithm algorithm,
                          const View& dw, const View* db) {
  require(problem, algorithm);
  if (grad.elements() == 0 || x.elements() == 0) {
    zero(dw);
    if (db) zero(*db);
    return;
  }
  const auto run = grad.dtype == DType::float32 ? backward_weight<float> : backward_weight<double>;
  run(forward_correlation(problem), grad, x, dw, db);
}

}  // namespace fastconv::cpu
