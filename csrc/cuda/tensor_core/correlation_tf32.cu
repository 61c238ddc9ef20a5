#include "correlation_launch.cuh"

namespace fastconv::cuda::tensor_core {

template void launch_correlation<float>(const Call&, const Correlation&, Shape, Source, bool);

}   // namespace fastconv::cuda::tensor_core
