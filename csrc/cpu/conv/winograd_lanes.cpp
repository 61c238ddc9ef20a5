// Winograd's F(m x m, r x r), forward and backward-input, with images along the vectors (image_lanes.hpp): for
// batches of images with few channels. Transforms are of whole vectors whatever the number of channels, and
// the products broadcast the transformed weight.
#include <algorithm>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "image_lanes.hpp"
#include "winograd_tiles.hpp"

namespace fastconv::cpu {
namespace {

// Entry q of output channel k at q * stride + k * pitch, input channels side by side.
template <class T>
void transform_weight(const Correlation& c, const T* weight, WinogradTransform<T> transform,
                      const Products<T>& to) {
  const memory::Buffer copy(size_t(c.out_channels * c.depth()) * sizeof(T));
  weight_rows_of(c, weight, copy.as<T>());
  const T* cells[kMostTaps];
  for (int64_t k = 0; k < c.out_channels; ++k) {
    for (int64_t t = 0; t < c.taps(); ++t) cells[t] = copy.as<T>() + k * c.depth() + t * c.in_channels;
    transform(cells, c.in_channels, to.data + k * to.pitch, to.stride, kernels<T>().gemm.lanes);
  }
}

// One correlation on its way.
template <class T>
struct Job {
  const Correlation& c;
  const CorrelationData<T>& data;
  const TileGrid& grid;
  const WinogradKernels<T>& transforms;
  const Turned& turned;
  const T* input;   // turned
  const Products<T>& weight;
  const T *bias, *zeros;   // of all channels and lanes
};

// The products of tiles [first, first + count) of a block, at most as many as a register tile has vectors.
template <class T>
void multiply(const Job<T>& job, const T* block, int64_t first, int64_t count, const Products<T>& input,
              const Products<T>& products, const T** weights, const int32_t* offsets) {
  const auto& gemm = kernels<T>().gemm;
  const Correlation& c = job.c;
  const T* cells[kMostCells];
  for (int64_t j = 0; j < count; ++j) {
    read_cells(job.turned, block, job.grid, {job.grid.edge(), c.h.first, c.w.first, job.zeros}, first + j,
               cells);
    job.transforms.input(cells, c.in_channels * gemm.lanes, input.data + j * gemm.lanes, input.stride,
                         input.pitch);
  }
  PlanarArgs<T> args{};
  args.rows = c.out_channels;
  args.weights = weights;
  args.steps = c.in_channels;
  args.offsets = offsets;
  args.vectors = int(count);
  args.c_stride = gemm.lanes;
  for (int j = 0; j < args.vectors; ++j) {
    args.x_offsets[j] = j * gemm.lanes;
    args.c_offsets[j] = j * products.pitch;
    args.lanes[j] = gemm.lanes;
  }
  for (int64_t q = 0; q < job.grid.products(); ++q) {
    for (int64_t k = 0; k < c.out_channels; ++k)
      weights[k] = job.weight.data + q * job.weight.stride + k * job.weight.pitch;
    args.x = input.data + q * input.stride;
    args.c = products.data + q * products.stride;
    gemm.planar(args);
  }
}

// Rows [row0, row1) of tiles of a block.
template <class T>
void compute(const Job<T>& job, int64_t block, int64_t row0, int64_t row1, const int32_t* offsets) {
  const Correlation& c = job.c;
  const TileGrid& grid = job.grid;
  const int64_t lanes = kernels<T>().gemm.lanes, most = kernels<T>().gemm.vectors, entries = grid.products();
  const int64_t pixel = c.out_channels * lanes, p0 = row0 * grid.m, p1 = std::min(c.h.out, row1 * grid.m);
  const memory::Buffer input_buffer(Products<T>::bytes(entries, c.in_channels, most * lanes));
  const memory::Buffer product_buffer(Products<T>::bytes(entries, most, pixel));
  const memory::Buffer computed(size_t((p1 - p0) * c.w.out * pixel) * sizeof(T));
  const Products<T> input(input_buffer.as<T>(), c.in_channels, most * lanes);
  const Products<T> products(product_buffer.as<T>(), most, pixel);
  std::vector<const T*> weights(size_t(c.out_channels));
  const bool relu = job.data.activation == Activation::relu;
  const int64_t begin = row0 * grid.columns, end = row1 * grid.columns, groups = div_up(end - begin, most);
  T* cells[kMostCells];
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t t0 = begin + part_begin(end - begin, groups, g),
                  t1 = begin + part_begin(end - begin, groups, g + 1);
    multiply(job, job.input + block * job.turned.block * lanes, t0, t1 - t0, input, products, weights.data(),
             offsets);
    for (int64_t t = t0; t < t1; ++t) {
      for (int64_t i = 0; i < grid.m; ++i)
        for (int64_t j = 0; j < grid.m; ++j) {
          const int64_t y = t / grid.columns * grid.m + i, x = t % grid.columns * grid.m + j;
          cells[i * grid.m + j] =
              y < p1 && x < c.w.out ? computed.as<T>() + ((y - p0) * c.w.out + x) * pixel : nullptr;
        }
      job.transforms.output(products.data + (t - t0) * products.pitch, products.stride, pixel, cells, job.bias,
                            relu);
    }
  }
  if (job.data.activation != Activation::none && !relu)
    activation_kernel<T>(job.data.activation)(computed.as<T>(), computed.as<T>(), (p1 - p0) * c.w.out * pixel);
  put_images(computed.as<const T>(), false, c.out_channels, c.h.out, c.w.out, p0, p1,
             std::min(lanes, c.batch - block * lanes),
             job.data.out + block * lanes * c.out_channels * c.pixels(), job.data.out_format);
}

template <class T, int m>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const TileGrid grid = tile_grid(c, m);
  const int64_t lanes = kernels<T>().gemm.lanes, most = kernels<T>().gemm.vectors;
  const memory::Buffer weight_buffer(Products<T>::bytes(grid.products(), c.out_channels, c.in_channels));
  const Products<T> weight(weight_buffer.as<T>(), c.out_channels, c.in_channels);
  const WinogradKernels<T>& transforms = winograd_kernels<T>(grid);
  transform_weight(c, data.weight, transforms.weight, weight);
  std::vector<T> bias(size_t(c.out_channels * lanes)), zeros(size_t(c.in_channels * lanes));
  for (int64_t k = 0; k < c.out_channels && data.bias; ++k)
    std::fill_n(bias.begin() + k * lanes, lanes, data.bias[k]);
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i < c.in_channels; ++i) offsets.push_back(int32_t(i * most * lanes));

  const int64_t blocks = div_up(c.batch, lanes), strips = std::min(div_up(kChunks, blocks), grid.rows);
  const Turned turned = turned_pixels(c.in_channels, c.h.in, c.w.in);
  const memory::Buffer input(size_t(blocks * turned.block * lanes) * sizeof(T));
  turn_images(turned, data.in, data.in_format, c.batch, c.h.first, c.h.first + grid.rows * m + c.h.taps - 1,
              input.as<T>());
  const Job<T> job = {c,           data,          grid,   transforms,
                      turned,      input.as<T>(), weight, data.bias ? bias.data() : nullptr,
                      zeros.data()};
  const double flops = 2.0 * double(grid.products() * grid.rows * grid.columns * lanes) *
                       double(c.in_channels * c.out_channels) / double(strips);
  parallel_items(blocks * strips, flops, [&](int64_t item) {
    const int64_t i = item % strips;
    compute(job, item / strips, part_begin(grid.rows, strips, i), part_begin(grid.rows, strips, i + 1),
            offsets.data());
  });
}

template <int m, int r>
bool accepts(const Correlation& c, MemoryFormat, MemoryFormat) {
  return winograd_takes(c, m, r) && winograd_by_lanes(c);
}

template <int m, int r>
constexpr CorrelationAlgorithm algorithm(const char* name) {
  return {name, accepts<m, r>, run<float, m>, run<double, m>, nullptr, nullptr, kImageLanes, m};
}

}   // namespace

const CorrelationAlgorithm winograd_lanes_2x2_3x3 = algorithm<2, 3>("winograd-lanes-2x2-3x3");
const CorrelationAlgorithm winograd_lanes_4x4_3x3 = algorithm<4, 3>("winograd-lanes-4x4-3x3");
const CorrelationAlgorithm winograd_lanes_2x2_5x5 = algorithm<2, 5>("winograd-lanes-2x2-5x5");
const CorrelationAlgorithm winograd_lanes_3x3_4x4 = algorithm<3, 4>("winograd-lanes-3x3-4x4");
const CorrelationAlgorithm winograd_lanes_4x4_2x2 = algorithm<4, 2>("winograd-lanes-4x4-2x2");

}   // namespace fastconv::cpu
