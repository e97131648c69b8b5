#pragma once

#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <optional>

#include <doctest/doctest.h>

namespace pixeldp::tests {

/// $PIXELDP_DATA where it holds all of these, paths within it; else nothing, and a message that
/// names the first that is missing.
inline std::optional<std::filesystem::path> real_data(std::initializer_list<const char*> needed) {
  const char* folder = std::getenv("PIXELDP_DATA");
  for (const char* path : needed) {
    if (folder && std::filesystem::exists(std::filesystem::path(folder) / path)) continue;
    MESSAGE("skipped: no $PIXELDP_DATA/" << path);
    return std::nullopt;
  }
  return folder;
}

/// Weights that PyTorch trained, of 91.73 % accuracy on the test images of cifar-10.
inline constexpr const char* resnet20 = "models/resnet_cifar10/resnet20-12fca82f.safetensors";

}  // namespace pixeldp::tests
