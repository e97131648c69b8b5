#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/real_output.hpp"
#include "layers/network.hpp"
#include "layers/networks/described.hpp"

namespace pixeldp::layers {

/// A convolution of an auto-encoder's encoder.
struct EncoderLayer {
  std::int64_t kernel = 3, filters = 1, stride = 1;
  bool operator==(const EncoderLayer&) const = default;
};

/// What it takes to build a network: written to the model file and read back from it.
struct NetworkSpec {
  std::string architecture = "mnist-cnn";
  std::int64_t height = 28, width = 28, channels = 1, classes = 10;
  /// How many layers lie before the noise; 0: the noise is added to the image.
  int noise_after_layers = 1;
  /// layer -> noise -> activation (true) or layer -> activation -> noise (false). No effect in the
  /// image.
  bool noise_before_activation = true;
  /// Divides the initial kernels before the noise by ceil(kernel / stride) and scales their
  /// gradient to match: the parameterisation under which a kernel of spectral norm |ceil(k/s) W| =
  /// 1 has sensitivity at most 1 for 2-norm attacks. It concerns training only.
  bool rescale_prefix = false;
  /// Of the products after the noise, in training only. Before it they are always in fp32.
  kernels::Precision training_precision = kernels::Precision::fp32;
  /// Of residual networks: how many layers have weights (6 n + 4 of a wide one, else 6 n + 2), and
  /// by what a wide one multiplies the channels. 0 for others.
  std::int64_t depth = 0, widening = 0;
  /// Of the leaky ReLUs of a wide residual network, from 0 (ReLU) to 1; without: 0.1. Others have
  /// ReLU and take none.
  std::optional<double> slope = {};
  /// Images are normalised to (x - mean) / deviation, channel by channel, before the first layer,
  /// and after noise in the image. Both empty: they are not.
  std::vector<double> input_mean = {}, input_deviation = {};
  /// Each image is standardised by its own mean and deviation before everything else, the noise too
  /// (layers/standardise.hpp). Excludes the former.
  bool standardise = false;
  /// Of the architecture "graph", which has only these.
  std::vector<NodeSpec> nodes = {};
  /// Of the architecture "autoencoder": its encoder, and the one network behind it, whose own place
  /// for noise is of no account.
  std::vector<EncoderLayer> encoder = {};
  std::vector<NetworkSpec> classifier = {};
  /// Of a regression network, whose last layer has one value (`classes` is 1).
  std::optional<kernels::RealOutput> output = {};

  bool normalises() const { return !input_mean.empty() || !input_deviation.empty(); }
  bool operator==(const NetworkSpec&) const = default;
};

/// "mnist-cnn", "wide-resnet", "resnet" ...: those that one can ask for. "graph" is read from files
/// (layers/networks/described.hpp).
const std::vector<std::string>& architecture_names();

/// Throws a usage error for what make_network refuses.
void check_network_spec(const NetworkSpec& spec);

class NetworkBuilder;

/// Appends the network of a specification that check_network_spec has taken.
void build_network(NetworkBuilder& net, const NetworkSpec& spec);

/// Builds the network with freshly initialised parameters and a noise layer that adds nothing yet.
/// Throws a usage error for an unknown architecture or impossible sizes.
Network make_network(const NetworkSpec& spec, std::uint64_t seed);

}  // namespace pixeldp::layers
