// Slices of (N, C, D, H, W) arrays as images of two dimensions, and the weights that go with them.
#pragma once

#include <vector>

#include "correlation.hpp"

namespace fastconv::cpu {

// The depth as an axis of a correlation, whose tap t is tap_first + t * tap_step of the kernel.
struct Depth {
  Axis axis;
  int64_t tap_first, tap_step;
};

// Positions whose taps [first, last) read inside, or as good as.
struct Reached {
  int64_t first, last;
  std::vector<int64_t> positions;

  int64_t taps() const { return last - first; }
};

// Edge positions have a part of their own where the products with zeros that it saves, `pixels` to a tap, are
// worth another weight.
std::vector<Reached> reached(const Axis&, int64_t pixels);

inline int64_t plane_of(const View& volume) { return volume.shape[3] * volume.shape[4]; }

// The slices that the taps of images [begin, end) read, each image's as channels in the order (group, tap,
// channel). An image is a position of one of the batch.
template <class T>
void gather(const View& volume, int64_t groups, const Axis&, const Reached&, int64_t begin, int64_t end, T* to);
// Computed images to the slices where they belong.
template <class T>
void scatter(const T* from, const Axis&, const Reached&, int64_t begin, int64_t end, const View& volume);

// Where tap t of the taps that a part reaches lies in the weight (K, C/groups, T, R, S), for output channel k
// of all, and where in the weight that it is folded into: of channels in the order (group, tap, channel) on the
// side that is gathered.
struct Folding {
  int64_t outputs, inputs;   // of a group
  int64_t kernel, taps, cells;
  int64_t first, step;   // of the kernel's taps
  bool backward;

  Folding(const ConvProblem& p, const Depth& depth, const Reached& part, bool back)
      : outputs(p.out_channels / p.groups),
        inputs(p.in_channels / p.groups),
        kernel(p.kernel[0]),
        taps(part.taps()),
        cells(p.kernel[1] * p.kernel[2]),
        first(depth.tap_first + part.first * depth.tap_step),
        step(depth.tap_step),
        backward(back) {}
  int64_t whole(int64_t k, int64_t t) const { return (k * inputs * kernel + first + t * step) * cells; }
  int64_t folded(int64_t k, int64_t t) const {
    const int64_t row = backward ? (k / outputs * taps + t) * outputs + k % outputs : k * taps + t;
    return row * inputs * cells;
  }
};

template <class T>
void fold(const Folding&, int64_t channels, const T* weight, T* to);
template <class T>
void add_unfolded(const Folding&, int64_t channels, const T* folded, T* dw);

}   // namespace fastconv::cpu
