#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/parts.hpp"
#include "engine/tensor.hpp"
#include "kernels/inference.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/sampler.hpp"

namespace pixeldp::bench {

/// A network that makes noise, with fresh weights, for rates do not depend on them.
layers::Network noisy_network(const layers::NetworkSpec& spec);

layers::NetworkSpec mnist_cnn_spec();
/// For images of 32 x 32 x 3.
layers::NetworkSpec wide_resnet_spec(std::int64_t depth, std::int64_t widening);
layers::NetworkSpec wide_resnet_spec(const Options& options);
/// Likewise, normalised, with the noise in the image.
layers::NetworkSpec resnet_spec(std::int64_t depth);
/// For images of 299 x 299 x 3, with the noise in the image.
layers::NetworkSpec inception_spec();
/// The paper's auto-encoder before that one, with the noise after so many of its layers: 0 or 1.
layers::NetworkSpec autoencoder_spec(int noise_after_layers);
/// Such as "WRN-28-10".
std::string wide_resnet_name(std::int64_t depth, std::int64_t widening);
std::string wide_resnet_name(const Options& options);

/// Those of fp32, bf16 and int8 that this processor has.
std::vector<kernels::Precision> precisions();

/// Scales for int8 that fit no data: a rate does not depend on them either.
Quantisation some_scales(const layers::Network& net);

/// A network's draws in one precision, on all threads.
class Draws {
 public:
  Draws(const layers::Network& net, kernels::Precision precision,
        std::optional<kernels::Algorithm> algorithm = {});
  /// Seconds per draw.
  double operator()(std::int64_t images, std::int64_t draws);

 private:
  std::int64_t image_size_;
  Quantisation scales_;
  Sampler sampler_;
};

/// What follows a network's noise and comes before its last layer, for some rows on one thread.
class Rows {
 public:
  Rows(const layers::Network& net, kernels::Precision precision, std::int64_t rows,
       std::optional<kernels::Algorithm> algorithm = {});
  /// Seconds per row.
  double operator()();

 private:
  std::int64_t rows_;
  kernels::InferencePlan plan_;
  Tensor x_, y_;
  std::unique_ptr<kernels::Inference> inference_;
  Memory workspace_;
};

}  // namespace pixeldp::bench
