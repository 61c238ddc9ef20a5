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

template <class T>
struct Strip {
  // Neighbours in the list of pixels that reach the same taps.
  struct Class {
    int64_t begin, end;
    Reach h, w;
  };
  struct Pixel {
    int64_t row, column;   // of the strip
  };
  int64_t row0, row1;          // of the rows of all images
  std::vector<Pixel> pixels;   // in the order of their classes
  std::vector<Class> classes;
  std::vector<const T*> pointers;   // [run][pixel]
  std::vector<Run<T>> runs;         // one a tap, or one a tap row
  std::vector<ptrdiff_t> out;       // of each pixel
  int64_t columns;                  // taps of a row that have a run of their own

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
  strip.pixels.resize(size_t((strip.row1 - strip.row0) * c.w.out));
  auto* to = strip.pixels.data();
  for (int64_t row = 0; row < strip.row1 - strip.row0; ++row)
    for (int64_t q = 0; q < c.w.out; ++q) *to++ = {row, q};
  strip.classes = {{0, int64_t(strip.pixels.size()), {0, c.h.taps}, {0, c.w.taps}}};
}

// Pixels that reach the same taps together, so that no product with padding is computed; where only few do,
// they read zeros among the pixels that reach all taps.
template <class T>
void classify(const Correlation& c, Strip<T>& strip) {
  constexpr int64_t kFewest = 4;   // a tile of fewer rows takes as long
  const Reach all_h = {0, c.h.taps}, all_w = {0, c.w.taps};
  struct Group {
    Reach reach;
    std::vector<int64_t> members;
  };
  std::vector<Group> rows, columns;
  const auto join = [](std::vector<Group>& groups, const Reach& its, int64_t member) {
    for (Group& group : groups)
      if (group.reach == its) return group.members.push_back(member);
    groups.push_back({its, {member}});
  };
  for (int64_t row = strip.row0; row < strip.row1; ++row)
    join(rows, reach(c.h, row % c.h.out), row - strip.row0);
  for (int64_t q = 0; q < c.w.out; ++q) join(columns, reach(c.w, q), q);
  strip.pixels.clear();
  strip.pixels.reserve(size_t((strip.row1 - strip.row0) * c.w.out));
  strip.classes.clear();
  std::vector<typename Strip<T>::Pixel> others;
  for (const Group& h : rows)
    for (const Group& w : columns) {
      const int64_t count = int64_t(h.members.size() * w.members.size()), begin = int64_t(strip.pixels.size());
      const bool own = count >= kFewest && !(h.reach == all_h && w.reach == all_w);
      auto& list = own ? strip.pixels : others;
      for (const int64_t row : h.members)
        for (const int64_t q : w.members) list.push_back({row, q});
      if (own) strip.classes.push_back({begin, begin + count, h.reach, w.reach});
    }
  const int64_t begin = int64_t(strip.pixels.size());
  strip.pixels.insert(strip.pixels.end(), others.begin(), others.end());
  strip.classes.push_back({begin, int64_t(strip.pixels.size()), all_h, all_w});
}

// Results go where they belong in a channels-last array.
template <class T>
void locate_outputs(const Correlation& c, int64_t channels, Strip<T>& strip) {
  std::vector<ptrdiff_t> rows;
  for (int64_t row = strip.row0; row < strip.row1; ++row)
    rows.push_back((row / c.h.out * c.h.extent + c.h.out_first + row % c.h.out * c.h.out_step) * c.w.extent +
                   c.w.out_first);
  strip.out.resize(strip.pixels.size());
  ptrdiff_t* to = strip.out.data();
  for (const auto& [row, column] : strip.pixels) *to++ = (rows[size_t(row)] + column * c.w.out_step) * channels;
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

// The input as lines of channels-last pixels: line y of the image of strip row i is line origin[i] + y.
template <class T>
struct Lines {
  const T* data;
  std::vector<int64_t> origin;
};

template <class T>
Lines<T> lines_in_place(const Correlation& c, const T* in, int64_t row0, int64_t row1) {
  Lines<T> lines{in, {}};
  for (int64_t row = row0; row < row1; ++row) lines.origin.push_back(row / c.h.out * c.h.in);
  return lines;
}

// Turns the lines of planes that the strip reads.
template <class T>
Lines<T> turned_lines(const Correlation& c, const T* in, int64_t row0, int64_t row1, T* copy) {
  Lines<T> lines{copy, {}};
  int64_t line = 0;
  for_images(c, row0, row1, [&](int64_t n, int64_t p0, int64_t p1, int64_t y0, int64_t y1) {
    y0 = std::clamp<int64_t>(y0, 0, c.h.in);
    y1 = std::clamp<int64_t>(y1, y0, c.h.in);
    kernels<T>().pack.transpose(in + (n * c.in_channels * c.h.in + y0) * c.w.in, c.h.in * c.w.in,
                                copy + line * c.w.in * c.in_channels, c.in_channels, c.in_channels,
                                (y1 - y0) * c.w.in);
    lines.origin.insert(lines.origin.end(), size_t(p1 - p0), line - y0);
    line += y1 - y0;
  });
  return lines;
}

// One run a tap: pointers into the lines, or at `zeros`.
template <class T>
void point_at_taps(const Correlation& c, const Lines<T>& lines, const T* zeros, Strip<T>& strip) {
  const int64_t channels = c.in_channels * c.groups, pixels = int64_t(strip.pixels.size());
  strip.columns = c.w.taps;
  strip.pointers.resize(size_t(c.taps() * pixels));
  strip.runs.clear();
  struct Window {
    int64_t y, x, at;   // where its first tap reads, and which pixel of the lines that is
  };
  std::vector<Window> windows;
  windows.reserve(size_t(pixels));
  std::vector<int64_t> tops;
  for (int64_t row = strip.row0; row < strip.row1; ++row)
    tops.push_back(row % c.h.out * c.h.stride + c.h.first);
  for (const auto& [row, column] : strip.pixels) {
    const int64_t y = tops[size_t(row)], x = column * c.w.stride + c.w.first;
    windows.push_back({y, x, (lines.origin[size_t(row)] + y) * c.w.in + x});
  }
  for (int64_t r = 0; r < c.h.taps; ++r)
    for (int64_t s = 0; s < c.w.taps; ++s) {
      const int64_t y = r * c.h.step, x = s * c.w.step;
      const T** to = strip.pointers.data() + (r * c.w.taps + s) * pixels;
      strip.runs.push_back({to, 0, 0, c.in_channels});
      for (const auto& part : strip.classes)
        if (part.h.first <= r && r < part.h.last && part.w.first <= s && s < part.w.last)
          for (int64_t i = part.begin; i < part.end; ++i) {
            const Window& from = windows[size_t(i)];
            const bool inside =
                from.y + y >= 0 && from.y + y < c.h.in && from.x + x >= 0 && from.x + x < c.w.in;
            to[i] = inside ? lines.data + (from.at + y * c.w.in + x) * channels : zeros;
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
  strip.pointers.resize(strip.pixels.size());
  strip.runs.clear();
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
