#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/file.hpp"

namespace pixeldp {

/// A data set whose every pixel and label is a known function of its place.
inline std::uint8_t pixel_at(std::size_t image, std::size_t place) {
  return static_cast<std::uint8_t>(image * 31 + place * 7 + place / 256);
}

inline void append_big_endian(Bytes& bytes, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

inline Bytes idx_header(std::uint8_t axes, const std::vector<std::uint32_t>& extents) {
  Bytes bytes{0, 0, 8, axes};
  for (const std::uint32_t extent : extents) append_big_endian(bytes, extent);
  return bytes;
}

inline Bytes idx_images(std::uint32_t count, std::uint32_t height, std::uint32_t width) {
  Bytes bytes = idx_header(3, {count, height, width});
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t p = 0; p < std::size_t{height} * width; ++p) bytes.push_back(pixel_at(i, p));
  return bytes;
}

inline Bytes idx_labels(const Bytes& labels) {
  Bytes bytes = idx_header(1, {static_cast<std::uint32_t>(labels.size())});
  bytes.insert(bytes.end(), labels.begin(), labels.end());
  return bytes;
}

/// Records of the given label bytes; pixel (c, p) of record i is pixel_at(i, c * 1024 + p).
inline Bytes cifar(const std::vector<Bytes>& labels) {
  Bytes bytes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    bytes.insert(bytes.end(), labels[i].begin(), labels[i].end());
    for (std::size_t p = 0; p < 3072; ++p) bytes.push_back(pixel_at(i, p));
  }
  return bytes;
}

inline Bytes concatenation(const Bytes& a, const Bytes& b) {
  Bytes both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

/// Sets an environment variable for one test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    const char* before = std::getenv(name);
    if (before != nullptr) before_ = before;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Environment() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace pixeldp
