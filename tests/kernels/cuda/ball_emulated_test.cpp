#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/ball.hpp"
#include "kernels/cuda/device.cuh"
#include "pixeldp/attacks/ball.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/framed.hpp"
#include "tests/reference/values.hpp"

/// Steps in balls around pictures, through the emulator and on the processor, against those of an
/// attack, picture by picture.
namespace pixeldp::kernels::emulated {
namespace {

using tests::framed, tests::margin;

constexpr float lowest = -0.5f;

struct Problem {
  AttackNorm norm;
  double size, step;
  std::int64_t rows, values;
  std::vector<float> centre, gradient, x;

  Problem(AttackNorm norm_, double size_, double step_, std::int64_t rows_, std::int64_t values_)
      : norm(norm_),
        size(size_),
        step(step_),
        rows(rows_),
        values(values_),
        centre(reference::reals(rows * values, 1)),
        gradient(reference::reals(rows * values, 2)),
        x(reference::reals(rows * values, 3)) {
    for (float& value : centre) value *= 0.5f;
    // The gradient of the last picture, which moves nowhere.
    for (std::int64_t i = (rows - 1) * values; i < rows * values; ++i)
      gradient[static_cast<std::size_t>(i)] = 0.0f;
  }

  BallStepParams params() const {
    return {ball_norm(norm), size, step, lowest, lowest + 1.0f, rows, values};
  }
  std::vector<float> on_processor() const {
    std::vector<float> to = x;
    kernels::step_in_ball(pixeldp::Stream(), params(), centre.data(), gradient.data(), to.data());
    return to;
  }
  std::vector<float> on_device() const {
    const DeviceArray<float> c(centre), g(gradient), to(framed(x));
    kernels::step_in_ball(test_stream(), params(), c.data(), g.data(), to.data() + margin);
    return to.values();
  }
  std::vector<float> of_attack() const {
    std::vector<float> to = x;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto row = [&](auto& array) {
        return std::span(array).subspan(static_cast<std::size_t>(r * values),
                                        static_cast<std::size_t>(values));
      };
      step_against(norm, row(gradient), -step, row(to));
      project(norm, row(centre), size, PixelRange{lowest}, row(to));
      CHECK(distance(norm, row(centre), row(to)) <= size);
    }
    for (const float value : to) CHECK(std::abs(value) <= 0.5f);
    return to;
  }
};

TEST_CASE("a step in a ball is the attack's, with the same bits on every device") {
  for (const auto& [norm, size] : {std::pair(AttackNorm::l1, 1.0), std::pair(AttackNorm::l2, 0.5),
                                   std::pair(AttackNorm::linf, 0.1)}) {
    for (const std::int64_t values : {1, 7, 256, 300}) {
      CAPTURE(name(norm));
      CAPTURE(values);
      // Once to the edge of the ball, and once to a place within.
      for (const double of_size : {0.7, 1000.0}) {
        const Problem problem(norm, size * of_size, size, 3, values);
        const std::vector<float> expected = problem.of_attack();
        CHECK(expected != problem.x);
        CHECK(problem.on_processor() == expected);
        for (const Schedule& schedule : adversarial_schedules) {
          const WithSettings with(schedule);
          CHECK(problem.on_device() == framed(expected));
        }
      }
    }
  }
}

TEST_CASE("of no pictures, or pictures of nothing, none moves") {
  const DeviceArray<float> x(std::vector<float>{1.0f});
  for (const BallStepParams& none : {BallStepParams{.rows = 0, .values = 5}, {.rows = 2}}) {
    kernels::step_in_ball(test_stream(), none, x.data(), x.data(), x.data());
    CHECK(x.values() == std::vector<float>{1.0f});
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
