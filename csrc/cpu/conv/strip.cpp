#include "strip.hpp"

#include <cstring>

#include "../parallel.hpp"

namespace fastconv::cpu {

template <class T>
void TapPointers<T>::cut(const Class& part, int64_t begin, int64_t end, ptrdiff_t offset,
                         std::vector<Run<T>>& to) const {
  to.clear();
  int64_t at = 0;
  for (int64_t i = 0; i < int64_t(runs.size()); ++i) {
    const Run<T>& run = runs[size_t(i)];
    const int64_t from = std::max(begin, at), until = std::min(end, at + run.length);
    const int64_t r = i / columns, s = i % columns;
    const bool reached = r >= part.h.first && r < part.h.last && s >= part.w.first && s < part.w.last;
    if (reached && from < until)
      to.push_back({run.rows + part.begin, run.offset + offset + from - at, from - begin, until - from});
    at += run.length;
  }
}

template <class T>
void classify(const Correlation& c, TapPointers<T>& strip) {
  constexpr int64_t kFewest = 4;   // a tile of fewer rows takes as long
  const Reach all_h = {0, c.h.taps}, all_w = {0, c.w.taps};
  struct Rows {
    Reach reach;
    std::vector<int64_t> members;
  };
  std::vector<Rows> rows;
  for (int64_t row = strip.row0; row < strip.row1; ++row) {
    const Reach its = reach(c.h, row % c.h.out);
    auto group = std::find_if(rows.begin(), rows.end(), [&](const Rows& other) { return other.reach == its; });
    if (group == rows.end()) group = rows.insert(group, {its, {}});
    group->members.push_back(row - strip.row0);
  }
  struct Columns {
    Reach reach;
    int64_t first, count;
  };
  std::vector<Columns> columns;
  for (int64_t q = 0; q < c.w.out; ++q) {
    const Reach its = reach(c.w, q);
    if (columns.empty() || !(columns.back().reach == its)) columns.push_back({its, q, 0});
    ++columns.back().count;
  }
  std::vector<Piece> others;
  for (const Rows& h : rows)
    for (const Columns& w : columns) {
      const bool inside = h.reach == all_h && w.reach == all_w;
      const bool own = !inside && int64_t(h.members.size()) * w.count >= kFewest;
      const size_t first = strip.pieces.size();
      for (const int64_t row : h.members)
        (own ? strip.pieces : others).push_back({row, w.first, w.count, own || inside});
      if (own) strip.add_class(first, h.reach, w.reach);
    }
  const size_t first = strip.pieces.size();
  strip.pieces.insert(strip.pieces.end(), others.begin(), others.end());
  strip.add_class(first, all_h, all_w);
}

template <class T>
void locate_outputs(const Correlation& c, int64_t channels, TapPointers<T>& strip) {
  strip.out.resize(size_t(strip.pixels()));
  ptrdiff_t* to = strip.out.data();
  for (const Piece& piece : strip.pieces) {
    const int64_t row = strip.row0 + piece.row, y = c.h.out_first + row % c.h.out * c.h.out_step;
    ptrdiff_t at =
        ((row / c.h.out * c.h.extent + y) * c.w.extent + c.w.out_first + piece.column * c.w.out_step) *
        channels;
    for (int64_t i = 0; i < piece.count; ++i, at += c.w.out_step * channels) *to++ = at;
  }
}

template <class T>
void locate_in_strip(const Correlation& c, int64_t channels, TapPointers<T>& strip) {
  strip.out.resize(size_t(strip.pixels()));
  ptrdiff_t* to = strip.out.data();
  for (const Piece& piece : strip.pieces)
    for (int64_t i = 0; i < piece.count; ++i) *to++ = (piece.row * c.w.out + piece.column + i) * channels;
}

template <class T>
Lines<T> lines_in_place(const Correlation& c, const T* in, int64_t row0, int64_t row1) {
  Lines<T> lines{in, c.w.in, 0, {}};
  for (int64_t row = row0; row < row1; ++row) lines.origin.push_back(row / c.h.out * c.h.in);
  return lines;
}

template <class T>
Lines<T> turned_lines(const Correlation& c, const T* in, int64_t row0, int64_t row1, T* copy) {
  const Columns read = columns_read(c.w);
  Lines<T> lines{copy, read.end - read.begin, read.begin, {}};
  int64_t line = 0;
  for_images(c, row0, row1, [&](int64_t n, int64_t p0, int64_t p1, int64_t y0, int64_t y1) {
    y0 = std::clamp<int64_t>(y0, 0, c.h.in);
    y1 = std::clamp<int64_t>(y1, y0, c.h.in);
    const bool whole = lines.width == c.w.in;
    for (int64_t y = y0; y < y1; y += whole ? y1 - y0 : 1)
      kernels<T>().pack.transpose(in + (n * c.in_channels * c.h.in + y) * c.w.in + lines.first, c.h.in * c.w.in,
                                  copy + (line + y - y0) * lines.width * c.in_channels, c.in_channels,
                                  c.in_channels, (whole ? y1 - y0 : 1) * lines.width);
    lines.origin.insert(lines.origin.end(), size_t(p1 - p0), line - y0);
    line += y1 - y0;
  });
  return lines;
}

template <class T>
void point_at_taps(const Correlation& c, const Lines<T>& lines, const T* zeros, TapPointers<T>& strip) {
  const int64_t channels = c.in_channels * c.groups, pixels = strip.pixels();
  strip.columns = c.w.taps;
  strip.pointers.resize(size_t(c.taps() * pixels));
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t s = 0; s < c.w.taps; ++s) {
      const T** to = strip.pointers.data() + (r * c.w.taps + s) * pixels;
      strip.runs.push_back({to, 0, 0, c.in_channels});
      for (const auto& part : strip.classes) {
        if (r < part.h.first || r >= part.h.last || s < part.w.first || s >= part.w.last) continue;
        const T** next = to + part.begin;
        for (size_t i = part.first; i < part.last; ++i) {
          const Piece& piece = strip.pieces[i];
          const int64_t y = (strip.row0 + piece.row) % c.h.out * c.h.stride + c.h.first + r * c.h.step;
          const int64_t line = (lines.origin[size_t(piece.row)] + y) * lines.width - lines.first;
          const bool inside = y >= 0 && y < c.h.in;
          int64_t x = piece.column * c.w.stride + c.w.first + s * c.w.step;
          if (piece.inside)
            for (int64_t j = 0; j < piece.count; ++j, x += c.w.stride)
              *next++ = lines.data + (line + x) * channels;
          else
            for (int64_t j = 0; j < piece.count; ++j, x += c.w.stride)
              *next++ = inside && x >= 0 && x < c.w.in ? lines.data + (line + x) * channels : zeros;
        }
      }
    }
}

namespace {

template <class T>
void pack_panels(const Correlation& c, const T* weight, int64_t panel, T* packed) {
  const int64_t lanes = kernels<T>().gemm.lanes, panels = div_up(c.out_channels, panel), depth = c.depth();
  // A forward weight's rows lie in order (channel, tap row, tap): squares of it are transposed in registers.
  const bool rows = c.weight_w == 1 && c.weight_h == c.w.taps && c.weight_in == c.taps();
  const int64_t slices = std::clamp<int64_t>(kChunks / (panels * c.groups), 1, c.in_channels);
  const double moved = kMoveFlops * double(std::min(panel, c.out_channels) * depth / slices);
  parallel_items(c.groups * panels * slices, moved, [&](int64_t task) {
    const int64_t block = task / slices, j = block % panels;
    const int64_t width = std::min(panel, c.out_channels - j * panel), padded = round_up(width, lanes);
    const int64_t i0 = part_begin(c.in_channels, slices, task % slices);
    const int64_t i1 = part_begin(c.in_channels, slices, task % slices + 1);
    T* to = packed + block * depth * panel;
    const T* from = weight + c.weight_base + block / panels * c.weight_group + j * panel * c.weight_out;
    if (c.weight_out == 1) {
      for (int64_t t = 0; t < c.taps(); ++t)
        kernels<T>().pack.copy(from + i0 * c.weight_in + t / c.w.taps * c.weight_h + t % c.w.taps * c.weight_w,
                               c.weight_in, to + (t * c.in_channels + i0) * padded, padded, i1 - i0, width,
                               padded);
      return;
    }
    std::vector<ptrdiff_t> at;   // rows of the panel, in the order (channel, tap row, tap)
    for (int64_t i = i0; i < i1; ++i)
      for (int64_t t = 0; t < c.taps(); ++t) at.push_back((t * c.in_channels + i) * padded);
    if (width < padded)
      for (const ptrdiff_t row : at) std::memset(to + row, 0, size_t(padded) * sizeof(T));
    if (rows)
      return kernels<T>().pack.transpose_rows(from + i0 * c.taps(), c.weight_out, to, at.data(), width,
                                              (i1 - i0) * c.taps());
    const ptrdiff_t* row = at.data();
    for (int64_t i = i0; i < i1; ++i)
      for (int64_t r = 0; r < c.h.taps; ++r)
        for (int64_t s = 0; s < c.w.taps; ++s, ++row) {
          const T* w = from + i * c.weight_in + r * c.weight_h + s * c.weight_w;
          for (int64_t k = 0; k < width; ++k) to[*row + k] = w[k * c.weight_out];
        }
  });
}

}   // namespace

template <class T>
WeightPanels<T>::WeightPanels(const Correlation& c, const T* weight)
    : width(kernels<T>().gemm.lanes * kernels<T>().gemm.vectors),
      count(div_up(c.out_channels, width)),
      out_channels_(c.out_channels),
      depth_(c.depth()),
      packed_(size_t(c.groups * count * width * depth_) * sizeof(T)) {
  pack_panels(c, weight, width, packed_.as<T>());
}

StripCut::StripCut(const Correlation& c, int64_t all_panels)
    : rows(c.batch * c.h.out), width(c.w.out), panels(all_panels) {
  // Pixels a strip: fewer would load the weight in vain, and leave too much of the last register tile empty.
  // Narrow panels copy a block of their rows; it and the result should stay in L2 together.
  const auto& gemm = kernels<float>().gemm;
  constexpr double kKept = double(320 << 10) / sizeof(float);
  const double many =
      gemm.bundle > 1 ? std::clamp(kKept / double(gemm.depth + c.out_channels), 48.0, 192.0) : 192.0;
  const double fewest = std::min(96.0, many);
  constexpr double kFineFlops = 4e6;   // a chunk of such a strip
  const double all = double(rows * width), total = c.flops_per_pixel() * all;
  const int64_t pixels = std::max<int64_t>(1, int64_t(all / std::max(many, kChunkFlops / c.flops_per_pixel())));
  const int64_t few = pixels < kChunks ? pixels : round_up(pixels, kChunks);
  const int64_t wanted = std::min(kChunks, int64_t(total / kChunkFlops) + 1);
  const int64_t finer =
      std::min({div_up(kChunks, panels), int64_t(all / fewest), int64_t(total / kFineFlops / double(panels))});
  strips = std::min(rows, std::max(few, finer));
  const int64_t widest = std::max<int64_t>(1, int64_t(all / double(strips) / many));
  const int64_t fine = std::min(kFineChunks, int64_t(total / kChunkFlops) + 1);
  columns = strips < rows ? 1 : std::clamp<int64_t>(div_up(fine, strips * panels), 1, widest);
  bundles = std::clamp<int64_t>(wanted / (strips * columns), 1, panels);
  flops = total / double(tasks());
}

StripTask StripCut::task(int64_t i) const {
  // The strips of a bundle in turn: its weight stays in the cache.
  const int64_t bundle = i / (strips * columns), column = i % columns, strip = i / columns % strips;
  return {part_begin(rows, strips, strip),     part_begin(rows, strips, strip + 1),
          part_begin(width, columns, column),  part_begin(width, columns, column + 1),
          part_begin(panels, bundles, bundle), part_begin(panels, bundles, bundle + 1)};
}

template <class T>
void put_planes(const Correlation& c, const T* computed, int64_t first, int64_t channels, int64_t row0,
                int64_t row1, T* out) {
  const int64_t plane = c.h.extent * c.w.extent;
  const auto& transpose = kernels<T>().pack.transpose;
  const bool dense = c.h.dense() && c.w.dense(), whole = c.w.out == c.w.extent;
  const memory::Buffer line(dense ? 0 : size_t(channels * c.w.out) * sizeof(T));
  for_images(c, row0, row1, [&](int64_t n, int64_t p0, int64_t p1, int64_t, int64_t) {
    T* to = out + (n * c.out_channels + first) * plane;
    if (dense && whole)
      return transpose(computed + (n * c.h.out + p0 - row0) * c.w.out * channels, channels, to + p0 * c.w.out,
                       plane, (p1 - p0) * c.w.out, channels);
    for (int64_t p = p0; p < p1; ++p) {
      const T* from = computed + (n * c.h.out + p - row0) * c.w.out * channels;
      if (dense) {
        transpose(from, channels, to + p * c.w.extent + c.w.out_first, plane, c.w.out, channels);
        continue;
      }
      transpose(from, channels, line.as<T>(), c.w.out, c.w.out, channels);
      T* at = to + (c.h.out_first + p * c.h.out_step) * c.w.extent + c.w.out_first;
      for (int64_t k = 0; k < channels; ++k)
        for (int64_t q = 0; q < c.w.out; ++q) at[k * plane + q * c.w.out_step] = line.as<T>()[k * c.w.out + q];
    }
  });
}

template <class T>
bool streams(const Correlation& c, const CorrelationData<T>& data, int64_t blocks) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t lines = std::min(c.h.in, c.h.out * c.h.stride);   // a part of an image reads a part of it
  const int64_t read = lines * c.w.in * c.in_channels, written = c.h.out * c.w.extent * c.out_channels;
  return gemm.bundle > 1 && c.batch * c.groups * (read + written) * int64_t(sizeof(T)) > kCachedBytes &&
         blocks == 1 && (data.activation == Activation::none || data.activation == Activation::relu) &&
         c.out_channels * sizeof(T) % 64 == 0 && gemm.lanes * gemm.vectors * sizeof(T) % 64 == 0 &&
         reinterpret_cast<uintptr_t>(data.out) % 64 == 0 && data.out_format == MemoryFormat::channels_last;
}

#define FASTCONV_STRIP(T)                                                                      \
  template struct TapPointers<T>;                                                              \
  template void classify(const Correlation&, TapPointers<T>&);                                 \
  template void locate_outputs(const Correlation&, int64_t, TapPointers<T>&);                  \
  template void locate_in_strip(const Correlation&, int64_t, TapPointers<T>&);                 \
  template Lines<T> lines_in_place(const Correlation&, const T*, int64_t, int64_t);            \
  template Lines<T> turned_lines(const Correlation&, const T*, int64_t, int64_t, T*);          \
  template void point_at_taps(const Correlation&, const Lines<T>&, const T*, TapPointers<T>&); \
  template bool streams(const Correlation&, const CorrelationData<T>&, int64_t);               \
  template class WeightPanels<T>;                                                              \
  template void put_planes(const Correlation&, const T*, int64_t, int64_t, int64_t, int64_t, T*);
FASTCONV_STRIP(float)
FASTCONV_STRIP(double)
#undef FASTCONV_STRIP

}   // namespace fastconv::cpu
