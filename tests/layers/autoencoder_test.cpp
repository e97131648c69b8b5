#include "layers/networks/autoencoder.hpp"

#include <doctest/doctest.h>

#include "kernels/convolution.hpp"
#include "layers/batch_norm.hpp"
#include "layers/training_pass.hpp"
#include "layers/transposed_conv2d.hpp"
#include "tests/layers/finite_differences.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;
using namespace pixeldp::tests;

namespace {

struct Transposed {
  std::int64_t kernel, stride, height, width;
  Conv2d conv;
  Shape image;

  Transposed(std::int64_t k, std::int64_t s, std::int64_t h, std::int64_t w)
      : kernel(k),
        stride(s),
        height(h),
        width(w),
        conv("conv", {.in_c = 3, .out_c = 4, .kernel = k, .stride = s, .activation = {}}),
        image{2, h, w, 3} {
    conv.weight().value = random_tensor(conv.weight().value.shape(), 7);
  }
};

NetworkSpec small_spec() {
  return {.architecture = "autoencoder",
          .height = 8,
          .width = 8,
          .channels = 1,
          .classes = 3,
          .encoder = {{.kernel = 5, .filters = 4, .stride = 2}, {.kernel = 3, .filters = 5}},
          .classifier = {{.height = 8,
                          .width = 8,
                          .classes = 3,
                          .noise_after_layers = 0,
                          .input_mean = {0.5},
                          .input_deviation = {0.5}}}};
}

}  // namespace

TEST_CASE("a transposed convolution is the gradient of its convolution in the image") {
  for (const auto& [kernel, stride, height, width] :
       {std::array{5, 2, 8, 9}, {10, 2, 13, 12}, {8, 2, 7, 10}, {3, 1, 5, 4}, {3, 3, 7, 8}}) {
    CAPTURE(kernel);
    CAPTURE(stride);
    Transposed t(kernel, stride, height, width);
    TransposedConv2d layer("deconv", t.conv, t.image, kernels::Precision::fp32);
    const kernels::Conv2dShape shape = t.conv.kernel_shape(t.image);
    const Tensor x = random_tensor({2, shape.out_h(), shape.out_w(), 4}, 3);
    Tensor expected(t.image), phases, made;
    kernels::conv2d_backward_data(Stream(), shape, kernels::Precision::fp32, x.data(),
                                  t.conv.weight().value.data(), expected.data());
    const Stream stream;
    const Pass pass{stream, Mode::inference, {}};
    Saved saved, none;
    const Tensor *const in[] = {&x}, *const between[] = {&phases};
    layer.forward(pass, in, phases, saved);
    CHECK(phases.shape() == layer.output_shape({&x.shape(), 1}));
    Select("place", layer.placement()).forward(pass, between, made, none);
    REQUIRE(made.shape() == t.image);
    for (std::int64_t i = 0; i < made.size(); ++i)
      REQUIRE(std::abs(made.data()[i] - expected.data()[i]) < 1e-5f);

    LayerObjective objective(layer, {x.shape()}, Mode::training);
    objective.backward();
    const auto evaluate = [&] { return objective(false); };
    check_gradient(objective.x[0].values(), objective.dx[0].values(), evaluate);
    check_gradient(t.conv.weight().value.values(), t.conv.weight().shared_gradient.values(),
                   evaluate);
  }
}

TEST_CASE("finite differences confirm the gradients of an auto-encoder with tied weights") {
  Network network = make_network(small_spec(), 3);
  for (Parameter* p : network.parameters()) {
    p->frozen = p->name.starts_with(classifier_prefix);
    // So large that rounding does not show.
    if (p->name == "autoencoder.conv1.weight") p->value = random_tensor(p->value.shape(), 4);
    if (p->name == "autoencoder.output.weight") p->value.fill(0.3f);
  }
  for (LayerBuffer* b : network.buffers()) b->frozen = b->name.starts_with(classifier_prefix);
  const Tensor images = random_tensor(network.input().with_rows(4), 5);
  const Tensor c = random_tensor(images.shape(), 6);
  std::vector<kernels::NoiseRow> rows;
  for (std::uint32_t i = 0; i < 4; ++i) rows.push_back({.source = i, .image = i, .draw = 0});
  network.noise->distribution = kernels::NoiseDistribution::gaussian;
  network.noise->scale = 0.1;
  const NoiseDraws draws{.seed = 1, .rows = rows};
  TrainingPass pass(network);
  const auto evaluate = [&] {
    Evaluation e;
    const Tensor& y = pass.forward_reconstruction(Stream(), images, draws);
    for (std::int64_t i = 0; i < y.size(); ++i)
      e.objective += double{c.data()[i]} * double{y.data()[i]};
    return e;
  };
  evaluate();
  pass.backward_reconstruction(Stream(), images, c);
  for (Parameter* p : network.parameters()) {
    CAPTURE(p->name);
    CHECK(p->gradient.empty() == p->frozen);
    // Of a shared weight that many ReLUs follow a step crosses kinks: the last layers have none.
    if (p->name == "autoencoder.output.weight" || p->name == "autoencoder.output.bias")
      check_gradient(p->value.values(), p->gradient.values(), evaluate);
    if (p->name == "autoencoder.conv1.weight") CHECK(!p->shared_gradient.empty());
  }
  // The whole way, through the classifier, which gets no gradient.
  Tensor dlogits = random_tensor({4, 3}, 8), dimages;
  pass.forward(Stream(), Mode::training, images, draws);
  pass.backward(Stream(), images, dlogits, &dimages);
  CHECK(dimages.shape() == images.shape());
  for (const Parameter* p : network.parameters()) CHECK(p->gradient.empty() == p->frozen);
}

TEST_CASE("an auto-encoder stands before its classifier, with one noise, after its first layer") {
  const Network network = make_network(small_spec(), 1);
  CHECK(network.prefix_size() == 1);
  CHECK(network.noise_shape(1) == Shape{1, 4, 4, 4});
  CHECK(network.graph.shape(network.reconstruction) == Shape{1, 8, 8, 1});
  CHECK(network.head->name() == "classifier.fc2");
  const kernels::NetworkPlan plan = lower(Stream(), network);
  CHECK(plan.prefix.steps.size() == 1);
  NetworkSpec of_image = small_spec();
  of_image.noise_after_layers = 0;
  CHECK(make_network(of_image, 1).prefix_size() == 0);

  const auto refused = [](auto change, const char* part) {
    NetworkSpec spec = small_spec();
    change(spec);
    CHECK_FAILS(make_network(spec, 1), part);
  };
  refused([](NetworkSpec& s) { s.encoder.clear(); }, "has 1 to 8 layers, not 0");
  refused([](NetworkSpec& s) { s.encoder[1].stride = 4; }, "no pixel may be left out");
  refused([](NetworkSpec& s) { s.classifier.clear(); }, "one classifier behind it, not 0");
  refused([](NetworkSpec& s) { s.classifier[0].classes = 4; }, "a classifier of 4 classes");
  refused([](NetworkSpec& s) { s.classifier[0].width = 9; }, "that takes 8x9x1");
  refused([](NetworkSpec& s) { s.noise_after_layers = 2; }, "after 0 or 1 layers, not 2");
  refused([](NetworkSpec& s) { s.noise_before_activation = false; }, "only come before both");
}

TEST_CASE("batch normalisation with frozen statistics takes them in training, too") {
  BatchNorm frozen("bn", {.channels = 3, .activation = {}}),
      running("bn", {.channels = 3, .activation = {}});
  for (Layer* layer : {static_cast<Layer*>(&frozen), static_cast<Layer*>(&running)})
    randomise(layer->parameters(), layer->buffers());
  for (Parameter* p : static_cast<Layer&>(frozen).parameters()) p->frozen = true;
  for (LayerBuffer* b : static_cast<Layer&>(frozen).buffers()) b->frozen = true;
  const Tensor x = random_tensor({4, 2, 2, 3}, 1);
  const Tensor* const in[] = {&x};
  const Stream stream;
  Tensor a, b;
  Saved of_a, of_b;
  frozen.forward({stream, Mode::training, {}}, in, a, of_a);
  running.forward({stream, Mode::inference, {}}, in, b, of_b);
  CHECK(std::ranges::equal(std::as_const(a).values(), std::as_const(b).values()));
  Tensor da = random_tensor(x.shape(), 2), db = da.clone();
  frozen.backward({stream, Mode::training, {}}, in, a, of_a, da, {});
  running.backward({stream, Mode::inference, {}}, in, b, of_b, db, {});
  CHECK(std::ranges::equal(std::as_const(da).values(), std::as_const(db).values()));
}
