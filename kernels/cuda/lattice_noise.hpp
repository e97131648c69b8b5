#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/int8_values.hpp"
#include "kernels/cuda/on_devices.hpp"
#include "kernels/lattice_noise.hpp"

namespace pixeldp::kernels {

/// add_lattice_noise (kernels/lattice_noise.hpp) on a device, to the same bits, with the tables of
/// both laws in its memory.
class DeviceLatticeNoise {
 public:
  virtual ~DeviceLatticeNoise() = default;
  /// y[r, e] to the target: as it is, as bytes, or as both. All in device memory, of any alignment
  /// but as check_lattice_target says; returns before the work is done. Throws the Errors of
  /// add_lattice_noise and check_lattice_target.
  virtual void add(const NoiseParams& params, const NoiseRow* rows, std::int64_t row_count,
                   std::int64_t elements, const std::int32_t* prefix,
                   const Int8Target& target) const = 0;
};

/// Throws an Error for a target that is nowhere, and for bytes of rows that are no multiples of 4
/// elements, or that are not aligned to 4.
void check_lattice_target(std::int64_t elements, const Int8Target& target);

// Copies the tables, as work of `stream`, a cudaStream_t (in `emulated`, of the emulator),
// which is that of all work.

PIXELDP_ON_DEVICES(std::unique_ptr<DeviceLatticeNoise> prepare_lattice_noise(void* stream);)

}  // namespace pixeldp::kernels
