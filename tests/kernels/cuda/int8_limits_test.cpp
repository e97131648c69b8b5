#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/kernels/cuda/far_arrays.hpp"
#include "tests/kernels/cuda/int8_problem.hpp"
#include "tests/kernels/cuda/limits.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/reference/convolution.hpp"

/// The kernels of plans in int8 at the limits of their plans, in arrays of more than 2^32 elements,
/// and with every pointer moved by an element.
namespace pixeldp::kernels {
namespace {

using reference::same, reference::with_padding;

Conv2dShape unpadded(std::int64_t batch, std::int64_t h, std::int64_t w, std::int64_t in_c,
                     std::int64_t out_c, std::int64_t kernel = 1, std::int64_t stride = 1) {
  return with_padding(same(batch, h, w, in_c, out_c, kernel, stride), {}, {});
}

TEST_CASE("limits of plans: convolutions in int8") {
  const auto make = [](const Conv2dShape& shape, const Int8Epilogue& epilogue = {.scale = at(0)},
                       std::uintptr_t x = 0, std::uintptr_t weight = 0) {
    int8_conv_plan(shape, conv_tiles[1], at(x), at(weight), epilogue);
  };
  const Conv2dShape small = unpadded(1, 4, 4, 16, 8);
  const auto address = [](auto n) { return static_cast<std::uintptr_t>(n); };
  const auto bytes_at = [](std::uintptr_t offset) {
    return Int8Target{.bytes = at<std::int8_t>(offset), .inverse_scale = 1.0f};
  };
  check({
      {"x", [&](auto n) { make(small, {.scale = at(0)}, address(n)); }, 16, 8, "aligned to 16"},
      {"weight", [&](auto n) { make(small, {.scale = at(0)}, 0, address(n)); }, 16, 8,
       "aligned to 16"},
      {"height", [&](auto n) { make(unpadded(1, n, 1, 16, 4)); }, 32767, 32768, "32767"},
      {"rows of the kernel", [&](auto n) { make(same(1, 32, 32, 16, 4, n, 1)); }, 15, 16,
       "15 x 15"},
      {"channels", [&](auto n) { make(unpadded(1, 1, 1, 16 * n, 4)); }, two_to_the(20),
       two_to_the(20) + 1, "2^30"},
      {"tiles", [&](auto n) { make(unpadded(n, 1, 1, 16, 64)); }, two_to_the(37),
       two_to_the(37) + 1, "2^30 tiles"},
      {"tiles of channels", [&](auto n) { make(unpadded(two_to_the(36), 1, 1, 16, n)); }, 128, 129,
       "2^30 tiles"},
      {"pixels", [&](auto n) { make(unpadded(n, 1, 1, 16, 8)); }, 1, two_to_the(62), "2^30 tiles"},
      {"pixels of bytes",
       [&](auto n) { make(unpadded(1, 4, 4, 16, n), {.scale = at(0), .y = bytes_at(0)}); }, 12, 10,
       "multiples of 4"},
      {"bytes", [&](auto n) { make(small, {.scale = at(0), .y = bytes_at(address(n))}); }, 4, 2,
       "aligned to 4"},
      {"bytes of what follows",
       [&](auto n) {
         make(small, {.scale = at(0),
                      .next_scale = at(0),
                      .next_shift = at(0),
                      .next = bytes_at(address(n))});
       },
       4, 2, "aligned to 4"},
  });
  CHECK_FAILS(make(small, {}), "no scale");
  CHECK_FAILS(make(small, {.scale = at(0), .next_scale = at(0), .next = {.real = at(0)}}),
              "or no shift");
  CHECK_FAILS(make(small, {.scale = at(0), .next_shift = at(0), .next = {.real = at(0)}}),
              "or no shift");
  CHECK_FAILS(make(unpadded(1, 2, 2, 16, 8, 3)), "larger than the padded image");
  CHECK_FAILS(int8_conv_plan(small, {32, 32, 4, 2, 2}, at(0), at(0), {.scale = at(0)}),
              "no kernel of such a tile");
  make(unpadded(0, 4, 4, 16, 8));  // no image: nothing to do
}

TEST_CASE("limits of plans: rounding to bytes") {
  const auto plan = [](std::int64_t pixels, std::int64_t channels, std::int64_t filled,
                       std::uintptr_t bytes = 0) {
    RoundingGrid::plan({.pixels = pixels, .channels = channels}, filled, at(0), nullptr,
                       {.bytes = at<std::int8_t>(bytes)});
  };
  check({
      {"channels", [&](auto n) { plan(1, n, 4); }, 1, 0, "0 channels"},
      {"pixels", [&](auto n) { plan(n, 1, 4); }, 0, -1, "-1 pixels"},
      {"bytes of a pixel", [&](auto n) { plan(1, 12, n); }, 12, 8, "filled up to 8"},
      {"words of a pixel", [&](auto n) { plan(1, 3, n); }, 4, 6, "filled up to 6"},
      {"address", [&](auto n) { plan(1, 4, 4, static_cast<std::uintptr_t>(n)); }, 4, 2,
       "aligned to 4"},
      {"blocks", [&](auto n) { plan(n, 16, 16); }, most_blocks * 64, most_blocks * 64 + 1,
       "one launch"},
  });
  CHECK_FAILS(RoundingGrid::plan({.pixels = 1, .channels = 4}, 4, at(0), nullptr, {}),
              "must be somewhere");
  const auto noise = [](std::int64_t elements, std::uintptr_t prefix, std::uintptr_t bytes) {
    check_noise_bytes(elements, at(prefix), {.bytes = at<std::int8_t>(bytes)});
  };
  check({
      {"elements", [&](auto n) { noise(n, 0, 0); }, 8, 6, "multiples of 4"},
      {"prefix", [&](auto n) { noise(4, static_cast<std::uintptr_t>(n), 0); }, 16, 8,
       "aligned to 16 bytes"},
      {"bytes", [&](auto n) { noise(4, 0, static_cast<std::uintptr_t>(n)); }, 4, 2,
       "the bytes to 4"},
  });
}

}  // namespace
}  // namespace pixeldp::kernels

namespace pixeldp::kernels::emulated::far {
namespace {

Array bytes(std::int64_t near, std::int64_t far, std::uint64_t seed = 1) {
  std::vector<std::int8_t> values;
  for (const float value : reference::integers(near, 127, seed))
    values.push_back(static_cast<std::int8_t>(value));
  return {values, far};
}

TEST_CASE("beyond 2^32 elements: kernels of plans in int8") {
  const std::int64_t batch = two_to_the(25) + 8, near = 8;  // images of one tile
  check(
      "conv2d_int8",
      {bytes(near * 256, batch * 256), bytes(16 * 9 * 16, 16 * 9 * 16, 2), Array(reals(16, 3)),
       Array(reals(16, 4)), floats(near * 256, batch * 256, 5), floats(near * 256, batch * 256, 6),
       bytes(near * 256, batch * 256, 7), bytes(near * 256, batch * 256, 8)},
      near, batch, [](const Pointers& p, std::int64_t count) {
        const std::int8_t *const x = p[0], *const weight = p[1];
        Int8Epilogue epilogue;
        epilogue.scale = p[2], epilogue.residual = p[4];
        epilogue.next_scale = p[2], epilogue.next_shift = p[3];
        epilogue.y.real = p[5], epilogue.y.bytes = p[6], epilogue.y.inverse_scale = 0.01f;
        epilogue.next.bytes = p[7], epilogue.next.inverse_scale = 0.02f;
        conv2d_int8(native_stream(), reference::same(count, 4, 4, 16, 16, 3, 1), conv_tiles[2], x,
                    weight, epilogue);
      });
  // Weights of 2^35 bytes, for a pixel.
  const std::int64_t in_c = two_to_the(15), out_c = two_to_the(20);
  check("conv2d_int8 of many weights",
        {bytes(in_c, in_c), bytes(64 * in_c, out_c * in_c, 2), floats(64, out_c, 3),
         floats(64, out_c, 4)},
        64, out_c, [=](const Pointers& p, std::int64_t count) {
          const std::int8_t *const x = p[0], *const weight = p[1];
          Int8Epilogue epilogue;
          epilogue.scale = p[2], epilogue.y.real = p[3];
          conv2d_int8(native_stream(), reference::same(1, 1, 1, in_c, count, 1, 1), conv_tiles[3],
                      x, weight, epilogue);
        });
  const std::int64_t block = 64, pixels = two_to_the(31) + block;
  check("round_values",
        {floats(block * 3, pixels * 3), floats(block * 3, pixels * 3, 2),
         floats(block * 3, pixels * 3, 3), bytes(block * 16, pixels * 16, 4)},
        block, pixels, [](const Pointers& p, std::int64_t count) {
          const float *const x = p[0], *const residual = p[1];
          float* const real = p[2];
          std::int8_t* const y = p[3];
          round_values(native_stream(), {count, 3, nullptr, nullptr, {0.1f}}, 16, x, residual,
                       {real, y, 90.0f});
        });
  const std::int64_t rows = 8, all = two_to_the(23) + rows, elements = 1024;
  std::vector<NoiseRow> described, far_described;
  for (std::uint32_t i = 0; i < rows; ++i) {
    described.push_back({i, 7 + i, 3 * i});
    far_described.push_back({all - rows + i, 7 + i, 3 * i});
  }
  check("add_noise_bytes",
        {Array(described, all).but(far_described), floats(rows * elements, all * elements),
         bytes(rows * elements, all * elements)},
        rows, all, [=](const Pointers& p, std::int64_t count) {
          NoiseParams params;
          params.distribution = NoiseDistribution::gaussian, params.scale = 0.5f;
          const NoiseRow* const of_rows = p[0];
          const float* const prefix = p[1];
          std::int8_t* const y = p[2];
          add_noise_bytes(native_stream(), params, of_rows, count, elements, prefix,
                          {nullptr, y, 50.0f});
        });
}

}  // namespace
}  // namespace pixeldp::kernels::emulated::far

namespace pixeldp::kernels::emulated::moved {
namespace {

/// Bytes, which may lie at any word.
Array byte_words(std::int64_t bytes) {
  return words(static_cast<std::size_t>(bytes / 4), 0x05fa1182u);
}

TEST_CASE("every pointer of the kernels of plans in int8 may lie at any element, or is refused") {
  const Conv2dShape shape = reference::same(2, 5, 4, 16, 16, 3, 1);
  const std::int64_t values = 2 * 5 * 4 * 16;
  check("conv2d_int8",
        {byte_words(values), byte_words(packed_int8_size(shape)), floats(16, 3), floats(16, 4),
         floats(values, 5), floats(16, 6), floats(16, 7), floats(values, 8), byte_words(values),
         floats(values, 9), byte_words(values)},
        [&](const Stream& s, const Pointers& p) {
          const std::int8_t *const x = p[0], *const weight = p[1];
          conv2d_int8(s.native(), shape, conv_tiles[3], x, weight, epilogue_in(p));
        },
        {0, 1});
  check("round_values",
        {floats(values), floats(8, 2), floats(8, 3), floats(values, 4), byte_words(values)},
        [&](const Stream& s, const Pointers& p) {
          const float *const x = p[0], *const scale = p[1], *const shift = p[2];
          float* const real = p[3];
          std::int8_t* const bytes = p[4];
          round_values(s.native(), {values / 8, 8, scale, shift, {}}, 8, x, nullptr,
                       {real, bytes, 90.0f});
        });
  check("round_values with a residual", {floats(values), floats(values, 4), byte_words(values)},
        [&](const Stream& s, const Pointers& p) {
          const float *const x = p[0], *const residual = p[1];
          std::int8_t* const bytes = p[2];
          round_values(s.native(), {values / 8, 8, nullptr, nullptr, {}}, 8, x, residual,
                       {nullptr, bytes, 90.0f});
        });
  const std::vector<NoiseRow> rows = {{0, 1, 2}, {1, 3, 4}};
  check("add_noise_bytes", {rows, floats(values), byte_words(values)},
        [&](const Stream& s, const Pointers& p) {
          NoiseParams params;
          params.distribution = NoiseDistribution::gaussian, params.scale = 0.5f;
          const NoiseRow* const of_rows = p[0];
          const float* const prefix = p[1];
          std::int8_t* const bytes = p[2];
          add_noise_bytes(s.native(), params, of_rows, 2, values / 2, prefix,
                          {nullptr, bytes, 50.0f});
        },
        {1});
}

}  // namespace
}  // namespace pixeldp::kernels::emulated::moved
