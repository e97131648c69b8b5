#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/lattice_noise.hpp"

/// Noise on a lattice that the tests run both through the emulator and as compiled PTX.
/// lattice_on_device.cu is compiled twice, into namespace cuda and into namespace emulated.
namespace pixeldp::kernels {

/// y and bytes of rows of multiples of 4 elements, or y alone of any others.
struct LatticeCase {
  NoiseParams params;
  std::vector<NoiseRow> rows;
  std::vector<std::int32_t> prefix;
  std::int64_t elements = 0;
  std::size_t skip = 0;  ///< elements by which y and the prefix are away from alignment
};
struct LatticeResults {
  std::vector<float> y;
  std::vector<std::int8_t> bytes;
  bool operator==(const LatticeResults&) const = default;
};

/// The bits of the guesses of both laws for each word, and the cells of steps and bits.
struct LatticeParts {
  std::vector<std::uint32_t> words;
  std::vector<std::int32_t> steps;
  std::vector<std::uint64_t> bits;
};
struct LatticePartResults {
  std::vector<std::uint32_t> gaussian_guesses, laplace_guesses;
  std::vector<std::int32_t> gaussian_cells, laplace_cells;
  bool operator==(const LatticePartResults&) const = default;
};

namespace cuda {
LatticeResults run(const LatticeCase& noise);
LatticePartResults run(const LatticeParts& parts);
}  // namespace cuda
namespace emulated {
LatticeResults run(const LatticeCase& noise);
LatticePartResults run(const LatticeParts& parts);
}  // namespace emulated

}  // namespace pixeldp::kernels
