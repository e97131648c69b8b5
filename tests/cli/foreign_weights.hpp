#pragma once

#include <string>

#include "engine/io/safetensors.hpp"
#include "tests/layers/made_network.hpp"

namespace pixeldp::tests {

/// A small ResNet for pictures of 28x28 as another program saves it: PyTorch's names behind a
/// prefix.
inline SafetensorsFile foreign_weights(const std::string& prefix, std::int64_t classes = 10) {
  layers::Network net =
      layers::make_network({.architecture = "resnet", .classes = classes, .depth = 8}, 7);
  unsettle_normalisations(net);
  SafetensorsFile file;
  for (const layers::NamedTensor* tensor : net.saved_tensors())
    file.tensors[prefix + tensor->name] =
        SafeTensor::from_floats(tensor->shape, tensor->value.values());
  return file;
}

}  // namespace pixeldp::tests
