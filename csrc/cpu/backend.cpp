#include "../core/backend.hpp"

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

const Backend* cpu_backend() {
  static const Backend backend = {
      "cpu",
      cpu::conv_implementation,
      cpu::conv_forward,
      cpu::conv_max_pool,
      cpu::conv_max_pool_backward_implementation,
      cpu::conv_max_pool_backward,
      cpu::conv_backward_input,
      cpu::conv_transpose,
      cpu::conv_backward_weight,
      cpu::max_pool,
      cpu::max_pool_backward,
      cpu::average_pool_implementation,
      cpu::average_pool,
      cpu::average_pool_backward,
      cpu::linear,
      cpu::linear_backward_input,
      cpu::linear_backward_weight,
      cpu::activation,
      cpu::activation_backward,
      cpu::curve,
      cpu::curve_backward,
      cpu::softmax,
      cpu::softmax_backward,
      cpu::cross_entropy,
      cpu::cross_entropy_backward,
      cpu::batch_norm,
      cpu::batch_norm_backward,
      cpu::group_norm,
      cpu::group_norm_backward,
      cpu::local_response_norm,
      cpu::local_response_norm_backward,
      cpu::dropout,
      cpu::sgd_update,
      cpu::adam_update,
      cpu::adagrad_update,
      cpu::adadelta_update,
      cpu::rmsprop_update,
      cpu::lamb_update,
      cpu::total_norm,
  };
  return &backend;
}

}   // namespace fastconv
