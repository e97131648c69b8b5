#include "engine/device.hpp"

#include <doctest/doctest.h>

#include "tests/throws_error.hpp"

namespace pixeldp {

TEST_CASE("a device reads its own name and refuses others with a list of what there is") {
  CHECK(Device::parse("cpu") == Device{});
  CHECK(Device::parse("cpu").name() == "cpu");
  CHECK(Device::parse("cuda") == Device{DeviceKind::cuda, 0});
  CHECK(Device::parse("cuda:3") == Device{DeviceKind::cuda, 3});
  CHECK(Device::parse("cuda:3").name() == "cuda:3");
  CHECK(Device::parse("emulated").name() == "emulated");
  for (const std::string wrong : {"", "CPU", "cpu:0", "abacus", "cuda:", "cuda:-1", "cuda:x",
                                  "cuda:1x", "cuda1", "cuda:99999999999"}) {
    CAPTURE(wrong);
    CHECK_FAILS(Device::parse(wrong), "'cpu'");
    try {
      Device::parse(wrong);
    } catch (const Error& error) {
      CHECK(error.kind() == Error::Kind::usage);
    }
  }
}

TEST_CASE("a stream knows its device") {
  CHECK(Stream().device() == Device{});
  CHECK(Stream(Device::parse("cpu")).device().kind == DeviceKind::cpu);
}

TEST_CASE("processor features are consistent and stable") {
  const CpuFeatures& cpu = cpu_features();
  CHECK(&cpu == &cpu_features());
  CHECK((!cpu.avx_vnni || cpu.avx2));
  CHECK((!cpu.avx512 || cpu.avx2));
  CHECK((!cpu.bf16 || cpu.avx512));
  CHECK((!cpu.vnni || cpu.avx512));
  CHECK((!cpu.amx || cpu.vnni));
  CHECK(!cpu_model().empty());
  CHECK(thread_count() >= 1);
}

}  // namespace pixeldp
