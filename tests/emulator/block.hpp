// The state of the block that runs, shared by the emulator's own files.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <random>
#include <vector>

#include "fiber.hpp"
#include "simt.hpp"

namespace simt {

constexpr unsigned kLanes = 32;
constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kMaxStaticShared = 48 * 1024;
constexpr size_t kMaxDynamicShared = 227 * 1024;

enum class Wait : uint8_t { none, warp, block, exited };

struct Copy {
  void* to;
  const void* from;
  uint32_t bytes, source_bytes;
};

struct Thread {
  Context context;
  Wait wait = Wait::none;
  Place barrier = {};
  const char* operation = nullptr;   // what it waits for
  int predicate = 0;
  std::vector<Copy> copies;        // issued, not yet delivered
  std::vector<size_t> committed;   // sizes of the groups in `copies`, oldest first
};

// Lanes of one warp that meet in one operation.
struct Meeting {
  uint32_t mask = 0, arrived = 0;
  const char* name = nullptr;
  void* operands[kLanes] = {};
};

struct Warp {
  uint32_t existing = 0;
  std::vector<Meeting> meetings;
};

enum class Order { forward, reverse, shuffled };

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<unsigned> warp_order, lane_order;
  unsigned current = 0, exited = 0;
  int vote = 0;
  bool running = false;   // a CUDA thread has control
  Context scheduler;
  sigjmp_buf failed;
  const void* fault_address = nullptr;
  int fault_signal = 0;
  char message[1024] = {};
  void (*body)(void*) = nullptr;
  void* arguments = nullptr;
  size_t argument_bytes = 0;
  size_t static_bytes = 0, dynamic_bytes = 0, shared_limit = kMaxDynamicShared;
};

extern Block block;
extern Order order;
extern std::mt19937 shuffler;

void run_block();   // leaves through block.failed when the kernel is wrong
void set_thread_index(unsigned thread);

// Shared memory and stacks (arena.cpp).
struct Range {
  uintptr_t begin = 0, end = 0;
  bool holds(uintptr_t address) const { return address - begin < end - begin; }
};
struct Arena {
  Range stacks, shared;                  // with all pages that fault
  Range static_shared, dynamic_shared;   // without
  char* stack(unsigned thread) const;    // its lowest byte
};
const Arena& arena();
Range shared_range(bool dynamic);   // of the kernel that runs
void poison_shared();

// Who touched what (access.cpp).
void begin_interval();                     // a barrier of the block, or its start
void begin_warp_interval(unsigned warp);   // a barrier of the warp
void begin_block();
void note_pending(const void* address, size_t bytes);     // cp.async has been issued
void note_delivered(const void* address, size_t bytes);   // ... and waited for

// Global memory (memory.cpp).
Range allocation_of(uintptr_t address);   // empty where none
const char* describe_address(uintptr_t address);
const char* broken_canary();   // null where none
void forget_allocations();     // something has been released (access.cpp)

}   // namespace simt
