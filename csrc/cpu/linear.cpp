#include "linear.hpp"

#include <cstring>

#include "../core/memory.hpp"
#include "activation.hpp"
#include "isa.hpp"
#include "parallel.hpp"
#include "product.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

// So few rows: the weight goes by once, at memory speed; the register tiles would copy it first.
constexpr int64_t kFewRows = 16, kFewGradients = 24;

// How many tasks to cut `rows` rows of a register tile's result into.
int64_t row_tasks(int64_t rows, double flops) {
  return power_of_two(std::min({double(rows) / 12, 4.0 * kChunks, flops / kTaskFlops}));
}

// Of a pass that streams the weight: bandwidth binds, a weight counts its bytes.
double streaming_flops(const LinearProblem& p) {
  return std::max(8.0, 2.0 * double(p.rows)) * double(p.in_features) * double(p.out_features);
}

// x in panels of `panel` rows, each transposed and filled with zeros to whole vectors.
template <class T>
void pack_transposed(const LinearProblem& p, const T* x, int64_t panel, bool parallel, T* packed) {
  const auto& pack = kernels<T>().pack;
  const int64_t lanes = kernels<T>().gemm.lanes, in = p.in_features;
  const int64_t slices = std::max<int64_t>(1, in * std::min(panel, p.rows) / 8192);
  parallel_tasks(div_up(p.rows, panel) * slices, parallel ? kChunkFlops : 0, [&](int64_t task) {
    const int64_t n0 = task / slices * panel, columns = std::min(panel, p.rows - n0);
    const int64_t width = round_up(columns, lanes), slice = task % slices;
    const int64_t k0 = part_begin(in, slices, slice), k1 = part_begin(in, slices, slice + 1);
    T* to = packed + n0 * in + k0 * width;
    if (width > columns) std::memset(to, 0, size_t((k1 - k0) * width) * sizeof(T));
    pack.transpose(x + n0 * in + k0, in, to, width, columns, k1 - k0);
  });
}

// y transposed: rows of weight times panels of x transposed. The weight, the large operand, is never copied.
template <class T>
void forward_panels(const LinearProblem& p, const T* x, const T* weight, const T* bias, Activation act, T* y) {
  const auto& gemm = kernels<T>().gemm;
  const auto& pack = kernels<T>().pack;
  const int64_t in = p.in_features, out = p.out_features;
  const int64_t panel = gemm.lanes * gemm.vectors, panels = div_up(p.rows, panel);

  const double flops = 2.0 * double(p.rows) * double(in) * double(out);
  const memory::Buffer packed(size_t(panels * panel * in) * sizeof(T));
  T* xt = packed.as<T>();
  pack_transposed(p, x, panel, flops >= kChunkFlops, xt);

  const std::vector<const T*> rows = row_pointers(weight, out, in);
  const ActivationKernel<T> finish = act == Activation::relu ? nullptr : activation_kernel<T>(act);
  const int64_t blocks = row_tasks(out, flops / double(panels)), depths = depth_blocks(in, gemm.depth);
  parallel_tasks(blocks * panels, flops, [&](int64_t task) {
    const int64_t o0 = part_begin(out, blocks, task / panels), o1 = part_begin(out, blocks, task / panels + 1);
    const int64_t n0 = task % panels * panel, columns = std::min(panel, p.rows - n0);
    const int64_t width = round_up(columns, gemm.lanes);
    const memory::Buffer scratch(size_t((o1 - o0) * panel) * sizeof(T));
    for (int64_t b = 0; b < depths; ++b) {
      const int64_t k0 = part_begin(in, depths, b), k1 = part_begin(in, depths, b + 1);
      const Run<T> run = {rows.data() + o0, k0, 0, k1 - k0};
      PanelArgs<T> args{};
      args.rows = o1 - o0;
      args.columns = columns;
      args.runs = &run;
      args.run_count = args.step = 1;
      args.b = xt + n0 * in + k0 * width;
      args.c = scratch.as<T>();
      args.c_stride = panel;
      args.accumulate = b > 0;
      args.row_bias = bias ? bias + o0 : nullptr;
      args.relu = act == Activation::relu && b == depths - 1;
      gemm.panel(args);
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
  const double flops = streaming_flops(p);
  const int64_t blocks = row_tasks(out, flops);
  parallel_tasks(blocks, flops, [&](int64_t task) {
    const int64_t o0 = part_begin(out, blocks, task), o1 = part_begin(out, blocks, task + 1);
    for (int64_t n = 0; n < p.rows && bias; ++n)
      std::memcpy(y + n * out + o0, bias + o0, size_t(o1 - o0) * sizeof(T));
    gemm.dot({p.rows, o1 - o0, a.data(), b.data() + o0, &run, 1, y + o0, out, bias != nullptr});
    for (int64_t n = 0; n < p.rows && finish; ++n) finish(y + n * out + o0, y + n * out + o0, o1 - o0);
  });
}

// A small weight is turned instead of x and y.
template <class T>
void forward_turned(const LinearProblem& p, const T* x, const T* weight, const T* bias, Activation act, T* y) {
  product<T>(p.rows, p.out_features, p.in_features, {x, p.in_features, 1}, Transposed<T>{weight, p.in_features},
             y, {bias, act});
}

template <class T>
void forward(const LinearProblem& p, const View& x, const View& weight, const View* bias, Activation act,
             const View& y) {
  const double in = double(p.in_features), out = double(p.out_features);
  const auto run = p.rows <= kFewRows                              ? forward_dots<T>
                   : in * out <= 4.0 * double(p.rows) * (in + out) ? forward_turned<T>
                                                                   : forward_panels<T>;
  run(p, x.as<const T>(), weight.as<const T>(), bias ? bias->as<const T>() : nullptr, act, y.as<T>());
}

// Blocks of columns as wide as their sums fit half of the first-level cache: long stretches of the weight's
// rows. Where that gives few tasks the rows are split too, and the parts added in order.
template <class T>
void backward_input_few_rows(const LinearProblem& p, const T* grad, const T* weight, T* dx) {
  constexpr int64_t kSums = 16384 / sizeof(T), kFewestSteps = 128;
  const auto& table = kernels<T>();
  const int64_t rows = p.rows, in = p.in_features, out = p.out_features;
  const double flops = streaming_flops(p);
  const int64_t wanted = power_of_two(std::min(double(kChunks), flops / kTaskFlops));
  const int64_t widest = kSums / rows / 64 * 64, blocks = div_up(in, widest);
  const int64_t width = round_up(div_up(in, blocks), 64);
  const int64_t parts = std::clamp<int64_t>(wanted / blocks, 1, std::max<int64_t>(1, out / kFewestSteps));
  const memory::Buffer partial(size_t((parts - 1) * rows * in) * sizeof(T));
  parallel_tasks(blocks * parts, flops, [&](int64_t task) {
    const int64_t j0 = task % blocks * width, columns = std::min(width, in - j0), part = task / blocks;
    const int64_t k0 = part_begin(out, parts, part), k1 = part_begin(out, parts, part + 1);
    T* to = part == 0 ? dx : partial.as<T>() + (part - 1) * rows * in;
    alignas(64) T sums[kSums];
    table.few_rows.gather({rows, columns, k1 - k0, grad + k0, out, weight + k0 * in + j0, in, to + j0, in},
                          sums);
  });
  if (parts > 1) table.pack.add_rows(partial.as<T>(), rows * in, parts - 1, rows * in, dx);
}

template <class T>
void backward_input(const LinearProblem& p, const View& grad, const View& weight, const View& dx) {
  const T *g = grad.as<const T>(), *w = weight.as<const T>();
  if (p.rows <= kFewGradients) return backward_input_few_rows(p, g, w, dx.as<T>());
  product<T>(p.rows, p.in_features, p.out_features, {g, p.out_features, 1}, Copied<T>{w, p.in_features},
             dx.as<T>());
}

template <class T>
void backward_weight_few_rows(const LinearProblem& p, const T* grad, const T* x, T* dw) {
  const auto& kernel = kernels<T>().few_rows.outer;
  const int64_t in = p.in_features, out = p.out_features;
  const bool stream = in * out * int64_t(sizeof(T)) > kCachedBytes;
  const double flops = streaming_flops(p);
  const int64_t blocks = row_tasks(out, flops);
  parallel_tasks(blocks, flops, [&](int64_t task) {
    const int64_t o0 = part_begin(out, blocks, task), o1 = part_begin(out, blocks, task + 1);
    kernel({o1 - o0, in, p.rows, grad + o0, out, x, in, dw + o0 * in, in}, stream);
  });
}

template <class T>
void backward_weight(const LinearProblem& p, const View& grad, const View& x, const View& dw, const View* db) {
  const T *g = grad.as<const T>(), *from = x.as<const T>();
  if (dw.elements() > 0 && p.rows <= kFewRows)
    backward_weight_few_rows(p, g, from, dw.as<T>());
  else if (dw.elements() > 0)
    product<T>(p.out_features, p.in_features, p.rows, {g, 1, p.out_features}, Copied<T>{from, p.in_features},
               dw.as<T>());
  if (!db) return;
  parallel_ranges(p.out_features, 1024, [&](int64_t begin, int64_t end) {
    std::memset(db->as<T>() + begin, 0, size_t(end - begin) * sizeof(T));
    kernels<T>().pack.add_rows(g + begin, p.out_features, p.rows, end - begin, db->as<T>() + begin);
  });
}

}   // namespace

void linear(const LinearProblem& p, const View& x, const View& weight, const View* bias, Activation act,
            Precision, const View& y) {
  if (y.elements() == 0) return;
  (x.dtype == DType::float32 ? forward<float> : forward<double>)(p, x, weight, bias, act, y);
}

void linear_backward_input(const LinearProblem& p, const View& grad, const View& weight, Precision,
                           const View& dx) {
  if (grad.elements() == 0)   // a sum of nothing
    return void(std::memset(dx.data, 0, size_t(dx.elements() * itemsize(dx.dtype))));
  if (dx.elements() == 0) return;
  (grad.dtype == DType::float32 ? backward_input<float> : backward_input<double>)(p, grad, weight, dx);
}

void linear_backward_weight(const LinearProblem& p, const View& grad, const View& x, Precision, const View& dw,
                            const View* db) {
  (grad.dtype == DType::float32 ? backward_weight<float> : backward_weight<double>)(p, grad, x, dw, db);
}

}   // namespace fastconv::cpu
