// Launches: configurations are checked as the device checks them, the blocks run one after the other, and what
// a kernel does wrong, up to a fault of the processor, becomes the launch's error.
#include <cxxabi.h>
#include <dlfcn.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <numeric>
#include <string>

#include "block.hpp"
#include "cuda_runtime.h"

namespace simt {
namespace {

struct Device {
  int multiprocessors = 4, shared_bytes = int(kMaxDynamicShared), major = 9, minor = 0;
} device;

constexpr size_t kSharedByDefault = 48 * 1024;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

std::mutex mutex;
std::string last_error;
std::map<const void*, int> dynamic_limits;         // by kernel
std::map<const void*, std::string> kernel_names;   // of those launched
std::string listed;
unsigned seed = 1;
size_t launches = 0;
pthread_t launching;

struct Handlers {
  struct sigaction previous[4];
  stack_t previous_stack;
} handlers;

void on_signal(int number, siginfo_t* info, void*) {
  if (block.running && pthread_equal(pthread_self(), launching)) {
    block.fault_signal = number;
    block.fault_address = info->si_addr;
    siglongjmp(block.failed, 1);
  }
  // Not a kernel's: it happens again under whoever handled it before.
  for (int i = 0; i < 4; ++i)
    if (kSignals[i] == number) sigaction(number, &handlers.previous[i], nullptr);
}

void catch_faults() {
  constexpr size_t kBytes = 64 * 1024;
  static char stack[kBytes];
  stack_t own{};
  own.ss_sp = stack;
  own.ss_size = kBytes;
  sigaltstack(&own, &handlers.previous_stack);
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &action, &handlers.previous[i]);
}

void leave_faults() {
  for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &handlers.previous[i], nullptr);
  sigaltstack(&handlers.previous_stack, nullptr);
}

const std::string& name_of(const void* function) {
  std::string& name = kernel_names[function];
  if (!name.empty()) return name;
  Dl_info info{};
  name = "a kernel without a public name";
  if (dladdr(function, &info) != 0 && info.dli_saddr == function) {
    int status = 0;
    char* readable = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
    name = readable != nullptr ? readable : info.dli_sname;
    std::free(readable);
    // "void name<...>(parameters)": the name alone.
    int depth = 0;
    size_t end = name.size();
    for (size_t i = 0; i < name.size() && end == name.size(); ++i) {
      depth += name[i] == '<' ? 1 : name[i] == '>' ? -1 : 0;
      if (name[i] == '(' && depth == 0) end = i;
    }
    name.resize(end);
    if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  }
  return name;
}

std::string refusal(const cudaLaunchConfig_t& config, const Kernel& kernel) {
  const dim3 grid = config.gridDim, threads = config.blockDim;
  const size_t count = size_t(threads.x) * threads.y * threads.z, bytes = config.dynamicSmemBytes;
  if (count == 0 || count > 1024 || threads.z > 64) return "a block has 1 to 1024 threads, at most 64 deep";
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return "an empty grid";
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return "a grid of more than (2^31 - 1, 65535, 65535)";
  const auto limit = dynamic_limits.find(kernel.function);
  const size_t allowed = limit == dynamic_limits.end() ? kSharedByDefault : size_t(limit->second);
  if (bytes > allowed)
    return std::to_string(bytes) + " bytes of dynamic shared memory, of " + std::to_string(allowed) +
           " allowed";
  return "";
}

void set_up(const cudaLaunchConfig_t& config, const Kernel& kernel) {
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  const unsigned count = blockDim.x * blockDim.y * blockDim.z, warps = (count + kLanes - 1) / kLanes;
  block.threads.resize(count);
  block.warps.resize(warps);
  for (unsigned i = 0; i < warps; ++i) {
    const unsigned lanes = std::min(kLanes, count - i * kLanes);
    block.warps[i].existing = lanes == kLanes ? ~0u : (1u << lanes) - 1;
  }
  block.warp_order.resize(warps);
  block.lane_order.resize(kLanes);
  for (auto* list : {&block.warp_order, &block.lane_order}) {
    std::iota(list->begin(), list->end(), 0u);
    if (order == Order::reverse) std::reverse(list->begin(), list->end());
  }
  block.body = kernel.run;
  block.arguments = kernel.call;
  block.argument_bytes = kernel.call_bytes;
  block.static_bytes = 0;
  block.dynamic_bytes = config.dynamicSmemBytes;
  block.shared_limit = size_t(device.shared_bytes);
  block.fault_signal = 0;
  shuffler.seed(seed);
}

// The position in the order of blocks that `step` stands for. A shuffled order steps by a number that has no
// factor in common with the count.
uint64_t block_at(uint64_t step, uint64_t count) {
  if (order == Order::forward) return step;
  if (order == Order::reverse) return count - 1 - step;
  static uint64_t stride = 1, start = 0;
  if (step == 0) {
    start = shuffler() % count;
    stride = shuffler() % count | 1;
    while (std::gcd(stride, count) != 1) stride += 2;
  }
  return (start + (step * __extension__ static_cast<unsigned __int128>(stride)) % count) % count;
}

// False where the kernel failed.
bool run_blocks() {
  static uint64_t step, count;   // they outlive the jump
  count = uint64_t(gridDim.x) * gridDim.y * gridDim.z;
  step = 0;
  if (sigsetjmp(block.failed, 1) != 0) {
    block.running = false;
    return false;
  }
  for (; step < count; ++step) {
    const uint64_t at = block_at(step, count);
    blockIdx = {unsigned(at % gridDim.x), unsigned(at / gridDim.x % gridDim.y),
                unsigned(at / gridDim.x / gridDim.y)};
    run_block();
  }
  return true;
}

std::string fault_text() {
  if (block.fault_signal == SIGFPE) return "an integer division by zero";
  if (block.fault_signal == SIGILL) return "an illegal instruction";
  const auto address = reinterpret_cast<uintptr_t>(block.fault_address);
  if (arena().stacks.holds(address))
    return "its stack of " + std::to_string(kStackBytes) + " bytes is too small";
  if (arena().shared.holds(address)) return "a wild access to shared memory";
  return std::string("a wild access to ") + describe_address(address);
}

std::string where() {
  char text[160];
  std::snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u)", blockIdx.x, blockIdx.y,
                blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  return text;
}

cudaError_t refuse(cudaError_t error, const std::string& text) {
  last_error = text;
  return error;
}

}   // namespace

cudaError_t launch(const cudaLaunchConfig_t& config, const Kernel& kernel) {
  const std::lock_guard<std::mutex> lock(mutex);
  const std::string& name = name_of(kernel.function);
  const std::string wrong = refusal(config, kernel);
  if (!wrong.empty()) return refuse(cudaErrorInvalidConfiguration, name + ": " + wrong);
  set_up(config, kernel);
  ++launches;
  launching = pthread_self();
  catch_faults();
  const bool done = run_blocks();
  leave_faults();
  if (!done) {
    const std::string text = block.fault_signal != 0 ? fault_text() : block.message;
    return refuse(cudaErrorLaunchFailure, name + ", " + where() + ": " + text);
  }
  if (const char* text = broken_canary()) return refuse(cudaErrorLaunchFailure, name + ": " + text);
  return cudaSuccess;
}

cudaError_t set_attribute(const void* function, cudaFuncAttribute, int value) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (value < 0 || value > device.shared_bytes)
    return refuse(cudaErrorInvalidValue, std::to_string(value) + " bytes of shared memory, of " +
                                             std::to_string(device.shared_bytes) + " that the device has");
  dynamic_limits[function] = value;
  return cudaSuccess;
}

}   // namespace simt

const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaSuccess) return "no error";
  if (error == cudaErrorMemoryAllocation) return "out of memory";
  if (error == cudaErrorInvalidDevice) return "invalid device ordinal";
  return simt::last_error.c_str();
}

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* number) {
  *number = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int number) { return number == 0 ? cudaSuccess : cudaErrorInvalidDevice; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMaxGridDimX:
      *value = 0x7fffffff;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = simt::device.multiprocessors;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = simt::device.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = simt::device.minor;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = simt::device.shared_bytes;
      break;
  }
  return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) {
  static char made;
  *pool = reinterpret_cast<cudaMemPool_t>(&made);
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }

extern "C" {
void emulator_set_order(int order, unsigned seed) {
  const std::lock_guard<std::mutex> lock(simt::mutex);
  simt::order = simt::Order(order);
  simt::seed = seed;
}

void emulator_set_device(int multiprocessors, int shared_bytes, int major, int minor) {
  const std::lock_guard<std::mutex> lock(simt::mutex);
  simt::device = {multiprocessors, shared_bytes, major, minor};
}

size_t emulator_launches() { return simt::launches; }

// Names of all kernels launched so far, one a line.
const char* emulator_launched() {
  const std::lock_guard<std::mutex> lock(simt::mutex);
  simt::listed.clear();
  for (const auto& [function, name] : simt::kernel_names) simt::listed += name + "\n";
  return simt::listed.c_str();
}
}
