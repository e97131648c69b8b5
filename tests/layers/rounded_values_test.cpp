#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/emulator/work_tally.hpp"
#include "layers/batch_norm.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/network_builder.hpp"
#include "layers/training_pass.hpp"
#include "tests/layers/made_network.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;

namespace {

constexpr std::int64_t rows_of_chain = 3;

/// A network in bf16 without branches: normalisations and convolutions in turn.
Network chain(const Stream& stream) {
  constexpr auto relu = kernels::Activation::relu(), none = kernels::Activation::identity();
  NetworkBuilder net({.height = 4,
                      .width = 6,
                      .channels = 16,
                      .noise_after_layers = 0,
                      .training_precision = kernels::Precision::bf16},
                     1);
  Value x = net.start();
  const auto norm = [&](const std::string& name) {
    x = net.append<BatchNorm>({x}, name,
                              BatchNorm::Options{.channels = net.shape(x)[3], .activation = relu});
  };
  const auto convolution = [&](const std::string& name, std::int64_t out_c,
                               kernels::Activation activation) {
    x = net.convolution(name, x, {.out_c = out_c, .stride = 1, .activation = activation});
  };
  norm("norm1");
  convolution("conv1", 24, none);
  norm("norm2");
  convolution("conv2", 24, relu);  // whose gradient nobody can round for it
  norm("norm3");
  convolution("conv3", 12, none);
  norm("norm4");  // of channels that fill no chunk
  convolution("conv4", 16, none);
  x = net.append<GlobalAveragePool>({x}, "pool");
  net.dense("head", x, 5, none);
  Network network = std::move(net).finish();
  tests::unsettle_normalisations(network);
  network.move_to(stream, stream.device());
  return network;
}

struct ChainValues {
  std::vector<float> logits, dimages;
  std::vector<std::vector<float>> gradients = {};
  bool operator==(const ChainValues&) const = default;
};

Tensor chain_tensor(const Shape& shape, const Stream& stream, std::uint64_t seed) {
  Tensor tensor(shape);
  std::ranges::copy(reference::reals(shape.size(), seed), tensor.data());
  return tensor.to(stream, stream.device());
}

void add_gradients(const Stream& stream, Network& network, ChainValues& values) {
  for (const Parameter* p : network.parameters())
    values.gradients.push_back(host_values(stream, p->gradient));
}

/// Each layer by itself, which reads and writes single precision.
ChainValues layer_by_layer(const Stream& stream, Network network, const NoiseDraws& draws) {
  const Pass pass{stream, Mode::training, draws};
  const std::size_t count = network.graph.nodes().size();
  std::vector<Tensor> values(count + 1);
  std::vector<Saved> saved(count);
  values[0] = chain_tensor(network.input().with_rows(rows_of_chain), stream, 1);
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor* const x = &values[i];
    network.graph.layer(i).forward(pass, {&x, 1}, values[i + 1], saved[i]);
  }
  ChainValues result{.logits = host_values(stream, values[count]), .dimages = {}};
  Tensor dy = chain_tensor(values[count].shape(), stream, 2);
  for (std::size_t i = count; i-- > 0;) {
    const Tensor* const x = &values[i];
    Tensor made(values[i].shape(), stream.device());
    Layer& layer = network.graph.layer(i);
    Tensor* dx = layer.gradient_in_place() ? &dy : &made;
    layer.backward(pass, {&x, 1}, values[i + 1], saved[i], dy, {&dx, 1});
    if (dx == &made) dy = std::move(made);
  }
  result.dimages = host_values(stream, dy);
  add_gradients(stream, network, result);
  return result;
}

ChainValues as_a_whole(const Stream& stream, Network network, const NoiseDraws& draws) {
  TrainingPass pass(network);
  const Tensor images = chain_tensor(network.input().with_rows(rows_of_chain), stream, 1);
  ChainValues result;
  for (int again = 0; again < 2; ++again) {  // in memory that has other values
    const Tensor& logits = pass.forward(stream, Mode::training, images, draws);
    const Tensor dlogits = chain_tensor(logits.shape(), stream, 2);
    Tensor dimages;
    pass.backward(stream, images, dlogits, &dimages);
    result = {.logits = host_values(stream, logits), .dimages = host_values(stream, dimages)};
  }
  add_gradients(stream, network, result);
  return result;
}

}  // namespace

TEST_CASE("what a normalisation rounds for a product is what the product would have rounded") {
  const Stream stream(Device::parse("emulated"));
  Buffer<kernels::NoiseRow> rows(stream.device(), rows_of_chain);
  rows.upload(stream, std::vector<kernels::NoiseRow>{{0, 0, 0}, {1, 1, 0}, {2, 2, 0}});
  const NoiseDraws draws{.rows = {rows.data(), rows_of_chain}};
  emulator::reset_work_tally();
  const ChainValues expected = layer_by_layer(stream, chain(stream), draws);
  // x and dy of four convolutions and a dense layer.
  CHECK(emulator::work_tally().ran("fill_channels_kernel") == 10);
  emulator::reset_work_tally();
  CHECK(as_a_whole(stream, chain(stream), draws) == expected);
  // Normalisations round x of conv1, conv2 and conv3, and dy of conv1. conv3's would, but for their
  // number of channels, and conv4's x.
  CHECK(emulator::work_tally().ran("fill_channels_kernel") == 2 * (10 - 4));
}
