// Normalisation of an array (N, C) or (N, C, *spatial).
#pragma once

#include "problem.hpp"

namespace fastconv {

struct NormProblem {
  int spatial = 2;   // 0 to 3 dimensions
  int64_t batch = 0, channels = 0;
  int64_t input[kMaxSpatial] = {1, 1, 1};

  Shape input_shape() const;
  int64_t plane() const;                   // elements of a channel of an image
  int64_t flops() const;                   // of the forward pass in training
  int64_t bytes(int64_t itemsize) const;   // input and output, each touched once
};

// std::invalid_argument where the shape has no channels or more than three spatial dimensions.
NormProblem make_norm_problem(const char* operation, const Shape& input);
// Training needs a variance: std::invalid_argument where a channel has a single value.
void check_trainable(const char* operation, const NormProblem& problem);

// Groups of channels of each example, normalised by themselves: input seen as (batch, channels, plane). A layer
// normalisation is one group of channels that are its elements, and planes of 1.
struct GroupNormProblem {
  int64_t batch = 0, channels = 0, groups = 1, plane = 1;
  bool layer = false;   // for errors

  int64_t elements_of_group() const { return channels / groups * plane; }
};

// std::invalid_argument where the groups do not divide the channels.
GroupNormProblem make_group_norm_problem(const char* operation, const Shape& input, int64_t groups);
// std::invalid_argument where the last dimensions of the input are not `normalized`.
GroupNormProblem make_layer_norm_problem(const char* operation, const Shape& input, const Shape& normalized);

//   norm:n8c64h56   as other descriptors (descriptor.cpp); without an extent (N, C)
std::string describe(const NormProblem& problem);
NormProblem parse_norm(const std::string& descriptor);

}   // namespace fastconv
