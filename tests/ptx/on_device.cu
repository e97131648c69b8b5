#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/ldmatrix.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/emulator/gemm.cuh"
#include "tests/ptx/on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// The words of one lane: out[i] of lane l lies at 32 i + l, as does in[i].
struct Words {
  const std::uint32_t* in;
  std::uint32_t* out;
  int count = 0;

  __device__ std::uint32_t get(int i) const { return in[32 * i + static_cast<int>(threadIdx.x)]; }
  __device__ float number(int i) const { return __uint_as_float(get(i)); }
  __device__ void put(std::uint32_t word) {
    out[32 * count++ + static_cast<int>(threadIdx.x)] = word;
  }
  __device__ void put(float value) { put(__float_as_uint(value)); }
  __device__ void put(int value) { put(static_cast<std::uint32_t>(value)); }
};

__global__ void shuffle_kernel(Words words) {
  const std::uint32_t value = words.get(0), lane = threadIdx.x;
  const int distance = static_cast<int>(words.get(1) % 32);
  words.put(__shfl_sync(~0u, value, distance));
  words.put(__shfl_sync(~0u, value, distance, 8));
  words.put(__shfl_up_sync(~0u, value, 5));
  words.put(__shfl_up_sync(~0u, value, 3, 4));
  words.put(__shfl_down_sync(~0u, value, 5));
  words.put(__shfl_down_sync(~0u, value, 3, 16));
  words.put(__shfl_xor_sync(~0u, value, 21));
  words.put(__shfl_xor_sync(~0u, value, 6, 4));
  words.put(__shfl_xor_sync(~0u, words.number(2), 1));
  if (lane < 16)
    words.put(__shfl_down_sync(0xffffu, value, 2, 16));
  else
    words.put(__shfl_up_sync(0xffff0000u, value, 2, 16));
}

__global__ void vote_kernel(Words words) {
  const std::uint32_t value = words.get(0);
  words.put(__ballot_sync(~0u, static_cast<int>(value & 1)));
  words.put(__any_sync(~0u, value % 64 == 0) != 0 ? 1u : 0u);
  words.put(__all_sync(~0u, value % 64 != 0) != 0 ? 1u : 0u);
  words.put(__reduce_add_sync(~0u, value));
  words.put(__reduce_max_sync(~0u, static_cast<int>(value)));
  words.put(__reduce_min_sync(~0u, value));
  words.put(static_cast<int>(threadIdx.x) % 2 == 0 ? __ballot_sync(0x55555555u, value & 2)
                                                   : __ballot_sync(0xaaaaaaaau, value & 4));
}

struct Matrices {
  std::uint32_t rows[32][4];
};

template <bool transposed, int count>
__device__ void put_matrices(Words& words, const Matrices& matrices) {
  std::uint32_t registers[count];
  ptx::ldmatrix<transposed>(registers, matrices.rows[threadIdx.x]);
  for (int i = 0; i < count; ++i) words.put(registers[i]);
}

__global__ void ldmatrix_kernel(Words words) {
  auto& matrices = shared_storage<Matrices>();
  for (int i = 0; i < 4; ++i) store_shared(&matrices.rows[threadIdx.x][i], words.get(i));
  __syncwarp();
  put_matrices<false, 1>(words, matrices);
  put_matrices<false, 2>(words, matrices);
  put_matrices<false, 4>(words, matrices);
  put_matrices<true, 1>(words, matrices);
  put_matrices<true, 2>(words, matrices);
  put_matrices<true, 4>(words, matrices);
  words.put(load_shared(&matrices.rows[31 - threadIdx.x][2]));
}

/// A number between 2^-7 and 2^8 with full mantissa.
__device__ std::uint32_t moderate(std::uint32_t word) {
  return (word & 0x807fffffu) | (120 + (word >> 23 & 15)) << 23;
}

__global__ void mma_bf16_kernel(Words words) {
  std::uint32_t a[4], b[2];
  float d[4];
  const auto two = [&](int i) {
    return ptx::to_bf16x2(__uint_as_float(moderate(words.get(i))),
                          __uint_as_float(moderate(words.get(i) * 2654435761u)));
  };
  for (int i = 0; i < 4; ++i) a[i] = two(i);
  for (int i = 0; i < 2; ++i) b[i] = two(4 + i);
  for (int i = 0; i < 4; ++i) d[i] = __uint_as_float(moderate(words.get(6 + i)));
  ptx::mma_bf16(d, a, b);
  for (int i = 0; i < 4; ++i) words.put(d[i]);
}

__global__ void mma_tf32_kernel(Words words) {
  std::uint32_t a[4], b[2];
  float d[4];
  const auto one = [&](int i) { return ptx::to_tf32(__uint_as_float(moderate(words.get(i)))); };
  for (int i = 0; i < 4; ++i) a[i] = one(i);
  for (int i = 0; i < 2; ++i) b[i] = one(4 + i);
  for (int i = 0; i < 4; ++i) d[i] = __uint_as_float(moderate(words.get(6 + i)));
  ptx::mma_tf32(d, a, b);
  for (int i = 0; i < 4; ++i) words.put(d[i]);
}

__global__ void mma_s8_kernel(Words words) {
  std::uint32_t a[4], b[2];
  std::int32_t d[4];
  for (int i = 0; i < 4; ++i) a[i] = words.get(i);
  for (int i = 0; i < 2; ++i) b[i] = words.get(4 + i);
  for (int i = 0; i < 4; ++i) d[i] = static_cast<std::int32_t>(words.get(6 + i));
  ptx::mma_s8(d, a, b);
  for (int i = 0; i < 4; ++i) words.put(d[i]);
}

__global__ void conversion_kernel(Words words) {
  for (int i = 0; i < 16; i += 2) {
    words.put(ptx::to_bf16x2(words.number(i), words.number(i + 1)));
    words.put(ptx::to_tf32(words.number(i)));
  }
}

__global__ void arithmetic_kernel(Words words) {
  for (int i = 0; i < 2; ++i) {
    const float a = words.number(3 * i), b = words.number(3 * i + 1), c = words.number(3 * i + 2);
    words.put(__fadd_rn(a, b));
    words.put(__fsub_rn(a, b));
    words.put(__fmul_rn(a, b));
    words.put(__fdiv_rn(a, b));
    words.put(__fsqrt_rn(a));
    words.put(__fmaf_rn(a, b, c));
    words.put(__int2float_rn(static_cast<int>(words.get(i))));
    words.put(__uint2float_rn(words.get(i)));
    words.put(__umulhi(words.get(i), words.get(i + 1)));
    words.put(__popc(words.get(i)));
    words.put(__clz(static_cast<int>(words.get(i) >> i * 9)));
    words.put(__ffs(static_cast<int>(words.get(i) << i * 9)));
  }
}

struct Copies {
  std::uint32_t words[3][32][4];
};

__global__ void cp_async_kernel(Words words) {
  auto& copies = shared_storage<Copies>();
  const int lane = static_cast<int>(threadIdx.x);
  ptx::cp_async<16>(copies.words[0][lane], words.in + 4 * lane, lane % 17);
  ptx::cp_async_commit();
  ptx::cp_async<8>(copies.words[1][lane], words.in + 2 * lane, lane % 9);
  ptx::cp_async<4>(copies.words[2][lane], words.in + lane, lane % 5);
  ptx::cp_async_wait_all();
  __syncthreads();
  for (int i = 0; i < 4; ++i) words.put(copies.words[0][31 - lane][i]);
  for (int i = 0; i < 2; ++i) words.put(copies.words[1][31 - lane][i]);
  words.put(copies.words[2][31 - lane][0]);
}

}  // namespace

bool has_device() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  cudaGetLastError();
  return found;
}

std::vector<std::uint32_t> run(Probe probe, const std::vector<std::uint32_t>& inputs) {
  const std::vector<std::uint32_t> zeros(probe_outputs);
  const DeviceArray<std::uint32_t> in(inputs), out(zeros);
  const Words words = {in.data(), out.data()};
  switch (probe) {
    case Probe::shuffles:
      launch<shuffle_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::votes:
      launch<vote_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::ldmatrix:
      launch<ldmatrix_kernel>(1, 32, sizeof(Matrices), nullptr, words);
      break;
    case Probe::mma_bf16:
      launch<mma_bf16_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::mma_tf32:
      launch<mma_tf32_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::mma_s8:
      launch<mma_s8_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::conversions:
      launch<conversion_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::arithmetic:
      launch<arithmetic_kernel>(1, 32, 0, nullptr, words);
      break;
    case Probe::cp_async:
      launch<cp_async_kernel>(1, 32, sizeof(Copies), nullptr, words);
      break;
  }
  return out.values();
}

std::vector<float> run(const Gemm& gemm) {
  const DeviceArray<std::uint16_t> a(gemm.a), b(gemm.b);
  const DeviceArray<float> c(static_cast<std::size_t>(gemm.m) * static_cast<std::size_t>(gemm.n));
  launch<gemm_kernel<GemmFault::none>>(
      dim3(static_cast<unsigned>((gemm.n + 63) / 64), static_cast<unsigned>((gemm.m + 63) / 64)),
      gemm::threads, sizeof(gemm::Storage<GemmFault::none>), nullptr,
      GemmShape{gemm.m, gemm.n, gemm.k}, a.data(), b.data(), c.data());
  return c.values();
}

std::vector<float> run(const NoiseCase& noise) {
  const std::vector<float> blank = noise.blank();
  const DeviceArray<float> y(blank), prefix(noise.prefix);
  const DeviceArray<NoiseRow> rows(noise.rows);
  kernels::add_noise(test_stream(), noise.params, rows.data(),
                     static_cast<std::int64_t>(noise.rows.size()), noise.elements,
                     prefix.data() + noise.skip, y.data() + noise.margin + noise.skip);
  return y.values();
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
