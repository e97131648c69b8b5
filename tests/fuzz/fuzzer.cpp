// The libFuzzer target of one reader: tests/fuzz/NAME.hpp defines pixeldp::fuzz::NAME, which takes
// any bytes.
#include PIXELDP_FUZZ_HEADER

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pixeldp::fuzz::accept([&] { pixeldp::fuzz::PIXELDP_FUZZ_READER({data, size}); });
  return 0;
}
