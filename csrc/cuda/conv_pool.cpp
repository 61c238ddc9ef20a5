// A convolution of which only the pooled map is asked for; the map itself lies in a workspace.
#include "conv.hpp"
#include "launch.cuh"
#include "pool.hpp"

namespace fastconv::cuda {

void conv_max_pool(const ConvProblem& p, const PoolProblem& pool, const View& x, const View& weight,
                   const View* bias, Activation activation, Algorithm algorithm, Precision precision,
                   const View& y, const View* indices) {
  if (y.elements() == 0) return;
  View map = y;
  map.shape = p.output_shape();
  const DeviceGuard guard(x.device, "conv2d_max_pool2d");
  const Workspace memory(x.device, map.elements() * itemsize(map.dtype), "conv2d_max_pool2d");
  map.data = memory.as<void>();
  conv_forward(p, x, weight, bias, activation, algorithm, precision, map);
  max_pool(pool, map, y, indices);
}

void conv_max_pool_backward(const ConvProblem& p, const PoolProblem& pool, const View& grad,
                            const View& indices, const View* x, const View* weight, Algorithm algorithm,
                            Precision precision, const View* dx, const View* dw, const View* db) {
  if (!dx && !dw) return;
  View map = grad;
  map.shape = p.output_shape();
  const DeviceGuard guard(grad.device, "conv2d_max_pool2d_backward");
  const Workspace memory(grad.device, map.elements() * itemsize(map.dtype), "conv2d_max_pool2d_backward");
  map.data = memory.as<void>();
  max_pool_backward(pool, grad, indices, map);
  if (dx) conv_backward_input(p, map, *weight, algorithm, precision, *dx);
  if (dw) conv_backward_weight(p, map, *x, algorithm, precision, *dw, db);
}

}   // namespace fastconv::cuda
