#include "engine/error.hpp"
#include "kernels/cuda/column_sums.hpp"

namespace pixeldp::kernels {

ColumnSumsGrid ColumnSumsGrid::plan(std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  if (rows < 0 || columns < 0) fail("column sums of {} rows and {} columns", rows, columns);
  const std::int64_t blocks = columns / block_columns + (columns % block_columns != 0);
  if (blocks > most_blocks)
    fail("sums of {} columns: one launch can do {}", columns, most_blocks * block_columns);
  return {static_cast<unsigned>(blocks)};
}

}  // namespace pixeldp::kernels
