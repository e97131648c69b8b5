#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/operations.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/multi_draw_problem.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"

namespace pixeldp::kernels::emulated::moved {
namespace {

using reference::same;

/// A function of this name for each operation of the table.
struct Cases {
  static constexpr std::int64_t rows = 3, columns = 12, size = rows * columns;

  static void add_noise() {
    const std::vector<NoiseRow> noise_rows = {{0, 1, 2}, {1, 3, 4}, {2, 5, 6}};
    for (const auto distribution : {NoiseDistribution::none, NoiseDistribution::laplace})
      check("add_noise", {noise_rows, floats(size), floats(size, 2)},
            [=](const Stream& s, const Pointers& p) {
              emulated::add_noise(s,
                                  {.distribution = distribution, .scale = 0.5f, .activation = {}},
                                  p[0], rows, columns, p[1], p[2]);
            });
  }
  static void draw_statistics() {
    const std::int64_t classes = 10;
    check(
        "draw_statistics",
        {floats(size), floats(classes * columns, 2), floats(classes, 3),
         std::vector<std::int64_t>{0, 1, 0}, words(20), words(20), words(20), words(1, no_bad_row)},
        [=](const Stream& s, const Pointers& p) {
          emulated::draw_statistics(s, {rows, columns, classes}, p[0], p[1], p[2], p[3], p[4], p[5],
                                    p[6], p[7]);
        });
  }
  static void bound_predictions() {
    const std::vector<std::uint64_t> draws = {100, 100}, votes = {90, 10, 0, 20, 70, 10},
                                     squares = {80, 5, 0, 10, 60, 5};
    std::vector<std::uint64_t> sums = votes, of_squares = squares;
    for (auto* values : {&sums, &of_squares})
      for (auto& value : *values) value <<= 32;
    const std::vector<std::int64_t> selected = {0, 1};
    check("bound_predictions",
          {draws, votes, sums, of_squares, selected, std::vector<BoundedPrediction>(2),
           words(1, no_bad_image)},
          [](const Stream& s, const Pointers& p) {
            const std::uint64_t *n = p[0], *v = p[1], *sum = p[2], *square = p[3];
            const std::int64_t* chosen = p[4];
            BoundedPrediction* const results = p[5];
            std::uint64_t* const bad = p[6];
            for (const bool softmax : {false, true})
              emulated::bound_predictions(
                  s,
                  {.images = 2,
                   .classes = 3,
                   .softmax = softmax,
                   .bound = softmax ? MeanBound::hoeffding : MeanBound::clopper_pearson,
                   .scale_per_sensitivity = 1.0},
                  {n, v, sum, square, chosen}, results, bad);
          });
  }
  static void pack_multi_draw() {
    const MultiDrawProblem problem(small_convolution(), 128, 10, 2, 5);
    const Array counts = words(20);
    check("multi_draw",
          {problem.conv, problem.dense, problem.dense_bias, problem.head, problem.head_bias,
           problem.prefixes, problem.ids, counts, counts, counts, words(1, no_bad_row)},
          [&](const Stream& s, const Pointers& p) {
            const MultiDrawWeights weights = {p[0], p[1], p[2], p[3], p[4]};
            const auto multi_draw = emulated::pack_multi_draw(s, problem.network, weights);
            multi_draw->run(problem.params, p[5], p[6], p[7], p[8], p[9], p[10]);
          },
          {5});
  }
  static void pack_device_plan() {
    const Conv2dShape shape = same(2, 5, 4, 8, 16, 3, 1);
    const InferencePlan plan = reference::plan_of(
        5 * 4 * 8, {reference::convolution_step(shape, reals(shape.weight_size(), 2),
                                                Activation::relu(), reals(16, 3), reals(16, 4))});
    check("device plan",
          {floats(2 * 5 * 4 * 8), floats(shape.weight_size(), 2), floats(16, 3), floats(16, 4),
           floats(2 * 5 * 4 * 16, 5)},
          [&](const Stream& s, const Pointers& p) {
            const auto prepared = emulated::pack_device_plan(
                s, plan, {{p[1], p[2], p[3]}}, DeviceSchedule::make(plan, 2, Precision::bf16));
            prepared->run(static_cast<const float*>(p[0]), p[4]);
          });
  }

  static void conv2d_forward() { convolve(&emulated::conv2d_forward, "conv2d_forward"); }
  static void conv2d_backward_data() {
    convolve(&emulated::conv2d_backward_data, "conv2d_backward_data");
  }
  static void conv2d_backward_weight() {
    convolve(&emulated::conv2d_backward_weight, "conv2d_backward_weight");
  }
  /// What reads chunks of channels as they lie in memory says so.
  template <class Operation>
  static void convolve(Operation* operation, const char* name) {
    for (const std::int64_t channels : {3, 8}) {
      const Conv2dShape shape = same(2, 5, 4, channels, channels, 3, 1);
      for (const Precision precision : {Precision::fp32, Precision::bf16}) {
        const auto tensor = [&](std::uint64_t seed) { return floats(2 * 5 * 4 * channels, seed); };
        const auto weight = [&](std::uint64_t seed) { return floats(shape.weight_size(), seed); };
        const bool gradient_in_weight = operation == &emulated::conv2d_backward_weight;
        std::vector<std::size_t> whole;
        if (precision == Precision::fp32 && channels % 4 == 0 &&
            operation != &emulated::conv2d_forward)
          whole = gradient_in_weight ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{0};
        check(
            name,
            {tensor(1), gradient_in_weight ? tensor(2) : weight(2),
             gradient_in_weight ? weight(3) : tensor(3)},
            [&](const Stream& s, const Pointers& p) {
              operation(s, shape, precision, p[0], p[1], p[2]);
            },
            whole);
      }
    }
  }
  static void dense_forward() {
    for (const std::int64_t out : {5, 8})
      for (const Precision precision : {Precision::fp32, Precision::bf16})
        check("dense_forward",
              {floats(size), floats(columns * out, 2), floats(out, 3), floats(rows * out, 4)},
              [=](const Stream& s, const Pointers& p) {
                emulated::dense_forward(s, {rows, columns, out}, precision, p[0], p[1], p[2], p[3]);
              });
  }
  static void dense_backward_data() {
    check("dense_backward_data", {floats(rows * 8), floats(columns * 8, 2), floats(size, 3)},
          [=](const Stream& s, const Pointers& p) {
            emulated::dense_backward_data(s, {rows, columns, 8}, Precision::bf16, p[0], p[1], p[2]);
          });
  }
  static void dense_backward_weight() {
    check("dense_backward_weight",
          {floats(size), floats(rows * 8, 2), floats(columns * 8, 3), floats(8, 4)},
          [=](const Stream& s, const Pointers& p) {
            emulated::dense_backward_weight(s, {rows, columns, 8}, Precision::bf16, p[0], p[1],
                                            p[2], p[3]);
          });
  }
  static BatchNormParams norm() { return {.rows = rows, .channels = columns}; }
  static Array channels(std::uint64_t seed) { return floats(columns, seed); }
  static Array workspace(std::uint64_t seed) {
    return floats(batch_norm_workspace_size(norm()), seed);
  }
  static void training_convolution() {
    const Conv2dShape shape = same(2, 5, 4, 3, 8, 3, 1);
    check_product("training_convolution", shape, [=](const Stream& s) {
      return emulated::training_convolution(s, shape, Precision::bf16);
    });
  }
  static void training_dense() {
    const DenseShape shape = {rows, columns, 8};
    check_product("training_dense", as_convolution(shape), [=](const Stream& s) {
      return emulated::training_dense(s, shape, Precision::bf16);
    });
  }
  template <class Make>
  static void check_product(const char* name, const Conv2dShape& s, Make make) {
    const std::int64_t x_size = s.batch * s.in_h * s.in_w * s.in_c,
                       y_size = s.batch * s.out_h() * s.out_w() * s.out_c;
    check(name,
          {floats(x_size), floats(s.weight_size(), 2), floats(s.out_c, 3), floats(y_size, 4),
           floats(y_size, 5), floats(s.weight_size(), 6), floats(s.out_c, 7), floats(x_size, 8)},
          [=](const Stream& stream, const Pointers& p) {
            const auto product = make(stream);
            const ProductWeight weight = {p[1]};
            product->round_x(stream, p[0]);
            product->forward(stream, weight, p[2], p[3]);
            product->backward(stream, weight, p[4], nullptr, {p[5], p[6], p[7]});
          });
  }
  static void batch_norm_statistics() {
    check("batch_norm_statistics",
          {floats(size), channels(2), channels(3), channels(4), channels(5), workspace(6)},
          [](const Stream& s, const Pointers& p) {
            emulated::batch_norm_statistics(s, norm(), p[0], p[1], p[2], p[3], p[4], p[5]);
          });
  }
  static void batch_norm_normalise() {
    check("batch_norm_normalise",
          {floats(size), channels(2), channels(3), channels(4), channels(5), floats(size, 6),
           halves(size)},
          [](const Stream& s, const Pointers& p) {
            const auto normalise = [&](float* y, std::uint16_t* rounded) {
              emulated::batch_norm_normalise(s, norm(), p[0], p[1], p[2], p[3], p[4], y, rounded);
            };
            normalise(p[5], nullptr);
            normalise(nullptr, p[6]);
            normalise(p[5], p[6]);
          });
  }
  static void batch_norm_gradient_sums() {
    check("batch_norm_gradient_sums",
          {floats(size), channels(2), channels(3), channels(4), channels(5), floats(size, 6),
           channels(7), channels(8), workspace(9)},
          [](const Stream& s, const Pointers& p) {
            emulated::batch_norm_gradient_sums(s, norm(), p[0], p[1], p[2], p[3], p[4], p[5], p[6],
                                               p[7], p[8]);
          });
  }
  static void batch_norm_input_gradient() {
    check("batch_norm_input_gradient",
          {floats(size), channels(2), channels(3), channels(4), channels(5), workspace(6),
           floats(size, 7), floats(size, 8), halves(size)},
          [](const Stream& s, const Pointers& p) {
            const auto gradient = [&](float* dx, std::uint16_t* rounded) {
              emulated::batch_norm_input_gradient(s, norm(), p[0], p[1], p[2], p[3], p[4], p[5],
                                                  p[6], dx, rounded);
            };
            gradient(p[7], nullptr);
            gradient(nullptr, p[8]);
          });
  }
  static void fold_batch_norm() {
    const Array variance = std::vector<float>(columns, 2.0f);
    check("fold_batch_norm",
          {channels(1), channels(2), channels(3), variance, channels(5), channels(6)},
          [](const Stream& s, const Pointers& p) {
            emulated::fold_batch_norm(s, norm(), p[0], p[1], p[2], p[3], p[4], p[5]);
          });
  }
  static void batch_norm_inference() {
    check("batch_norm_inference", {floats(size), channels(2), channels(3), floats(size, 4)},
          [](const Stream& s, const Pointers& p) {
            emulated::batch_norm_inference(s, norm(), p[0], p[1], p[2], p[3]);
          });
  }
  static void global_average_pool() {
    check("global_average_pool", {floats(2 * 9 * 8), floats(2 * 8, 2)},
          [](const Stream& s, const Pointers& p) {
            emulated::global_average_pool(s, {2, 9, 8}, p[0], p[1]);
          });
  }
  static void global_average_pool_backward() {
    check("global_average_pool_backward", {floats(2 * 8), floats(2 * 9 * 8, 2)},
          [](const Stream& s, const Pointers& p) {
            emulated::global_average_pool_backward(s, {2, 9, 8}, p[0], p[1]);
          });
  }
  static constexpr ShortcutShape shortcut = {2, 4, 6, 8, 16, 2, ShortcutKind::average};
  static void shortcut_forward() {
    check("shortcut_forward", {floats(2 * 4 * 6 * 8), floats(2 * 2 * 3 * 16, 2)},
          [](const Stream& s, const Pointers& p) {
            emulated::shortcut_forward(s, shortcut, p[0], p[1]);
          });
  }
  static void shortcut_backward() {
    check("shortcut_backward", {floats(2 * 2 * 3 * 16), floats(2 * 4 * 6 * 8, 2)},
          [](const Stream& s, const Pointers& p) {
            emulated::shortcut_backward(s, shortcut, p[0], p[1]);
          });
  }
  static void add() {
    check("add", {floats(size), floats(size, 2), floats(size, 3)},
          [](const Stream& s, const Pointers& p) {
            emulated::add(s, Activation::relu(), size, p[0], p[1], p[2]);
          });
  }
  static void standardise() {
    check("standardise", {floats(size), floats(size, 2)}, [](const Stream& s, const Pointers& p) {
      emulated::standardise(s, rows, columns, p[0], p[1]);
    });
  }
  static void standardise_backward() {
    check("standardise_backward", {floats(size), floats(size, 2), floats(size, 3)},
          [](const Stream& s, const Pointers& p) {
            emulated::standardise_backward(s, rows, columns, p[0], p[1], p[2]);
          });
  }
  static void activate() {
    check("activate", {floats(size)}, [](const Stream& s, const Pointers& p) {
      emulated::activate(s, Activation::relu(), size, p[0]);
    });
  }
  static void activation_backward() {
    check("activation_backward", {floats(size), floats(size, 2)},
          [](const Stream& s, const Pointers& p) {
            emulated::activation_backward(s, Activation::relu(), size, p[0], p[1]);
          });
  }
  static void average_rows() {
    check("average_rows", {floats(size), floats(columns, 2)},
          [](const Stream& s, const Pointers& p) {
            emulated::average_rows(s, rows, columns, p[0], p[1]);
          });
  }
  static void softmax_cross_entropy() {
    check("softmax_cross_entropy",
          {floats(size), std::vector<std::int32_t>{1, 0, 11}, floats(size, 2),
           std::vector<LossResult>(1)},
          [](const Stream& s, const Pointers& p) {
            emulated::softmax_cross_entropy(s, rows, columns, p[0], p[1], p[2], p[3]);
          });
  }
  static void sgd_steps() {
    check("sgd_steps", {floats(size), floats(size, 2), floats(size, 3)},
          [](const Stream& s, const Pointers& p) {
            const float* const gradient = p[0];
            float *const velocity = p[1], *const weight = p[2];
            const SgdStep step = {{0.1f, 0.9f, 0.01f}, size, gradient, velocity, weight};
            emulated::sgd_steps(s, {&step, 1});
          });
  }
  static void parseval_project() {
    check("parseval_project", {floats(size), words(1, no_bad_loop)},
          [](const Stream& s, const Pointers& p) {
            emulated::parseval_project(s, {rows, columns, 0.3, 0.1, 2}, p[0], p[1]);
          });
  }
  static void step_in_ball() {
    for (const BallNorm norm : {BallNorm::l1, BallNorm::l2, BallNorm::linf})
      check("step_in_ball", {floats(size), floats(size, 2), floats(size, 3)},
            [=](const Stream& s, const Pointers& p) {
              emulated::step_in_ball(s, {norm, 0.5, 0.25, -1.0f, 1.0f, rows, columns}, p[0], p[1],
                                     p[2]);
            });
  }
  static void normalise_slices() {
    check("normalise_slices", {floats(size)}, [](const Stream& s, const Pointers& p) {
      emulated::normalise_slices(s, {2, rows, columns / 2, SliceNorm::l2}, p[0]);
    });
  }
};

TEST_CASE("every pointer of every operation may lie at any element, or is refused") {
#define PIXELDP_CHECK(name) Cases::name();
  PIXELDP_OPERATIONS(PIXELDP_CHECK)
#undef PIXELDP_CHECK
}

}  // namespace
}  // namespace pixeldp::kernels::emulated::moved
