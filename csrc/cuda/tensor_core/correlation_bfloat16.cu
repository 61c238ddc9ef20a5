#include "correlation_launch.cuh"

namespace fastconv::cuda::tensor_core {

template void launch_correlation<bfloat16>(const Call&, const Correlation&, Shape, Source, bool);

}   // namespace fastconv::cuda::tensor_core
