#include "engine/error.hpp"
#include "kernels/cuda/lattice_noise.hpp"

namespace pixeldp::kernels {

void check_lattice_target(std::int64_t elements, const Int8Target& target) {
  if (target.real == nullptr && target.bytes == nullptr)
    fail("noise on a lattice: there is nowhere to write it to");
  if (target.bytes == nullptr) return;
  if (elements % 4 != 0)
    fail("noise on a lattice in bytes: rows of {} elements are no multiples of 4", elements);
  if (reinterpret_cast<std::uintptr_t>(target.bytes) % 4 != 0)
    fail("noise on a lattice in bytes: these must be aligned to 4");
}

}  // namespace pixeldp::kernels
