#include "dispatch.cuh"
#include "optimizer.hpp"
#include "reduce.cuh"
#include "update_table.cuh"

namespace fastconv::cuda {

// The squares of each chunk, then of all.
template <class T>
__global__ void __launch_bounds__(kUpdateThreads)
    squares_kernel(const __grid_constant__ Table table, double* sums) {
  const Slice at = slice_of(table, blockIdx.x);
  const T* x = static_cast<const T*>(table.entries[at.array].grad);
  double sum = 0;
  for (int64_t i = at.begin + threadIdx.x; i < at.end; i += kUpdateThreads) {
    const double value = double(widen(x[i]));
    sum += value * value;
  }
  sum = block_sum(static_shared<BlockSum<double, kUpdateThreads>>(), sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class T>
__global__ void __launch_bounds__(kUpdateThreads) norm_kernel(const double* sums, int64_t count, T* norm) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kUpdateThreads) sum += sums[i];
  sum = block_sum(static_shared<BlockSum<double, kUpdateThreads>>(), sum);
  if (threadIdx.x == 0) *norm = narrow<T>(Accumulator<T>(sqrt(sum)));
}

namespace {

template <class T>
void norm_of(const std::vector<View>& arrays, const View& norm) {
  const char* operation = "total_norm";
  const auto entry = [](const View& array) {
    Entry made{};
    made.grad = array.data;
    made.count = array.elements();
    return made;
  };
  int64_t all = 0;
  for (const View& array : arrays) all += ceil_div(array.elements(), kChunk);
  const Workspace memory(norm.device, all * int64_t(sizeof(double)), operation);
  int64_t done = 0;
  with_tables(arrays, entry, [&](const Table& table, int64_t chunks) {
    launch(operation, squares_kernel<T>, dim3(unsigned(chunks)), kUpdateThreads, 0, norm.device.stream, table,
           memory.as<double>() + done);
    done += chunks;
  });
  launch(operation, norm_kernel<T>, dim3(1), kUpdateThreads, 0, norm.device.stream, memory.as<const double>(),
         all, norm.as<T>());
}

}   // namespace

void total_norm(const std::vector<View>& arrays, const View& norm) {
  const DeviceGuard guard(norm.device, "total_norm");
  with_float_type(norm.dtype, [&](auto zero) { norm_of<decltype(zero)>(arrays, norm); });
}

}   // namespace fastconv::cuda
