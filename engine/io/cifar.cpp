#include <array>
#include <cstddef>

#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "engine/io/file_kind.hpp"

namespace pixeldp {
namespace {

/// What the file may be instead. Records can begin like anything, so this is for errors only.
std::string other_kind(ByteView file) {
  const FileKind kind = file_kind(file);
  if (kind == FileKind::pickle)
    return "; it is a Python pickle: the Python version of CIFAR is not read, but the binary one "
           "(cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)";
  return kind == FileKind::empty ? "" : hint(kind);
}

/// The label bytes that start a record, each with the number of classes it may name. The last one
/// is kept.
template <std::size_t label_bytes>
CifarImages parse_cifar(ByteView file, const std::array<int, label_bytes>& classes,
                        std::string_view what) {
  constexpr std::size_t plane = CifarImages::height * CifarImages::width;
  constexpr std::size_t channels = CifarImages::channels;
  constexpr std::size_t record_size = label_bytes + channels * plane;
  constexpr std::size_t other_size = (3 - label_bytes) + channels * plane;
  if (!file.empty() && file.size() % record_size != 0 && file.size() % other_size == 0)
    fail("{}: {} records of {} bytes instead of {}: is this a file of CIFAR-{}?", what,
         file.size() / other_size, other_size, record_size, label_bytes == 1 ? 100 : 10);
  if (file.empty() || file.size() % record_size != 0)
    fail(
        "{}: {} bytes is not one or more records of {} bytes: the last record at offset {} is cut "
        "short{}",
        what, file.size(), record_size, file.size() / record_size * record_size, other_kind(file));

  const std::size_t count = file.size() / record_size;
  CifarImages images{Bytes(count * channels * plane), Bytes(count)};
  auto* pixel = images.pixels.data();
  for (std::size_t i = 0; i < count; ++i) {
    const ByteView record = file.subspan(i * record_size, record_size);
    for (std::size_t k = 0; k < label_bytes; ++k) {
      if (record[k] >= classes[k])
        fail("{}: label {} at offset {} is not below {}{}", what, record[k], i * record_size + k,
             classes[k], other_kind(file));
    }
    images.labels[i] = record[label_bytes - 1];
    const auto* planes = record.data() + label_bytes;
    for (std::size_t p = 0; p < plane; ++p)
      for (std::size_t c = 0; c < channels; ++c) *pixel++ = planes[c * plane + p];
  }
  return images;
}

}  // namespace

CifarImages parse_cifar10(ByteView file, std::string_view what) {
  return parse_cifar<1>(file, {10}, what);
}

CifarImages parse_cifar100(ByteView file, std::string_view what) {
  return parse_cifar<2>(file, {20, 100}, what);
}

}  // namespace pixeldp
