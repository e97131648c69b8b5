#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/scaling.hpp"
#include "tests/kernels/cuda/far_arrays.hpp"

namespace pixeldp::kernels::emulated::far {
namespace {

TEST_CASE("beyond 2^32 elements: sums and activations") {
  for (const std::int64_t n : {7, 8}) {
    const std::int64_t size = two_to_the(32) + n;
    check("add", {floats(n, size), floats(n, size, 2), floats(n, size, 3)}, n, size,
          [](const Pointers& p, std::int64_t count) {
            emulated::add(s(), Activation::relu(), count, p[0], p[1], p[2]);
          });
  }
  // The last of 4096 blocks goes round 1024 times before it comes to the last elements.
  const std::int64_t n = 7, size = two_to_the(32) + 4095 * 1024 + n;
  check("activate", {floats(n, size)}, n, size, [](const Pointers& p, std::int64_t count) {
    emulated::activate(s(), Activation::relu(), count, p[0]);
  });
  check("activation_backward", {floats(n, size), floats(n, size, 2)}, n, size,
        [](const Pointers& p, std::int64_t count) {
          emulated::activation_backward(s(), Activation::relu(), count, p[0], p[1]);
        });
  check("average_rows", {floats(n, size), floats(n, size, 2)}, n, size,
        [](const Pointers& p, std::int64_t count) {
          emulated::average_rows(s(), 1, count, p[0], p[1]);
        });
  check("repeat_row", {floats(n, size), floats(n, size, 2)}, n, size,
        [](const Pointers& p, std::int64_t count) {
          repeat_row(native_stream(), 1, count, p[0], p[1]);
        });
  check("sgd_steps", {floats(n, size), floats(n, size, 2), floats(n, size, 3)}, n, size,
        [](const Pointers& p, std::int64_t count) {
          const SgdStep step = {{0.1f, 0.9f, 0.01f}, count, p[0], p[1], p[2]};
          emulated::sgd_steps(s(), {&step, 1});
        });
}

TEST_CASE("beyond 2^32 elements: noise and statistics") {
  const std::int64_t rows = two_to_the(23) + 1, elements = 520;
  const auto noise_rows = [](std::int64_t source) { return std::vector<NoiseRow>{{source, 5, 6}}; };
  for (const auto distribution : {NoiseDistribution::none, NoiseDistribution::gaussian})
    check("add_noise",
          {Array(noise_rows(0), rows).but(noise_rows(rows - 1)), floats(elements, rows * elements),
           floats(elements, rows * elements, 2)},
          1, rows, [=](const Pointers& p, std::int64_t count) {
            emulated::add_noise(s(),
                                {.distribution = distribution, .scale = 0.5f, .activation = {}},
                                p[0], count, elements, p[1], p[2]);
          });
  check("standardise", {floats(elements, rows * elements), floats(elements, rows * elements, 2)}, 1,
        rows, [](const Pointers& p, std::int64_t count) {
          emulated::standardise(s(), count, elements, p[0], p[1]);
        });
  check("standardise_backward",
        {floats(elements, rows * elements), floats(elements, rows * elements, 2),
         floats(elements, rows * elements, 3)},
        1, rows, [](const Pointers& p, std::int64_t count) {
          emulated::standardise_backward(s(), count, elements, p[0], p[1], p[2]);
        });
  // Image 2^29 is the last that any row belongs to.
  const std::int64_t classes = 10, image = two_to_the(29), totals = (image + 1) * classes;
  using Images = std::vector<std::int64_t>;
  check("draw_statistics",
        {floats(elements, rows * elements), Array(reals(classes * elements, 2)),
         Array(reals(classes, 3)), Array(Images{0}, rows).but(Images{image}),
         zeros(classes, totals), zeros(classes, totals), zeros(classes, totals), zeros(1, 1)},
        1, rows, [](const Pointers& p, std::int64_t count) {
          emulated::draw_statistics(s(), {count, elements, classes}, p[0], p[1], p[2], p[3], p[4],
                                    p[5], p[6], p[7]);
        });
  std::vector<std::uint64_t> votes(10);
  votes[3] = 90, votes[4] = 10;
  const std::int64_t images = image + 1;
  check("bound_predictions",
        {Array(std::vector<std::uint64_t>{100}, images), Array(votes, images * 10),
         Array(std::vector<BoundedPrediction>(1), images), zeros(1, 1)},
        1, images, [](const Pointers& p, std::int64_t count) {
          emulated::bound_predictions(
              s(), {.images = count, .classes = 10, .scale_per_sensitivity = 1.0},
              {.draws = p[0], .votes = p[1]}, p[2], p[3]);
        });
  const std::int64_t many = two_to_the(31) + 1;  // more images than 32 bits count
  check("bound_predictions of many images",
        {Array(std::vector<std::uint64_t>{100}, many),
         Array(std::vector<std::uint64_t>{90, 10}, many * 2),
         Array(std::vector<BoundedPrediction>(1), many), zeros(1, 1)},
        1, many, [](const Pointers& p, std::int64_t count) {
          emulated::bound_predictions(s(),
                                      {.images = count, .classes = 2, .scale_per_sensitivity = 1.0},
                                      {.draws = p[0], .votes = p[1]}, p[2], p[3]);
        });
}

TEST_CASE("beyond 2^32 elements: loss") {
  const std::int64_t rows = two_to_the(18), classes = 16385, near = 8;  // a block's rows
  const auto loss = [=](const Pointers& p, std::int64_t count) {
    emulated::softmax_cross_entropy(s(), count, classes, p[0], p[1], p[2], p[3]);
    test_stream().synchronize();
    // Both are means over powers of two.
    float* const gradient = p[2];
    for (std::int64_t i = (count - near) * classes; i < count * classes; ++i)
      gradient[i] *= static_cast<float>(count);
  };
  check("softmax_cross_entropy",
        {floats(near * classes, rows * classes),
         Array(std::vector<std::int32_t>{1, 0, 16384, 7, 8, 9, 10, 11}, rows),
         floats(near * classes, rows * classes, 2), Array(std::vector<LossResult>(1)).alike(0)},
        near, rows, loss);
}

TEST_CASE("beyond 2^32 elements: batch norm") {
  // All channels that one launch takes, in whole tiles of 128; the second of two rows ends the
  // array, and the first is zero. A block of the merge has 32 channels.
  const std::int64_t channels = 0x7fffffff - 511, near = 128, alike = 32;
  const auto params = [](std::int64_t count) {
    return BatchNormParams{.rows = 2, .channels = count};
  };
  const auto tensor = [=](std::uint64_t seed) {
    std::vector<float> values(near);
    const auto last_row = reals(near, seed);
    values.insert(values.end(), last_row.begin(), last_row.end());
    return Array(values, 2 * channels).alike(alike);
  };
  const auto channel = [=](std::uint64_t seed) {
    return floats(near, channels, seed).alike(alike);
  };
  const Array workspace = zeros<float>(batch_norm_workspace_size(params(near)),
                                       batch_norm_workspace_size(params(channels)))
                              .alike(0);
  check("batch_norm_statistics",
        {tensor(1), channel(4), channel(5), channel(6), channel(7), workspace}, near, channels,
        [&](const Pointers& p, std::int64_t count) {
          emulated::batch_norm_statistics(s(), params(count), p[0], p[1], p[2], p[3], p[4], p[5]);
        });
  const Array rounded = zeros<std::uint16_t>(2 * near, 2 * channels).alike(alike);
  check("batch_norm_normalise",
        {tensor(1), channel(2), channel(3), channel(4), channel(5), tensor(6), rounded}, near,
        channels, [&](const Pointers& p, std::int64_t count) {
          emulated::batch_norm_normalise(s(), params(count), p[0], p[1], p[2], p[3], p[4], p[5],
                                         p[6]);
        });
  check("gradients of batch norm",
        {tensor(1), channel(2), channel(3), channel(4), channel(5), tensor(6), tensor(7),
         channel(8), channel(9), workspace, rounded},
        near, channels, [&](const Pointers& p, std::int64_t count) {
          const BatchNormParams of = params(count);
          emulated::batch_norm_gradient_sums(s(), of, p[0], p[1], p[2], p[3], p[4], p[5], p[7],
                                             p[8], p[9]);
          const auto gradient = [&](float* dx, std::uint16_t* to_bf16) {
            emulated::batch_norm_input_gradient(s(), of, p[0], p[1], p[2], p[3], p[4], p[9], p[5],
                                                dx, to_bf16);
          };
          gradient(p[6], nullptr);
          gradient(nullptr, p[10]);
        });
  const Array variance = Array(std::vector<float>(near, 2.0f), channels);
  check("fold_batch_norm", {channel(1), channel(2), channel(3), variance, channel(5), channel(6)},
        near, channels, [&](const Pointers& p, std::int64_t count) {
          emulated::fold_batch_norm(s(), params(count), p[0], p[1], p[2], p[3], p[4], p[5]);
        });
  check("batch_norm_inference", {tensor(1), channel(2), channel(3), tensor(4)}, near, channels,
        [&](const Pointers& p, std::int64_t count) {
          emulated::batch_norm_inference(s(), params(count), p[0], p[1], p[2], p[3]);
        });
  const std::int64_t rows = two_to_the(30) + 8;
  check("batch_norm_inference of many rows",
        {floats(8 * 4, rows * 4), Array(reals(4, 2)), Array(reals(4, 3)), floats(8 * 4, rows * 4)},
        8, rows, [&](const Pointers& p, std::int64_t count) {
          emulated::batch_norm_inference(s(), {.rows = count, .channels = 4}, p[0], p[1], p[2],
                                         p[3]);
        });
}

TEST_CASE("beyond 2^32 elements: pooling and shortcuts") {
  const std::int64_t batch = two_to_the(29) + 1;
  for (const std::int64_t c : {8, 9}) {
    const Array large = floats(3 * c, batch * 3 * c), small = floats(c, batch * c, 2);
    check("global_average_pool", {large, small}, 1, batch,
          [=](const Pointers& p, std::int64_t count) {
            emulated::global_average_pool(s(), {count, 3, c}, p[0], p[1]);
          });
    check("global_average_pool_backward", {small, large}, 1, batch,
          [=](const Pointers& p, std::int64_t count) {
            emulated::global_average_pool_backward(s(), {count, 3, c}, p[0], p[1]);
          });
  }
  const std::int64_t images = two_to_the(28) + 1;
  const auto shape = [](std::int64_t count) {
    return ShortcutShape{count, 2, 4, 8, 16, 2, ShortcutKind::average};
  };
  const Array in = floats(2 * 4 * 8, images * 2 * 4 * 8), out = floats(2 * 16, images * 2 * 16, 2);
  check("shortcut_forward", {in, out}, 1, images, [&](const Pointers& p, std::int64_t count) {
    emulated::shortcut_forward(s(), shape(count), static_cast<const float*>(p[0]),
                               static_cast<float*>(p[1]));
  });
  check("shortcut_backward", {out, in.alike(4 * 8)}, 1, images,  // a block has a row of an image
        [&](const Pointers& p, std::int64_t count) {
          emulated::shortcut_backward(s(), shape(count), p[0], p[1]);
        });
}

TEST_CASE("beyond 2^32 elements: layouts and scaling") {
  const std::int64_t size = two_to_the(32) + 5;
  check("to_bf16", {floats(5, size), halves(5, size, 2)}, 5, size,
        [](const Pointers& p, std::int64_t n) { to_bf16(native_stream(), n, p[0], p[1]); });
  check("from_bf16", {halves(5, size), floats(5, size, 2)}, 5, size,
        [](const Pointers& p, std::int64_t n) { from_bf16(native_stream(), n, p[0], p[1]); });
  const std::int64_t outer = two_to_the(28) + 1;
  const auto weight = [](std::int64_t out_c, std::int64_t in_c) {
    return Conv2dShape{.batch = 1,
                       .in_h = 2,
                       .in_w = 2,
                       .in_c = in_c,
                       .out_c = out_c,
                       .kernel_h = 2,
                       .kernel_w = 2,
                       .stride = 1,
                       .pad_h = {},
                       .pad_w = {}};
  };
  check("weight_to_bf16", {floats(16, outer * 16), halves(16, outer * 16, 2)}, 1, outer,
        [&](const Pointers& p, std::int64_t n) {
          weight_to_bf16(native_stream(), weight(n, 4), p[0], p[1]);
        });
  check("weight_from_bf16", {halves(16, outer * 16), floats(16, outer * 16, 2)}, 1, outer,
        [&](const Pointers& p, std::int64_t n) {
          weight_from_bf16(native_stream(), weight(n, 4), p[0], p[1]);
        });
  check("pack_weight", {floats(20, outer * 20), halves(32, outer * 32, 2)}, 1, outer,
        [&](const Pointers& p, std::int64_t n) {
          pack_weight<std::uint16_t>(native_stream(), {ConvPass::forward(weight(n, 5), 8)}, p[0],
                                     p[1]);
        });
  const std::int64_t pixels = two_to_the(30) + 1;
  for (const std::int64_t channels : {5, 8}) {
    check("fill_channels in bf16", {floats(channels, pixels * channels), halves(8, pixels * 8, 2)},
          1, pixels, [=](const Pointers& p, std::int64_t n) {
            fill_channels<std::uint16_t>(native_stream(), n, channels, p[0], p[1]);
          });
  }
  check("fill_channels", {floats(5, pixels * 5), floats(8, pixels * 8, 2)}, 1, pixels,
        [](const Pointers& p, std::int64_t n) {
          fill_channels<float>(native_stream(), n, 5, p[0], p[1]);
        });
  check("scale_values", {floats(8, pixels * 8), Array(reals(8, 2)), floats(8, pixels * 8, 3)}, 1,
        pixels, [](const Pointers& p, std::int64_t n) {
          scale_values(native_stream(), {n, 8, p[1], nullptr, {}}, static_cast<const float*>(p[0]),
                       static_cast<const float*>(nullptr), static_cast<float*>(p[2]));
        });
  const std::int64_t channels = two_to_the(31) + 8;
  check("scale_values of one pixel",
        {floats(8, channels), floats(8, channels, 2), floats(8, channels, 3)}, 8, channels,
        [](const Pointers& p, std::int64_t n) {
          scale_values(native_stream(), {1, n, p[1], nullptr, {}}, static_cast<const float*>(p[0]),
                       static_cast<const float*>(nullptr), static_cast<float*>(p[2]));
        });
  const std::int64_t out_c = two_to_the(28) + 16;
  check("pack_fragments", {floats(256, out_c * 16), halves(256, out_c * 16, 2)}, 16, out_c,
        [](const Pointers& p, std::int64_t n) {
          pack_fragments(native_stream(), 16, 1, static_cast<int>(n), p[0], p[1]);
        });
}

TEST_CASE("beyond 2^32 elements: column sums") {
  const std::int64_t columns = two_to_the(31) + 32;
  std::vector<float> x(32);  // the first row is zero
  const auto last_row = reals(32, 1);
  x.insert(x.end(), last_row.begin(), last_row.end());
  check("column_sums", {Array(x, 2 * columns).alike(32), floats(32, columns, 2)}, 32, columns,
        [](const Pointers& p, std::int64_t n) { column_sums(native_stream(), 2, n, p[0], p[1]); });
}

}  // namespace
}  // namespace pixeldp::kernels::emulated::far
