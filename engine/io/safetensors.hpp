#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.hpp"

namespace pixeldp {

/// One tensor of a safetensors file, of any rank, with its bytes as stored: little-endian,
/// row-major.
struct SafeTensor {
  std::string dtype = "F32";
  std::vector<std::int64_t> shape;
  Bytes bytes;

  /// An F32 tensor. Throws an Error unless the shape has as many elements as there are values.
  static SafeTensor from_floats(std::vector<std::int64_t> shape, std::span<const float> values);

  /// Number of elements; 1 for rank 0.
  std::int64_t size() const;
  /// The elements as floats: exact for F32, F16, BF16 and small integers, rounded to nearest for
  /// F64 and large integers. Throws an Error for 8-bit floats and BOOL.
  std::vector<float> to_floats() const;
  bool operator==(const SafeTensor&) const = default;
};

struct SafetensorsFile {
  std::map<std::string, SafeTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads the format of huggingface/safetensors: a 64-bit little-endian header length, a JSON header
/// {name: {"dtype", "shape", "data_offsets"}, "__metadata__": {text: text}}, then the data, which
/// the tensors must cover without hole or overlap. Anything else is an Error that names `what` and
/// the tensor or offset.
SafetensorsFile parse_safetensors(ByteView file, std::string_view what);
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// The same contents always give the same bytes: names sorted, data ordered by falling element
/// size and then by name, so that every tensor is aligned; the header is padded to 8 bytes.
/// Throws an Error when a tensor's dtype, shape and bytes do not agree or a text is not UTF-8.
Bytes serialize_safetensors(const SafetensorsFile& file);
/// Atomically (write_file_atomically).
void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file);

}  // namespace pixeldp
