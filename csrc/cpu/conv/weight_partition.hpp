// How the weight gradient as matrix products (weight_gemm.cpp) is cut into tasks.
#pragma once

#include <algorithm>

#include "../tiling.hpp"
#include "correlation.hpp"

namespace fastconv::cpu {

// The depth (taps of input channels) is split where all of it would not fit the cache, or other parts are few;
// output rows (of any image), or parts of wide ones, into chunks with private copies of dw, added up in order.
// Neither depends on threads.
struct WeightPartition {
  int64_t panel, panels;    // output channels a panel; panels a group
  int64_t bundles;          // of panels that one task computes
  int64_t splits;           // of the depth
  int64_t strip, columns;   // output rows a packed panel, and columns: of a wide row, a part
  int64_t across;           // such parts of a row
  int64_t rows, chunks;     // output rows of all images; parts of them, or of the parts of all
};

// `pixels`, about, of a panel of the gradient.
inline WeightPartition partition(const Correlation& c, int64_t panel, int64_t bundle, int64_t pixels,
                                 bool lines) {
  constexpr int64_t kFewestRows = 192;   // of the depth: fewer do not pay for packing the gradient again
  constexpr int64_t kRows = 2048;        // of the product that share a pass: times 64 channels, half an L2
  WeightPartition part{};
  part.panel = panel;
  part.panels = div_up(c.out_channels, panel);
  part.bundles = div_up(part.panels, bundle);
  part.splits = lines ? 1 : div_up(c.depth(), kRows);
  part.rows = c.batch * c.h.out;
  part.strip = std::clamp<int64_t>(pixels / c.w.out, 1, lines ? c.h.out : part.rows);
  part.columns = div_up(c.w.out, div_up(c.w.out, pixels));
  part.across = div_up(c.w.out, part.columns);
  const double flops = c.flops_per_pixel() * double(part.rows * c.w.out);
  const int64_t wanted = std::clamp<int64_t>(int64_t(flops / kChunkFlops), 1, kChunks);
  // Packing the gradient of few pixels again costs less than copies of dw that are larger.
  if (!lines && c.depth() > part.rows * c.w.out)
    part.splits = std::max(part.splits, std::min(wanted / (c.groups * part.bundles), c.depth() / kFewestRows));
  part.chunks = std::clamp<int64_t>(wanted / (c.groups * part.bundles * part.splits), 1,
                                    part.across > 1 ? part.rows * part.across : div_up(part.rows, part.strip));
  if (!lines)
    part.splits = std::max(part.splits,
                           std::min(wanted / (c.groups * part.bundles * part.chunks), c.depth() / kFewestRows));
  return part;
}

}   // namespace fastconv::cpu
