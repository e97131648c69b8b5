#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/draw_statistics.hpp"
#include "kernels/noise.hpp"

/// The hand-written kernels by instruction set, for tests and measurements: everyone else calls
/// kernels::add_noise and kernels::draw_statistics, which take the best one that this processor
/// has.
namespace pixeldp::kernels::cpu {

/// avx_vnni is AVX2, and amx AVX-512, with products of bytes by these.
enum class InstructionSet { plain, avx2, avx_vnni, avx512, amx };

inline constexpr InstructionSet instruction_sets[] = {InstructionSet::plain, InstructionSet::avx2,
                                                      InstructionSet::avx_vnni,
                                                      InstructionSet::avx512, InstructionSet::amx};

/// "plain", "AVX2", "AVX-VNNI", "AVX-512", "AMX".
std::string_view name(InstructionSet set);
bool supported(InstructionSet set);
/// The widest supported one.
InstructionSet best_instruction_set();

/// add_noise on a given instruction set, which must be supported, of arguments that were checked.
void add_noise(InstructionSet set, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y);

/// kernels::add_lattice_noise likewise.
void add_lattice_noise(InstructionSet set, const NoiseParams& params, const NoiseRow* rows,
                       std::int64_t row_count, std::int64_t elements, const std::int32_t* prefix,
                       float* y);

/// draw_statistics likewise.
void draw_statistics(InstructionSet set, const DrawStatisticsParams& params, const float* features,
                     const float* weight, const float* bias, const std::int64_t* row_image,
                     std::uint64_t* votes, std::uint64_t* sums, std::uint64_t* squares);

}  // namespace pixeldp::kernels::cpu
