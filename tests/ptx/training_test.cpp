#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cpu/lane_sums.hpp"
#include "kernels/elementwise.hpp"
#include "tests/ptx/training_on_device.hpp"
#include "tests/reference/values.hpp"

/// The small operations of a training step as nvcc compiled them, against the processor's.
namespace pixeldp::kernels::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

/// Some are zero, tiny or infinite.
std::vector<float> awkward(std::int64_t count, std::uint64_t seed) {
  std::vector<float> values = reference::reals(count, seed);
  constexpr float special[] = {0.0f, -0.0f, infinity, -infinity, 1e-40f, -1e-40f};
  for (std::size_t i = 0; i < values.size(); i += 7) values[i] = special[i / 7 % 6];
  return values;
}

TEST_CASE("the compiled activations have the processor's bits") {
  for (const std::int64_t size : {1, 4, 1023, 5000}) {
    for (const std::size_t skip : {0, 1}) {
      for (const float slope : {0.5f, 0.1f}) {
        CAPTURE(size);
        CAPTURE(skip);
        ActivationCase on_device = {
            {slope}, skip, awkward(size + 1, 1), reference::reals(size + 1, 2)};
        ActivationCase expected = on_device;
        on_device.run();
        const auto count = static_cast<std::int64_t>(expected.y.size() - skip);
        kernels::activation_backward(pixeldp::Stream(), {slope}, count, expected.y.data() + skip,
                                     expected.gradient.data() + skip);
        kernels::activate(pixeldp::Stream(), {slope}, count, expected.y.data() + skip);
        CHECK(bits(on_device.y) == bits(expected.y));
        CHECK(bits(on_device.gradient) == bits(expected.gradient));
      }
    }
  }
}

TEST_CASE("the compiled mean of rows has the processor's bits") {
  for (const std::int64_t rows : {1, 3}) {
    for (const std::int64_t columns : {1, 1024, 2501}) {
      CAPTURE(rows);
      CAPTURE(columns);
      const std::vector<float> x = reference::reals(rows * columns, 4);
      std::vector<float> expected(static_cast<std::size_t>(columns));
      kernels::average_rows(pixeldp::Stream(), rows, columns, x.data(), expected.data());
      CHECK(bits(average_of_rows(rows, columns, x)) == bits(expected));
    }
  }
}

TEST_CASE("the compiled softmax cross-entropy agrees with the processor's") {
  for (const std::int64_t rows : {1, 9, 70}) {
    for (const std::int64_t classes : {1, 10, 33, 1000}) {
      CAPTURE(rows);
      CAPTURE(classes);
      LossCase loss = {rows, classes, reference::reals(rows * classes, 3), {}, {}, {}};
      for (float& logit : loss.logits) logit = std::round(logit * 16.0f) / 2.0f;  // there are ties
      for (std::int64_t r = 0; r < rows; ++r)
        loss.labels.push_back(static_cast<std::int32_t>(r * 3 % classes));
      loss.run();
      LossResult expected;
      std::vector<float> gradient(loss.logits.size());
      kernels::softmax_cross_entropy(pixeldp::Stream(), rows, classes, loss.logits.data(),
                                     loss.labels.data(), gradient.data(), &expected);
      CHECK(std::abs(loss.result.loss - expected.loss) <= 1e-14 * expected.loss);
      CHECK(loss.result.correct == expected.correct);
      bool close = true;
      for (std::size_t i = 0; i < gradient.size(); ++i)
        close = close && std::nextafter(gradient[i], -infinity) <= loss.dlogits[i] &&
                loss.dlogits[i] <= std::nextafter(gradient[i], infinity);
      CHECK(close);
      if (rows == 1) continue;
      loss.labels[1] = static_cast<std::int32_t>(classes);
      const std::vector<float> before = loss.dlogits;
      loss.run();
      CHECK(std::isnan(loss.result.loss));
      bool others_same = true;
      for (std::size_t i = 0; i < before.size(); ++i)
        others_same =
            others_same &&
            loss.dlogits[i] == (static_cast<std::int64_t>(i) / classes == 1 ? 0.0f : before[i]);
      CHECK(others_same);
    }
  }
}

TEST_CASE("the compiled SGD steps have the processor's bits") {
  for (const std::size_t count : {1, 70}) {
    SgdCase on_device;
    std::size_t end = 0;
    const auto place = [&](std::int64_t size, std::size_t skip) {
      const std::size_t begin = (end + 3) / 4 * 4 + skip;
      end = begin + static_cast<std::size_t>(size);
      return begin;
    };
    constexpr std::int64_t sizes[] = {5, 0, 1024, 1, 2600, 32};
    for (std::size_t k = 0; k < count; ++k) {
      const std::int64_t size = sizes[k % 6];
      on_device.steps.push_back({{0.1f, 0.9f, 0.01f * static_cast<float>(k % 2), 0.5f},
                                 size,
                                 place(size, k % 4 == 3),
                                 place(size, 0),
                                 place(size, 0)});
    }
    on_device.values = reference::reals(static_cast<std::int64_t>(end), 4);
    SgdCase expected = on_device;
    on_device.run();
    kernels::sgd_steps(pixeldp::Stream(), expected.at(expected.values.data()));
    CHECK(bits(on_device.values) == bits(expected.values));
  }
}

TEST_CASE("the compiled column sums add up in the stated order") {
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{0, 3}, {1, 1}, {70, 10}, {33, 77}}) {
    const auto x = reference::reals(rows * columns, 5);
    const std::vector<float> sums = column_sums_of(rows, columns, x);
    for (std::int64_t j = 0; j < columns; ++j) {
      float lanes[cpu::warp_lanes] = {};
      for (std::int64_t r = 0; r < rows; ++r)
        lanes[r % cpu::warp_lanes] += x[static_cast<std::size_t>(r * columns + j)];
      CHECK(sums[static_cast<std::size_t>(j)] == cpu::sum_of_lanes(lanes));
    }
  }
}

TEST_CASE("the compiled steps in balls have the processor's bits") {
  for (const BallNorm norm : {BallNorm::l1, BallNorm::l2, BallNorm::linf}) {
    for (const std::int64_t values : {3, 300}) {
      CAPTURE(values);
      const double size = norm == BallNorm::linf ? 0.3 : 1.0;
      BallCase on_device = {{norm, size, 0.5 * size, -0.9f, 0.9f, 3, values},
                            reference::reals(3 * values, 8),
                            reference::reals(3 * values, 9),
                            reference::reals(3 * values, 10)};
      for (float& c : on_device.centre) c *= 0.9f;
      BallCase expected = on_device;
      on_device.run();
      kernels::step_in_ball(pixeldp::Stream(), expected.params, expected.centre.data(),
                            expected.gradient.data(), expected.x.data());
      CHECK(bits(on_device.x) == bits(expected.x));
    }
  }
}

TEST_CASE("the compiled norms of slices have the processor's bits") {
  for (const SliceNorm norm : {SliceNorm::l1, SliceNorm::l2}) {
    for (const SliceNormParams& p :
         {SliceNormParams{32, 1, 25, norm}, {1, 32, 25, norm}, {60, 3, 9, norm}}) {
      CAPTURE(p.outer);
      const std::vector<float> weight = reference::reals(p.outer * p.slices * p.inner, 7);
      std::vector<float> expected = weight;
      kernels::normalise_slices(pixeldp::Stream(), p, expected.data());
      CHECK(bits(normalised_slices(p, weight)) == bits(expected));
    }
  }
}

TEST_CASE("the compiled Parseval projection has the processor's bits") {
  int converged = 0, diverged_at_once = 0, diverged_later = 0;
  for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                   {5, 8},
                                   {32, 25},
                                   {16, 27},
                                   {48, 48},
                                   {48, 256},
                                   {49, 60},
                                   {61, 50},
                                   {2, 40000}}) {
    for (const int loops : {1, 2, 5}) {
      for (const double step : {0.1, 2.0}) {
        CAPTURE(rows);
        CAPTURE(cols);
        CAPTURE(loops);
        CAPTURE(step);
        ParsevalCase on_device = {
            {rows, cols, 0.2, step, loops}, reference::reals(rows * cols, 6), no_bad_loop};
        ParsevalCase expected = on_device;
        on_device.run();
        kernels::parseval_project(pixeldp::Stream(), expected.params, expected.weight.data(),
                                  &expected.bad_loop);
        CHECK(bits(on_device.weight) == bits(expected.weight));
        CHECK(on_device.bad_loop == expected.bad_loop);
        converged += expected.bad_loop == no_bad_loop;
        diverged_at_once += expected.bad_loop == 0;
        diverged_later += expected.bad_loop < 10 && expected.bad_loop != 0;
      }
    }
  }
  CHECK(converged > 0);
  CHECK(diverged_at_once > 0);
  CHECK(diverged_later > 0);
}

}  // namespace
}  // namespace pixeldp::kernels::cuda
