#pragma once

#include <algorithm>

#include "../kernels/pack.hpp"
#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {

// The padded copy of the lines that output rows [begin, end) of a plane read. The columns of each residue
// modulo the stride lie together: neighbouring outputs read neighbouring inputs whatever the stride, and a
// whole vector may be read at every output position.
struct LineCopy {
  std::vector<int64_t> slot;   // of each tap column: which residue
  std::vector<int64_t> residues;
  int64_t run, pitch;   // elements a residue, a line

  // Whether the lines of one output row are few enough to copy: little is copied in vain, and offsets fit
  // int32.
  static bool fits(const Correlation& c) {
    constexpr int64_t lanes = 16;
    constexpr double most = 1 << 24;
    const int64_t residues = std::min(c.w.taps, c.w.stride);
    const double pitch = double(round_up(c.w.out, lanes) + c.w.taps * c.w.step / c.w.stride) * double(residues);
    return c.h.stride <= c.h.taps && c.w.stride <= 2 * c.w.taps &&
           double(lines(c, 1)) * pitch * double(c.in_channels) < most;
  }

  LineCopy(const Correlation& c, int64_t lanes) {
    for (int64_t s = 0; s < c.w.taps; ++s) {
      const int64_t residue = s * c.w.step % c.w.stride;
      const auto found = std::find(residues.begin(), residues.end(), residue);
      slot.push_back(found - residues.begin());
      if (found == residues.end()) residues.push_back(residue);
    }
    run = round_up(c.w.out, lanes) + (c.w.taps - 1) * c.w.step / c.w.stride;
    pitch = run * int64_t(residues.size());
  }
  static int64_t lines(const Correlation& c, int64_t rows) {
    return (rows - 1) * c.h.stride + (c.h.taps - 1) * c.h.step + 1;
  }
  // Elements a channel.
  int64_t channel(const Correlation& c, int64_t rows) const { return lines(c, rows) * pitch; }

  // What a channel of the copy is made of: pieces of its plane, and zeros, which are the same for every plane.
  struct Pieces {
    std::vector<Segment> data, zeros;
  };
  Pieces pieces(const Correlation& c, int64_t begin, int64_t end) const {
    Pieces to;
    const auto zero = [&](int64_t at, int64_t length) {
      if (length == 0) return;
      if (!to.zeros.empty() && to.zeros.back().to + to.zeros.back().length == at)
        to.zeros.back().length += length;
      else
        to.zeros.push_back({at, -1, length});
    };
    const int64_t top = begin * c.h.stride + c.h.first;
    for (int64_t line = 0; line < lines(c, end - begin); ++line)
      for (size_t i = 0; i < residues.size(); ++i) {
        const int64_t at = line * pitch + int64_t(i) * run, y = top + line, x0 = c.w.first + residues[i];
        int64_t left = x0 < 0 ? std::min(run, div_up(-x0, c.w.stride)) : 0;
        int64_t right = c.w.in > x0 ? std::min(run, (c.w.in - x0 - 1) / c.w.stride + 1) : 0;
        if (y < 0 || y >= c.h.in || left >= right) left = right = run;
        zero(at, left);
        if (left < right) to.data.push_back({at + left, y * c.w.in + x0 + left * c.w.stride, right - left});
        zero(at + right, run - right);
      }
    return to;
  }
  // Of each step (channel, tap row, tap), relative to the copy of the first channel at an output's position.
  std::vector<int32_t> offsets(const Correlation& c, int64_t rows) const {
    std::vector<int32_t> steps;
    for (int64_t i = 0; i < c.in_channels; ++i)
      for (int64_t r = 0; r < c.h.taps; ++r)
        for (int64_t s = 0; s < c.w.taps; ++s)
          steps.push_back(int32_t(i * channel(c, rows) + r * c.h.step * pitch + slot[size_t(s)] * run +
                                  s * c.w.step / c.w.stride));
    return steps;
  }
};

}   // namespace fastconv::cpu
