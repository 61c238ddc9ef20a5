#include "correlation_launch.cuh"
#include "tensor_core_tile.cuh"

namespace fastconv::cuda::tiled {

template void launch_correlation<TensorCore, float>(const Call&, const Correlation&, Shape, Source, bool);

}   // namespace fastconv::cuda::tiled
