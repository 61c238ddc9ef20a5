// What a kernel sees of the emulator: its indices, barriers, exchanges within a warp, shared memory.
// One fiber runs each CUDA thread of a block, one block after the other, in one system thread.
#pragma once

#include <cstddef>
#include <cstdint>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace simt {

// Ends the kernel: the launch reports the text with kernel, block and thread. Called by a CUDA thread only.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

unsigned current_thread();   // its number within the block

// Where a call stands in the source; barriers are told apart by it.
struct Place {
  const char* file;
  int line;
};

void block_barrier(Place place);
void warp_barrier(uint32_t mask);
int block_vote(int kind, int predicate, Place place);   // kind: 0 and, 1 or, 2 count

// Waits until all lanes of `mask` have come to the same operation; the last one computes for all.
// `lanes[i]` is the operands of lane i, on its own stack; results are written there too.
using Combine = void (*)(void* const* lanes, uint32_t mask);
void collective(const char* name, uint32_t mask, void* operands, Combine combine);

// Shared memory of the block: end-aligned before a guard page, 0xff at the start of each block.
void* static_shared_memory(size_t bytes);
void* dynamic_shared_memory(size_t bytes_of_element);

// Prim bodies that touch memory the compiler's instrumentation does not see.
void note_read(const void* address, size_t bytes);
void check_shared(const void* address, const char* what);
void check_aligned(const void* address, size_t alignment, const char* what);

// The asynchronous copy: its effect comes at the wait that covers its group.
void async_copy(void* shared, const void* global, size_t bytes, size_t source_bytes);
void async_commit();
void async_wait(int groups_left);

void load_matrix(uint32_t* result, const void* row, int count, bool transposed);
enum class MatrixType { bfloat16, half, tf32 };
// d += a b for 16x8 float32: depth 16 (16-bit types) or 8 (tf32). a: 4 registers, b: 2.
void multiply_matrices(MatrixType type, float* d, const uint32_t* a, const uint32_t* b);

enum class Shuffle { index, up, down, exclusive_or };
uint64_t shuffle(Shuffle kind, uint32_t mask, uint64_t value, unsigned operand, int width);
uint32_t ballot(uint32_t mask, int predicate);
enum class Reduce { add, min, max, bit_and, bit_or, bit_xor };
uint32_t reduce(Reduce kind, bool is_signed, uint32_t mask, uint32_t value);

float half_to_float(uint16_t bits);
uint16_t float_to_half(float x);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float x);
uint32_t float_to_tf32(float x);
float tf32_to_float(uint32_t bits);

}   // namespace simt
