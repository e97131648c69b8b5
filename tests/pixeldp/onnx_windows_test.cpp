// Operators of ONNX that move windows, against their definitions.
#include <cmath>
#include <optional>

#include <doctest/doctest.h>

#include "pixeldp/import_onnx.hpp"
#include "pixeldp/onnx/importer.hpp"
#include "tests/made_onnx.hpp"
#include "tests/plan_scores.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::MadeOnnx, tests::Message;
using Extents = MadeOnnx::Dims;

namespace {

constexpr std::int64_t picture_c = 4, picture_h = 3, picture_w = 5;

/// What one node makes of pictures of 4x3x5, in the order of ONNX, as the scores of a network.
Model network_of(const std::string& operation, const std::vector<Message>& attributes,
                 const std::optional<Message>& weight = std::nullopt) {
  MadeOnnx made;
  std::vector<std::string> inputs = {"x"};
  if (weight) made.initializer(*weight), inputs.push_back("w");
  return import_onnx(parse_onnx(as_bytes(made.input("x", {1, picture_c, picture_h, picture_w})
                                             .output("y")
                                             .node(operation, inputs, {"1"}, attributes)
                                             .node("Flatten", {"1"}, {"y"})
                                             .bytes()),
                                "FILE"),
                     "FILE", {.name = "foreign", .dataset = "cifar-10", .spec = {}});
}

std::vector<float> values_of(const Model& model, const std::vector<float>& x) {
  std::vector<float> image(x.size());
  constexpr std::int64_t pixels = picture_h * picture_w;
  for (std::int64_t c = 0; c < picture_c; ++c)
    for (std::int64_t p = 0; p < pixels; ++p)
      image[static_cast<std::size_t>(p * picture_c + c)] =
          x[static_cast<std::size_t>(c * pixels + p)];
  const std::vector<double> made = tests::PlanScores(model.network)(image);
  return {made.begin(), made.end()};
}

Message text_attribute(const char* name, const std::string& value) {
  return Message().text(1, name).text(4, value).integer(20, 3);
}
Message real_attribute(const char* name, float value) {
  return Message().text(1, name).real(2, value).integer(20, 1);
}

/// Of a transposed convolution: strides, dilations, pads, output_padding, kernel, groups.
struct Transposing {
  Extents strides, dilations, pads, more, kernel;
  std::int64_t groups, outputs;  ///< of a group
};

std::vector<double> scattered(const Transposing& t, const std::vector<float>& x,
                              const std::vector<float>& weight) {
  const std::int64_t side[2] = {picture_h, picture_w}, inputs = picture_c / t.groups;
  std::int64_t made[2];
  for (std::size_t k = 0; k < 2; ++k)
    made[k] = t.strides[k] * (side[k] - 1) + t.more[k] + t.dilations[k] * (t.kernel[k] - 1) + 1 -
              t.pads[k] - t.pads[k + 2];
  std::vector<double> y(static_cast<std::size_t>(t.groups * t.outputs * made[0] * made[1]), 0.0);
  for (std::int64_t c = 0; c < picture_c; ++c)
    for (std::int64_t o = 0; o < t.outputs; ++o)
      for (std::int64_t a = 0; a < side[0]; ++a)
        for (std::int64_t b = 0; b < side[1]; ++b)
          for (std::int64_t r = 0; r < t.kernel[0]; ++r)
            for (std::int64_t s = 0; s < t.kernel[1]; ++s) {
              const std::int64_t p = a * t.strides[0] + r * t.dilations[0] - t.pads[0],
                                 q = b * t.strides[1] + s * t.dilations[1] - t.pads[1];
              if (p < 0 || p >= made[0] || q < 0 || q >= made[1]) continue;
              y[static_cast<std::size_t>(((c / inputs * t.outputs + o) * made[0] + p) * made[1] +
                                         q)] +=
                  double{x[static_cast<std::size_t>((c * side[0] + a) * side[1] + b)]} *
                  double{weight[static_cast<std::size_t>(
                      ((c * t.outputs + o) * t.kernel[0] + r) * t.kernel[1] + s)]};
            }
  return y;
}

void check_near(const std::vector<float>& made, const std::vector<double>& expected) {
  REQUIRE(made.size() == expected.size());
  for (std::size_t i = 0; i < made.size(); ++i)
    CHECK(std::abs(double{made[i]} - expected[i]) <= 1e-5);
}

}  // namespace

TEST_CASE("transposed convolutions of ONNX scatter what they read") {
  const auto x = reference::reals(picture_c * picture_h * picture_w, 1);
  const Extents one = {1, 1}, none = {0, 0}, no_pads = {0, 0, 0, 0};
  for (const Transposing& t :
       {Transposing{one, one, no_pads, none, {3, 2}, 1, 3},
        Transposing{{2, 3}, one, no_pads, none, {3, 3}, 1, 2},
        Transposing{{2, 2}, one, {1, 0, 2, 1}, {1, 0}, {4, 3}, 2, 3},
        Transposing{{3, 1}, {2, 2}, {1, 3, 0, 2}, {2, 0}, {2, 3}, 4, 1},
        Transposing{{2, 2}, one, {2, 1, 1, 2}, {1, 1}, {1, 2}, 1, 2}}) {  // cuts pixels of x
    const auto weight = reference::reals(picture_c * t.outputs * t.kernel[0] * t.kernel[1], 2);
    const auto given =
        MadeOnnx::tensor("w", {picture_c, t.outputs, t.kernel[0], t.kernel[1]}, weight);
    const Model model = network_of(
        "ConvTranspose",
        {MadeOnnx::attribute("strides", t.strides), MadeOnnx::attribute("dilations", t.dilations),
         MadeOnnx::attribute("pads", t.pads), MadeOnnx::attribute("output_padding", t.more),
         MadeOnnx::attribute("kernel_shape", t.kernel), MadeOnnx::attribute("group", t.groups)},
        given);
    check_near(values_of(model, x), scattered(t, x, weight));
  }
}

TEST_CASE("transposed convolutions of ONNX share out what is cut as their specification says") {
  const auto x = reference::reals(picture_c * picture_h * picture_w, 1);
  const Extents one = {1, 1};
  const auto weight = reference::reals(picture_c * 2 * 3 * 3, 2);
  const auto given = MadeOnnx::tensor("w", {picture_c, 2, 3, 3}, weight);
  const auto check = [&](std::vector<Message> more, const Extents& strides, const Extents& pads,
                         const Extents& padding = {0, 0}) {
    more.push_back(MadeOnnx::attribute("strides", strides));
    check_near(values_of(network_of("ConvTranspose", more, given), x),
               scattered({strides, one, pads, padding, {3, 3}, 1, 2}, x, weight));
  };
  // 7x11 pixels of which 6x10 stay.
  check({text_attribute("auto_pad", "SAME_UPPER")}, {2, 2}, {0, 0, 1, 1});
  check({text_attribute("auto_pad", "SAME_LOWER")}, {2, 2}, {1, 1, 0, 0});
  check({text_attribute("auto_pad", "VALID")}, {2, 2}, {0, 0, 0, 0});
  check({MadeOnnx::attribute("output_shape", Extents{6, 9})}, {2, 2}, {1, 1, 0, 1});
  // 9x11 pixels, to which zeros are added behind.
  check({MadeOnnx::attribute("output_shape", Extents{10, 13})}, {3, 2}, {0, 0, 0, 0}, {1, 2});
  const auto refused = [&](const std::vector<Message>& attributes, const char* part) {
    CHECK_FAILS(network_of("ConvTranspose", attributes, given), part);
  };
  refused({MadeOnnx::attribute("pads", Extents{3, 0, 3, 0})}, "leaves nothing");
  refused({MadeOnnx::attribute("pads", Extents{-1, 0, 0, 0})}, "'pads' must be four numbers");
  refused({MadeOnnx::attribute("output_padding", Extents{1})}, "'output_padding' must be two");
  refused({MadeOnnx::attribute("output_shape", Extents{0, 4})}, "'output_shape' must be two");
  refused({MadeOnnx::attribute("group", 3)}, "does not fit 4 channels");
  refused({MadeOnnx::attribute("kernel_shape", Extents{2, 2})}, "'kernel_shape' is not that");
  refused({text_attribute("auto_pad", "MOST")}, "auto_pad 'MOST' is not known");
  refused({MadeOnnx::attribute("strides", Extents{1 << 11, 1 << 11})}, "too many values");
}

TEST_CASE("local response normalisation of ONNX divides by its window's squares") {
  const auto x = reference::reals(picture_c * picture_h * picture_w, 3);
  constexpr std::int64_t pixels = picture_h * picture_w;
  for (const std::int64_t size : {1, 2, 3, 4, 9}) {
    const float alpha = 0.7f, beta = 0.6f, bias = 1.5f;
    std::vector<double> expected;
    for (std::int64_t c = 0; c < picture_c; ++c)
      for (std::int64_t p = 0; p < pixels; ++p) {
        const auto at = [&](std::int64_t k) {
          return double{x[static_cast<std::size_t>(k * pixels + p)]};
        };
        double squares = 0.0;
        for (std::int64_t k = 0; k < picture_c; ++k)
          if (k >= c - (size - 1) / 2 && k <= c + size / 2) squares += at(k) * at(k);
        expected.push_back(at(c) / std::pow(bias + double{alpha} / size * squares, beta));
      }
    const Model model =
        network_of("LRN", {MadeOnnx::attribute("size", size), real_attribute("alpha", alpha),
                           real_attribute("beta", beta), real_attribute("bias", bias)});
    check_near(values_of(model, x), expected);
  }
  CHECK_FAILS(network_of("LRN", {}), "it says no size");
  CHECK_FAILS(network_of("LRN", {MadeOnnx::attribute("size", 0)}), "window is from 1");
  CHECK_FAILS(network_of("LRN", {MadeOnnx::attribute("size", 3), real_attribute("bias", 0.0f)}),
              "the bias above 0");
}
