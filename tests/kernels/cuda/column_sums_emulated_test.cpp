#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cpu/lane_sums.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::kernels::emulated {
namespace {

constexpr float sentinel = 12345.0f;

/// The sums with a sentinel behind them.
std::vector<float> on_device(std::int64_t rows, std::int64_t columns, const std::vector<float>& x) {
  const DeviceArray<float> in(x);
  const DeviceArray<float> out(std::vector<float>(static_cast<std::size_t>(columns) + 1, sentinel));
  column_sums(nullptr, rows, columns, in.data(), out.data());
  return out.values();
}

TEST_CASE("emulated column sums are exact on integers, of any size, under every schedule") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const std::int64_t rows : {0, 1, 31, 33, 70}) {
      for (const std::int64_t columns : {1, 32, 45}) {
        CAPTURE(schedule.name());
        CAPTURE(rows);
        CAPTURE(columns);
        const auto x = reference::integers(rows * columns, 1000, 1);
        std::vector<float> expected(static_cast<std::size_t>(columns), 0.0f);
        for (std::size_t i = 0; i < x.size(); ++i)
          expected[i % static_cast<std::size_t>(columns)] += x[i];
        expected.push_back(sentinel);
        CHECK(on_device(rows, columns, x) == expected);
      }
    }
  }
}

TEST_CASE("emulated column sums add up in the stated order, whatever the other columns") {
  const std::int64_t rows = 300, columns = 40;
  const auto x = reference::reals(rows * columns, 2);
  const std::vector<float> sums = on_device(rows, columns, x);
  for (std::int64_t j = 0; j < columns; ++j) {
    std::vector<float> column;
    for (std::int64_t r = 0; r < rows; ++r)
      column.push_back(x[static_cast<std::size_t>(r * columns + j)]);
    float lanes[cpu::warp_lanes] = {};
    for (std::size_t r = 0; r < column.size(); ++r) lanes[r % cpu::warp_lanes] += column[r];
    CHECK(sums[static_cast<std::size_t>(j)] == cpu::sum_of_lanes(lanes));
    CHECK(on_device(rows, 1, column)[0] == sums[static_cast<std::size_t>(j)]);
  }
}

TEST_CASE("emulated column sums have no bank conflicts") {
  Settings counting = settings();
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  on_device(40, 70, reference::integers(40 * 70, 9, 3));
  CHECK(bank_tally().phases == 3 * 2 * 32);  // three blocks of 32 warps write a row, read a column
  CHECK(bank_tally().conflicts == 0);
}

TEST_CASE("the grid of column sums") {
  CHECK(ColumnSumsGrid::plan(5, 0).blocks == 0);
  CHECK(ColumnSumsGrid::plan(5, 32).blocks == 1);
  CHECK(ColumnSumsGrid::plan(0, 33).blocks == 2);
  CHECK_THROWS_AS(ColumnSumsGrid::plan(5, std::int64_t{1} << 40), Error);
  CHECK_THROWS_AS(ColumnSumsGrid::plan(-1, 1), Error);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
