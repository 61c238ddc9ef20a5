// Runs the threads of one block until all have returned, and the meetings of threads: barriers and warps.
#include "block.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace simt {

Block block;
Order order = Order::forward;
std::mt19937 shuffler;

namespace {

Thread& current() { return block.threads[block.current]; }

void park(Wait wait) {
  current().wait = wait;
  switch_context(current().context, block.scheduler);
}

void thread_main() {
  block.body(block.arguments);
  ++block.exited;
  park(Wait::exited);
}

void resume(unsigned thread) {
  block.current = thread;
  set_thread_index(thread);
  block.running = true;
  switch_context(block.scheduler, block.threads[thread].context);
  block.running = false;
}

// Forward and reverse: a warp runs as far ahead of the others as it can, which shows a missing barrier best.
// Shuffled: a lane after another, each up to its next meeting.
bool run_warp(unsigned warp) {
  bool progressed = false, again = true;
  while (again) {
    again = false;
    for (unsigned lane : block.lane_order) {
      const unsigned thread = warp * kLanes + lane;
      if (thread >= block.threads.size() || block.threads[thread].wait != Wait::none) continue;
      resume(thread);
      again = progressed = true;
    }
    if (order == Order::shuffled) break;
  }
  return progressed;
}

bool same(Place a, Place b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

[[noreturn]] void fail_at(unsigned thread, const char* text, unsigned other) {
  block.current = thread;
  set_thread_index(thread);
  const Thread& waiting = block.threads[thread];
  const char* state = block.threads[other].wait == Wait::exited ? "has returned"
                      : block.threads[other].operation          ? block.threads[other].operation
                                                                : "runs";
  if (waiting.wait == Wait::block)
    fail("waits at __syncthreads (%s:%d) %s: thread %u %s%s", waiting.barrier.file, waiting.barrier.line, text,
         other, block.threads[other].wait == Wait::exited ? "" : "is at ", state);
  fail("waits in %s %s: thread %u %s%s", waiting.operation, text, other,
       block.threads[other].wait == Wait::exited ? "" : "is at ", state);
}

unsigned missing_lane(unsigned thread) {
  const unsigned first = thread / kLanes * kLanes;
  for (const Meeting& meeting : block.warps[thread / kLanes].meetings) {
    if (!(meeting.arrived >> thread % kLanes & 1)) continue;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if ((meeting.mask & ~meeting.arrived) >> lane & 1) return first + lane;
  }
  return thread;
}

// Nobody can run: all wait at one barrier of the block, or the kernel hangs.
void release_barrier() {
  const unsigned count = unsigned(block.threads.size());
  unsigned first = count, agreeing = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Thread& thread = block.threads[i];
    if (thread.wait == Wait::warp) fail_at(i, "for a lane that does not come", missing_lane(i));
    if (thread.wait == Wait::block && first == count) first = i;
    if (thread.wait == Wait::block && thread.predicate) ++agreeing;
  }
  for (unsigned i = 0; i < count; ++i) {
    const Thread& thread = block.threads[i];
    if (thread.wait == Wait::exited) fail_at(first, "which not all threads reach", i);
    if (!same(thread.barrier, block.threads[first].barrier)) {
      const Place there = thread.barrier;
      block.current = first;
      set_thread_index(first);
      fail("waits at __syncthreads (%s:%d) while thread %u waits at another one (%s:%d)",
           block.threads[first].barrier.file, block.threads[first].barrier.line, i, there.file, there.line);
    }
  }
  block.vote = int(agreeing);
  begin_interval();
  for (Thread& thread : block.threads) {
    thread.wait = Wait::none;
    thread.operation = nullptr;
  }
}

void order_threads() {
  if (order != Order::shuffled) return;
  std::shuffle(block.warp_order.begin(), block.warp_order.end(), shuffler);
  std::shuffle(block.lane_order.begin(), block.lane_order.end(), shuffler);
}

void start_threads() {
  block.exited = 0;
  for (unsigned i = 0; i < block.threads.size(); ++i) {
    Thread& thread = block.threads[i];
    thread.wait = Wait::none;
    thread.operation = nullptr;
    thread.copies.clear();
    thread.committed.clear();
    prepare(thread.context, arena().stack(i), kStackBytes, thread_main);
  }
  for (Warp& warp : block.warps) warp.meetings.clear();
}

// Lanes that cannot meet: the mask leaves the caller out or names lanes that are not there, or some of its
// lanes wait for the caller in another operation.
void check_meeting(const Warp& warp, const char* name, uint32_t mask) {
  const unsigned lane = block.current % kLanes, first = block.current - lane;
  if (!(mask >> lane & 1)) fail("%s: mask %08x leaves out the lane that calls, %u", name, mask, lane);
  if (mask & ~warp.existing)
    fail("%s: mask %08x names lanes that the block does not have (its warp has %08x)", name, mask,
         warp.existing);
  for (unsigned other = 0; other < kLanes; ++other)
    if (mask >> other & 1 && block.threads[first + other].wait == Wait::exited)
      fail("%s: mask %08x names lane %u, which has returned", name, mask, other);
  for (const Meeting& meeting : warp.meetings)
    if (meeting.mask >> lane & 1 && meeting.arrived & mask &&
        (meeting.mask != mask || std::strcmp(meeting.name, name) != 0))
      fail("%s with mask %08x, while other lanes wait for this one in %s with mask %08x", name, mask,
           meeting.name, meeting.mask);
}

}   // namespace

void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(block.message, sizeof block.message, format, arguments);
  va_end(arguments);
  siglongjmp(block.failed, 1);
}

unsigned current_thread() { return block.current; }

void set_thread_index(unsigned thread) {
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
}

void block_barrier(Place place) { block_vote(0, 0, place); }

int block_vote(int kind, int predicate, Place place) {
  current().barrier = place;
  current().operation = "__syncthreads";
  current().predicate = predicate != 0;
  park(Wait::block);
  if (kind == 2) return block.vote;
  return kind == 1 ? block.vote > 0 : block.vote == int(block.threads.size());
}

void collective(const char* name, uint32_t mask, void* operands, Combine combine) {
  Warp& warp = block.warps[block.current / kLanes];
  check_meeting(warp, name, mask);
  const unsigned lane = block.current % kLanes, first = block.current - lane;
  auto meeting = std::find_if(warp.meetings.begin(), warp.meetings.end(),
                              [mask](const Meeting& other) { return other.mask == mask; });
  if (meeting == warp.meetings.end()) {
    warp.meetings.push_back({mask, 0, name, {}});
    meeting = warp.meetings.end() - 1;
  }
  meeting->arrived |= 1u << lane;
  meeting->operands[lane] = operands;
  if (meeting->arrived != mask) {
    current().operation = name;
    return park(Wait::warp);
  }
  combine(meeting->operands, mask);
  warp.meetings.erase(meeting);
  for (unsigned other = 0; other < kLanes; ++other) {
    if (!(mask >> other & 1)) continue;
    block.threads[first + other].wait = Wait::none;
    block.threads[first + other].operation = nullptr;
  }
}

void warp_barrier(uint32_t mask) {
  collective("__syncwarp", mask, nullptr,
             [](void* const*, uint32_t) { begin_warp_interval(block.current / kLanes); });
}

void run_block() {
  poison_shared();
  begin_block();
  start_threads();
  while (block.exited < block.threads.size()) {
    order_threads();
    bool progressed = false;
    for (unsigned warp : block.warp_order) progressed |= run_warp(warp);
    if (!progressed) release_barrier();
  }
}

}   // namespace simt
