#include "norm_problem.hpp"

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

}   // namespace fastconv
