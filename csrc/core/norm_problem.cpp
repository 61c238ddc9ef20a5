#include "norm_problem.hpp"

#include <algorithm>
#include <stdexcept>

namespace fastconv {

Shape NormProblem::input_shape() const {
  Shape shape{batch, channels};
  shape.insert(shape.end(), input, input + spatial);
  return shape;
}

int64_t NormProblem::plane() const { return input[0] * input[1] * input[2]; }

// Mean and square are four operations an element, the result three.
int64_t NormProblem::flops() const { return 7 * batch * channels * plane(); }

int64_t NormProblem::bytes(int64_t itemsize) const { return 2 * batch * channels * plane() * itemsize; }

NormProblem make_norm_problem(const char* operation, const Shape& input) {
  const std::string prefix = std::string(operation) + ": ";
  if (input.size() < 2 || input.size() > 2 + kMaxSpatial)
    throw std::invalid_argument(prefix + "input has shape " + to_string(input) +
                                ", expected (N, C) or (N, C, ...) of 1 to 3 spatial dimensions");
  checked_elements(operation, "input", input);
  if (input[1] == 0) throw std::invalid_argument(prefix + "input " + to_string(input) + " has no channels");
  NormProblem p;
  p.spatial = int(input.size()) - 2;
  p.batch = input[0];
  p.channels = input[1];
  for (int i = 0; i < p.spatial; ++i) p.input[i] = input[size_t(i) + 2];
  return p;
}

void check_trainable(const char* operation, const NormProblem& p) {
  if (p.batch * p.plane() == 1)
    throw std::invalid_argument(std::string(operation) + ": input " + to_string(p.input_shape()) +
                                " has one value a channel; training needs more, a variance");
}

GroupNormProblem make_group_norm_problem(const char* operation, const Shape& input, int64_t groups) {
  const NormProblem p = make_norm_problem(operation, input);
  const std::string prefix = std::string(operation) + ": ";
  if (groups < 1)
    throw std::invalid_argument(prefix + "num_groups must be at least 1, got " + std::to_string(groups));
  if (p.channels % groups != 0)
    throw std::invalid_argument(prefix + "num_groups=" + std::to_string(groups) + " does not divide the " +
                                std::to_string(p.channels) + " channels of input " + to_string(input));
  return {p.batch, p.channels, groups, p.plane(), false};
}

GroupNormProblem make_layer_norm_problem(const char* operation, const Shape& input, const Shape& normalized) {
  checked_elements(operation, "input", input);
  const size_t count = normalized.size();
  if (count == 0 || count > input.size() ||
      !std::equal(normalized.begin(), normalized.end(), input.end() - count))
    throw std::invalid_argument(std::string(operation) + ": normalized_shape " + to_string(normalized) +
                                " is not the end of the input's shape " + to_string(input));
  GroupNormProblem p{1, 1, 1, 1, true};
  for (size_t i = 0; i < input.size(); ++i) (i < input.size() - count ? p.batch : p.channels) *= input[i];
  return p;
}

}   // namespace fastconv
