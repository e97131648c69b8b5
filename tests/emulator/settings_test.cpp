#include "kernels/emulator/settings.hpp"

#include <doctest/doctest.h>

#include "tests/throws_error.hpp"

namespace pixeldp::emulator {
namespace {

/// The emulator's own tests choose their settings, whatever the environment says.
[[maybe_unused]] const bool independent = (set_settings(Settings{}), true);

TEST_CASE("schedules are read and written") {
  for (const char* text : {"round-robin", "first-warp", "last-warp", "random:0", "random:77",
                           "first-warp,reverse", "random:18446744073709551615,reverse"})
    CHECK(Schedule::parse(text).name() == text);
  CHECK(Schedule::parse("random:7,reverse") == Schedule{Order::random, 7, true});
  for (const char* text : {"", "random", "random:", "random:x", "random:-1", "random:1 ",
                           "random:18446744073709551616", "warp", ",reverse", "last-warp,Reverse"})
    CHECK_FAILS(Schedule::parse(text), "unknown emulator schedule");
}

TEST_CASE("settings hold for a scope") {
  const Settings before = settings();
  {
    Settings changed = before;
    changed.arch = kernels::sm_90;
    changed.delay_streams = !before.delay_streams;
    const WithSettings with(changed);
    CHECK(settings().arch == kernels::sm_90);
    const WithSettings inner(Schedule{Order::random, 5, true});
    CHECK(settings().arch == kernels::sm_90);
    CHECK(settings().schedule.seed == 5);
  }
  CHECK(settings().arch == before.arch);
  CHECK(settings().schedule == before.schedule);
  CHECK(settings().delay_streams == before.delay_streams);
  Settings large;
  large.arch.shared_per_block = most_shared_bytes;
  CHECK_NOTHROW(WithSettings{large});
  large.arch.shared_per_block += 1;
  CHECK_FAILS(set_settings(large), "232448 bytes of shared memory for a block, not 232449");
}

}  // namespace
}  // namespace pixeldp::emulator
