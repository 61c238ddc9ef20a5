// Convolution, activation and max pooling, of which only the pooled map is written: the convolution's own map
// is made piece by piece in memory that stays in the caches, and pooled from there.
#include <algorithm>
#include <optional>

#include "conv.hpp"
#include "conv/choice.hpp"
#include "conv/folded.hpp"
#include "conv/sparse_gradients.hpp"
#include "pool.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {
namespace {

// Of a piece of the convolution's map: what a few cores' own caches hold.
constexpr int64_t kPieceBytes = int64_t{4} << 20;
// Pixels of a piece for each output channel: every piece packs the weight again, and with many channels the
// map's way through memory is little beside the products. It keeps Winograd on the whole map's way, too, which
// it is where a piece has 16.
constexpr int64_t kPiecePixels = 128;

// Images [image0, image1) and rows [row0, row1) of the pooled map.
struct Piece {
  int64_t image0, image1, row0, row1;
};

// From the problem alone.
std::vector<Piece> pieces_of(const Correlation& c, int64_t pooled_rows, int64_t itemsize,
                             const CorrelationAlgorithm& algorithm) {
  const int64_t channels = c.out_channels * c.groups;
  const int64_t most = std::max(kPieceBytes / (channels * itemsize), kPiecePixels * c.out_channels);
  const int64_t units = div_up(c.batch, algorithm.piece_images);
  const int64_t unit = std::min(c.batch, algorithm.piece_images) * c.pixels();   // pixels
  const int64_t across = div_up(units, std::max<int64_t>(1, most / unit));
  const int64_t down = std::clamp<int64_t>(div_up(unit, most), 1, pooled_rows);
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < across; ++i)
    for (int64_t j = 0; j < down; ++j)
      pieces.push_back({part_begin(units, across, i) * algorithm.piece_images,
                        std::min(c.batch, part_begin(units, across, i + 1) * algorithm.piece_images),
                        part_begin(pooled_rows, down, j), part_begin(pooled_rows, down, j + 1)});
  return pieces;
}

// The part of a convolution that a piece of the pooled map reads, and its windows in there.
struct Part {
  Correlation c;
  PoolWindows windows;
  int64_t first;   // row of the convolution's map

  Part(const Correlation& whole, const PoolWindows& all, const Piece& piece, int64_t piece_rows)
      : c(whole), windows(all) {
    const int64_t top = piece.row0 * all.stride[1] - all.padding[1];
    const int64_t bottom =
        (piece.row1 - 1) * all.stride[1] - all.padding[1] + (all.kernel[1] - 1) * all.dilation[1] + 1;
    first = std::clamp<int64_t>(top, 0, whole.h.out - 1) / piece_rows * piece_rows;
    c.batch = piece.image1 - piece.image0;
    c.h.out = c.h.extent = std::clamp(bottom, first + 1, whole.h.out) - first;
    c.h.first += first * c.h.stride;
    windows.input[1] = c.h.out;
    windows.output[1] = piece.row1 - piece.row0;
    windows.padding[1] = first - top;
  }
};

// Positions within a part's map become those within the whole: `count` of them in each of `runs` runs.
void shift(int64_t* indices, int64_t runs, int64_t pitch, int64_t count, int64_t by) {
  if (by == 0) return;
  parallel_items(runs, double(count), [&](int64_t i) {
    for (int64_t j = 0; j < count; ++j) indices[i * pitch + j] += by;
  });
}

template <class T>
void run_pieces(const ConvProblem& problem, const PoolProblem& pool, const View& x, const View& weight,
                const View* bias, Activation activation, Algorithm asked, const View& y, const View* indices) {
  const Correlation c = forward_correlation(problem);
  const PoolWindows windows = windows_of(pool);
  const Choice choice = choose(c, asked, x.format, y.format);
  const Formatted<T> source(x, choice.in);
  const FormattedResult<T> result(y, choice.out);
  std::optional<FormattedResult<double>> places;   // as wide as doubles, and moved as such
  if (indices) places.emplace(*indices, choice.out);
  const bool last = choice.out == MemoryFormat::channels_last;
  const int64_t channels = c.out_channels * c.groups, pitch = windows.output[1] * windows.output[2];
  const bool stream = y.elements() * int64_t(sizeof(T)) > kCachedBytes;

  const std::vector<Piece> pieces = pieces_of(c, windows.output[1], sizeof(T), *choice.algorithm);
  int64_t pixels = 0;
  std::vector<Part> parts;
  for (const Piece& piece : pieces) {
    parts.emplace_back(c, windows, piece, choice.algorithm->piece_rows);
    pixels = std::max(pixels, parts.back().c.batch * parts.back().c.pixels());
  }
  const memory::Buffer map(size_t(pixels * channels) * sizeof(T));
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    const Part& part = parts[i];
    const T* in = source.data() + piece.image0 * c.groups * c.in_channels * c.h.in * c.w.in;
    run(*choice.algorithm, part.c,
        CorrelationData<T>{in, choice.in, weight.as<const T>(), bias ? bias->as<const T>() : nullptr,
                           activation, map.as<T>(), choice.out});
    const int64_t row = windows.output[2] * (last ? channels : 1), at = piece.image0 * channels * pitch;
    const int64_t begin = at + piece.row0 * row;
    int64_t* chosen = places ? reinterpret_cast<int64_t*>(places->data()) + begin : nullptr;
    max_pool_rows<T>({part.windows, last, part.c.batch, channels, pitch, stream, map.as<const T>(),
                      result.data() + begin, chosen});
    if (chosen)
      shift(chosen, part.c.batch * (last ? 1 : channels), pitch * (last ? channels : 1),
            (piece.row1 - piece.row0) * row, part.first * c.w.out);
  }
  result.finish();
  if (places) places->finish();
}

bool is_sparse(const ConvProblem& problem, const PoolProblem& pool, Pass pass, Algorithm algorithm) {
  return sparse_gradient_pays(forward_correlation(problem), pool.output[0] * pool.output[1], pass, algorithm);
}

template <class T>
bool run_sparse(const ConvProblem& problem, const View& grad, const View& indices, const View* x,
                const View* weight, const View* dx, const View* dw, const View* db) {
  SparseGradientData<T> data{};
  data.cells = grad.shape[2] * grad.shape[3];
  data.grad = {grad.as<const T>(), grad.format};
  data.indices = {indices.as<const int64_t>(), indices.format};
  if (dw) {
    data.x = {x->as<const T>(), x->format};
    data.dw = dw->as<T>();
  }
  if (dx) {
    data.weight = weight->as<const T>();
    data.dx = {dx->as<T>(), dx->format};
  }
  data.db = db ? db->as<T>() : nullptr;
  return sparse_gradients(forward_correlation(problem), data);
}

}   // namespace

const char* conv_max_pool_backward_implementation(const ConvProblem& problem, const PoolProblem& pool,
                                                  Pass pass, Algorithm algorithm) {
  return is_sparse(problem, pool, pass, algorithm) ? "sparse" : "spread";
}

void conv_max_pool_backward(const ConvProblem& problem, const PoolProblem& pool, const View& grad,
                            const View& indices, const View* x, const View* weight, Algorithm algorithm,
                            Precision precision, const View* dx, const View* dw, const View* db) {
  require_implemented(problem, algorithm);
  const View* sparse_dx = dx && is_sparse(problem, pool, Pass::backward_input, algorithm) ? dx : nullptr;
  const View* sparse_dw = dw && is_sparse(problem, pool, Pass::backward_weight, algorithm) ? dw : nullptr;
  if (grad.elements() > 0 && (sparse_dx || sparse_dw)) {
    const auto run = grad.dtype == DType::float32 ? run_sparse<float> : run_sparse<double>;
    if (run(problem, grad, indices, x, weight, sparse_dx, sparse_dw, sparse_dw ? db : nullptr)) {
      if (sparse_dx) dx = nullptr;
      if (sparse_dw) dw = nullptr;
    }
  }
  if (!dx && !dw) return;
  const OwnArray map(grad, problem.output_shape());   // the gradient at the convolution's own result
  max_pool_backward(pool, grad, indices, map.view);
  if (dx) conv_backward_input(problem, map.view, *weight, algorithm, precision, *dx);
  if (dw) conv_backward_weight(problem, map.view, *x, algorithm, precision, *dw, db);
}

void conv_max_pool(const ConvProblem& problem, const PoolProblem& pool, const View& x, const View& weight,
                   const View* bias, Activation activation, Algorithm algorithm, Precision precision,
                   const View& y, const View* indices) {
  require_implemented(problem, algorithm);
  if (y.elements() == 0) return;
  if (folded_problem(problem, Pass::forward, algorithm, x.format)) {   // not in pieces
    const OwnArray map(y, problem.output_shape());
    conv_forward(problem, x, weight, bias, activation, algorithm, precision, map.view);
    return max_pool(pool, map.view, y, indices);
  }
  (x.dtype == DType::float32 ? run_pieces<float> : run_pieces<double>)(problem, pool, x, weight, bias,
                                                                       activation, algorithm, y, indices);
}

}   // namespace fastconv::cpu
