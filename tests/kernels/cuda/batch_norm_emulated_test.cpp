#include <vector>

#include <doctest/doctest.h>

#include "engine/captured_graph.hpp"
#include "engine/error.hpp"
#include "tests/kernels/cuda/batch_norm_run.cuh"

namespace pixeldp::kernels::emulated {
namespace {

/// Runs the case on the processor and on the device: the same bits.
void check(BatchNormCase c, std::size_t offset = 0) {
  BatchNormCase expected = c;
  run_on_processor(expected);
  run(c, offset);
  CHECK(c.mean == expected.mean);
  CHECK(c.invstd == expected.invstd);
  CHECK(c.y == expected.y);
  CHECK(c.dgamma == expected.dgamma);
  CHECK(c.dbeta == expected.dbeta);
  CHECK(c.dx == expected.dx);
  CHECK(c.results() == expected.results());
}

TEST_CASE("emulated batch normalisation has the processor's bits, for any size") {
  for (const std::int64_t rows : {1, 7, 8, 65, 300}) {
    for (const std::int64_t channels : {1, 2, 4, 5, 16, 33, 160}) {
      CAPTURE(rows);
      CAPTURE(channels);
      check(BatchNormCase::random(rows, channels, Activation::leaky_relu(0.1f)));
    }
  }
  // Several splits, the last of them short, and several channel tiles.
  check(BatchNormCase::random(6000, 6, Activation::relu()));
  check(BatchNormCase::random(2100, 24, Activation::identity()));
  check(BatchNormCase::random(130, 132, Activation::relu()));
}

TEST_CASE("emulated batch normalisation of tensors that are not aligned") {
  for (const std::size_t offset : {1, 2})
    check(BatchNormCase::random(500, 8, Activation::relu()), offset);
}

TEST_CASE("emulated batch normalisation under every schedule") {
  for (const Schedule& schedule : adversarial_schedules) {
    CAPTURE(schedule.name());
    const WithSettings with(schedule);
    check(BatchNormCase::random(700, 36, Activation::relu()));
    check(BatchNormCase::integers(2048 + 64, 3, Activation::leaky_relu(0.5f)));
  }
}

TEST_CASE("emulated batch normalisation and sums in place") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    BatchNormCase c = BatchNormCase::random(520, 12, Activation::leaky_relu(0.1f));
    run_on_processor(c);
    const Tensor x(c.x, 0), dy(c.dy, 0), mean(c.mean, 0), invstd(c.invstd, 0), gamma(c.gamma, 0),
        beta(c.beta, 0), scale(c.scale, 0), shift(c.shift, 0);
    const DeviceArray<float> workspace(c.workspace());
    kernels::batch_norm_backward(test_stream(), c.params, x.data(), mean.data(), invstd.data(),
                                 gamma.data(), beta.data(), dy.data(), dy.data(), nullptr, nullptr,
                                 workspace.data());
    CHECK(dy.values() == c.dx);
    const Tensor in_place(c.x, 0), sum(c.x, 0);
    kernels::batch_norm_inference(test_stream(), c.params, in_place.data(), scale.data(),
                                  shift.data(), in_place.data());
    CHECK(in_place.values() == c.y_inference);
    kernels::add(test_stream(), Activation::identity(), static_cast<std::int64_t>(c.x.size()),
                 sum.data(), x.data(), sum.data());
    std::vector<float> twice = c.x;
    for (float& value : twice) value *= 2.0f;
    CHECK(sum.values() == twice);
    kernels::batch_norm_forward(test_stream(), c.params, x.data(), gamma.data(), beta.data(),
                                nullptr, nullptr, mean.data(), invstd.data(), x.data(),
                                workspace.data());
    CHECK(x.values() == c.y);
  }
}

TEST_CASE("emulated batch normalisation waits for nobody, and can be captured") {
  Settings settings = emulator::settings();
  settings.delay_streams = true;
  const WithSettings with(settings);
  check(BatchNormCase::random(300, 20, Activation::relu()));

  BatchNormCase expected = BatchNormCase::random(300, 20, Activation::relu());
  const Tensor x(expected.x, 0), running(expected.running_mean, 0),
      variance(expected.running_variance, 0);
  run_on_processor(expected);
  const Tensor y(expected.y, 0), mean(expected.mean, 0), invstd(expected.invstd, 0),
      gamma(expected.gamma, 0), beta(expected.beta, 0);
  const DeviceArray<float> workspace(expected.workspace());
  const pixeldp::CapturedGraph graph(test_stream(), [&] {
    kernels::batch_norm_forward(test_stream(), expected.params, x.data(), gamma.data(), beta.data(),
                                running.data(), variance.data(), mean.data(), invstd.data(),
                                y.data(), workspace.data());
  });
  std::vector<float> zeros(expected.y.size());
  REQUIRE(cudaMemcpy(y.data(), zeros.data(), zeros.size() * sizeof(float),
                     cudaMemcpyHostToDevice) == cudaSuccess);
  graph.launch();
  CHECK(y.values() == expected.y);
  CHECK(running.values() == expected.running_mean);
}

TEST_CASE("emulated batch normalisation without what may be null, empty, and refused") {
  BatchNormCase c = BatchNormCase::random(90, 7, Activation::relu());
  c.gamma.clear(), c.beta.clear(), c.running_mean.clear(), c.running_variance.clear();
  check(c);
  CHECK_NOTHROW(kernels::batch_norm_inference(test_stream(), {.rows = 0, .channels = 3}, nullptr,
                                              nullptr, nullptr, nullptr));
  CHECK_THROWS_AS(
      kernels::batch_norm_forward(test_stream(), {.rows = 0, .channels = 3}, nullptr, nullptr,
                                  nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr),
      Error);
  CHECK_THROWS_AS(BatchNormGrid::plan({.rows = 1, .channels = 0x7fffffff}, {}), Error);
}

TEST_CASE("batch normalisation reaches the emulated device through its stream") {
  BatchNormCase expected = BatchNormCase::random(20, 8, Activation::relu());
  run_on_processor(expected);
  const DeviceArray<float> x(expected.x), scale(expected.scale), shift(expected.shift),
      y(expected.x.size());
  batch_norm_inference(pixeldp::Stream({.kind = DeviceKind::emulated, .index = 0}), expected.params,
                       x.data(), scale.data(), shift.data(), y.data());
  CHECK(y.values() == expected.y_inference);
}

TEST_CASE("the blocks of batch normalisation") {
  const BatchNormGrid grid = BatchNormGrid::plan({.rows = 131072, .channels = 160}, {});
  CHECK(grid.tiles == 5);
  CHECK(grid.splits * grid.tiles <= 512);
  CHECK(grid.splits * grid.tiles > 256);
  CHECK(grid.merge_blocks == 5);
  CHECK(grid.vectorised);
  CHECK(BatchNormGrid::plan({.rows = 8, .channels = 33}, {}).merge_blocks == 2);
  CHECK_FALSE(BatchNormGrid::plan({.rows = 8, .channels = 33}, {}).vectorised);
  alignas(16) const float values[2] = {};
  CHECK_FALSE(BatchNormGrid::plan({.rows = 8, .channels = 32}, {nullptr, values + 1}).vectorised);
  CHECK(BatchNormGrid::plan({.rows = 8, .channels = 32}, {nullptr, values}).vectorised);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
