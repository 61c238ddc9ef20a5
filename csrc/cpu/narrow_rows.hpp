// Pooling in planes: where rows are narrow, blocks of planes are turned and pooled channels last.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

constexpr int64_t kNarrow = 16;               // columns of a row: fewer leave lanes empty
constexpr int64_t kTogether = 64;             // planes turned for such rows,
constexpr int64_t kTurnedBytes = 256 << 10;   // where they fit the second cache

}   // namespace fastconv::cpu
