// Strips of output rows, the unit of work where results are computed channels last.
#pragma once

#include <algorithm>
#include <vector>

#include "../../core/memory.hpp"
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

// Neighbouring pixels of one row of a strip.
struct Piece {
  int64_t row, column, count;
  bool inside;   // all their taps are
};

// Of a strip of output rows, channels last: where each pixel's taps and its result lie.
template <class T>
struct TapPointers {
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
  std::vector<Run<T>> runs;         // one a tap
  std::vector<ptrdiff_t> out;       // of each pixel
  int64_t columns;                  // taps of a row

  int64_t pixels() const { return classes.back().end; }
  void add_class(size_t first, Reach h, Reach w) {
    const int64_t begin = classes.empty() ? 0 : pixels();
    int64_t end = begin;
    for (size_t i = first; i < pieces.size(); ++i) end += pieces[i].count;
    classes.push_back({first, pieces.size(), begin, end, h, w});
  }

  // The runs of a class that cover steps [begin, end) of a panel whose block begins at `begin`.
  void cut(const Class& part, int64_t begin, int64_t end, ptrdiff_t offset, std::vector<Run<T>>& to) const;
};

// Pixels that reach the same taps together, so that no product with padding is computed; where only few do,
// they read zeros among the pixels that reach all taps.
template <class T>
void classify(const Correlation&, TapPointers<T>& strip);

// Results go where they belong in an array of so many channels, channels last.
template <class T>
void locate_outputs(const Correlation&, int64_t channels, TapPointers<T>& strip);
// Results go to [pixel][channel] of the strip.
template <class T>
void locate_in_strip(const Correlation&, int64_t channels, TapPointers<T>& strip);

// The input as lines of channels-last pixels: line y of the image of strip row i is line origin[i] + y; it
// begins with column `first`.
template <class T>
struct Lines {
  const T* data;
  int64_t width, first;
  std::vector<int64_t> origin;
};

template <class T>
Lines<T> lines_in_place(const Correlation&, const T* in, int64_t row0, int64_t row1);
// Turns the lines of planes that the strip reads.
template <class T>
Lines<T> turned_lines(const Correlation&, const T* in, int64_t row0, int64_t row1, T* copy);

// One run a tap: pointers into the lines, or at `zeros`.
template <class T>
void point_at_taps(const Correlation&, const Lines<T>&, const T* zeros, TapPointers<T>& strip);

// The weight as panels [group][panel][tap row][tap][channel][channels of the panel], the last of a group as
// wide as it must be.
template <class T>
class WeightPanels {
 public:
  WeightPanels(const Correlation&, const T* weight);

  const int64_t width, count;   // channels a panel; panels a group
  int64_t channels(int64_t panel) const { return std::min(width, out_channels_ - panel * width); }
  // From step k0 of the depth on.
  const T* at(int64_t group, int64_t panel, int64_t k0) const {
    return packed_.as<const T>() + (group * count + panel) * depth_ * width +
           k0 * round_up(channels(panel), kernels<T>().gemm.lanes);
  }

 private:
  const int64_t out_channels_, depth_;
  const memory::Buffer packed_;
};

// How the work is cut, from the problem alone: into strips of output rows (of any image), and where these are
// few, into columns and bundles of panels.
struct StripTask {
  int64_t row0, row1, column0, column1, first, last;   // rows of all images; columns; panels
};
struct StripCut {
  int64_t rows, strips;
  int64_t width, columns;
  int64_t panels, bundles;
  double flops;   // of a task

  StripCut(const Correlation&, int64_t panels);
  int64_t tasks() const { return strips * columns * bundles; }
  StripTask task(int64_t) const;
};

// Whether the result of products of `blocks` blocks should go past the caches, where each of its lines is
// written once, as a whole.
template <class T>
bool streams(const Correlation&, const CorrelationData<T>&, int64_t blocks);

// Turns the result of a strip, [pixel][channel] at `computed`, into planes, from channel `first` on.
template <class T>
void put_planes(const Correlation&, const T* computed, int64_t first, int64_t channels, int64_t row0,
                int64_t row1, T* out);

}   // namespace fastconv::cpu
