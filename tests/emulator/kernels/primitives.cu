// One kernel a primitive of csrc/cuda/prim.cuh and of CUDA that the library's kernels use, for the emulator and
// for a device: what a device answers is what the emulator must.
#include <cstring>
#include <exception>
#include <string>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"

namespace fastconv::cuda {

// rows: 32 of 16 bytes. out: for x1, x2, x4, then the same transposed, 4 registers a lane.
__global__ void ldmatrix_kernel(const uint16_t* rows, const void*, uint32_t* out) {
  struct Shared {
    uint16_t rows[32][8];
  };
  Shared& shared = static_shared<Shared>();
  const int lane = int(threadIdx.x);
  for (int i = 0; i < 8; ++i) shared.rows[lane][i] = rows[lane * 8 + i];
  __syncthreads();
  uint32_t one[1], two[2], four[4];
  ldmatrix<1, false>(one, shared.rows[lane]);
  ldmatrix<2, false>(two, shared.rows[lane]);
  ldmatrix<4, false>(four, shared.rows[lane]);
  out[lane * 4] = one[0];
  for (int i = 0; i < 2; ++i) out[128 + lane * 4 + i] = two[i];
  for (int i = 0; i < 4; ++i) out[256 + lane * 4 + i] = four[i];
  ldmatrix<1, true>(one, shared.rows[lane]);
  ldmatrix<2, true>(two, shared.rows[lane]);
  ldmatrix<4, true>(four, shared.rows[lane]);
  out[384 + lane * 4] = one[0];
  for (int i = 0; i < 2; ++i) out[512 + lane * 4 + i] = two[i];
  for (int i = 0; i < 4; ++i) out[640 + lane * 4 + i] = four[i];
}

// a: 4 registers a lane, b: 2; out: 4 floats a lane, added to.
template <class T>
__global__ void mma_kernel(const uint32_t* a, const uint32_t* b, float* out) {
  const int lane = int(threadIdx.x);
  float d[4];
  uint32_t ra[4], rb[2];
  for (int i = 0; i < 4; ++i) {
    d[i] = out[lane * 4 + i];
    ra[i] = a[lane * 4 + i];
  }
  for (int i = 0; i < 2; ++i) rb[i] = b[lane * 2 + i];
  mma<T>(d, ra, rb);
  for (int i = 0; i < 4; ++i) out[lane * 4 + i] = d[i];
}

__global__ void shuffle_kernel(const uint32_t* in, const void*, uint32_t* out) {
  const unsigned lane = threadIdx.x;
  const uint32_t x = in[lane];
  out[lane] = __shfl_sync(kFullMask, x, int(lane * 7 + 3));
  out[32 + lane] = __shfl_sync(kFullMask, x, int(lane * 5), 8);
  out[64 + lane] = __shfl_up_sync(kFullMask, x, 3);
  out[96 + lane] = __shfl_up_sync(kFullMask, x, 2, 4);
  out[128 + lane] = __shfl_down_sync(kFullMask, x, 5);
  out[160 + lane] = __shfl_down_sync(kFullMask, x, 1, 16);
  out[192 + lane] = __shfl_xor_sync(kFullMask, x, 21);
  out[224 + lane] = __shfl_xor_sync(kFullMask, x, 6, 8);
  const double wide = __shfl_xor_sync(kFullMask, double(x) + 0.5, 16);
  out[256 + lane] = uint32_t(wide * 2);
  const unsigned half_mask = lane < 16 ? 0xffffu : 0xffff0000u;
  out[288 + lane] = __shfl_xor_sync(half_mask, x, 1);
}

__global__ void vote_kernel(const uint32_t* in, const void*, uint32_t* out) {
  const unsigned lane = threadIdx.x % 32, thread = threadIdx.x;
  const uint32_t x = in[thread];
  const unsigned odd = lane % 2 == 1 ? 0xaaaaaaaau : 0x55555555u;
  uint32_t* const row = out + thread * 16;
  row[0] = __ballot_sync(kFullMask, int(x & 1));
  row[1] = unsigned(__any_sync(kFullMask, x == 7));
  row[2] = unsigned(__all_sync(kFullMask, x < 1000));
  row[3] = __ballot_sync(odd, x % 3 == 0);
  row[4] = __reduce_add_sync(kFullMask, x);
  row[5] = __reduce_min_sync(kFullMask, x);
  row[6] = __reduce_max_sync(kFullMask, x);
  row[7] = unsigned(__reduce_min_sync(odd, int(x) - 500));
  row[8] = __reduce_and_sync(kFullMask, x | 0x100u);
  row[9] = __reduce_or_sync(kFullMask, x);
  row[10] = __reduce_xor_sync(kFullMask, x);
  row[11] = unsigned(__syncthreads_count(int(x & 1)));
  row[12] = unsigned(__syncthreads_or(x == in[5]));
  row[13] = unsigned(__syncthreads_and(x < 1000));
  row[14] = unsigned(__reduce_max_sync(kFullMask, int(x) - 500));
  row[15] = 0;
}

// in: 128 threads of 16 bytes. Each copies as many bytes of its 16 as its number says, in three widths; three
// groups, of which the newest is left under way at the first wait.
__global__ void cp_async_kernel(const unsigned char* in, const void*, unsigned char* out) {
  struct Shared {
    unsigned char sixteen[128 * 16], eight[128 * 8], four[128 * 4];
  };
  Shared* const shared = dynamic_shared<Shared>();
  const int thread = int(threadIdx.x), other = 127 - thread;
  cp_async<16>(shared->sixteen + thread * 16, in + thread * 16, thread % 17);
  cp_async_commit();
  cp_async<8>(shared->eight + thread * 8, in + thread * 16, thread % 9);
  cp_async_commit();
  cp_async<4>(shared->four + thread * 4, in + thread * 16 + 4);
  cp_async_commit();
  cp_async_wait<1>();
  __syncthreads();
  for (int i = 0; i < 16; ++i) out[other * 28 + i] = shared->sixteen[other * 16 + i];
  for (int i = 0; i < 8; ++i) out[other * 28 + 16 + i] = shared->eight[other * 8 + i];
  cp_async_wait<0>();
  __syncthreads();
  for (int i = 0; i < 4; ++i) out[other * 28 + 24 + i] = shared->four[other * 4 + i];
}

// in: 256 floats. out: half, bfloat16, both pairs, tf32 and the way back, a row of 256 each.
__global__ void conversion_kernel(const float* in, const void*, uint32_t* out) {
  const int i = int(threadIdx.x);
  const float x = in[i], next = in[i ^ 1];
  out[i] = narrow<half>(x).bits;
  out[256 + i] = narrow<bfloat16>(x).bits;
  out[512 + i] = float_to_half2(x, next);
  out[768 + i] = float_to_bfloat162(x, next);
  out[1024 + i] = float_to_tf32(x);
  out[1280 + i] = __float_as_uint(widen(narrow<half>(x)));
  out[1536 + i] = __float_as_uint(widen(narrow<bfloat16>(x)));
}

template <class In, class Second, class Out>
void start(const char* name, void (*kernel)(const In*, const Second*, Out*), int threads, const void* a,
           const void* b, void* out, void* stream, size_t shared_bytes = 0) {
  launch(name, kernel, 1, unsigned(threads), shared_bytes, stream, static_cast<const In*>(a),
         static_cast<const Second*>(b), static_cast<Out*>(out));
}

}   // namespace fastconv::cuda

// Null, or what went wrong.
extern "C" const char* run_primitive(const char* name, const void* a, const void* b, void* out, void* stream) {
  using namespace fastconv::cuda;
  static std::string error;
  const auto is = [name](const char* other) { return std::strcmp(name, other) == 0; };
  try {
    if (is("ldmatrix")) start(name, ldmatrix_kernel, 32, a, b, out, stream);
    if (is("mma_bfloat16")) start(name, mma_kernel<bfloat16>, 32, a, b, out, stream);
    if (is("mma_half")) start(name, mma_kernel<half>, 32, a, b, out, stream);
    if (is("mma_tf32")) start(name, mma_kernel<float>, 32, a, b, out, stream);
    if (is("shuffle")) start(name, shuffle_kernel, 32, a, b, out, stream);
    if (is("vote")) start(name, vote_kernel, 64, a, b, out, stream);
    if (is("cp_async")) start(name, cp_async_kernel, 128, a, b, out, stream, 128 * 28);
    if (is("conversion")) start(name, conversion_kernel, 256, a, b, out, stream);
  } catch (const std::exception& caught) {
    error = caught.what();
    return error.c_str();
  }
  return nullptr;
}
