#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "engine/device.hpp"

namespace pixeldp::kernels {

/// What a plan may know of the GPU that it is made for. A plan chooses by it what is fast and
/// refuses what does not fit. It never chooses the order of a sum by it, so that no result depends
/// on the device's size.
struct Arch {
  int capability = 0;  ///< ten times the compute capability
  int multiprocessors = 0;
  std::size_t shared_per_block = 0;           ///< bytes, the most that a block can have
  std::size_t shared_per_multiprocessor = 0;  ///< bytes; a block takes 1 KB besides its own
  int registers_per_multiprocessor = 0;       ///< of 32 bits
  int threads_per_multiprocessor = 0;
  std::size_t l2_bytes = 0;
  int tensor_products = 0;          ///< of bf16, dense, for each clock of a multiprocessor
  int int8_products = 0;            ///< of bytes, likewise
  double clock = 0.0;               ///< Hz, the highest
  int l2_bytes_per_clock = 0;       ///< that all multiprocessors together read from the L2 cache
  double dram_bandwidth = 0.0;      ///< bytes/s
  bool warpgroup_products = false;  ///< kernels for sm_90a run, which no later GPU takes

  std::string name() const { return "sm_" + std::to_string(capability); }
  bool operator==(const Arch&) const = default;
};

// Limits are those of NVIDIA's CUDA C++ Programming Guide ("Compute Capabilities"), the rest those
// of its data sheets and white papers; but of the L2 cache's rate they tell only that of an A100:
// H100 is taken to have the same, and A40, L40S and RTX 4090 what is measured of Ada, 5 TB/s.

/// A100 SXM, 80 GB.
inline constexpr Arch sm_80{.capability = 80,
                            .multiprocessors = 108,
                            .shared_per_block = 163 * 1024,
                            .shared_per_multiprocessor = 164 * 1024,
                            .registers_per_multiprocessor = 65536,
                            .threads_per_multiprocessor = 2048,
                            .l2_bytes = std::size_t{40} << 20,
                            .tensor_products = 1024,
                            .int8_products = 2048,
                            .clock = 1.41e9,
                            .l2_bytes_per_clock = 5120,
                            .dram_bandwidth = 2039e9};
/// A40: Ampere without the large shared memory, as in the GeForce RTX 30.
inline constexpr Arch sm_86{.capability = 86,
                            .multiprocessors = 84,
                            .shared_per_block = 99 * 1024,
                            .shared_per_multiprocessor = 100 * 1024,
                            .registers_per_multiprocessor = 65536,
                            .threads_per_multiprocessor = 1536,
                            .l2_bytes = std::size_t{6} << 20,
                            .tensor_products = 512,
                            .int8_products = 1024,
                            .clock = 1.74e9,
                            .l2_bytes_per_clock = 2048,
                            .dram_bandwidth = 696e9};
/// L40S: Ada, as in the GeForce RTX 40.
inline constexpr Arch sm_89{.capability = 89,
                            .multiprocessors = 142,
                            .shared_per_block = 99 * 1024,
                            .shared_per_multiprocessor = 100 * 1024,
                            .registers_per_multiprocessor = 65536,
                            .threads_per_multiprocessor = 1536,
                            .l2_bytes = std::size_t{96} << 20,
                            .tensor_products = 512,
                            .int8_products = 1024,
                            .clock = 2.52e9,
                            .l2_bytes_per_clock = 2048,
                            .dram_bandwidth = 864e9};
/// H100 SXM, and H200.
inline constexpr Arch sm_90{.capability = 90,
                            .multiprocessors = 132,
                            .shared_per_block = 227 * 1024,
                            .shared_per_multiprocessor = 228 * 1024,
                            .registers_per_multiprocessor = 65536,
                            .threads_per_multiprocessor = 2048,
                            .l2_bytes = std::size_t{50} << 20,
                            .tensor_products = 2048,
                            .int8_products = 4096,
                            .clock = 1.83e9,
                            .l2_bytes_per_clock = 5120,
                            .dram_bandwidth = 3352e9,
                            .warpgroup_products = true};

/// GeForce RTX 4090, whose tensor cores, as those of every GeForce, add to fp32 at half the rate,
/// and bytes at the whole one.
inline constexpr Arch rtx_4090 = [] {
  Arch arch = sm_89;
  arch.multiprocessors = 128, arch.l2_bytes = std::size_t{72} << 20, arch.tensor_products = 256;
  arch.dram_bandwidth = 1008e9;
  return arch;
}();

/// In the order of their capabilities.
inline constexpr Arch known_archs[] = {sm_80, sm_86, sm_89, sm_90};

/// What every GPU that the kernels are compiled for can give a block. Kernels that never take more
/// assert so, and their plans need not ask.
inline constexpr std::size_t least_shared_per_block =
    std::ranges::min(known_archs, {}, &Arch::shared_per_block).shared_per_block;

/// The one of known_archs by its capability, such as "86". Throws a usage error that begins with
/// `where` for any other text.
const Arch& known_arch(std::string_view where, std::string_view capability);

/// Of a GPU, or the emulator's, as it says itself. What it does not say, such as the rates of
/// tensor cores and L2 cache, is that of the known architecture next below it, for a GeForce half
/// the former. Throws an Error for a processor.
///
/// The environment variable PIXELDP_ARCHITECTURE makes plans for GPUs as for one of known_archs
/// instead, for a look at what those choose: see imitated().
Arch arch_of(const Device& device);

/// The known architecture of this capability, to make plans by on `device`, but without kernels
/// that the device cannot run. Throws a usage error where there is none, or where its blocks may
/// take more shared memory than the device has.
Arch imitated(const Arch& device, std::string_view capability);

/// Throws the Error of a kernel, called by what it is to do, whose blocks take more shared memory
/// than there is.
[[noreturn]] void fail_shared_memory(const Arch& arch, std::string_view kernel, std::size_t bytes);

}  // namespace pixeldp::kernels
