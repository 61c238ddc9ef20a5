// Every serial kernel of one instruction set. Pointers to dense data and counts in, no allocation, no threads.
#pragma once

#include "activation.hpp"
#include "average_pool.hpp"
#include "depthwise.hpp"
#include "dropout.hpp"
#include "few_rows.hpp"
#include "gemm.hpp"
#include "local_response_norm.hpp"
#include "loss.hpp"
#include "norm.hpp"
#include "optimizer.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "probe.hpp"
#include "sparse.hpp"
#include "winograd.hpp"

namespace fastconv::cpu {

template <class T>
struct KernelTable {
  GemmKernels<T> gemm;
  FewRowsKernels<T> few_rows;
  PackKernels<T> pack;
  PoolKernels<T> pool;
  ActivationKernels<T> activation;
  LossKernels<T> loss;
  OptimizerKernels<T> optimizer;
  ProbeKernels<T> probe;
  WinogradKernels<T> winograd_4x4_2x2, winograd_2x2_3x3, winograd_4x4_3x3, winograd_3x3_4x4, winograd_2x2_5x5;
  DepthwiseKernels<T> depthwise;
  NormKernels<T> norm;
  LocalResponseNormKernels<T> local_response_norm;
  DropoutKernels<T> dropout;
  AveragePoolKernels<T> average_pool;
  SparseKernels<T> sparse;
};

}   // namespace fastconv::cpu
