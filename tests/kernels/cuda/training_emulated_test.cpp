#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/sgd.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/parseval.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/values.hpp"

/// The small operations of training through the emulator, against the processor's.
namespace pixeldp::kernels::emulated {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// Bits; what is not a number has only one.
std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values)
    result.push_back(std::isnan(value) ? 0x7fffffffu : std::bit_cast<std::uint32_t>(value));
  return result;
}

/// `size` reals in the midst of others, `skip` floats away from alignment.
struct Fenced {
  static constexpr std::size_t margin = 64;
  std::size_t begin;
  std::vector<float> values;

  Fenced(std::int64_t size, std::size_t skip, std::uint64_t seed)
      : begin(margin + skip), values(reference::reals(size + 2 * margin + 4, seed)) {
    constexpr float awkward[] = {0.0f, -0.0f, infinity, -infinity, not_a_number, 1e-40f, -1e-40f};
    for (std::size_t i = 0; i < std::size(awkward) && static_cast<std::int64_t>(2 * i) < size; ++i)
      values[begin + 2 * i] = awkward[i];
  }
  float* data() { return values.data() + begin; }
};

constexpr std::int64_t sizes[] = {0, 1, 3, 4, 7, 1023, 1024, 1029, 2500};

TEST_CASE("emulated activations have the processor's bits, and write nothing else") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const std::int64_t size : sizes) {
      for (const std::size_t skip : {0, 1}) {
        for (const float slope : {0.0f, 0.1f, 1.0f}) {
          CAPTURE(schedule.name());
          CAPTURE(size);
          CAPTURE(skip);
          CAPTURE(slope);
          Fenced y(size, skip, 1), gradient(size, skip, 2);
          std::reverse(gradient.values.begin(), gradient.values.end());
          const DeviceArray<float> device_y(y.values), device_gradient(gradient.values);
          const Activation activation = {slope};
          kernels::activation_backward(test_stream(), activation, size, device_y.data() + y.begin,
                                       device_gradient.data() + y.begin);
          kernels::activate(test_stream(), activation, size, device_y.data() + y.begin);
          kernels::activation_backward(pixeldp::Stream(), activation, size, y.data(),
                                       gradient.data());
          kernels::activate(pixeldp::Stream(), activation, size, y.data());
          CHECK(bits(device_y.values()) == bits(y.values));
          CHECK(bits(device_gradient.values()) == bits(gradient.values));
        }
      }
    }
  }
}

TEST_CASE("the emulated mean of rows has the processor's bits, and writes nothing else") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const std::int64_t columns : {0, 7, 1024, 1029}) {
      for (const std::size_t skip : {0, 1}) {
        for (const std::int64_t rows : {1, 5}) {
          CAPTURE(schedule.name());
          CAPTURE(columns);
          CAPTURE(skip);
          CAPTURE(rows);
          Fenced x(rows * columns, skip, 1), y(columns, skip, 2);
          const DeviceArray<float> device_x(x.values), device_y(y.values);
          kernels::average_rows(test_stream(), rows, columns, device_x.data() + x.begin,
                                device_y.data() + y.begin);
          kernels::average_rows(test_stream(), rows, columns, device_x.data() + x.begin,
                                device_x.data() + x.begin);
          kernels::average_rows(pixeldp::Stream(), rows, columns, x.data(), y.data());
          kernels::average_rows(pixeldp::Stream(), rows, columns, x.data(), x.data());
          CHECK(bits(device_y.values()) == bits(y.values));
          CHECK(bits(device_x.values()) == bits(x.values));
        }
      }
    }
  }
}

TEST_CASE("emulated activations of more elements than a grid has, in which threads go round") {
  const std::int64_t size = ElementwiseGrid::most_blocks * ElementwiseGrid::block_elements + 4097;
  std::vector<float> y = reference::integers(5000, 9, 3);
  y.resize(static_cast<std::size_t>(size), -4.0f);
  const DeviceArray<float> device_y(y);
  kernels::activate(test_stream(), Activation::leaky_relu(0.25f), size, device_y.data());
  kernels::activate(pixeldp::Stream(), Activation::leaky_relu(0.25f), size, y.data());
  CHECK(device_y.values() == y);
}

TEST_CASE("emulated SGD steps have the processor's bits, many parameters at once") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const std::size_t count : {1, 9, 64, 70}) {
      CAPTURE(schedule.name());
      CAPTURE(count);
      std::vector<Fenced> gradients, velocities, weights;
      for (std::size_t k = 0; k < count; ++k) {
        const std::int64_t size = sizes[k % std::size(sizes)];
        const std::size_t skip = k % 3 == 2;
        gradients.emplace_back(size, skip, 3 * k);
        velocities.emplace_back(size, 0, 3 * k + 1);
        weights.emplace_back(size, 0, 3 * k + 2);
      }
      const auto steps_on = [&](auto address) {
        std::vector<SgdStep> steps;
        for (std::size_t k = 0; k < count; ++k) {
          steps.push_back({{0.1f, 0.9f, k % 2 != 0 ? 0.01f : 0.0f, 0.5f},
                           sizes[k % std::size(sizes)],
                           address(gradients, k),
                           address(velocities, k),
                           address(weights, k)});
        }
        return steps;
      };
      // All on the device in one array, one parameter's after the other's.
      std::vector<float> all;
      std::vector<std::size_t> starts;
      for (auto* arrays : {&gradients, &velocities, &weights}) {
        for (Fenced& array : *arrays) {
          all.resize((all.size() + 3) / 4 * 4);
          starts.push_back(all.size() + array.begin);
          all.insert(all.end(), array.values.begin(), array.values.end());
        }
      }
      const DeviceArray<float> device(all);
      kernels::sgd_steps(
          test_stream(), steps_on([&](std::vector<Fenced>& arrays, std::size_t k) {
            const std::size_t which = &arrays == &gradients ? 0 : &arrays == &velocities ? 1 : 2;
            return device.data() + starts[which * count + k];
          }));
      kernels::sgd_steps(
          pixeldp::Stream(),
          steps_on([](std::vector<Fenced>& arrays, std::size_t k) { return arrays[k].data(); }));
      const std::vector<float> after = device.values();
      std::size_t which = 0;
      for (auto* arrays : {&gradients, &velocities, &weights}) {
        for (Fenced& array : *arrays) {
          const auto first =
              after.begin() + static_cast<std::ptrdiff_t>(starts[which++] - array.begin);
          REQUIRE(bits({first, first + std::ssize(array.values)}) == bits(array.values));
        }
      }
    }
  }
}

TEST_CASE("a learning rate in the device's memory takes the place of the other") {
  std::vector<float> gradient = {2.0f, 4.0f}, velocity = {0.0f, 1.0f}, weight = {1.0f, 1.0f};
  const DeviceArray<float> g(gradient), v(velocity), w(weight), rate(std::vector<float>{0.25f});
  SgdStep step = {{.learning_rate = 8.0f, .rate = rate.data()}, 2, g.data(), v.data(), w.data()};
  kernels::sgd_steps(test_stream(), {&step, 1});
  CHECK(w.values() == std::vector<float>{0.5f, 0.0f});
  const float on_processor = 0.25f;
  step = {{.learning_rate = 8.0f, .rate = &on_processor},
          2,
          gradient.data(),
          velocity.data(),
          weight.data()};
  kernels::sgd_steps(pixeldp::Stream(), {&step, 1});
  CHECK(weight == std::vector<float>{0.5f, 0.0f});
}

TEST_CASE("an emulated SGD step of more elements than a parameter gets blocks") {
  const std::int64_t size = SgdBatch::most_blocks * SgdBatch::block_elements + 1029, small = 1024;
  const auto total = static_cast<std::size_t>(size + small);
  std::vector<float> gradient(total, 2.0f), velocity(total, -1.0f), weight(total, 3.0f);
  const DeviceArray<float> g(gradient), v(velocity), w(weight);
  const SgdParams params = {0.5f, 0.5f, 0.25f, 1.0f};
  // The small one first, so that the grid is larger than the large one's share.
  const SgdStep steps[] = {{params, small, g.data(), v.data(), w.data()},
                           {params, size, g.data() + small, v.data() + small, w.data() + small}};
  kernels::sgd_steps(test_stream(), steps);
  CHECK(v.values() == std::vector<float>(total, -0.5f + 2.0f + 0.75f));
  CHECK(w.values() == std::vector<float>(total, 3.0f - 0.5f * 2.25f));
}

TEST_CASE("how SGD steps are shared out") {
  std::vector<SgdStep> steps(100);
  for (std::size_t k = 0; k < steps.size(); ++k) steps[k].size = sizes[k % std::size(sizes)];
  const SgdBatch batch = SgdBatch::plan(steps);
  CHECK(batch.count == SgdBatch::most_steps);
  const unsigned blocks[] = {0, 1, 1, 1, 1, 1, 1, 2, 3};  // for the sizes above
  for (std::size_t k = 0; k < std::size(sizes); ++k)
    CHECK(batch.first_block[k + 1] - batch.first_block[k] == blocks[k]);
  CHECK(batch.blocks() == 7 * 11);
  CHECK(SgdBatch::plan({}).blocks() == 0);
  steps[0].size = std::int64_t{1} << 40;
  CHECK(SgdBatch::plan(steps).first_block[1] == SgdBatch::most_blocks);
  CHECK_THROWS_AS(LossGrid::plan(std::int64_t{1} << 40), Error);
  CHECK(LossGrid::plan(9).blocks == 2);
}

/// The loss by both, which must agree to the last bit; with the emulated gradient over the logits.
LossResult check_loss(std::int64_t rows, std::int64_t classes, const std::vector<float>& logits,
                      const std::vector<std::int32_t>& labels) {
  const DeviceArray<float> z(logits), dz(logits.size() + 1);
  const DeviceArray<std::int32_t> device_labels(labels);
  const DeviceArray<LossResult> device_results(std::vector<LossResult>(2));
  kernels::softmax_cross_entropy(test_stream(), rows, classes, z.data(), device_labels.data(),
                                 dz.data(), device_results.data());
  kernels::softmax_cross_entropy(test_stream(), rows, classes, z.data(), device_labels.data(),
                                 z.data(), device_results.data() + 1);
  std::vector<float> gradient(logits.size());
  LossResult result;
  kernels::softmax_cross_entropy(pixeldp::Stream(), rows, classes, logits.data(), labels.data(),
                                 gradient.data(), &result);
  CHECK(bits(z.values()) == bits(gradient));
  std::vector<float> apart = dz.values();
  CHECK(std::isnan(apart.back()));  // as allocated
  apart.pop_back();
  CHECK(bits(apart) == bits(gradient));
  for (const LossResult& emulated : device_results.values()) {
    if (std::isnan(result.loss))
      CHECK(std::isnan(emulated.loss));
    else
      CHECK(emulated.loss == result.loss);
    CHECK(emulated.correct == result.correct);
  }
  return result;
}

TEST_CASE("emulated softmax cross-entropy has the processor's bits, under every schedule") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const std::int64_t rows : {0, 1, 8, 37}) {
      for (const std::int64_t classes : {1, 2, 10, 33, 100}) {
        CAPTURE(schedule.name());
        CAPTURE(rows);
        CAPTURE(classes);
        std::vector<float> logits = reference::reals(rows * classes, 7);
        for (float& logit : logits) logit = std::round(8.0f * logit) / 2.0f;  // there are ties
        std::vector<std::int32_t> labels;
        for (std::int64_t r = 0; r < rows; ++r)
          labels.push_back(static_cast<std::int32_t>(r * 7 % classes));
        const LossResult result = check_loss(rows, classes, logits, labels);
        if (classes == 1 && rows > 0) {
          CHECK(result.loss == 0.0);
          CHECK(result.correct == rows);
        }
      }
    }
  }
}

TEST_CASE("an impossible label makes the loss NaN and touches no other row") {
  const std::vector<float> logits = {1, 2, 3, /**/ 3, 1, 2, /**/ 9, 9, 9};
  for (const std::int32_t label : {-1, 3, std::numeric_limits<std::int32_t>::max(),
                                   std::numeric_limits<std::int32_t>::min()}) {
    CAPTURE(label);
    const LossResult result = check_loss(3, 3, logits, {2, 0, label});
    CHECK(std::isnan(result.loss));
    CHECK(result.correct == 2);
    std::vector<float> gradient(9);
    LossResult ignored;
    const std::int32_t labels[] = {2, 0, label};
    kernels::softmax_cross_entropy(pixeldp::Stream(), 3, 3, logits.data(), labels, gradient.data(),
                                   &ignored);
    CHECK(gradient[6] == 0.0f);
    CHECK(gradient[7] == 0.0f);
    CHECK(gradient[2] == gradient[3]);
    CHECK(gradient[2] < 0.0f);
  }
  const LossResult none = check_loss(1, 0, {}, {0});
  CHECK(std::isnan(none.loss));
}

TEST_CASE("logits that are not finite: a loss that is not a number is no hit") {
  for (const std::vector<float>& row : {std::vector<float>{not_a_number, 0, 1},
                                        {0, not_a_number, 1},
                                        {infinity, 0, 1},
                                        {-infinity, -infinity, -infinity}}) {
    for (std::int32_t label = 0; label < 3; ++label) {
      const LossResult result = check_loss(1, 3, row, {label});
      CHECK(std::isnan(result.loss));
      CHECK(result.correct == 0);
    }
  }
  CHECK(check_loss(1, 3, {-infinity, 0, 1}, {0}).loss == std::numeric_limits<double>::infinity());
  CHECK(check_loss(1, 3, {-infinity, 0, 1}, {2}).correct == 1);
}

TEST_CASE("an emulated stream gets the operations of training, and does them in its own time") {
  Settings delayed = settings();
  delayed.delay_streams = true;
  const WithSettings with(delayed);
  const pixeldp::Stream stream(Device{DeviceKind::emulated});
  const DeviceArray<float> y(std::vector<float>{-4.0f, 4.0f}), gradient(std::vector<float>{8, 8}),
      velocity(std::vector<float>{0, 0}), weight(std::vector<float>{1.5f, 0.0f});
  const DeviceArray<std::int32_t> label(std::vector<std::int32_t>{1});
  const DeviceArray<LossResult> result(std::vector<LossResult>{{7.0, 7}});
  const DeviceArray<std::uint64_t> bad_loop(std::vector<std::uint64_t>{no_bad_loop});
  const Activation leaky = Activation::leaky_relu(0.25f);
  kernels::activation_backward(stream, leaky, 2, y.data(), gradient.data());
  kernels::activate(stream, leaky, 2, y.data());
  const SgdStep step = {
      {.learning_rate = 0.5f}, 2, gradient.data(), velocity.data(), weight.data()};
  kernels::sgd_steps(stream, {&step, 1});
  kernels::parseval_project(stream, {1, 2, 1.0, 0.5, 1}, weight.data(), bad_loop.data());
  kernels::softmax_cross_entropy(stream, 1, 2, y.data(), label.data(), y.data(), result.data());
  CHECK(result.data()->correct == 7);  // device memory is ordinary memory here
  CHECK(gradient.data()[0] == 8.0f);
  stream.synchronize();
  CHECK(result.data()->correct == 1);
  CHECK(gradient.values() == std::vector<float>{2.0f, 8.0f});
  CHECK(velocity.values() == std::vector<float>{2.0f, 8.0f});
  // Stepped to (0.5, -4), whose squared singular value of 16.25 is beyond 5.
  CHECK(bad_loop.values()[0] == 0);
  CHECK(weight.values() == std::vector<float>{0.5f, -4.0f});
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
