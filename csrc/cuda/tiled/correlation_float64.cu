#include "correlation_launch.cuh"
#include "simt_tile.cuh"

namespace fastconv::cuda::tiled {

template void launch_correlation<Simt, double>(const Call&, const Correlation&, Shape, Source, bool);

}   // namespace fastconv::cuda::tiled
