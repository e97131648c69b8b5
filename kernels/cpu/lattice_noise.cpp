#include "kernels/lattice_noise.hpp"

#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/simd_kernels.hpp"

namespace pixeldp::kernels::cpu {
namespace {

std::int32_t exact_cell(const NoiseParams& params, const LatticeSpan& span, std::int64_t element,
                        std::int32_t steps, std::uint32_t word) {
  const auto block = span.first_block + static_cast<std::uint32_t>(element / 4);
  const Philox::Words lower =
      Philox::at(params.seed, lower_half(params.tag), span.row.image, span.row.draw, block);
  const std::uint64_t bits =
      std::uint64_t{word} << 32 | lower[static_cast<std::size_t>(element % 4)];
  return TailTable::of(params.distribution).cell(steps, bits);
}

}  // namespace

void add_lattice_noise(InstructionSet set, const NoiseParams& params, const NoiseRow* rows,
                       std::int64_t row_count, std::int64_t elements, const std::int32_t* prefix,
                       float* y) {
  const SimdKernels& kernels = simd_kernels(set);
  for (std::int64_t r = 0; r < row_count; ++r) {
    LatticeSpan span;
    span.row = rows[r];
    span.elements = elements;
    span.prefix = prefix + rows[r].source * elements;
    span.y = y + r * elements;
    span.cell = exact_cell;
    kernels.add_lattice_noise(params, span);
  }
}

}  // namespace pixeldp::kernels::cpu
