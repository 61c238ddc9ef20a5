// A strip of output rows, channels last: where each pixel's taps and its result lie.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "../isa.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {

// Taps [first, last) of an axis that read inside the input at one position.
struct Reach {
  int64_t first, last;
  bool operator==(const Reach& other) const { return first == other.first && last == other.last; }
};
inline Reach reach(const Axis& axis, int64_t position) {
  const int64_t at = position * axis.stride + axis.first, step = std::max<int64_t>(1, axis.step);
  const int64_t first = at < 0 ? div_up(-at, step) : 0;
  const int64_t last = at < axis.in ? std::min(axis.taps, (axis.in - 1 - at) / step + 1) : 0;
  return first < last ? Reach{first, last} : Reach{0, 0};
}

// Neighbouring pixels of one row of a strip.
struct Piece {
  int64_t row, column, count;
  bool inside;   // all their taps are
};

template <class T>
struct Strip {
  // Pieces whose pixels reach the same taps; their pixels lie in [begin, end).
  struct Class {
    size_t first, last;
    int64_t begin, end;
    Reach h, w;
  };
  int64_t row0, row1;   // of the rows of all images
  std::vector<Piece> pieces;
  std::vector<Class> classes;
  std::vector<const T*> pointers;   // [run][pixel]
  std::vector<Run<T>> runs;         // one a tap, or one a tap row
  std::vector<ptrdiff_t> out;       // of each pixel
  int64_t columns;                  // taps of a row that have a run of their own

  int64_t pixels() const { return classes.back().end; }
  void add_class(size_t first, Reach h, Reach w) {
    const int64_t begin = classes.empty() ? 0 : pixels();
    int64_t end = begin;
    for (size_t i = first; i < pieces.size(); ++i) end += pieces[i].count;
    classes.push_back({first, pieces.size(), begin, end, h, w});
  }

  // The runs of a class that cover steps [begin, end) of a panel whose block begins at `begin`.
  void cut(const Class& part, int64_t begin, int64_t end, ptrdiff_t offset, std::vector<Run<T>>& to) const {
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
};

// All pixels in order, as one class.
template <class T>
void keep_order(const Correlation& c, Strip<T>& strip) {
  for (int64_t row = 0; row < strip.row1 - strip.row0; ++row) strip.pieces.push_back({row, 0, c.w.out, false});
  strip.add_class(0, {0, c.h.taps}, {0, c.w.taps});
}

// Pixels that reach the same taps together, so that no product with padding is computed; where only few do,
// they read zeros among the pixels that reach all taps.
template <class T>
void classify(const Correlation& c, Strip<T>& strip) {
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

// Results go where they belong in a channels-last array.
template <class T>
void locate_outputs(const Correlation& c, int64_t channels, Strip<T>& strip) {
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

// Results go to [pixel][channel] of the strip.
template <class T>
void locate_in_strip(const Correlation& c, int64_t channels, Strip<T>& strip) {
  strip.out.resize(size_t(strip.pixels()));
  ptrdiff_t* to = strip.out.data();
  for (const Piece& piece : strip.pieces)
    for (int64_t i = 0; i < piece.count; ++i) *to++ = (piece.row * c.w.out + piece.column + i) * channels;
}

// Calls body(image, first output row, end, line y0, end y1) for each image that a strip has rows of; the lines
// of the input that they read may reach outside it.
template <class Body>
void for_images(const Correlation& c, int64_t row0, int64_t row1, Body&& body) {
  for (int64_t row = row0; row < row1;) {
    const int64_t p0 = row % c.h.out, p1 = std::min(c.h.out, p0 + row1 - row);
    const int64_t y0 = p0 * c.h.stride + c.h.first;
    body(row / c.h.out, p0, p1, y0, (p1 - 1) * c.h.stride + c.h.first + (c.h.taps - 1) * c.h.step + 1);
    row += p1 - p0;
  }
}

// Lines of input that output rows [row0, row1) read, padding included.
inline int64_t lines_of(const Correlation& c, int64_t row0, int64_t row1) {
  int64_t lines = 0;
  for_images(c, row0, row1, [&](int64_t, int64_t, int64_t, int64_t y0, int64_t y1) { lines += y1 - y0; });
  return lines;
}

// Columns of the input that the output reads.
struct Columns {
  int64_t begin, end;
};
inline Columns columns_read(const Axis& w) {
  const int64_t begin = std::clamp<int64_t>(w.first, 0, w.in);
  return {begin, std::clamp(w.first + (w.out - 1) * w.stride + (w.taps - 1) * w.step + 1, begin, w.in)};
}

// The input as lines of channels-last pixels: line y of the image of strip row i is line origin[i] + y; it
// begins with column `first`.
template <class T>
struct Lines {
  const T* data;
  int64_t width, first;
  std::vector<int64_t> origin;
};

template <class T>
Lines<T> lines_in_place(const Correlation& c, const T* in, int64_t row0, int64_t row1) {
  Lines<T> lines{in, c.w.in, 0, {}};
  for (int64_t row = row0; row < row1; ++row) lines.origin.push_back(row / c.h.out * c.h.in);
  return lines;
}

// Turns the lines of planes that the strip reads.
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

// One run a tap: pointers into the lines, or at `zeros`.
template <class T>
void point_at_taps(const Correlation& c, const Lines<T>& lines, const T* zeros, Strip<T>& strip) {
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

// One run a tap row, in a padded copy of the lines that the strip reads.
template <class T>
void copy_lines(const Correlation& c, const CorrelationData<T>& data, T* copy, Strip<T>& strip) {
  const int64_t channels = c.in_channels;
  const int64_t left = -c.w.first, width = (c.w.out - 1) * c.w.stride + c.w.taps;
  const int64_t begin = std::max<int64_t>(0, c.w.first), end = std::min(c.w.in, width - left);
  strip.columns = 1;
  strip.pointers.resize(size_t(strip.pixels()));
  for (int64_t r = 0; r < c.h.taps; ++r)
    strip.runs.push_back({strip.pointers.data(), r * c.h.step * width * channels, 0, c.w.taps * channels});
  std::memset(copy, 0, size_t(lines_of(c, strip.row0, strip.row1) * width * channels) * sizeof(T));
  const T** to = strip.pointers.data();
  int64_t line = 0;
  for_images(c, strip.row0, strip.row1, [&](int64_t n, int64_t p0, int64_t p1, int64_t y0, int64_t y1) {
    for (int64_t y = std::max<int64_t>(0, y0); y < std::min(c.h.in, y1) && begin < end; ++y) {
      T* dst = copy + ((line + y - y0) * width + begin + left) * channels;
      if (data.in_format == MemoryFormat::channels_last)
        std::memcpy(dst, data.in + ((n * c.h.in + y) * c.w.in + begin) * channels,
                    size_t((end - begin) * channels) * sizeof(T));
      else
        kernels<T>().pack.transpose(data.in + (n * channels * c.h.in + y) * c.w.in + begin, c.h.in * c.w.in,
                                    dst, channels, channels, end - begin);
    }
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t q = 0; q < c.w.out; ++q)
        *to++ = copy + ((line + (p - p0) * c.h.stride) * width + q * c.w.stride) * channels;
    line += y1 - y0;
  });
}

}   // namespace fastconv::cpu
