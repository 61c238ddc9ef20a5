#include "weight_gradient_launch.cuh"

namespace fastconv::cuda::tensor_core {

template void launch_weight_gradient<half>(const Call&, const WeightGradient&, Shape, int);

}   // namespace fastconv::cuda::tensor_core
