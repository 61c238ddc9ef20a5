#include "isa.hpp"

#include <cstdlib>
#include <stdexcept>

namespace fastconv::cpu {

// One table per compiled instruction set, defined by kernels/table.cpp.
#define FASTCONV_DECLARE(name)   \
  namespace name {               \
  template <class T>             \
  const KernelTable<T>& table(); \
  }
FASTCONV_DECLARE(baseline)
FASTCONV_DECLARE(avx2)
FASTCONV_DECLARE(avx512)
#undef FASTCONV_DECLARE

namespace {

// __builtin_cpu_supports also asks whether the operating system saves the registers.
#if defined(FASTCONV_HAVE_avx2)
bool has_avx2() {   // x86-64-v3
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool has_avx512() {   // x86-64-v4
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

std::string choose() {
  const std::vector<std::string> have = available_isas();
  const char* wanted = std::getenv("FASTCONV_ISA");
  if (!wanted || !*wanted) return have.back();
  std::string names;
  for (const std::string& name : have) {
    if (name == wanted) return name;
    names += (names.empty() ? "" : ", ") + name;
  }
  throw std::runtime_error("FASTCONV_ISA=" + std::string(wanted) +
                           " is not available here; this build and machine have " + names);
}

}   // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names = {"baseline"};
#if defined(FASTCONV_HAVE_avx2)
  if (has_avx2()) names.push_back("avx2");
  if (has_avx512()) names.push_back("avx512");
#endif
  return names;
}

const std::string& isa() {
  static const std::string name = choose();
  return name;
}

template <class T>
const KernelTable<T>& kernels() {
  static const KernelTable<T>& chosen = []() -> const KernelTable<T>& {
#if defined(FASTCONV_HAVE_avx2)
    if (isa() == "avx512") return avx512::table<T>();
    if (isa() == "avx2") return avx2::table<T>();
#endif
    isa();   // reports an unknown FASTCONV_ISA
    return baseline::table<T>();
  }();
  return chosen;
}
template const KernelTable<float>& kernels();
template const KernelTable<double>& kernels();

}   // namespace fastconv::cpu
