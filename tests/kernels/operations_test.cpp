#include "kernels/operations.hpp"

#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cpu/simd.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels {
namespace {

/// What `call` throws, in words.
template <class F>
std::string error_of(F call, DeviceKind kind) {
  try {
    call(Stream(Device{kind}));
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing is wrong";
}

/// The call, f(stream), fails in the same words on every device, which hold `part`.
template <class F>
void check_refused(F call, const std::string& part) {
  const std::string text = error_of(call, DeviceKind::cpu);
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  CHECK(error_of(call, DeviceKind::emulated) == text);
}

TEST_CASE("the same bad argument is the same error on every device: noise and statistics") {
  const auto noise = [](NoiseParams params, std::int64_t rows) {
    return [=](const Stream& s) { add_noise(s, params, nullptr, rows, 1, nullptr, nullptr); };
  };
  check_refused(noise({.scale = -1.0f, .activation = {}}, 1), "a noise scale of -1");
  check_refused(noise({}, -1), "noise for -1 rows");
  check_refused(noise({.distribution = static_cast<NoiseDistribution>(7), .activation = {}}, 1),
                "7 is no distrib");
  check_refused(
      [](const Stream& s) {
        draw_statistics(s, {1, 1, 0}, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                        nullptr);
      },
      "0 classes");
  check_refused([](const Stream& s) { bound_predictions(s, {.classes = 1}, {}, nullptr, nullptr); },
                "bounds of 0 images and 1 classes");
}

TEST_CASE("the same bad argument is the same error on every device: convolutions, dense layers") {
  const auto convolve = [](const Conv2dShape& shape, Precision precision) {
    const auto forward = [=](const Stream& s) {
      conv2d_forward(s, shape, precision, nullptr, nullptr, nullptr);
    };
    const auto data = [=](const Stream& s) {
      conv2d_backward_data(s, shape, precision, nullptr, nullptr, nullptr);
    };
    const auto weight = [=](const Stream& s) {
      conv2d_backward_weight(s, shape, precision, nullptr, nullptr, nullptr);
    };
    return [=](const std::string& part) {
      check_refused(forward, part);
      check_refused(data, part);
      check_refused(weight, part);
    };
  };
  const Conv2dShape good = reference::same(1, 4, 4, 3, 5, 3, 1);
  const auto with = [&](auto change) {
    Conv2dShape shape = good;
    change(shape);
    return convolve(shape, Precision::fp32);
  };
  with([](Conv2dShape& s) { s.stride = 0; })("stride must be at least 1");
  with([](Conv2dShape& s) { s.batch = -1; })("batch and padding must be at least 0");
  with([](Conv2dShape& s) { s.kernel_h = 9; })("larger than the padded image");
  convolve(good, Precision::int8)("multiply in fp32");
  convolve(good, static_cast<Precision>(9))("9 is no precision");

  const auto dense = [](const DenseShape& shape, Precision precision, const std::string& part) {
    check_refused(
        [=](const Stream& s) {
          dense_forward(s, shape, precision, nullptr, nullptr, nullptr, nullptr);
        },
        part);
    check_refused(
        [=](const Stream& s) {
          dense_backward_data(s, shape, precision, nullptr, nullptr, nullptr);
        },
        part);
    check_refused(
        [=](const Stream& s) {
          dense_backward_weight(s, shape, precision, nullptr, nullptr, nullptr, nullptr);
        },
        part);
  };
  dense({-1, 2, 3}, Precision::fp32, "dense layer -1x2 -> 3");
  dense({1, 0, 3}, Precision::fp32, "dense layer 1x0 -> 3");
  dense({1, 2, 3}, Precision::int8, "multiply in fp32");
}

TEST_CASE("the same bad argument is the same error on every device: all else") {
  const BatchNormParams none{.rows = 0, .channels = 3}, negative{.rows = -1, .channels = 3};
  check_refused(
      [=](const Stream& s) {
        batch_norm_forward(s, none, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                           nullptr, nullptr);
      },
      "at least 1 rows");
  check_refused(
      [=](const Stream& s) {
        batch_norm_backward(s, none, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                            nullptr, nullptr, nullptr);
      },
      "at least 1 rows");
  check_refused(
      [=](const Stream& s) {
        fold_batch_norm(s, negative, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
      },
      "at least 0 rows");
  check_refused(
      [=](const Stream& s) {
        batch_norm_inference(s, negative, nullptr, nullptr, nullptr, nullptr);
      },
      "at least 0 rows");
  check_refused(
      [](const Stream& s) {
        global_average_pool(s, {1, 0, 3}, nullptr, nullptr);
      },
      "0 pixels");
  check_refused(
      [](const Stream& s) {
        global_average_pool_backward(s, {1, 0, 3}, nullptr, nullptr);
      },
      "0 pixels");
  const ShortcutShape dropping{1, 8, 8, 16, 14, 2, ShortcutKind::average};
  check_refused([=](const Stream& s) { shortcut_forward(s, dropping, nullptr, nullptr); },
                "cannot drop channels");
  check_refused([=](const Stream& s) { shortcut_backward(s, dropping, nullptr, nullptr); },
                "cannot drop channels");
  check_refused([](const Stream& s) { add(s, {}, -1, nullptr, nullptr, nullptr); },
                "sum of -1 elements");
  check_refused([](const Stream& s) { standardise(s, 2, 0, nullptr, nullptr); },
                "2 images of 0 values");
  check_refused([](const Stream& s) { standardise_backward(s, -1, 3, nullptr, nullptr, nullptr); },
                "-1 images of 3 values");
  check_refused([](const Stream& s) { activate(s, {}, -1, nullptr); }, "-1 elements");
  check_refused([](const Stream& s) { activation_backward(s, {}, -1, nullptr, nullptr); },
                "-1 elements");
  check_refused([](const Stream& s) { average_rows(s, 0, 3, nullptr, nullptr); },
                "the mean of 0 rows of 3");
  check_refused([](const Stream& s) { average_rows(s, 2, -1, nullptr, nullptr); },
                "the mean of 2 rows of -1");
  check_refused(
      [](const Stream& s) { softmax_cross_entropy(s, -1, 2, nullptr, nullptr, nullptr, nullptr); },
      "-1 rows of 2 classes");
  // Beyond the steps that one launch takes, too: none is done.
  std::vector<SgdStep> steps(100);
  steps.back().size = -1;
  check_refused([&](const Stream& s) { sgd_steps(s, steps); }, "an SGD step of -1 elements");
  const auto project = [](const ParsevalParams& params) {
    return [=](const Stream& s) { parseval_project(s, params, nullptr, nullptr); };
  };
  check_refused(project({-1, 2, 1.0, 0.1, 1}), "a weight of -1 x 2");
  check_refused(project({2, 2, 1.0, std::numeric_limits<double>::infinity(), 1}), "step inf");
  const auto step = [](const BallStepParams& params) {
    return [=](const Stream& s) { step_in_ball(s, params, nullptr, nullptr, nullptr); };
  };
  check_refused(step({.rows = -1, .values = 2}), "around -1 pictures of 2 values");
  check_refused(step({.size = -0.5, .step = 0.25}), "a step of 0.25 in a ball of -0.5");
  check_refused(step({.step = std::numeric_limits<double>::infinity()}), "a step of inf");
  check_refused(step({.norm = static_cast<BallNorm>(3)}), "not the norm of a ball: 3");
  const auto normalise = [](const SliceNormParams& params) {
    return [=](const Stream& s) { normalise_slices(s, params, nullptr); };
  };
  check_refused(normalise({1, -2, 3, SliceNorm::l1}), "-2 slices of 1 x 3 values");
  check_refused(normalise({1, 2, 3, static_cast<SliceNorm>(2)}), "a 2-norm, not 2");
}

TEST_CASE("an instruction set that is none is refused, not taken for plain code") {
  constexpr auto none = static_cast<cpu::InstructionSet>(99);
  CHECK_FAILS(cpu::supported(none), "99 is no instruction set");
  CHECK_FAILS(cpu::name(none), "99 is no instruction set");
  CHECK(cpu::supported(cpu::InstructionSet::plain));
}

TEST_CASE("what a device lacks is an error that says what to do instead") {
  const Stream processor;
  CHECK_FAILS((bound_predictions(processor, {.classes = 10, .scale_per_sensitivity = 1.0}, {},
                                 nullptr, nullptr),
               0),
              "pixeldp::certify");
  CHECK_FAILS(pack_multi_draw(processor, {}, {}), "layer by layer");
  InferencePlan plan(4);
  plan.add({.kind = InferenceStep::Kind::standardise, .name = "s", .inputs = {0}});
  CHECK_FAILS(prepare_device_plan(processor, plan, DeviceSchedule::make(plan, 1, Precision::fp32)),
              "prepare_inference");
}

}  // namespace
}  // namespace pixeldp::kernels
