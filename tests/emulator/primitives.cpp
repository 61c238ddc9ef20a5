// Exchanges within a warp, matrix fragments and the asynchronous copy, as PTX defines them.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "block.hpp"

namespace simt {
namespace {

struct ShuffleOperands {
  Shuffle kind;
  uint64_t value, result;
  unsigned operand, width;
};

// The lane that `lane` reads from, itself where the segment ends.
unsigned source_lane(const ShuffleOperands& own, unsigned lane) {
  const unsigned first = lane & ~(own.width - 1), last = first + own.width - 1;
  switch (own.kind) {
    case Shuffle::index:
      return first | (own.operand & (own.width - 1));
    case Shuffle::up:
      return lane < first + own.operand ? lane : lane - own.operand;
    case Shuffle::down:
      return lane + own.operand > last ? lane : lane + own.operand;
    case Shuffle::exclusive_or:
      return (lane ^ own.operand) > last ? lane : lane ^ own.operand;
  }
  return lane;
}

void combine_shuffle(void* const* lanes, uint32_t mask) {
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    auto& own = *static_cast<ShuffleOperands*>(lanes[lane]);
    const unsigned source = source_lane(own, lane);
    if (!(mask >> source & 1))
      fail("shuffle: lane %u reads from lane %u, which mask %08x leaves out", lane, source, mask);
    own.result = static_cast<const ShuffleOperands*>(lanes[source])->value;
  }
}

struct ReduceOperands {
  uint32_t value, result;
  Reduce kind;
  bool is_signed;
};

uint32_t reduce_two(const ReduceOperands& how, uint32_t a, uint32_t b) {
  const bool less = how.is_signed ? int32_t(a) < int32_t(b) : a < b;
  switch (how.kind) {
    case Reduce::add:
      return a + b;
    case Reduce::min:
      return less ? a : b;
    case Reduce::max:
      return less ? b : a;
    case Reduce::bit_and:
      return a & b;
    case Reduce::bit_or:
      return a | b;
    case Reduce::bit_xor:
      return a ^ b;
  }
  return 0;
}

void combine_reduce(void* const* lanes, uint32_t mask) {
  const ReduceOperands* first = nullptr;
  uint32_t result = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const auto* own = static_cast<const ReduceOperands*>(lanes[lane]);
    result = first == nullptr ? own->value : reduce_two(*own, result, own->value);
    first = own;
  }
  for (unsigned lane = 0; lane < kLanes; ++lane)
    if (mask >> lane & 1) static_cast<ReduceOperands*>(lanes[lane])->result = result;
}

struct BallotOperands {
  int predicate;
  uint32_t result;
};

struct MatrixOperands {
  uint32_t* result;
  const void* row;
  int count;
  bool transposed;
};

// Row r of matrix m is the 16 bytes that lane 8 m + r points to. Lane l receives elements 2 (l % 4) and the
// next of row l / 4; transposed, of column l / 4.
void combine_load_matrix(void* const* lanes, uint32_t) {
  const auto* first = static_cast<const MatrixOperands*>(lanes[0]);
  for (int m = 0; m < first->count; ++m) {
    uint16_t matrix[8][8];
    for (int r = 0; r < 8; ++r)
      std::memcpy(matrix[r], static_cast<const MatrixOperands*>(lanes[8 * m + r])->row, sizeof matrix[r]);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned i = lane / 4, j = 2 * (lane % 4);
      const uint32_t low = first->transposed ? matrix[j][i] : matrix[i][j];
      const uint32_t high = first->transposed ? matrix[j + 1][i] : matrix[i][j + 1];
      static_cast<const MatrixOperands*>(lanes[lane])->result[m] = low | high << 16;
    }
  }
}

// Element `part` (0 or 1) of a register.
double element(MatrixType type, uint32_t bits, unsigned part) {
  const auto half = uint16_t(bits >> 16 * part);
  return type == MatrixType::tf32   ? tf32_to_float(bits)
         : type == MatrixType::half ? half_to_float(half)
                                    : bfloat16_to_float(half);
}

struct MultiplyOperands {
  MatrixType type;
  float* d;
  const uint32_t *a, *b;
};

struct Product {
  unsigned depth = 0;
  double a[16][16], b[16][8];

  // PTX's fragments: lane l holds rows l / 4 and l / 4 + 8 of a and column l / 4 of b.
  void read(const MultiplyOperands& own, unsigned lane) {
    const unsigned group = lane / 4, parts = own.type == MatrixType::tf32 ? 1 : 2;
    depth = 8 * parts;
    for (unsigned part = 0; part < parts; ++part) {
      const unsigned k = lane % 4 * parts + part, half = depth / 2;
      for (unsigned i = 0; i < 4; ++i)
        a[group + i % 2 * 8][k + i / 2 * half] = element(own.type, own.a[i], part);
      for (unsigned i = 0; i < 2; ++i) b[k + i * half][group] = element(own.type, own.b[i], part);
    }
  }
  // Products are exact in double and their sum is rounded to float once. The device rounds its sums earlier
  // and in an order that is not documented.
  void add_to(const MultiplyOperands& own, unsigned lane) const {
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      double sum = double(own.d[i]);
      for (unsigned k = 0; k < depth; ++k) sum += a[row][k] * b[k][column];
      own.d[i] = float(sum);
    }
  }
};

void combine_multiply(void* const* lanes, uint32_t) {
  Product product;
  for (unsigned lane = 0; lane < kLanes; ++lane)
    product.read(*static_cast<const MultiplyOperands*>(lanes[lane]), lane);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    product.add_to(*static_cast<const MultiplyOperands*>(lanes[lane]), lane);
}

Thread& current() { return block.threads[block.current]; }

}   // namespace

uint64_t shuffle(Shuffle kind, uint32_t mask, uint64_t value, unsigned operand, int width) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) fail("shuffle: width %d", width);
  ShuffleOperands operands{kind, value, 0, operand, unsigned(width)};
  constexpr const char* kNames[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync"};
  collective(kNames[int(kind)], mask, &operands, combine_shuffle);
  return operands.result;
}

uint32_t ballot(uint32_t mask, int predicate) {
  BallotOperands operands{predicate, 0};
  collective("a vote of the warp", mask, &operands, [](void* const* lanes, uint32_t all) {
    uint32_t votes = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if (all >> lane & 1 && static_cast<const BallotOperands*>(lanes[lane])->predicate) votes |= 1u << lane;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if (all >> lane & 1) static_cast<BallotOperands*>(lanes[lane])->result = votes;
  });
  return operands.result;
}

uint32_t reduce(Reduce kind, bool is_signed, uint32_t mask, uint32_t value) {
  ReduceOperands operands{value, 0, kind, is_signed};
  collective("__reduce_sync", mask, &operands, combine_reduce);
  return operands.result;
}

void load_matrix(uint32_t* result, const void* row, int count, bool transposed) {
  if (int(block.current % kLanes) < 8 * count) {
    check_aligned(row, 16, "ldmatrix");
    check_shared(row, "ldmatrix");
    note_read(row, 16);
  }
  MatrixOperands operands{result, row, count, transposed};
  collective("ldmatrix", ~0u, &operands, combine_load_matrix);
}

void multiply_matrices(MatrixType type, float* d, const uint32_t* a, const uint32_t* b) {
  MultiplyOperands operands{type, d, a, b};
  collective("mma", ~0u, &operands, combine_multiply);
}

void async_copy(void* shared, const void* global, size_t bytes, size_t source_bytes) {
  check_aligned(shared, bytes, "cp.async to shared memory");
  check_aligned(global, bytes, "cp.async from global memory");
  check_shared(shared, "cp.async");
  if (source_bytes > bytes) fail("cp.async: %zu of %zu bytes", source_bytes, bytes);
  if (source_bytes != 0) note_read(global, source_bytes);
  note_pending(shared, bytes);
  current().copies.push_back({shared, global, uint32_t(bytes), uint32_t(source_bytes)});
}

void async_commit() {
  Thread& thread = current();
  size_t grouped = 0;
  for (size_t group : thread.committed) grouped += group;
  thread.committed.push_back(thread.copies.size() - grouped);
}

// Groups are delivered in the order of their commits. What is not committed stays away.
void async_wait(int groups_left) {
  Thread& thread = current();
  while (thread.committed.size() > size_t(groups_left)) {
    const size_t count = thread.committed.front();
    for (size_t i = 0; i < count; ++i) {
      const Copy& copy = thread.copies[i];
      std::memcpy(copy.to, copy.from, copy.source_bytes);
      std::memset(static_cast<char*>(copy.to) + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
      note_delivered(copy.to, copy.bytes);
    }
    thread.copies.erase(thread.copies.begin(), thread.copies.begin() + long(count));
    thread.committed.erase(thread.committed.begin());
  }
}

}   // namespace simt
