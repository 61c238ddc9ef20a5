// What a problem's arrays measure, and the work and traffic of computing it.
#include <initializer_list>
#include <limits>

#include "problem.hpp"

namespace fastconv {
namespace {

int64_t saturating_product(std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  for (int64_t factor : factors)
    if (factor == 0) return 0;
  for (int64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product)) return std::numeric_limits<int64_t>::max();
  return product;
}

int64_t saturating_bytes(std::initializer_list<int64_t> counts, int64_t itemsize) {
  int64_t total = 0;
  for (int64_t count : counts)
    if (__builtin_add_overflow(total, count, &total)) return std::numeric_limits<int64_t>::max();
  return saturating_product({total, itemsize});
}

int64_t product(const int64_t* values, int count) {
  int64_t result = 1;
  for (int i = 0; i < count; ++i) result = saturating_product({result, values[i]});
  return result;
}

Shape join(int64_t first, int64_t second, const int64_t* rest, int count) {
  Shape shape{first, second};
  shape.insert(shape.end(), rest, rest + count);
  return shape;
}

}   // namespace

Shape ConvProblem::input_shape() const { return join(batch, in_channels, input, spatial); }
Shape ConvProblem::weight_shape() const { return join(out_channels, in_channels / groups, kernel, spatial); }
Shape ConvProblem::output_shape() const { return join(batch, out_channels, output, spatial); }

int64_t ConvProblem::flops() const {
  return saturating_product(
      {2, batch, out_channels, in_channels / groups, product(output, spatial), product(kernel, spatial)});
}

int64_t ConvProblem::bytes(int64_t itemsize) const {
  return saturating_bytes({saturating_product({batch, in_channels, product(input, spatial)}),
                           saturating_product({out_channels, in_channels / groups, product(kernel, spatial)}),
                           saturating_product({batch, out_channels, product(output, spatial)})},
                          itemsize);
}

Shape PoolProblem::input_shape() const { return join(batch, channels, input, spatial); }
Shape PoolProblem::output_shape() const { return join(batch, channels, output, spatial); }

int64_t PoolProblem::flops() const {
  return saturating_product({batch, channels, product(output, spatial), product(kernel, spatial)});
}

int64_t PoolProblem::bytes(int64_t itemsize) const {
  return saturating_bytes({saturating_product({batch, channels, product(input, spatial)}),
                           saturating_product({batch, channels, product(output, spatial)})},
                          itemsize);
}

int64_t LinearProblem::flops() const { return saturating_product({2, rows, in_features, out_features}); }

int64_t LinearProblem::bytes(int64_t itemsize) const {
  return saturating_bytes(
      {saturating_product({rows, in_features}), saturating_product({out_features, in_features}),
       saturating_product({rows, out_features})},
      itemsize);
}

}   // namespace fastconv
