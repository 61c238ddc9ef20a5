#include "linear.hpp"

#include <cstring>

#include "../core/memory.hpp"
#include "activation.hpp"
#include "isa.hpp"
#include "parallel.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

// Rows of the output a chunk: whole register tiles, enough work each, about kChunks chunks.
int64_t row_block(int64_t rows, double flops_per_row) {
  const int64_t even = div_up(rows, kChunks), worth = int64_t(kChunkFlops / std::max(flops_per_row, 1.0)) + 1;
  return std::min(rows,
                  std::clamp<int64_t>(round_up(std::max(even, worth), 6), 6, std::max<int64_t>(192, worth)));
}

// y transposed: rows of weight times panels of x transposed. The weight, the large operand, is never copied.
template <class T>
void forward_panels(const LinearProblem& p, const T* x, const T* weight, const T* bias, Activation act, T* y) {
  const auto& gemm = kernels<T>().gemm;
  const auto& pack = kernels<T>().pack;
  const int64_t in = p.in_features, out = p.out_features;
  const int64_t panel = gemm.lanes * gemm.vectors, panels = div_up(p.rows, panel);

  const memory::Buffer packed(size_t(panels * panel * in) * sizeof(T));
  T* xt = packed.as<T>();
  const int64_t slices = std::max<int64_t>(1, in * panel / 65536);
  parallel_items(panels * slices, kMoveFlops * double(in * std::min(panel, p.rows) / slices),
                 [&](int64_t task) {
                   const int64_t n0 = task / slices * panel, columns = std::min(panel, p.rows - n0);
                   const int64_t width = round_up(columns, gemm.lanes);
                   const int64_t k0 = part_begin(in, slices, task % slices),
                                 k1 = part_begin(in, slices, task % slices + 1);
                   T* to = xt + n0 * in + k0 * width;
                   if (width > columns) std::memset(to, 0, size_t((k1 - k0) * width) * sizeof(T));
                   pack.transpose(x + n0 * in + k0, in, to, width, columns, k1 - k0);
                 });

  const std::vector<const T*> rows = row_pointers(weight, out, in);
  const std::vector<ptrdiff_t> tile = row_offsets(out, panel);
  const ActivationKernel<T> finish = act == Activation::relu ? nullptr : activation_kernel<T>(act);
  const int64_t block = row_block(out, 2.0 * double(std::min(p.rows, panel)) * double(in));
  parallel_items(
      div_up(out, block) * panels, 2.0 * double(block) * double(in) * double(std::min(p.rows, panel)),
      [&](int64_t task) {
        const int64_t o0 = task / panels * block, o1 = std::min(out, o0 + block);
        const int64_t n0 = task % panels * panel, columns = std::min(panel, p.rows - n0);
        const int64_t width = round_up(columns, gemm.lanes);
        const memory::Buffer scratch(size_t((o1 - o0) * panel) * sizeof(T));
        const int64_t blocks = depth_blocks(in);
        for (int64_t b = 0; b < blocks; ++b) {
          const int64_t k0 = part_begin(in, blocks, b), k1 = part_begin(in, blocks, b + 1);
          const Run<T> run = {rows.data() + o0, k0, 0, k1 - k0};
          gemm.panel({o1 - o0, columns, &run, 1, 1, xt + n0 * in + k0 * width, scratch.as<T>(), tile.data(),
                      b > 0, nullptr, bias ? bias + o0 : nullptr, act == Activation::relu && b == blocks - 1});
        }
        T* to = y + n0 * out + o0;
        pack.transpose(scratch.as<T>(), panel, to, out, o1 - o0, columns);
        if (finish)
          for (int64_t n = 0; n < columns; ++n) finish(to + n * out, to + n * out, o1 - o0);
      });
}

// Fewer rows than a vector has lanes: every weight is read once, along the vectors.
template <class T>
void forward_dots(const LinearProblem& p, const T* x, const T* weight, const T* bias, Activation act, T* y) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t in = p.in_features, out = p.out_features;
  const std::vector<const T*> a = row_pointers(x, p.rows, in), b = row_pointers(weight, out, in);
  const DotRun run = {0, 0, in};
  const ActivationKernel<T> finish = activation_kernel<T>(act);
  const int64_t block = row_block(out, 8.0 * double(in));   // bandwidth binds: a row counts its bytes
  parallel_for(div_up(out, block), [&](int64_t task) {
    const int64_t o0 = task * block, o1 = std::min(out, o0 + block);
    for (int64_t n = 0; n < p.rows && bias; ++n)
      std::memcpy(y + n * out + o0, bias + o0, size_t(o1 - o0) * sizeof(T));
    gemm.dot({p.rows, o1 - o0, a.data(), b.data() + o0, &run, 1, y + o0, out, bias != nullptr});
    for (int64_t n = 0; n < p.rows && finish; ++n) finish(y + n * out + o0, y + n * out + o0, o1 - o0);
  });
}

template <class T>
void forward(const LinearProblem& p, const View& x, const View& weight, const View* bias, Activation act,
             const View& y) {
  const auto run = p.rows < kernels<T>().gemm.lanes ? forward_dots<T> : forward_panels<T>;
  run(p, x.as<const T>(), weight.as<const T>(), bias ? bias->as<const T>() : nullptr, act, y.as<T>());
}

// c (rows, columns) = a b with b (depth, columns) row-major, copied panel by panel; row m of a at
// a + m * a_row, its steps a_step apart.
template <class T>
void product(int64_t rows, int64_t columns, int64_t depth, const T* a, ptrdiff_t a_row, ptrdiff_t a_step,
             const T* b, T* c) {
  if (rows == 0 || columns == 0) return;
  const auto& gemm = kernels<T>().gemm;
  const auto& pack = kernels<T>().pack;
  const int64_t panel = gemm.lanes * gemm.vectors, panels = div_up(columns, panel);
  const std::vector<const T*> pointers = row_pointers(a, rows, a_row);
  const std::vector<ptrdiff_t> offsets = row_offsets(rows, columns);
  const int64_t groups = std::min(div_up(rows, 48), div_up(kChunks, panels));
  const double flops = 2.0 * double(rows) * double(std::min(columns, panel)) * double(depth) / double(groups);
  parallel_items(panels * groups, flops, [&](int64_t task) {
    const int64_t m0 = part_begin(rows, groups, task % groups),
                  m1 = part_begin(rows, groups, task % groups + 1);
    const int64_t j = task / groups, width = std::min(panel, columns - j * panel);
    const int64_t padded = round_up(width, gemm.lanes), blocks = depth_blocks(depth);
    const memory::Buffer packed(size_t(div_up(depth, blocks) * panel) * sizeof(T));
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t k0 = part_begin(depth, blocks, i), k1 = part_begin(depth, blocks, i + 1);
      pack.copy(b + k0 * columns + j * panel, columns, packed.as<T>(), padded, k1 - k0, width, padded);
      const Run<T> run = {pointers.data() + m0, k0 * a_step, 0, k1 - k0};
      gemm.panel({m1 - m0, width, &run, 1, a_step, packed.as<T>(), c + j * panel, offsets.data() + m0, i > 0,
                  nullptr, nullptr, false});
    }
  });
}

template <class T>
void backward_input(const LinearProblem& p, const View& grad, const View& weight, const View& dx) {
  product(p.rows, p.in_features, p.out_features, grad.as<const T>(), p.out_features, 1, weight.as<const T>(),
          dx.as<T>());
}

template <class T>
void backward_weight(const LinearProblem& p, const View& grad, const View& x, const View& dw, const View* db) {
  product(p.out_features, p.in_features, p.rows, grad.as<const T>(), 1, p.out_features, x.as<const T>(),
          dw.as<T>());
  if (!db) return;
  parallel_ranges(p.out_features, 1024, [&](int64_t begin, int64_t end) {
    std::memset(db->as<T>() + begin, 0, size_t(end - begin) * sizeof(T));
    kernels<T>().pack.add_rows(grad.as<const T>() + begin, p.out_features, p.rows, end - begin,
                               db->as<T>() + begin);
  });
}

}   // namespace

void linear(const LinearProblem& p, const View& x, const View& weight, const View* bias, Activation act,
            const View& y) {
  if (y.elements() == 0) return;
  (x.dtype == DType::float32 ? forward<float> : forward<double>)(p, x, weight, bias, act, y);
}

void linear_backward_input(const LinearProblem& p, const View& grad, const View& weight, const View& dx) {
  if (dx.elements() == 0) return;
  (grad.dtype == DType::float32 ? backward_input<float> : backward_input<double>)(p, grad, weight, dx);
}

void linear_backward_weight(const LinearProblem& p, const View& grad, const View& x, const View& dw,
                            const View* db) {
  (grad.dtype == DType::float32 ? backward_weight<float> : backward_weight<double>)(p, grad, x, dw, db);
}

}   // namespace fastconv::cpu
