#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"
#include "kernels/device_plan.hpp"
#include "kernels/loss.hpp"
#include "kernels/sgd.hpp"
#include "layers/conv2d.hpp"
#include "layers/training_pass.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;
using tests::small_resnet_spec, tests::unsettle_normalisations;

namespace {

const std::vector<std::string> architectures = {"wide-resnet", "resnet"};

Tensor random_images(const Shape& shape, std::uint64_t seed) {
  Tensor images(shape);
  const auto pixels = reference::reals(images.size(), seed);
  std::copy(pixels.begin(), pixels.end(), images.data());
  return images;
}

/// Row i is a draw of image i.
std::vector<kernels::NoiseRow> plain_rows(std::int64_t count) {
  std::vector<kernels::NoiseRow> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back({i, static_cast<std::uint32_t>(i), 0});
  return rows;
}

std::vector<float> copy(const Tensor& tensor) {
  return {tensor.values().begin(), tensor.values().end()};
}

/// The features before the head, as the network is lowered for certification; on a processor by
/// kernels::Inference, elsewhere step by step.
std::vector<float> lowered_features(const Stream& stream, const Network& net, const Tensor& images,
                                    kernels::Precision precision) {
  const kernels::NetworkPlan plan = lower(Stream(), net);
  const std::int64_t count = images.rows();
  const auto rows = plain_rows(count);
  const kernels::NoiseParams noise = plan.noise(0, StreamTag::training);
  const Device device = stream.device();
  Buffer<kernels::NoiseRow> device_rows(device, count);
  device_rows.upload(stream, rows);
  const Tensor x = images.to(stream, device);
  Tensor clean({count, plan.noise_size()}, device), features({count, plan.features()}, device);
  if (device.kind == DeviceKind::cpu) {
    const auto prefix = kernels::prepare_inference(plan.prefix, precision);
    const auto body = kernels::prepare_inference(plan.body, precision);
    const Memory workspace(
        {}, static_cast<std::size_t>(std::max(prefix->workspace_size(), body->workspace_size())));
    Tensor noisy(clean.shape());
    prefix->run(count, x.data(), clean.data(), workspace.data());
    kernels::add_noise(stream, noise, rows.data(), count, plan.noise_size(), clean.data(),
                       noisy.data());
    body->run(count, noisy.data(), features.data(), workspace.data());
  } else {
    using kernels::DeviceSchedule;
    const auto prefix = prepare_device_plan(
        stream, plan.prefix, DeviceSchedule::make(plan.prefix, count, kernels::Precision::fp32));
    const auto body = prepare_device_plan(stream, plan.body,
                                          DeviceSchedule::make(plan.body, count, precision, true));
    prefix->run(x.data(), clean.data());
    body->run({noise, device_rows.data()}, clean.data(), features.data());
    stream.synchronize();
  }
  return copy(features.to(stream, Device()));
}

double largest_of(const std::vector<float>& values) {
  double largest = 0.0;
  for (const float value : values) largest = std::max(largest, std::abs(double{value}));
  return largest;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  return largest;
}

}  // namespace

TEST_CASE("residual networks have the parameters of the papers") {
  // Counted by hand: Zagoruyko and Komodakis give 36.5 M for WRN-28-10, whose shortcuts have
  // parameters; without them, and as PixelDP counts, it is this.
  CHECK(make_network({.architecture = "wide-resnet",
                      .height = 32,
                      .width = 32,
                      .channels = 3,
                      .depth = 28,
                      .widening = 10},
                     1)
            .parameter_count() == 36220634);
  const auto resnet = [](std::int64_t depth) {
    return make_network(
        {.architecture = "resnet", .height = 32, .width = 32, .channels = 3, .depth = depth}, 1);
  };
  CHECK(resnet(20).parameter_count() == 269722);  // 0.27 M in He et al.
  CHECK(resnet(56).parameter_count() == 853018);  // 0.85 M
  const Network net = resnet(20);
  CHECK(net.noise_shape(2) == Shape{2, 32, 32, 16});
  CHECK(net.head->options().in == 64);
  CHECK(net.parameters()[0]->name == "conv1.weight");
  CHECK(net.parameters().back()->name == "linear.bias");
  CHECK(net.buffers()[0]->name == "bn1.running_mean");
  CHECK(net.buffers().size() == 2 * 19);
}

TEST_CASE("the position of the noise moves layers and activations, not parameters") {
  for (const std::string& architecture : architectures) {
    const Network in_image = make_network(small_resnet_spec(architecture, 0), 1);
    const Network after_first = make_network(small_resnet_spec(architecture, 1), 1);
    CHECK(in_image.prefix().empty());
    CHECK(after_first.prefix_size() == 1);
    CHECK(in_image.parameter_count() == after_first.parameter_count());
    CHECK(in_image.noise->activation().is_identity());
  }
  const Network wide = make_network(small_resnet_spec("wide-resnet", 1), 1);
  CHECK(wide.noise->activation() == kernels::Activation::leaky_relu(0.1f));
  NetworkSpec other = small_resnet_spec("wide-resnet");
  other.slope = 0.0;
  CHECK(make_network(other, 1).noise->activation() == kernels::Activation::relu());
  // And all the others.
  const auto activations = [](const Network& net, float slope) {
    int count = 0;
    const kernels::NetworkPlan plan = lower(Stream(), net);
    for (const kernels::InferenceStep& step : plan.body.steps) {
      count += !step.activation.is_identity();
      CHECK((step.activation.is_identity() || step.activation.slope == slope));
    }
    return count;
  };
  CHECK(activations(wide, 0.1f) == 7);  // two of each unit, one before the mean
  CHECK(activations(make_network(other, 1), 0.0f) == 7);
}

TEST_CASE("impossible residual networks are refused by name") {
  const auto refused = [](auto change, const char* part) {
    NetworkSpec spec = small_resnet_spec("wide-resnet");
    change(spec);
    CHECK_FAILS(make_network(spec, 1), part);
  };
  refused([](auto& s) { s.depth = 27; }, "wide-resnet of depth 27");
  refused([](auto& s) { s.depth = 4; }, "depth 4");
  refused([](auto& s) { s.depth = 1216; }, "depth 1216");
  refused([](auto& s) { s.depth = -2; }, "depth -2");
  refused([](auto& s) { s.widening = 0; }, "width 0");
  refused([](auto& s) { s.height = 10; }, "10x8");
  refused([](auto& s) { s.noise_after_layers = 2; }, "after 0 or 1 layers, not 2");
  refused([](auto& s) { s.architecture = "resnet", s.depth = 22; }, "resnet of depth 22");
  refused([](auto& s) { s.architecture = "resnet", s.depth = 20; }, "no width");
  refused(
      [](auto& s) {
        s.architecture = "resnet", s.depth = 8, s.widening = 0, s.noise_before_activation = false;
      },
      "before both");
  refused([](auto& s) { s.slope = 1.5; }, "slope from 0 to 1, not 1.5");
  refused([](auto& s) { s.slope = -0.1; }, "not -0.1");
  refused([](auto& s) { s.slope = NAN; }, "not nan");
  for (const char* other : {"resnet", "mnist-cnn"})
    refused(
        [other](auto& s) {
          s.architecture = other, s.slope = 0.1, s.widening = 0;
          s.depth = s.architecture == "resnet" ? 8 : 0;
        },
        "ReLU of slope 0");
  refused([](auto& s) { s.input_mean = {0.5}; }, "cannot be normalised");
  refused(
      [](auto& s) {
        s.input_mean = {0, 0, 0}, s.input_deviation = {1, 0, 1};
      },
      "cannot be normalised");
}

TEST_CASE("prepared with its normalisations folded, a network is the one in inference mode") {
  const Stream stream;
  for (const std::string& architecture : architectures) {
    for (const int position : {0, 1}) {
      for (const std::string images_are : {"as they are", "normalised", "standardised"}) {
        CAPTURE(architecture);
        CAPTURE(position);
        NetworkSpec spec = small_resnet_spec(architecture, position);
        CAPTURE(images_are);
        spec.standardise = images_are == "standardised";
        if (images_are == "normalised")
          spec.input_mean = {0.1, 0.2, -0.3}, spec.input_deviation = {0.5, 1.5, 2.0};
        Network net = make_network(spec, 3);
        unsettle_normalisations(net);
        const Tensor images = random_images({5, 8, 8, 3}, 4);
        const auto rows = plain_rows(5);
        TrainingPass pass(net);
        const auto logits = copy(pass.forward(stream, Mode::inference, images,
                                              {.tag = StreamTag::training, .rows = rows}));
        const auto features = lowered_features(stream, net, images, kernels::Precision::fp32);
        std::vector<float> folded(5 * 10);
        kernels::dense_forward(stream, {5, net.head->options().in, 10}, kernels::Precision::fp32,
                               features.data(), net.head->weight().value.data(),
                               net.head->bias().value.data(), folded.data());
        // A dozen convolutions in fp32, their weights rounded once more.
        CHECK(largest_difference(folded, logits) < 1e-5 * largest_of(logits));
        // The neighbours do not matter: the same bits beside other images.
        Tensor others = random_images({5, 8, 8, 3}, 77);
        for (const std::int64_t i : {0, 3})
          std::copy_n(images.row(i), images.shape().row_size(), others.row(i));
        const auto beside = lowered_features(stream, net, others, kernels::Precision::fp32);
        const std::int64_t width = net.head->options().in;
        for (const std::int64_t i : {0, 1, 3}) {
          CHECK((i == 1) != std::equal(features.begin() + i * width,
                                       features.begin() + (i + 1) * width,
                                       beside.begin() + i * width));
        }

        // In training mode the batch's statistics make it another function.
        const auto trained = copy(pass.forward(stream, Mode::training, images,
                                               {.tag = StreamTag::training, .rows = rows}));
        CHECK(largest_difference(trained, logits) > 1e-2 * largest_of(logits));
      }
    }
  }
}

TEST_CASE("inference leaves the running statistics alone, training moves them by a tenth") {
  const Stream stream;
  Network net = make_network(small_resnet_spec("wide-resnet"), 3);
  TrainingPass pass(net);
  const Tensor images = random_images({4, 8, 8, 3}, 4);
  const auto rows = plain_rows(4);
  const auto statistics = [&] {
    std::vector<std::vector<float>> all;
    for (const LayerBuffer* b : net.buffers()) all.push_back(copy(b->value));
    return all;
  };
  const auto before = statistics();
  pass.forward(stream, Mode::inference, images, {.tag = StreamTag::training, .rows = rows});
  CHECK(statistics() == before);
  pass.forward(stream, Mode::training, images, {.tag = StreamTag::training, .rows = rows});
  const auto after = statistics();
  for (std::size_t i = 0; i < after.size(); ++i) CHECK(after[i] != before[i]);

  // The first normalisation sees the activated first convolution.
  std::vector<float> x(4 * 64 * 16);
  const auto* conv = dynamic_cast<const Conv2d*>(net.prefix()[0].layer.get());
  kernels::conv2d_forward(stream, conv->kernel_shape(images.shape()), kernels::Precision::fp32,
                          images.data(), conv->weight().value.data(), x.data());
  double mean = 0.0;
  for (std::size_t p = 0; p < x.size(); p += 16) mean += x[p] > 0 ? x[p] : 0.1 * x[p];
  CHECK(double{after[0][0]} == doctest::Approx(0.1 * mean / 256).epsilon(1e-4));
}

TEST_CASE("the gradient in the image does not depend on whether parameters have one") {
  const Stream stream;
  Network net = make_network(small_resnet_spec("wide-resnet"), 3);
  unsettle_normalisations(net);
  TrainingPass pass(net);
  Tensor images = random_images({2, 8, 8, 3}, 4);
  const auto rows = plain_rows(2);
  const NoiseDraws draws{.tag = StreamTag::training, .rows = rows};
  const Tensor c = random_images({2, 10}, 5);
  const auto objective = [&] {
    const Tensor& logits = pass.forward(stream, Mode::inference, images, draws);
    double sum = 0.0;
    for (std::int64_t i = 0; i < c.size(); ++i)
      sum += double{c.data()[i]} * double{logits.data()[i]};
    return sum;
  };
  objective();
  Tensor dlogits = c.clone(), dimages;
  pass.backward(stream, images, dlogits, &dimages);
  for (const Parameter* p : net.parameters()) CHECK(p->gradient.empty());
  double norm = 0.0;
  for (const float g : dimages.values()) norm += double{g} * double{g};
  norm = std::sqrt(norm);
  REQUIRE(norm > 0.0);
  const auto kept = copy(images);
  const auto moved = [&](double step) {
    for (std::size_t i = 0; i < kept.size(); ++i)
      images.data()[i] = static_cast<float>(kept[i] + step * dimages.values()[i] / norm);
    return objective();
  };
  CHECK((moved(1e-3) - moved(-1e-3)) / 2e-3 == doctest::Approx(norm).epsilon(0.01));
}

TEST_CASE("a pass in inference mode after one in training mode has the gradients of a fresh one") {
  const Stream stream;
  for (const std::string& architecture : architectures) {
    Network net = make_network(small_resnet_spec(architecture), 3);
    unsettle_normalisations(net);
    const Tensor images = random_images({2, 8, 8, 3}, 4), c = random_images({2, 10}, 5);
    const auto rows = plain_rows(2);
    const NoiseDraws draws{.tag = StreamTag::training, .rows = rows};
    TrainingPass used(net), fresh(net);
    Tensor ignored, after, expected;
    used.forward(stream, Mode::training, images, draws);
    used.backward(stream, images, c, &ignored);
    used.forward(stream, Mode::inference, images, draws);
    used.backward(stream, images, c, &after);
    fresh.forward(stream, Mode::inference, images, draws);
    fresh.backward(stream, images, c, &expected);
    CHECK(copy(after) == copy(expected));
    CHECK(copy(after) != copy(ignored));
  }
}

TEST_CASE("the emulated device prepares the same networks, up to rounding to bf16") {
  const Stream emulated(Device::parse("emulated"));
  for (const std::string& architecture : architectures) {
    CAPTURE(architecture);
    Network net = make_network(small_resnet_spec(architecture), 3);
    unsettle_normalisations(net);
    const Tensor images = random_images({3, 8, 8, 3}, 4);
    const auto expected = lowered_features(Stream(), net, images, kernels::Precision::fp32);
    const auto single = lowered_features(emulated, net, images, kernels::Precision::fp32);
    CHECK(largest_difference(single, expected) < 1e-5 * largest_of(expected));
    const auto rounded = lowered_features(emulated, net, images, kernels::Precision::bf16);
    CHECK(largest_difference(rounded, expected) < 2e-2 * largest_of(expected));
    // A row's result does not depend on its neighbours here either.
    Tensor one(Shape{1, 8, 8, 3});
    std::copy_n(images.row(2), one.size(), one.data());
    const auto alone = lowered_features(emulated, net, one, kernels::Precision::bf16);
    CHECK(std::equal(alone.begin(), alone.end(), rounded.end() - std::ssize(alone)));
  }
}

namespace {

/// Parameters and running statistics after one step of training on the device.
std::map<std::string, std::vector<float>> after_one_step(const std::string& architecture,
                                                         const Stream& stream) {
  NetworkSpec spec = small_resnet_spec(architecture);
  Network net = make_network(spec, 3);
  net.noise->distribution = kernels::NoiseDistribution::gaussian;
  net.noise->scale = 0.1;
  net.move_to(stream, stream.device());
  const Device device = stream.device();
  const Tensor images = random_images({4, 8, 8, 3}, 4).to(stream, device);
  const auto rows = plain_rows(4);
  Buffer<kernels::NoiseRow> device_rows(device, 4);
  device_rows.upload(stream, rows);
  Buffer<std::int32_t> labels(device, 4);
  labels.upload(stream, {{3, 1, 9, 0}});
  Buffer<kernels::LossResult> loss(device, 1);
  TrainingPass pass(net);
  const Tensor& logits = pass.forward(
      stream, Mode::training, images,
      {.seed = 1, .tag = StreamTag::training, .rows = {device_rows.data(), rows.size()}});
  Tensor dlogits(logits.shape(), device);
  kernels::softmax_cross_entropy(stream, 4, 10, logits.data(), labels.data(), dlogits.data(),
                                 loss.data());
  pass.backward(stream, images, dlogits);
  std::vector<Tensor> velocities;
  std::vector<kernels::SgdStep> steps;
  for (Parameter* p : net.parameters()) {
    velocities.emplace_back(p->value.shape(), device);
    steps.push_back({.params = {.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.0f},
                     .size = p->value.size(),
                     .gradient = p->gradient.data(),
                     .velocity = velocities.back().data(),
                     .weight = p->value.data()});
  }
  kernels::sgd_steps(stream, steps);
  stream.synchronize();
  net.move_to(stream, Device());
  std::map<std::string, std::vector<float>> result;
  for (std::size_t i = 0; i < velocities.size(); ++i) {
    const Tensor velocity = velocities[i].to(stream, Device());
    result[net.parameters()[i]->name + ".step"] = copy(velocity);
  }
  for (const NamedTensor* tensor : net.saved_tensors()) result[tensor->name] = copy(tensor->value);
  return result;
}

}  // namespace

TEST_CASE("a step of training on the emulated device is the processor's, up to rounding to tf32") {
  for (const std::string& architecture : architectures) {
    const auto expected = after_one_step(architecture, Stream());
    const auto got = after_one_step(architecture, Stream(Device::parse("emulated")));
    REQUIRE(got.size() == expected.size());
    for (const auto& [name, values] : expected) {
      CAPTURE(name);
      const double largest = largest_of(values);
      CHECK(largest > 0.0);
      // Forward both are in fp32, lest the sign of an activation flip; gradients are sums of
      // products of 11 bits, in a dozen layers.
      CHECK(largest_difference(got.at(name), values) <= 3e-3 * largest);
    }
  }
}
