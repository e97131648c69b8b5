#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/formulas/bounds.hpp"
#include "kernels/operations.hpp"
#include "tests/emulator/device_array.hpp"

/// What formulas do where the two sides of a comparison are equal, on every device.
namespace pixeldp::kernels::emulated {
namespace {

/// Calls f(stream) for each kind of device. (The processor may use the emulated device's memory.)
template <class F>
void on_devices(F f) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::emulated}) {
    CAPTURE(static_cast<int>(kind));
    const Stream stream(Device{kind});
    f(stream);
  }
}

using Floats = std::vector<float>;

TEST_CASE("at zero an activation is not active") {
  constexpr float tiny = std::numeric_limits<float>::denorm_min();
  on_devices([](const Stream& stream) {
    const DeviceArray<float> y(Floats{0.0f, -0.0f, tiny, -tiny}), gradient(Floats{8, 8, 8, 8});
    kernels::activation_backward(stream, Activation::leaky_relu(0.25f), 4, y.data(),
                                 gradient.data());
    stream.synchronize();
    CHECK(gradient.values() == Floats{2, 2, 8, 2});

    // Of batch norm: the normalised x are 0 and 2.
    const DeviceArray<float> x(Floats{1, 3}), mean(Floats{1}), invstd(Floats{1}), dy(Floats{8, 1}),
        dx(2), dgamma(1), dbeta(1);
    const BatchNormParams params = {
        .rows = 2, .channels = 1, .activation = Activation::leaky_relu(0.25f)};
    const DeviceArray<float> workspace(static_cast<std::size_t>(batch_norm_workspace_size(params)));
    kernels::batch_norm_backward(stream, params, x.data(), mean.data(), invstd.data(), nullptr,
                                 nullptr, dy.data(), dx.data(), dgamma.data(), dbeta.data(),
                                 workspace.data());
    stream.synchronize();
    CHECK(dbeta.values() == Floats{2 + 1});
    CHECK(dgamma.values() == Floats{1 * 2});
  });
}

TEST_CASE("a deviation that is the least is constant") {
  on_devices([](const Stream& stream) {
    // 1/2, which is the least of four values.
    const DeviceArray<float> x(Floats{0, 1, 0, 1}), dy(Floats{1, 2, 3, 6}), y(4), dx(4);
    kernels::standardise(stream, 1, 4, x.data(), y.data());
    kernels::standardise_backward(stream, 1, 4, x.data(), dy.data(), dx.data());
    stream.synchronize();
    CHECK(y.values() == Floats{-1, 1, -1, 1});
    CHECK(dx.values() == Floats{-4, -2, 0, 6});
  });
}

TEST_CASE("a singular value at the limit of a step does not diverge") {
  on_devices([](const Stream& stream) {
    // 9 = 1 + 2 / step
    const ParsevalParams params = {1, 1, 1.0, 0.25, 1};
    for (const auto& [value, bad_loop, result] :
         {std::tuple{3.0f, no_bad_loop, -3.0f}, {3.0000002f, 0ul, 3.0000002f}}) {
      const DeviceArray<float> weight(Floats{value});
      const DeviceArray<std::uint64_t> bad(std::vector<std::uint64_t>{no_bad_loop});
      kernels::parseval_project(stream, params, weight.data(), bad.data());
      stream.synchronize();
      CHECK(bad.values()[0] == bad_loop);
      CHECK(weight.values()[0] == result);
    }
  });
}

TEST_CASE("of equal logits the lowest class is the prediction") {
  on_devices([](const Stream& stream) {
    Floats logits(80, -1.0f);
    logits[3] = logits[35] = logits[39] = 2.0f;  // of the first row: in two lanes
    logits[40 + 1] = logits[40 + 2] = 2.0f;      // of the second
    const DeviceArray<float> z(logits), dz(80);
    const DeviceArray<LossResult> result(1);
    for (const auto& [first, second, correct] :
         {std::tuple{3, 1, 2}, {35, 1, 1}, {3, 2, 1}, {39, 2, 0}}) {
      const DeviceArray<std::int32_t> labels(std::vector<std::int32_t>{first, second});
      kernels::softmax_cross_entropy(stream, 2, 40, z.data(), labels.data(), dz.data(),
                                     result.data());
      stream.synchronize();
      CHECK(result.values()[0].correct == correct);
    }
  });
}

TEST_CASE("bounds of all draws and of none, of one draw and of two, of as many as there may be") {
  constexpr double failure = 0.01, infinite = std::numeric_limits<double>::infinity();
  CHECK(clopper_pearson(false, 0, 100, failure) == 0.0);
  CHECK(clopper_pearson(false, 1, 100, failure) > 0.0);
  CHECK(clopper_pearson(true, 100, 100, failure) == 1.0);
  CHECK(clopper_pearson(true, 99, 100, failure) < 1.0);
  CHECK(clopper_pearson(false, 1, 1, failure) == doctest::Approx(failure));
  CHECK(clopper_pearson(true, 0, 1, failure) == doctest::Approx(1.0 - failure));
  CHECK(clopper_pearson(false, 5, 10, 0.0) == 0.0);
  CHECK(empirical_bernstein_half_width(1, 0.0, failure) == infinite);
  CHECK(empirical_bernstein_half_width(2, 0.0, failure) < infinite);
  CHECK(sample_variance(1, 0, 0) == infinite);
  CHECK(sample_variance(2, 1, 1) == doctest::Approx(0.5));
  CHECK(sample_variance(2, 2, 2) == 0.0);
  CHECK(one_sided_failure(0.1, 2, true, false) == doctest::Approx(0.1 / 2));
  CHECK(one_sided_failure(0.1, 2, true, true) == doctest::Approx(0.1 / 4));
  CHECK(one_sided_failure(0.1, 3, true, false) == doctest::Approx(0.1 / 6));
  CHECK(one_sided_failure(0.1, 3, false, false) == doctest::Approx(0.1 / 2));

  for (const auto& [draws, accepted] : {std::pair{most_draws, true}, {most_draws + 1, false}}) {
    const DeviceArray<std::uint64_t> n(std::vector<std::uint64_t>{draws}),
        votes(std::vector<std::uint64_t>{draws, 0}), bad(std::vector<std::uint64_t>{no_bad_image});
    const DeviceArray<BoundedPrediction> results(1);
    kernels::bound_predictions(
        test_stream(), {.images = 1, .classes = 2, .scale_per_sensitivity = 1.0},
        {.draws = n.data(), .votes = votes.data()}, results.data(), bad.data());
    test_stream().synchronize();
    CHECK((results.values()[0].prediction == 0) == accepted);
    CHECK((bad.values()[0] == no_bad_image) == accepted);
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
