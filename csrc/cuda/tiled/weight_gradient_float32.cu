#include "simt_tile.cuh"
#include "weight_gradient_launch.cuh"

namespace fastconv::cuda::tiled {

template void launch_weight_gradient<Simt, float>(const Call&, const WeightGradient&, Shape, int);

}   // namespace fastconv::cuda::tiled
