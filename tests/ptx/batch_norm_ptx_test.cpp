#include <doctest/doctest.h>

#include "tests/ptx/batch_norm_on_device.hpp"

/// Batch normalisation, pooling and standardised images as nvcc compiled them, against the
/// processor's.
namespace pixeldp::kernels::cuda {
namespace {

void check(const BatchNormCase& given, std::size_t offset = 0) {
  BatchNormCase expected = given;
  run_on_processor(expected);
  CHECK(run_compiled(given, offset).results() == expected.results());
}

template <class Case>
void check_bits(Case expected, std::size_t offset) {
  const Case result = run_compiled(expected, offset);
  run_on_processor(expected);
  CHECK(result.y == expected.y);
  if constexpr (requires { expected.dx; }) CHECK(result.dx == expected.dx);
}

TEST_CASE("compiled batch normalisation has the processor's bits") {
  for (const std::int64_t rows : {1, 65, 300}) {
    for (const std::int64_t channels : {3, 16, 33, 160}) {
      CAPTURE(rows);
      CAPTURE(channels);
      check(BatchNormCase::random(rows, channels, Activation::leaky_relu(0.1f)));
    }
  }
  check(BatchNormCase::random(6000, 6, Activation::relu()));  // several splits
  check(BatchNormCase::random(500, 8, Activation::relu()), 1);
  BatchNormCase bare = BatchNormCase::integers(90, 8, Activation::relu());
  bare.gamma.clear(), bare.beta.clear(), bare.running_mean.clear(), bare.running_variance.clear();
  check(bare);
}

TEST_CASE("compiled pooling and shortcuts have the processor's bits") {
  for (const std::size_t offset : {0, 1}) {
    for (const GlobalPoolShape& s : global_pool_shapes)
      check_bits(GlobalPoolCase::integers(s), offset);
    for (const ShortcutShape& s : shortcut_shapes) check_bits(ShortcutCase::integers(s), offset);
    for (const std::int64_t size : {0, 1000, 1027})
      check_bits(AddCase::integers(Activation::leaky_relu(0.25f), size), offset);
  }
}

TEST_CASE("compiled standardising has the processor's bits") {
  for (const std::size_t offset : {0, 1})
    for (const auto& [images, values] : standardise_shapes)
      check_bits(StandardiseCase::reals(images, values), offset);
}

}  // namespace
}  // namespace pixeldp::kernels::cuda
