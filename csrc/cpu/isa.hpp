// Which instruction set runs. Asked once; FASTCONV_ISA overrides ("baseline", "avx2", "avx512").
#pragma once

#include <string>
#include <vector>

#include "kernels/table.hpp"

namespace fastconv::cpu {

const std::string& isa();                    // the one chosen
std::vector<std::string> available_isas();   // those that were compiled and that this machine has

template <class T>
const KernelTable<T>& kernels();   // T: float, double

}   // namespace fastconv::cpu
