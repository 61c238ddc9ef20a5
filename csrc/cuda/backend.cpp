#include "core/backend.hpp"

#include "activation.hpp"
#include "average_pool.hpp"
#include "batch_norm.hpp"
#include "conv.hpp"
#include "dropout.hpp"
#include "group_norm.hpp"
#include "linear.hpp"
#include "local_response_norm.hpp"
#include "loss.hpp"
#include "optimizer.hpp"
#include "pool.hpp"

namespace fastconv {

// What is null here is not there for CUDA arrays yet; the bindings say so.
const Backend* cuda_backend() {
  static const Backend backend = [] {
    Backend made{};
    made.name = "cuda";
    made.conv_implementation = cuda::conv_implementation;
    made.conv_forward = cuda::conv_forward;
    made.conv_max_pool = cuda::conv_max_pool;
    made.conv_max_pool_backward_implementation = [](const ConvProblem&, const PoolProblem&, Pass, Algorithm) {
      return "spread";
    };
    made.conv_max_pool_backward = cuda::conv_max_pool_backward;
    made.conv_backward_input = cuda::conv_backward_input;
    made.conv_transpose = cuda::conv_transpose;
    made.conv_backward_weight = cuda::conv_backward_weight;
    made.linear = cuda::linear;
    made.linear_backward_input = cuda::linear_backward_input;
    made.linear_backward_weight = cuda::linear_backward_weight;
    made.activation = cuda::activation;
    made.activation_backward = cuda::activation_backward;
    made.curve = cuda::curve;
    made.curve_backward = cuda::curve_backward;
    made.max_pool = cuda::max_pool;
    made.max_pool_backward = cuda::max_pool_backward;
    made.average_pool = cuda::average_pool;
    made.average_pool_backward = cuda::average_pool_backward;
    made.softmax = cuda::softmax;
    made.softmax_backward = cuda::softmax_backward;
    made.cross_entropy = cuda::cross_entropy;
    made.cross_entropy_backward = cuda::cross_entropy_backward;
    made.batch_norm = cuda::batch_norm;
    made.batch_norm_backward = cuda::batch_norm_backward;
    made.group_norm = cuda::group_norm;
    made.group_norm_backward = cuda::group_norm_backward;
    made.local_response_norm = cuda::local_response_norm;
    made.local_response_norm_backward = cuda::local_response_norm_backward;
    made.dropout = cuda::dropout;
    made.sgd_update = cuda::sgd_update;
    made.adam_update = cuda::adam_update;
    made.adagrad_update = cuda::adagrad_update;
    made.adadelta_update = cuda::adadelta_update;
    made.rmsprop_update = cuda::rmsprop_update;
    made.lamb_update = cuda::lamb_update;
    made.total_norm = cuda::total_norm;
    return made;
  }();
  return &backend;
}

}   // namespace fastconv
