/// y[r, e] = activation(cell * scale / 16 + scale / 32),
/// cell = floor((prefix[rows[r].source, e] + 2^20 z(seed, tag, image, draw, e)) / 2^16)
///
/// and byte = round(clamp(y * inverse_scale, -127, 127)), as kernels/lattice_noise.hpp says, which
/// proves what that is good for: the bits of a processor, whatever the device.
///
/// Layouts: prefix [any, elements] in steps, y [row_count, elements], dense, of any alignment;
/// bytes likewise, of rows of multiples of 4 elements, aligned to 4. Where rows are multiples of 16
/// bytes and begin at such, accesses are 16 bytes wide. Tables: a row of 88 bytes for each cell
/// that noise reaches, 14 KB for Gaussian and 63 KB for Laplace noise, copied once and read through
/// the caches.
///
/// Work: as kernels/cuda/noise.cu: a thread makes one Philox block, four consecutive elements, at a
/// time; a warp, 1024 elements of a row in eight turns.
///
/// The guess of the distance in single precision is made of additions, products, fused
/// multiply-additions and conversions that each round once, in the order of a processor's
/// (kernels/formulas/lattice.hpp): its bits, and so its bound, which was tried for all 2^31 words.
/// Elements nearer to an edge than the bound, or far out, are decided by whole numbers. These are
/// three (Gaussian) to ten (Laplace) of ten thousand, so that one turn of a warp in 26, or in 9,
/// waits for some 200 instructions.
///
/// Fused: random words, guess, comparison, activation, rounding to bytes. Never written: words and
/// noise.
///
/// Bytes: 4 written per element, or 1, and 4 read, which come from the L2 cache when rows share
/// their source.
///
/// Registers (sm_80, sm_90; nvcc --resource-usage; none spilt): 58, 64. No shared memory.
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/lattice_noise.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/stream_scratch.cuh"
#include "kernels/cuda/to_bytes.cuh"
#include "kernels/formulas/lattice.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// The i-th of four, which stay in registers.
template <class Four>
__device__ __forceinline__ auto of(const Four& v, int i) {
  return i == 0 ? v[0] : i == 1 ? v[1] : i == 2 ? v[2] : v[3];
}

/// Four elements of a row.
template <class Guess>
struct LatticeRow {
  std::uint64_t seed;
  StreamTag tag;
  NoiseRow row;
  float scale, slope;
  LatticeTail tail;

  __device__ __forceinline__ void apply(std::uint32_t block, const std::int32_t (&n)[4],
                                        float (&y)[4]) const {
    const Philox::Words w = Philox::at(seed, tag, row.image, row.draw, block);
    std::int32_t cell[4];
    unsigned unsure = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (!guess(w[j], n[j], cell[j])) unsure |= 1u << j;
    if (unsure != 0) decide(block, w, n, unsure, cell);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const Rounded middle =
          Lane::fma(Lane::from_ints(static_cast<std::uint32_t>(cell[j])),
                    Rounded(cell_width) * scale, Rounded(cell_width / 2) * scale);
      // No middle is 0, and what a ReLU makes 0 has no sign.
      y[j] = slope == 0.0f && middle.value < 0.0f ? 0.0f : activated_lane(middle, slope);
    }
  }

 private:
  /// Whether the guess leaves no doubt.
  __device__ __forceinline__ static bool guess(std::uint32_t word, std::int32_t n,
                                               std::int32_t& cell) {
    constexpr float one = 0x1p23f;  // from here on floats are whole numbers, in their lower bits
    constexpr std::uint32_t cell_mask = (std::uint32_t{1} << cell_bits) - 1;
    const Rounded guessed = Guess::template size<Lane>(word & 0x7fffffffu);
    const bool far = guessed.value >= Guess::far;
    const Rounded size = far ? 0.0f : guessed.value;
    const std::uint32_t distance =
        __float_as_uint(Lane::fma(size, float{1 << lattice_bits}, one).value) -
        __float_as_uint(one);
    const std::uint32_t minus = 0u - (word >> 31);
    const std::uint32_t sum = static_cast<std::uint32_t>(n) + ((distance ^ minus) - minus);
    cell = static_cast<std::int32_t>(sum) >> cell_bits;
    return !far && ((sum + lattice_guess) & cell_mask) >= 2 * lattice_guess;
  }

  /// One after the other, in code that is there once; no array is indexed at run time.
  __device__ __forceinline__ void decide(std::uint32_t block, const Philox::Words& upper,
                                         const std::int32_t (&n)[4], unsigned unsure,
                                         std::int32_t (&cell)[4]) const {
    const Philox::Words lower = Philox::at(seed, lower_half(tag), row.image, row.draw, block);
#pragma unroll 1
    for (int i = 0; i < 4; ++i) {
      if ((unsure >> i & 1u) == 0) continue;
      const std::uint64_t bits = std::uint64_t{of(upper, i)} << 32 | of(lower, i);
      const std::int32_t exact = tail.cell(of(n, i), bits);
#pragma unroll
      for (int j = 0; j < 4; ++j) cell[j] = j == i ? exact : cell[j];
    }
  }
};

/// Steps come as the bits of floats: run.sh counts loads and stores of 16 bytes of these alone.
__device__ __forceinline__ void load_steps(const std::int32_t* from, std::int64_t left,
                                           bool vectorised, std::int32_t (&n)[4]) {
  if (vectorised) {
    const float4 bits = __ldg(reinterpret_cast<const float4*>(from));
    n[0] = __float_as_int(bits.x), n[1] = __float_as_int(bits.y);
    n[2] = __float_as_int(bits.z), n[3] = __float_as_int(bits.w);
  } else {
    for (int j = 0; j < 4; ++j) n[j] = j < left ? from[j] : 0;
  }
}
__device__ __forceinline__ void store_noisy(float* to, std::int64_t left, bool vectorised,
                                            const float (&y)[4]) {
  if (vectorised) {
    // An assignment may be taken apart into four.
    __stwb(reinterpret_cast<float4*>(to), make_float4(y[0], y[1], y[2], y[3]));
  } else {
    for (int j = 0; j < 4; ++j)
      if (j < left) to[j] = y[j];
  }
}

template <class Guess>
__global__ void __launch_bounds__(NoiseGrid::block_threads)
    add_lattice_noise_kernel(NoiseParams params, LatticeTail tail, bool vectorised,
                             const NoiseRow* rows, std::int64_t row_count, std::int64_t elements,
                             const std::int32_t* prefix, Int8Target target) {
  const std::int64_t r = std::int64_t{blockIdx.x} * NoiseGrid::block_warps + threadIdx.y;
  if (r >= row_count) return;
  const LatticeRow<Guess> noise = {
      params.seed, params.tag, rows[r], params.scale, params.activation.slope, tail};
  const std::int32_t* const in = prefix + noise.row.source * elements;
  for (std::int64_t first = blockIdx.y * NoiseGrid::segment_elements; first < elements;
       first += gridDim.y * NoiseGrid::segment_elements) {
    const std::int64_t last = first + NoiseGrid::segment_elements;
    const std::int64_t end = last < elements ? last : elements;
#pragma unroll 1
    for (std::int64_t e = first + 4 * threadIdx.x; e < end; e += 4 * NoiseGrid::warp_threads) {
      const std::int64_t left = end - e, at = r * elements + e;
      std::int32_t n[4];
      float y[4];
      load_steps(in + e, left, vectorised, n);
      noise.apply(static_cast<std::uint32_t>(e / 4), n, y);
      if (target.real != nullptr) store_noisy(target.real + at, left, vectorised, y);
      if (target.bytes != nullptr) store_word(target.bytes + at, to_bytes(y, target.inverse_scale));
    }
  }
}

class LatticeNoiseWithTables : public DeviceLatticeNoise {
 public:
  explicit LatticeNoiseWithTables(cudaStream_t stream)
      : stream_(stream),
        gaussian_(stream, NoiseDistribution::gaussian),
        laplace_(stream, NoiseDistribution::laplace) {}

  void add(const NoiseParams& params, const NoiseRow* rows, std::int64_t row_count,
           std::int64_t elements, const std::int32_t* prefix,
           const Int8Target& target) const override {
    check_lattice_noise(params, row_count, elements);
    if (row_count == 0 || elements == 0) return;
    check_lattice_target(elements, target);
    switch (params.distribution) {
      case NoiseDistribution::none:  // refused
        return;
      case NoiseDistribution::gaussian:
        return run<GaussianGuess>(gaussian_, params, rows, row_count, elements, prefix, target);
      case NoiseDistribution::laplace:
        return run<LaplaceGuess>(laplace_, params, rows, row_count, elements, prefix, target);
    }
  }

 private:
  /// The rows of a law's table in device memory.
  class Table {
   public:
    Table(cudaStream_t stream, NoiseDistribution law)
        : host_(TailTable::of(law).tail()), memory_(stream, host_.count) {
      const std::size_t bytes = static_cast<std::size_t>(host_.count) * sizeof(LatticeTail::Row);
      check_call(cudaMemcpyAsync(memory_.data(), host_.rows, bytes, cudaMemcpyHostToDevice, stream),
                 "copying " + std::to_string(bytes) + " bytes");
    }
    LatticeTail tail() const { return {memory_.data(), host_.count}; }

   private:
    LatticeTail host_;
    StreamScratch<LatticeTail::Row> memory_;
  };

  template <class Guess>
  void run(const Table& table, const NoiseParams& params, const NoiseRow* rows,
           std::int64_t row_count, std::int64_t elements, const std::int32_t* prefix,
           const Int8Target& target) const {
    const NoiseGrid grid =
        NoiseGrid::plan(row_count, elements, reinterpret_cast<const float*>(prefix), target.real);
    launch<add_lattice_noise_kernel<Guess>>(dim3(grid.row_blocks, grid.segment_blocks),
                                            dim3(NoiseGrid::warp_threads, NoiseGrid::block_warps),
                                            0, stream_, params, table.tail(), grid.vectorised, rows,
                                            row_count, elements, prefix, target);
  }

  cudaStream_t stream_;
  Table gaussian_, laplace_;
};

}  // namespace

std::unique_ptr<DeviceLatticeNoise> prepare_lattice_noise(void* stream) {
  return std::make_unique<LatticeNoiseWithTables>(static_cast<cudaStream_t>(stream));
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
