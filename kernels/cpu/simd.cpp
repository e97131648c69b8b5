#include "kernels/cpu/simd.hpp"

#include "engine/device.hpp"
#include "engine/error.hpp"
#include "kernels/cpu/simd_kernels.hpp"

namespace pixeldp::kernels::cpu {
namespace {

[[noreturn]] void refuse(InstructionSet set) {
  fail("{} is no instruction set", static_cast<int>(set));
}

}  // namespace

std::string_view name(InstructionSet set) {
  switch (set) {
    case InstructionSet::amx:
      return "AMX";
    case InstructionSet::avx512:
      return "AVX-512";
    case InstructionSet::avx_vnni:
      return "AVX-VNNI";
    case InstructionSet::avx2:
      return "AVX2";
    case InstructionSet::plain:
      return "plain";
  }
  refuse(set);
}

bool supported(InstructionSet set) {
  switch (set) {
    case InstructionSet::amx:
      return cpu_features().amx;
    case InstructionSet::avx512:
      return cpu_features().avx512;
    case InstructionSet::avx_vnni:
      return cpu_features().avx_vnni;
    case InstructionSet::avx2:
      return cpu_features().avx2;
    case InstructionSet::plain:
      return true;
  }
  refuse(set);
}

InstructionSet best_instruction_set() {
  if (supported(InstructionSet::amx)) return InstructionSet::amx;
  if (supported(InstructionSet::avx512)) return InstructionSet::avx512;
  if (supported(InstructionSet::avx_vnni)) return InstructionSet::avx_vnni;
  if (supported(InstructionSet::avx2)) return InstructionSet::avx2;
  return InstructionSet::plain;
}

const SimdKernels& simd_kernels(InstructionSet set) {
  if (!supported(set)) fail("this processor has no {}", name(set));
  switch (set) {
    case InstructionSet::amx:
    case InstructionSet::avx512:
      return avx512_kernels;
    case InstructionSet::avx_vnni:
    case InstructionSet::avx2:
      return avx2_kernels;
    case InstructionSet::plain:
      return plain_kernels;
  }
  refuse(set);
}

}  // namespace pixeldp::kernels::cpu
