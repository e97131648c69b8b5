#pragma once

#include <string_view>

#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {

/// What the names of tensors begin with, in a network with an auto-encoder.
inline constexpr std::string_view autoencoder_prefix = "autoencoder.",
                                  classifier_prefix = "classifier.";

/// PixelDP's auto-encoder before a classifier (Lecuyer et al. 2019, section IV.D): the convolutions
/// of spec.encoder, then their transposes in reverse order with the same ("tied") weights; batch
/// normalisation and ReLU between them, and in the end a factor and a bias for each channel and a
/// sigmoid, so that the classifier gets pixels from 0 to 1. The noise lies after the first
/// convolution, or in the image.
void build_autoencoder(NetworkBuilder& net, const NetworkSpec& spec);
/// Throws a usage error where there is no such network.
void check_autoencoder(const NetworkSpec& spec);

/// The encoder for images of this size: that of the paper, kernels 10, 8 and 5 with 32, 32 and 64
/// filters and stride 2 each, and below 64 pixels one that keeps their resolution after the first
/// convolution: kernels 5, 3 and 3 with 32, 64 and 64 filters.
std::vector<EncoderLayer> usual_encoder(std::int64_t height, std::int64_t width);

}  // namespace pixeldp::layers
