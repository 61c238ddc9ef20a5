#include "table.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

template <class T>
const KernelTable<T>& table() {
  static const KernelTable<T> instance = {gemm_kernels<T>(),           few_rows_kernels<T>(),
                                          pack_kernels<T>(),           pool_kernels<T>(),
                                          activation_kernels<T>(),     loss_kernels<T>(),
                                          optimizer_kernels<T>(),      probe_kernels<T>(),
                                          winograd_kernels<T, 4, 2>(), winograd_kernels<T, 2, 3>(),
                                          winograd_kernels<T, 4, 3>(), winograd_kernels<T, 3, 4>(),
                                          winograd_kernels<T, 2, 5>(), depthwise_kernels<T>(),
                                          norm_kernels<T>(),           local_response_norm_kernels<T>(),
                                          dropout_kernels<T>(),        average_pool_kernels<T>(),
                                          sparse_kernels<T>()};
  return instance;
}
template const KernelTable<float>& table();
template const KernelTable<double>& table();

}   // namespace fastconv::cpu::FASTCONV_ISA
