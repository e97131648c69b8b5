#include "engine/error.hpp"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {

unsigned row_blocks(std::int64_t values) {
  constexpr std::int64_t block_values = 256, most_blocks = 0x7fffffff;
  if (values > most_blocks * block_values)
    fail("a row operation that makes {} values is more than one launch can do: take fewer rows",
         values);
  return static_cast<unsigned>(divide_up(values, block_values));
}

}  // namespace pixeldp::kernels
