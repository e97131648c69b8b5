#include "engine/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file_kind.hpp"

namespace pixeldp {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the data is copied as it is stored");

constexpr std::string_view metadata_key = "__metadata__";
constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header_size = 100'000'000;  // the limit of the format

struct Dtype {
  std::string_view name;
  std::uint64_t size;
};
constexpr Dtype dtypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
                            {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},
                            {"I32", 4},  {"F32", 4}, {"U64", 8}, {"I64", 8},     {"F64", 8}};

/// Bytes of one element; nothing for an unknown dtype.
std::optional<std::uint64_t> element_size(std::string_view dtype) {
  for (const Dtype& known : dtypes)
    if (dtype == known.name) return known.size;
  return std::nullopt;
}

/// Bytes that a shape takes; nothing if an extent is negative or the product exceeds 63 bits.
std::optional<std::uint64_t> byte_count(std::span<const std::int64_t> shape, std::uint64_t size) {
  auto product = static_cast<std::int64_t>(size);
  for (const std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  return static_cast<std::uint64_t>(product);
}

/// The header as JSON. The parser itself would take the last of two equal keys and any depth.
json parse_header(std::string_view text, std::string_view what) {
  constexpr int deepest = 2;  // the lists in a tensor's entry
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    using Event = json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && depth > deepest)
      fail("{}: the header nests deeper than a safetensors header does", what);
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second)
      fail("{}: the header has the key '{}' twice", what, value.get<std::string>());
    return true;
  };
  try {
    json header = json::parse(text, check);
    if (!header.is_object()) fail("{}: the header is not a JSON object", what);
    return header;
  } catch (const json::exception& error) {
    fail("{}: the header is not valid JSON: {}", what, error.what());
  }
}

/// A list of integers from 0 to 2^63 - 1.
std::vector<std::int64_t> parse_integers(const json& entry, const char* key,
                                         std::string_view where) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array())
    fail("{}: '{}' is missing or not a list", where, key);
  std::vector<std::int64_t> integers;
  for (const json& element : *list) {
    if (!element.is_number_unsigned() || element.get<std::uint64_t>() > INT64_MAX)
      fail("{}: '{}' holds {}, not an integer from 0 to 2^63 - 1", where, key, element.dump());
    integers.push_back(element.get<std::int64_t>());
  }
  return integers;
}

/// Where a tensor's bytes lie in the data.
struct Extent {
  std::uint64_t begin, end;
  const std::string* name;
};

/// A tensor's entry; `extent` is checked against the data and the shape.
SafeTensor parse_entry(const json& entry, ByteView data, std::string_view where, Extent& extent) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry["dtype"].is_string())
    fail("{}: the entry must hold exactly 'dtype', 'shape' and 'data_offsets'", where);
  SafeTensor tensor;
  tensor.dtype = entry["dtype"].get<std::string>();
  const auto size = element_size(tensor.dtype);
  if (!size) fail("{}: unknown dtype '{}'", where, tensor.dtype);
  tensor.shape = parse_integers(entry, "shape", where);
  const auto offsets = parse_integers(entry, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    fail("{}: 'data_offsets' must be two rising offsets", where);
  extent.begin = static_cast<std::uint64_t>(offsets[0]);
  extent.end = static_cast<std::uint64_t>(offsets[1]);
  if (extent.end > data.size())
    fail("{}: its data ends at offset {}, the file has {} bytes of data: cut short?", where,
         extent.end, data.size());
  if (byte_count(tensor.shape, *size) != extent.end - extent.begin)
    fail("{}: dtype {} and shape [{}] do not take the {} bytes of its 'data_offsets'", where,
         tensor.dtype, fmt::join(tensor.shape, ", "), extent.end - extent.begin);
  const ByteView bytes = data.subspan(extent.begin, extent.end - extent.begin);
  tensor.bytes.assign(bytes.begin(), bytes.end());
  return tensor;
}

/// The tensors must cover the data exactly once, so that no byte is hidden or shared.
void check_coverage(std::vector<Extent> extents, std::uint64_t size, std::string_view what) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != covered)
      fail(
          "{}: tensor '{}' starts at offset {} of the data, not at {} where the one before it ends",
          what, *extent.name, extent.begin, covered);
    covered = extent.end;
  }
  if (covered != size)
    fail("{}: the tensors end at offset {}, the data has {} bytes", what, covered, size);
}

/// How weights of another kind become a safetensors file; nothing where they are no weights.
std::string_view conversion(FileKind kind) {
  switch (kind) {
    case FileKind::pytorch:
    case FileKind::pickle:
      return ": load it in PyTorch and save the weights with "
             "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')";
    case FileKind::onnx:
      return ": 'pixeldp import' reads it whole, without --architecture, if its name ends in .onnx";
    case FileKind::hdf5:
    case FileKind::tflite:
    case FileKind::numpy:
      return ": save its arrays under PyTorch's names, kernels of convolutions as OIHW, with "
             "safetensors.numpy.save_file(arrays, 'model.safetensors')";
    case FileKind::safetensors_index:
      return ": load the files that it names into one dictionary, and save that with "
             "safetensors.torch.save_file(tensors, 'model.safetensors')";
    case FileKind::unknown:
    case FileKind::empty:
    case FileKind::json:
    case FileKind::html:
    case FileKind::xml:
    case FileKind::git_lfs_pointer:
    case FileKind::gzip:
    case FileKind::zip:
    case FileKind::tar:
    case FileKind::png:
    case FileKind::jpeg:
    case FileKind::gif:
    case FileKind::webp:
    case FileKind::bmp:
    case FileKind::tiff:
      return {};
  }
  fail("not a kind of file: {}", static_cast<int>(kind));
}

/// Refuses a file whose first bytes are not those of a safetensors file, but of one that is known.
/// The header's length, of any value, is followed by the header's brace.
void refuse_other_kinds(ByteView file, std::uint64_t header_size, std::string_view what) {
  if (header_size <= max_header_size && file.size() > length_bytes && file[length_bytes] == '{')
    return;
  const FileKind kind = file_kind(file);
  if (kind != FileKind::unknown)
    fail("{}: not a safetensors file{}{}", what, hint(kind), conversion(kind));
}

template <typename T>
std::vector<float> convert(const SafeTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<float>(value);
  }
  return values;
}

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

float from_f16(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int mantissa = bits & 0x3ff;
  float magnitude;
  if (exponent == 0x1f)
    magnitude = mantissa == 0 ? INFINITY : NAN;
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  else
    magnitude = std::ldexp(static_cast<float>(mantissa | 0x400), exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

/// For 16-bit floats, which C++20 has no type for.
std::vector<float> convert_bits(const SafeTensor& tensor, float (*from_bits)(std::uint16_t)) {
  std::vector<float> values(static_cast<std::size_t>(tensor.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, tensor.bytes.data() + i * sizeof(bits), sizeof(bits));
    values[i] = from_bits(bits);
  }
  return values;
}

}  // namespace

SafeTensor SafeTensor::from_floats(std::vector<std::int64_t> shape, std::span<const float> values) {
  SafeTensor tensor;
  tensor.shape = std::move(shape);
  if (byte_count(tensor.shape, sizeof(float)) != values.size_bytes())
    fail("a tensor of shape [{}] cannot hold {} values", fmt::join(tensor.shape, ", "),
         values.size());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
  tensor.bytes.assign(bytes, bytes + values.size_bytes());
  return tensor;
}

std::int64_t SafeTensor::size() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

std::vector<float> SafeTensor::to_floats() const {
  if (dtype == "F32") return convert<float>(*this);
  if (dtype == "F16") return convert_bits(*this, from_f16);
  if (dtype == "BF16") return convert_bits(*this, from_bf16);
  if (dtype == "F64") return convert<double>(*this);
  if (dtype == "I64") return convert<std::int64_t>(*this);
  if (dtype == "U64") return convert<std::uint64_t>(*this);
  if (dtype == "I32") return convert<std::int32_t>(*this);
  if (dtype == "U32") return convert<std::uint32_t>(*this);
  if (dtype == "I16") return convert<std::int16_t>(*this);
  if (dtype == "U16") return convert<std::uint16_t>(*this);
  if (dtype == "I8") return convert<std::int8_t>(*this);
  if (dtype == "U8") return convert<std::uint8_t>(*this);
  fail("a tensor of dtype {} cannot be read as floats: store it as F32", dtype);
}

SafetensorsFile parse_safetensors(ByteView file, std::string_view what) {
  std::uint64_t header_size = 0;
  std::copy_n(file.begin(), std::min(file.size(), length_bytes),
              reinterpret_cast<std::uint8_t*>(&header_size));
  refuse_other_kinds(file, header_size, what);
  if (file.size() < length_bytes)
    fail("{}: cut short: {} bytes cannot hold the header length of a safetensors file", what,
         file.size());
  if (header_size > max_header_size)
    fail("{}: a header of {} bytes exceeds the format's limit of {}: not a safetensors file?", what,
         header_size, max_header_size);
  if (header_size > file.size() - length_bytes)
    fail("{}: cut short: the header has {} bytes, the file only {} after the header's length", what,
         header_size, file.size() - length_bytes);
  const json header = parse_header(as_text(file.subspan(length_bytes, header_size)), what);
  const ByteView data = file.subspan(length_bytes + header_size);

  SafetensorsFile result;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == metadata_key) {
      if (!entry.is_object()) fail("{}: '{}' is not a mapping", what, name);
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) fail("{}: the metadata '{}' is not a text", what, key);
        result.metadata[key] = value.get<std::string>();
      }
      continue;
    }
    Extent extent{};
    SafeTensor tensor =
        parse_entry(entry, data, fmt::format("{}: tensor '{}'", what, name), extent);
    extent.name = &result.tensors.emplace(name, std::move(tensor)).first->first;
    extents.push_back(extent);
  }
  check_coverage(std::move(extents), data.size(), what);
  return result;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

Bytes serialize_safetensors(const SafetensorsFile& file) {
  struct Item {
    std::uint64_t element_size;
    const std::string* name;
    const SafeTensor* tensor;
  };
  std::vector<Item> order;
  for (const auto& [name, tensor] : file.tensors) {
    if (name == metadata_key) fail("a tensor cannot be named '{}'", name);
    const auto size = element_size(tensor.dtype);
    if (!size) fail("tensor '{}': unknown dtype '{}'", name, tensor.dtype);
    if (byte_count(tensor.shape, *size) != tensor.bytes.size())
      fail("tensor '{}': dtype {} and shape [{}] do not take its {} bytes", name, tensor.dtype,
           fmt::join(tensor.shape, ", "), tensor.bytes.size());
    order.push_back({*size, &name, &tensor});
  }
  std::stable_sort(order.begin(), order.end(), [](const Item& a, const Item& b) {
    return a.element_size > b.element_size;  // the map has sorted the names
  });

  json header = json::object();  // sorts its keys
  if (!file.metadata.empty()) header[std::string(metadata_key)] = file.metadata;
  std::uint64_t offset = 0;
  for (const Item& item : order) {
    const std::uint64_t end = offset + item.tensor->bytes.size();
    header[*item.name] = {{"dtype", item.tensor->dtype},
                          {"shape", item.tensor->shape},
                          {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception& error) {
    fail("a tensor's name or the metadata is not UTF-8: {}", error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t header_size = text.size();
  if (header_size > max_header_size)
    fail("a header of {} bytes exceeds the limit of {} of the safetensors format", header_size,
         max_header_size);

  Bytes bytes(length_bytes);
  std::memcpy(bytes.data(), &header_size, length_bytes);
  bytes.reserve(length_bytes + header_size + offset);
  bytes.insert(bytes.end(), text.begin(), text.end());
  for (const Item& item : order)
    bytes.insert(bytes.end(), item.tensor->bytes.begin(), item.tensor->bytes.end());
  return bytes;
}

void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file) {
  write_file_atomically(path, serialize_safetensors(file));
}

}  // namespace pixeldp
