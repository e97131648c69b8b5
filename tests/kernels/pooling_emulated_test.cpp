#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "tests/kernels/batch_norm_run.cuh"

namespace pixeldp::kernels::emulated {
namespace {

/// Runs the case on the processor and on the device: the same bits.
template <class Case>
void check(Case c, std::size_t offset) {
  Case expected = c;
  run_on_processor(expected);
  run(c, offset);
  CHECK(c.y == expected.y);
  if constexpr (requires { c.dx; }) CHECK(c.dx == expected.dx);
}

TEST_CASE("emulated pooling and shortcuts have the processor's bits, under every schedule") {
  for (const Schedule& schedule : adversarial_schedules) {
    CAPTURE(schedule.name());
    const WithSettings with(schedule);
    for (const std::size_t offset : {0, 1}) {
      CAPTURE(offset);
      for (const GlobalPoolShape& s : global_pool_shapes)
        check(GlobalPoolCase::integers(s), offset);
      for (const ShortcutShape& s : shortcut_shapes) check(ShortcutCase::integers(s), offset);
      for (const std::int64_t size : {0, 1, 1000, 1027})
        check(AddCase::integers(Activation::leaky_relu(0.25f), size), offset);
    }
  }
}

TEST_CASE("emulated pooling of reals has the processor's bits") {
  GlobalPoolCase pool = GlobalPoolCase::integers({3, 77, 12});
  pool.x = reference::reals(3 * 77 * 12, 1), pool.dy = reference::reals(3 * 12, 2);
  check(pool, 0);
  ShortcutCase shortcut = ShortcutCase::integers({2, 9, 9, 8, 16, 3, ShortcutKind::average});
  shortcut.x = reference::reals(2 * 9 * 9 * 8, 1), shortcut.dy = reference::reals(2 * 9 * 16, 2);
  check(shortcut, 0);
}

TEST_CASE("the blocks of pooling") {
  CHECK(PoolingGrid::global({128, 64, 640}, nullptr, nullptr).blocks == 640);
  CHECK(PoolingGrid::global({3, 64, 5}, nullptr, nullptr).blocks == 1);
  CHECK(PoolingGrid::global_backward({128, 64, 640}, nullptr, nullptr).blocks == 128 * 5);
  CHECK(PoolingGrid::shortcut({128, 32, 32, 160, 320, 2}, nullptr, nullptr).blocks == 128 * 16);
  CHECK(PoolingGrid::shortcut_backward({128, 32, 32, 160, 320, 2}, nullptr, nullptr).blocks ==
        128 * 32);
  CHECK(PoolingGrid::shortcut({1, 4, 4, 4, 8, 2}, nullptr, nullptr).vectorised == false);
  CHECK(PoolingGrid::add(4096, nullptr, nullptr, nullptr).blocks == 4);
  CHECK_THROWS_AS(PoolingGrid::add(std::int64_t{1} << 50, nullptr, nullptr, nullptr), Error);
  CHECK_THROWS_AS(PoolingGrid::global({1, 1 << 20, 2048}, nullptr, nullptr), Error);
  CHECK_THROWS_AS(PoolingGrid::shortcut({1 << 30, 4, 4, 4, 4, 1}, nullptr, nullptr), Error);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
