#pragma once

#include <cstdint>
#include <string>

#include "engine/io/file.hpp"
#include "engine/philox.hpp"
#include "tests/temporary_folder.hpp"

namespace pixeldp::tests {

/// Writes the four IDX files of a made-up data set of 28x28 pictures, one bright bar per class at a
/// place of its own over random grey: easy to learn, and nobody's data.
inline void write_made_mnist(const std::filesystem::path& folder, std::uint32_t train_images = 256,
                             std::uint32_t test_images = 32) {
  const auto big_endian = [](std::uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                       static_cast<char>(value >> 8), static_cast<char>(value)};
  };
  const auto write = [&](const std::string& stem, std::uint32_t count, std::uint64_t seed) {
    std::string images = big_endian(0x803) + big_endian(count) + big_endian(28) + big_endian(28);
    std::string labels = big_endian(0x801) + big_endian(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t label = i % 10;
      labels += static_cast<char>(label);
      for (std::uint32_t p = 0; p < 784; ++p) {
        const bool bar = p / 28 / 3 == label && p % 28 > 4 && p % 28 < 24;
        const auto random = Philox::generate({p, i, 0, 0}, seed)[0];
        images += static_cast<char>(bar ? 255 - random % 64 : random % 64);
      }
    }
    write_file_atomically(folder / (stem + "-images-idx3-ubyte"), images);
    write_file_atomically(folder / (stem + "-labels-idx1-ubyte"), labels);
  };
  write("train", train_images, 1);
  write("t10k", test_images, 2);
}

/// A configuration that trains on it within a second or two. `training`: further settings of that
/// section, each followed by a comma.
inline std::string made_mnist_config(const std::filesystem::path& data, int steps = 24,
                                     const std::string& training = "") {
  return "name: made\n"
         "data: {set: mnist, directory: " +
         data.string() +
         "}\n"
         "network: {architecture: mnist-cnn}\n"
         "noise: {mechanism: gaussian, construction_bound: 0.1}\n"
         "sensitivity: {control: parseval, parseval_step: 0.05, parseval_loops: 2}\n"
         "training: {" +
         training + "steps: " + std::to_string(steps) +
         ", batch: 16, learning_rate: 0.02, log_every: 5, "
         "evaluate_every: 12, checkpoint_every: 8, evaluation_images: 20, evaluation_draws: 3}\n";
}

}  // namespace pixeldp::tests
