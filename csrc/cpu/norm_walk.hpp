// How a normalisation passes over its array. NCHW: runs of a channel, one a plane. Channels-last, and (N, C):
// rows of channels, several pixels to a row where channels are few, so that vectors are full.
#pragma once

#include <algorithm>
#include <numeric>

#include "../core/memory.hpp"
#include "../core/norm_problem.hpp"
#include "../core/view.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {

class NormWalk {
 public:
  // inputs: bytes of an element that the passes read; where they and the result together exceed the caches,
  // the result goes past them.
  NormWalk(const NormProblem& p, MemoryFormat format, int64_t itemsize, int64_t inputs)
      : images_(p.batch),
        channels_(p.channels),
        plane_(p.plane()),
        rows_(format == MemoryFormat::channels_last || plane_ == 1),
        inputs_(inputs),
        stream_(images_ * channels_ * plane_ * (inputs + itemsize) > kCachedBytes) {
    if (rows_ && channels_ < kWide) {
      fold_ = kVector / std::gcd(channels_, kVector);
      while (channels_ * fold_ < kWide) fold_ *= 2;
    }
  }

  int64_t channels() const { return channels_; }
  int64_t width() const { return channels_ * fold_; }   // of what terms are repeated over
  int64_t values_of_channel() const { return images_ * plane_; }

  // values[0, channels) over the width.
  template <class V>
  void repeat(V* values) const {
    for (int64_t c = channels_; c < width(); ++c) values[c] = values[c - channels_];
  }

  // Passes of two sums a channel, `task.finish` after each, then every element once. A task has
  //   sum_runs(pass, at, runs, stride, n, channel, double* first, double* second): `runs` runs of n elements
  //       that begin `stride` apart
  //   sum_rows(pass, at, rows, width, double* first, double* second)
  //   finish(pass, channel, first, second), and finish_rows(pass) when all channels are
  //   runs(at, runs, stride, n, channel, stream), rows(at, rows, width, stream): the elements
  template <class Task>
  void drive(Task& task, int sums, bool elements) const {
    if (rows_) {
      for (int pass = 0; pass < sums; ++pass) sum_all_rows(task, pass);
      if (elements) all_rows(task);
    } else if (channels_ >= kChunks && values_of_channel() * inputs_ <= kPrivateBytes) {
      channel_by_channel(task, sums, elements);
    } else {
      for (int pass = 0; pass < sums; ++pass) sum_all_planes(task, pass);
      if (elements) all_planes(task);
    }
  }

 private:
  static constexpr int64_t kVector = 16;       // floats of the widest vector
  static constexpr int64_t kWide = 64;         // a row of fewer leaves the sums' chains waiting for each other
  static constexpr int64_t kGrain = 32768;     // elements a chunk: 128 KB, 5 to 10 us
  static constexpr int64_t kFewestRows = 64;   // so that partial sums stay small beside what was read
  static constexpr int64_t kMostChunks = 256;
  static constexpr int64_t kPrivateBytes = 512 << 10;   // of a core's own cache

  // Parts of `size` images or rows.
  struct Chunks {
    int64_t size, count;
  };

  static Chunks cut(int64_t items, int64_t each) {
    const int64_t size = std::max(each, div_up(items, kMostChunks));
    return {size, std::max<int64_t>(1, div_up(items, size))};
  }
  Chunks row_chunks() const {
    return cut(images_ * plane_ / fold_, std::max(kFewestRows, div_up(kGrain, width())));
  }
  Chunks image_chunks() const {
    return cut(images_, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, plane_)));
  }

  template <class Rows>
  void each_row(int64_t i, const Chunks& chunks, Rows&& rows) const {
    const int64_t pixels = images_ * plane_, folded = pixels / fold_, begin = i * chunks.size;
    const int64_t end = std::min(folded, begin + chunks.size);
    if (end > begin) rows(begin * width(), end - begin, width());
    if (i == chunks.count - 1 && folded * fold_ < pixels)   // the last pixels do not fill a row
      rows(folded * width(), pixels - folded * fold_, channels_);
  }

  // Partial sums of `chunks` parts: [part][first or second][width].
  class Partial {
   public:
    Partial(int64_t parts, int64_t width)
        : parts_(parts), width_(width), buffer_(size_t(parts * 2 * width) * sizeof(double)) {
      std::fill_n(buffer_.as<double>(), parts * 2 * width, 0.0);
    }
    double* first(int64_t part) const { return buffer_.as<double>() + part * 2 * width_; }
    double* second(int64_t part) const { return first(part) + width_; }

    // In the order of the parts, and of the pixels folded into a row.
    template <class Task>
    void finish(Task& task, int pass, int64_t channels) const {
      parallel_ranges(channels, kTogether, [&](int64_t begin, int64_t end) {
        double sums[2][kTogether] = {};
        for (int64_t part = 0; part < parts_; ++part)
          for (int64_t at = begin; at < width_; at += channels)
            for (int64_t c = 0; c < end - begin; ++c) {
              sums[0][c] += first(part)[at + c];
              sums[1][c] += second(part)[at + c];
            }
        for (int64_t c = begin; c < end; ++c) task.finish(pass, c, sums[0][c - begin], sums[1][c - begin]);
      });
    }

   private:
    static constexpr int64_t kTogether = 256;

    int64_t parts_, width_;
    memory::Buffer buffer_;
  };

  template <class Task>
  void sum_all_rows(Task& task, int pass) const {
    const Chunks chunks = row_chunks();
    const Partial partial(chunks.count, width());
    parallel_for(chunks.count, [&](int64_t i) {
      each_row(i, chunks, [&](int64_t at, int64_t count, int64_t width) {
        task.sum_rows(pass, at, count, width, partial.first(i), partial.second(i));
      });
    });
    partial.finish(task, pass, channels_);
    task.finish_rows(pass);
  }

  template <class Task>
  void all_rows(Task& task) const {
    const Chunks chunks = row_chunks();
    parallel_for(chunks.count, [&](int64_t i) {
      each_row(i, chunks,
               [&](int64_t at, int64_t count, int64_t width) { task.rows(at, count, width, stream_); });
    });
  }

  // Nothing leaves a core's own cache between the passes over a channel.
  template <class Task>
  void channel_by_channel(Task& task, int sums, bool elements) const {
    const int64_t stride = channels_ * plane_;
    parallel_ranges(channels_, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, values_of_channel())),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t c = begin; c < end; ++c) {
                        for (int pass = 0; pass < sums; ++pass) {
                          double first = 0, second = 0;
                          task.sum_runs(pass, c * plane_, images_, stride, plane_, c, &first, &second);
                          task.finish(pass, c, first, second);
                        }
                        if (elements) task.runs(c * plane_, images_, stride, plane_, c, stream_);
                      }
                    });
  }

  // body(part, at, runs, channel) for the planes of neighbouring channels in a part of the images.
  template <class Body>
  void parts_of_channels(const Chunks& chunks, Body&& body) const {
    const int64_t together = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, chunks.size * plane_));
    const int64_t blocks = div_up(channels_, together);
    parallel_for(chunks.count * blocks, [&](int64_t i) {
      const int64_t part = i / blocks, image = part * chunks.size;
      const int64_t first = i % blocks * together, last = std::min(channels_, first + together);
      for (int64_t c = first; c < last; ++c)
        body(part, (image * channels_ + c) * plane_, std::min(images_ - image, chunks.size), c);
    });
  }

  template <class Task>
  void sum_all_planes(Task& task, int pass) const {
    const Chunks chunks = image_chunks();
    const Partial partial(chunks.count, channels_);
    parts_of_channels(chunks, [&](int64_t part, int64_t at, int64_t runs, int64_t c) {
      task.sum_runs(pass, at, runs, channels_ * plane_, plane_, c, partial.first(part) + c,
                    partial.second(part) + c);
    });
    partial.finish(task, pass, channels_);
  }

  template <class Task>
  void all_planes(Task& task) const {
    parts_of_channels(image_chunks(), [&](int64_t, int64_t at, int64_t runs, int64_t c) {
      task.runs(at, runs, channels_ * plane_, plane_, c, stream_);
    });
  }

  int64_t images_, channels_, plane_;
  bool rows_;
  int64_t inputs_;
  bool stream_;
  int64_t fold_ = 1;   // pixels to a row
};

}   // namespace fastconv::cpu
