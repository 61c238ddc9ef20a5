#include "pool.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

template <class T>
PoolKernels<T> pool_kernels() {
  return {max_rows<T>, max_rows_channels_last<T>, scatter<T>, scatter_channels_last<T>};
}
template PoolKernels<float> pool_kernels<float>();
template PoolKernels<double> pool_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
