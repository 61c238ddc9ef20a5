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

  // Relative to the first element of a channel: of the copy and of its plane.
  void segments(const Correlation& c, int64_t begin, int64_t end, std::vector<Segment>& to) const {
    const int64_t top = begin * c.h.stride + c.h.first;
    for (int64_t line = 0; line < lines(c, end - begin); ++line)
      for (size_t i = 0; i < residues.size(); ++i) {
        const int64_t at = line * pitch + int64_t(i) * run, y = top + line, x0 = c.w.first + residues[i];
        int64_t left = x0 < 0 ? std::min(run, div_up(-x0, c.w.stride)) : 0;
        int64_t right = c.w.in > x0 ? std::min(run, (c.w.in - x0 - 1) / c.w.stride + 1) : 0;
        if (y < 0 || y >= c.h.in || left >= right) left = right = run;
        if (left > 0) to.push_back({at, -1, left});
        if (left < right) to.push_back({at + left, y * c.w.in + x0 + left * c.w.stride, right - left});
        if (right < run) to.push_back({at + right, -1, run - right});
      }
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
