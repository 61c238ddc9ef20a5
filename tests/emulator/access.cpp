// Every load and store of a kernel. The kernels' files are compiled with -fsanitize=thread and
// -fsanitize=alignment, but linked with the functions below in place of the sanitizers' own.
#include <link.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "block.hpp"

namespace simt {
namespace {

constexpr uint16_t kNobody = 0xffff, kSeveral = 0xfffe;

// Of one byte of shared memory. Intervals are counted on over blocks and launches, so that nothing is cleared.
struct Cell {
  uint32_t write_interval = 0, write_warp_interval = 0;
  uint32_t read_interval = 0, read_warp_interval = 0;
  uint32_t pending_block = 0;
  uint16_t writer = kNobody, reader = kNobody, reader_warp = kNobody, pending_by = kNobody;
};

struct Shadow {
  std::vector<Cell> cells;
  uint32_t interval = 1, serial = 1;
  std::vector<uint32_t> warp_interval = std::vector<uint32_t>(kLanes, 1);
} shadow;

Cell& cell_of(uintptr_t address) {
  const Arena& all = arena();
  if (shadow.cells.empty()) shadow.cells.resize(all.shared.end - all.shared.begin);
  return shadow.cells[address - all.shared.begin];
}

bool is_dynamic(uintptr_t address) { return address >= arena().dynamic_shared.begin; }
size_t offset_of(uintptr_t address) { return address - shared_range(is_dynamic(address)).begin; }

[[noreturn]] void fail_race(uintptr_t address, const char* does, unsigned other, const char* did) {
  if (other == kSeveral)
    fail("%s byte %zu of shared memory that several other threads %s with no barrier between", does,
         offset_of(address), did);
  const bool same_warp = other / kLanes == block.current / kLanes;
  fail("%s byte %zu of shared memory that thread %u of %s warp %s with no %s between", does, offset_of(address),
       other, same_warp ? "the same" : "another", did, same_warp ? "__syncwarp" : "barrier");
}

void check_pending(uintptr_t address, const Cell& cell, const char* does) {
  if (cell.pending_block == shadow.serial && cell.pending_by != kNobody)
    fail("%s byte %zu of shared memory before the cp.async of thread %u to it has been waited for", does,
         offset_of(address), unsigned(cell.pending_by));
}

// A write by another thread in this interval; a lane of the same warp only since the warp's last barrier.
bool conflicts_with_write(const Cell& cell, uint16_t thread, unsigned warp) {
  if (cell.write_interval != shadow.interval || cell.writer == thread) return false;
  return cell.writer / kLanes != warp || cell.write_warp_interval == shadow.warp_interval[warp];
}

bool conflicts_with_read(const Cell& cell, uint16_t thread, unsigned warp) {
  if (cell.read_interval != shadow.interval || cell.reader == thread) return false;
  return cell.reader_warp != warp || cell.read_warp_interval == shadow.warp_interval[warp];
}

void record_write(uintptr_t address, Cell& cell, uint16_t thread) {
  const unsigned warp = thread / kLanes;
  if (conflicts_with_write(cell, thread, warp)) fail_race(address, "writes", cell.writer, "wrote");
  if (conflicts_with_read(cell, thread, warp)) fail_race(address, "writes", cell.reader, "read");
  cell.writer = thread;
  cell.write_interval = shadow.interval;
  cell.write_warp_interval = shadow.warp_interval[warp];
}

void record_read(uintptr_t address, Cell& cell, uint16_t thread) {
  const unsigned warp = thread / kLanes;
  if (conflicts_with_write(cell, thread, warp)) fail_race(address, "reads", cell.writer, "wrote");
  const bool fresh = cell.read_interval != shadow.interval;
  const bool same_warp = !fresh && cell.reader_warp == warp;
  if (fresh || (same_warp && cell.read_warp_interval != shadow.warp_interval[warp])) {
    cell.reader = thread;
    cell.reader_warp = uint16_t(warp);
  } else {
    if (cell.reader != thread) cell.reader = kSeveral;
    if (!same_warp) cell.reader_warp = kSeveral;
  }
  cell.read_interval = shadow.interval;
  cell.read_warp_interval = shadow.warp_interval[warp];
}

void shared_access(uintptr_t address, size_t bytes, bool write) {
  const char* does = write ? "writes" : "reads";
  const Range range = shared_range(is_dynamic(address));
  if (address < range.begin || address + bytes > range.end)
    fail("%s %zu bytes at %td of %zu bytes of shared memory", does, bytes, ptrdiff_t(address - range.begin),
         size_t(range.end - range.begin));
  for (uintptr_t at = address; at < address + bytes; ++at) {
    Cell& cell = cell_of(at);
    check_pending(at, cell, does);
    write ? record_write(at, cell, uint16_t(block.current)) : record_read(at, cell, uint16_t(block.current));
  }
}

// This library: constants that the compiler put into memory.
Range find_image() {
  Range found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        const auto here = reinterpret_cast<uintptr_t>(&shadow);
        Range image{UINTPTR_MAX, 0};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
          const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
          image.begin = begin < image.begin ? begin : image.begin;
          image.end =
              begin + info->dlpi_phdr[i].p_memsz > image.end ? begin + info->dlpi_phdr[i].p_memsz : image.end;
        }
        if (image.begin > here || image.end <= here) return 0;
        *static_cast<Range*>(result) = image;
        return 1;
      },
      &found);
  return found;
}

Range recent[256];   // allocations by the page of an access

void global_access(uintptr_t address, size_t bytes, bool write) {
  Range& cached = recent[address >> 12 & 255];
  if (address >= cached.begin && address + bytes <= cached.end) return;
  const Range found = allocation_of(address);
  if (found.end != 0 && address >= found.begin && address + bytes <= found.end) {
    cached = found;
    return;
  }
  static const Range image = find_image();
  const auto arguments = reinterpret_cast<uintptr_t>(block.arguments);
  if (!write && (image.holds(address) || address - arguments < block.argument_bytes)) return;
  fail("%s %zu bytes at %s", write ? "writes" : "reads", bytes, describe_address(address));
}

void access(uintptr_t address, size_t bytes, bool write) {
  if (!block.running) return;
  const Arena& all = arena();
  if (all.stacks.holds(address)) {
    const auto own = reinterpret_cast<uintptr_t>(all.stack(block.current));
    if (address - own >= kStackBytes) fail("its stack of %zu bytes is too small", kStackBytes);
    return;
  }
  all.shared.holds(address) ? shared_access(address, bytes, write) : global_access(address, bytes, write);
}

void access(const void* address, size_t bytes, bool write) {
  access(reinterpret_cast<uintptr_t>(address), bytes, write);
}

}   // namespace

void begin_interval() { ++shadow.interval; }
void begin_warp_interval(unsigned warp) { ++shadow.warp_interval[warp]; }
void begin_block() {
  ++shadow.interval;
  ++shadow.serial;
}
void forget_allocations() { std::fill(std::begin(recent), std::end(recent), Range{}); }

void note_read(const void* address, size_t bytes) { access(address, bytes, false); }

void note_pending(const void* address, size_t bytes) {
  access(address, bytes, true);
  for (size_t i = 0; i < bytes; ++i) {
    Cell& cell = cell_of(reinterpret_cast<uintptr_t>(address) + i);
    cell.pending_block = shadow.serial;
    cell.pending_by = uint16_t(block.current);
  }
}

void note_delivered(const void* address, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) cell_of(reinterpret_cast<uintptr_t>(address) + i).pending_by = kNobody;
  access(address, bytes, true);
}

void check_shared(const void* address, const char* what) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  if (!shared_range(false).holds(at) && !shared_range(true).holds(at))
    fail("%s: address %p is not in the block's shared memory", what, address);
}

void check_aligned(const void* address, size_t alignment, const char* what) {
  if (reinterpret_cast<uintptr_t>(address) % alignment != 0)
    fail("%s: address %p is not a multiple of %zu", what, address, alignment);
}

}   // namespace simt

// Names and parameters are the compilers'.
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* address, unsigned long bytes) { simt::access(address, bytes, false); }
void __tsan_write_range(void* address, unsigned long bytes) { simt::access(address, bytes, true); }

#define SIMT_ACCESS(bytes)                                                                  \
  void __tsan_read##bytes(void* address) { simt::access(address, bytes, false); }           \
  void __tsan_write##bytes(void* address) { simt::access(address, bytes, true); }           \
  void __tsan_unaligned_read##bytes(void* address) { simt::access(address, bytes, false); } \
  void __tsan_unaligned_write##bytes(void* address) { simt::access(address, bytes, true); }
SIMT_ACCESS(1)
SIMT_ACCESS(2)
SIMT_ACCESS(4)
SIMT_ACCESS(8)
SIMT_ACCESS(16)
#undef SIMT_ACCESS

// Guards of function-local statics, in launchers.
unsigned char __tsan_atomic8_load(const volatile unsigned char* address, int) {
  return __atomic_load_n(address, __ATOMIC_SEQ_CST);
}

// A pointer of a type that wants more alignment than the address has: the device would fault.
void __ubsan_handle_type_mismatch_v1(void* data, unsigned long address) {
  struct Mismatch {
    const char* file;
    uint32_t line, column;
    void* type;
    uint8_t log_alignment;
  };
  const auto* mismatch = static_cast<const Mismatch*>(data);
  if (simt::block.running)
    simt::fail("address %#lx is not a multiple of %u, which its type needs (%s:%u)", address,
               1u << mismatch->log_alignment, mismatch->file, mismatch->line);
}
void __ubsan_handle_type_mismatch_v1_abort(void* data, unsigned long address) {
  __ubsan_handle_type_mismatch_v1(data, address);
}
}
