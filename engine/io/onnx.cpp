#include "engine/io/onnx.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "engine/io/file_kind.hpp"
#include "engine/io/protobuf.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/text.hpp"

namespace pixeldp {
namespace {

struct TypeInfo {
  std::string_view name;
  const char* dtype;  ///< of safetensors, which converts it; null: not read
  bool real;
};

/// By TensorProto.DataType.
constexpr TypeInfo types[] = {
    {"undefined", nullptr, false},  {"float", "F32", true},    {"uint8", "U8", false},
    {"int8", "I8", false},          {"uint16", "U16", false},  {"int16", "I16", false},
    {"int32", "I32", false},        {"int64", "I64", false},   {"string", nullptr, false},
    {"bool", "U8", false},          {"float16", "F16", true},  {"double", "F64", true},
    {"uint32", "U32", false},       {"uint64", "U64", false},  {"complex64", nullptr, false},
    {"complex128", nullptr, false}, {"bfloat16", "BF16", true}};

const TypeInfo& type_info(int type) {
  const bool known = type > 0 && type < std::ssize(types);
  return types[known ? type : 0];
}

std::size_t element_size(const TypeInfo& type) {
  const std::string_view digits = std::string_view(type.dtype).substr(type.dtype[0] == 'B' ? 2 : 1);
  return digits == "8" ? 1 : digits == "16" ? 2 : digits == "32" ? 4 : 8;
}

/// The product of the extents. Throws an Error where it is none.
std::int64_t element_count(const OnnxTensor& tensor, std::string_view where) {
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.dims)
    if (extent < 0 || __builtin_mul_overflow(count, extent, &count))
      fail("{}: its extents {} are negative, or their product overflows", where,
           fmt::join(tensor.dims, "x"));
  return count;
}

template <class T>
std::vector<std::int64_t> to_integers(ByteView bytes, std::string_view where) {
  std::vector<std::int64_t> values(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if (std::cmp_greater(value, std::numeric_limits<std::int64_t>::max()))
      fail("{}: it holds {}, which is beyond 63 bits", where, value);
    values[i] = static_cast<std::int64_t>(value);
  }
  return values;
}

std::vector<std::int64_t> to_integers(std::string_view dtype, ByteView bytes,
                                      std::string_view where) {
  if (dtype == "U8") return to_integers<std::uint8_t>(bytes, where);
  if (dtype == "I8") return to_integers<std::int8_t>(bytes, where);
  if (dtype == "U16") return to_integers<std::uint16_t>(bytes, where);
  if (dtype == "I16") return to_integers<std::int16_t>(bytes, where);
  if (dtype == "U32") return to_integers<std::uint32_t>(bytes, where);
  if (dtype == "I32") return to_integers<std::int32_t>(bytes, where);
  if (dtype == "U64") return to_integers<std::uint64_t>(bytes, where);
  if (dtype == "I64") return to_integers<std::int64_t>(bytes, where);
  fail("{}: no integers of type {}", where, dtype);
}

/// Gives the tensor its values, little-endian.
void convert(OnnxTensor& tensor, Bytes bytes, std::string_view where) {
  const TypeInfo& type = type_info(tensor.type);
  const std::int64_t count = element_count(tensor, where);
  const std::size_t size = element_size(type);
  if (bytes.size() % size != 0 || std::cmp_not_equal(bytes.size() / size, count))
    fail("{}: extents {} of type {} do not take its {} bytes", where, fmt::join(tensor.dims, "x"),
         type.name, bytes.size());
  if (type.real)
    tensor.values =
        SafeTensor{.dtype = type.dtype, .shape = {count}, .bytes = std::move(bytes)}.to_floats();
  else
    tensor.values = to_integers(type.dtype, bytes, where);
}

/// Integers as bytes of the type's size: also 16-bit floats are stored as such.
void append_narrow(const std::vector<std::int64_t>& integers, std::size_t size, Bytes& bytes) {
  for (const std::int64_t integer : integers) {
    const auto* low = reinterpret_cast<const std::uint8_t*>(&integer);
    bytes.insert(bytes.end(), low, low + size);
  }
}

std::string_view text_of_entry(ProtobufReader entry, std::string& key) {
  std::string_view value;
  while (entry.next()) {
    if (entry.field() == 1) key = entry.text();
    if (entry.field() == 2) value = entry.text();
  }
  return value;
}

std::int64_t parse_size(std::string_view text, std::string_view where) {
  const auto value = parse_number<std::int64_t>(text);
  if (!value || *value < 0)
    fail("{}: '{}' is no offset or length in an external file", where, text);
  return *value;
}

/// `holder` says whose it is where it has no name of its own.
OnnxTensor parse_tensor(ProtobufReader reader, std::string_view what, std::string_view holder) {
  OnnxTensor tensor;
  OnnxTensor::External external;
  bool is_external = false, has_raw = false;
  Bytes bytes;
  std::vector<std::int64_t> narrow, wide;
  std::vector<std::pair<std::string, std::string>> entries;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        reader.append_to(tensor.dims);
        break;
      case 2:
        tensor.type = static_cast<int>(reader.integer());
        break;
      case 3:
        fail("{}: {} is a tensor in segments, which are not read", what, holder);
      case 4:
      case 10:
        reader.append_to(bytes);
        break;
      case 5:
        reader.append_to(narrow);
        break;
      case 7:
      case 11:
        reader.append_to(wide);
        break;
      case 8:
        tensor.name = reader.text();
        break;
      case 9:
        has_raw = true;
        bytes.assign(reader.bytes().begin(), reader.bytes().end());
        break;
      case 13: {
        std::string key;
        const std::string_view value = text_of_entry(reader.message(), key);
        entries.emplace_back(std::move(key), value);
        break;
      }
      case 14:
        is_external = reader.integer() == 1;
        break;
      default:
        break;
    }
  }
  const std::string where =
      fmt::format("{}: {}", what, tensor.name.empty() ? holder : "tensor " + tensor.name);
  const TypeInfo& type = type_info(tensor.type);
  if (!type.dtype) fail("{}: values of type {} ({}) are not read", where, type.name, tensor.type);
  if (is_external) {
    for (const auto& [key, value] : entries) {
      if (key == "location") external.location = value;
      if (key == "offset") external.offset = parse_size(value, where);
      if (key == "length") external.length = parse_size(value, where);
    }
    element_count(tensor, where);
    tensor.external = std::move(external);
    if (type.real)
      tensor.values = std::vector<float>();
    else
      tensor.values = std::vector<std::int64_t>();
    return tensor;
  }
  if (!has_raw) {
    append_narrow(narrow, element_size(type), bytes);
    append_narrow(wide, element_size(type), bytes);
  }
  convert(tensor, std::move(bytes), where);
  return tensor;
}

OnnxAttribute parse_attribute(ProtobufReader reader, std::string_view what,
                              const std::string& node) {
  OnnxAttribute attribute;
  Bytes reals;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        attribute.name = reader.text();
        break;
      case 2:
        attribute.real = reader.real();
        break;
      case 3:
        attribute.integer = reader.integer();
        break;
      case 4:
        attribute.text = reader.text();
        break;
      case 5:
        attribute.tensor = parse_tensor(reader.message(), what, "an attribute of node " + node);
        break;
      case 6:
      case 11:
        attribute.is_graph = true;
        break;
      case 7:
        reader.append_to(reals);
        break;
      case 8:
        reader.append_to(attribute.integers);
        break;
      default:
        break;
    }
  }
  attribute.reals.resize(reals.size() / sizeof(float));
  if (!attribute.reals.empty())
    std::memcpy(attribute.reals.data(), reals.data(), attribute.reals.size() * sizeof(float));
  return attribute;
}

OnnxNode parse_node(ProtobufReader reader, std::string_view what) {
  OnnxNode node;
  std::vector<ProtobufReader> attributes;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        node.inputs.emplace_back(reader.text());
        break;
      case 2:
        node.outputs.emplace_back(reader.text());
        break;
      case 3:
        node.name = reader.text();
        break;
      case 4:
        node.operation = reader.text();
        break;
      case 5:
        attributes.push_back(reader.message());
        break;
      case 7:
        node.domain = reader.text();
        break;
      default:
        break;
    }
  }
  if (node.domain == "ai.onnx") node.domain.clear();
  for (const ProtobufReader& attribute : attributes)
    node.attributes.push_back(parse_attribute(attribute, what, node.name));
  return node;
}

OnnxValue::Dim parse_dim(ProtobufReader reader) {
  OnnxValue::Dim dim;
  while (reader.next()) {
    if (reader.field() == 1) dim.extent = std::max<std::int64_t>(reader.integer(), 0);
    if (reader.field() == 2) dim.name = reader.text();
  }
  return dim;
}

/// Calls visit(reader) for each field of that number.
template <class Visit>
void for_field(ProtobufReader reader, int field, Visit visit) {
  while (reader.next())
    if (reader.field() == field) visit(reader);
}

OnnxValue parse_value(ProtobufReader reader) {
  OnnxValue value;
  while (reader.next()) {
    if (reader.field() == 1) value.name = reader.text();
    if (reader.field() != 2) continue;
    for_field(reader.message(), 1, [&](const ProtobufReader& tensor) {
      for_field(tensor.message(), 1,
                [&](const ProtobufReader& type) { value.type = static_cast<int>(type.integer()); });
      for_field(tensor.message(), 2, [&](const ProtobufReader& shape) {
        for_field(shape.message(), 1, [&](const ProtobufReader& dim) {
          value.dims.push_back(parse_dim(dim.message()));
        });
      });
    });
  }
  return value;
}

void parse_graph(ProtobufReader reader, std::string_view what, OnnxModel& model) {
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        model.nodes.push_back(parse_node(reader.message(), what));
        break;
      case 5:
        model.initializers.push_back(parse_tensor(reader.message(), what, "an initializer"));
        break;
      case 11:
        model.inputs.push_back(parse_value(reader.message()));
        break;
      case 12:
        model.outputs.push_back(parse_value(reader.message()));
        break;
      case 15:
        fail("{}: it has sparse initializers, which are not read", what);
      default:
        break;
    }
  }
}

/// The file of external weights; an Error unless it lies in the folder or below.
std::filesystem::path external_file(const std::filesystem::path& folder, const std::string& name,
                                    const std::string& location) {
  namespace fs = std::filesystem;
  const fs::path relative = fs::path(location).lexically_normal();
  std::error_code error;
  const fs::path root = fs::weakly_canonical(folder, error),
                 path = fs::weakly_canonical(root / relative, error);
  const auto [end, rest] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  if (location.empty() || relative.is_absolute() || *relative.begin() == ".." || error ||
      end != root.end())
    fail("{}: tensor {}: its external file '{}' lies outside of the model's folder",
         folder.string(), name, location);
  if (!fs::is_regular_file(path))
    fail("{}: tensor {}: its external file '{}' is missing: it belongs beside the model",
         folder.string(), name, location);
  return path;
}

void read_external(OnnxTensor& tensor, const std::filesystem::path& path) {
  const OnnxTensor::External& external = *tensor.external;
  const std::string where = fmt::format("{}: tensor {}", path.string(), tensor.name);
  const std::size_t size = element_size(type_info(tensor.type));
  // Its product with the size cannot overflow: all weights together were looked at.
  const std::int64_t bytes = element_count(tensor, where) * static_cast<std::int64_t>(size);
  if (external.length && *external.length != bytes)
    fail("{}: extents {} of type {} do not take its {} bytes", where, fmt::join(tensor.dims, "x"),
         onnx_type_name(tensor.type), *external.length);
  const auto there = static_cast<std::int64_t>(std::filesystem::file_size(path));
  if (external.offset > there || bytes > there - external.offset)
    fail("{}: its {} bytes from offset {} on end beyond the file, which has {}", where, bytes,
         external.offset, there);
  std::ifstream file(path, std::ios::binary);
  file.seekg(external.offset);
  Bytes contents(static_cast<std::size_t>(bytes));
  if (!file.read(reinterpret_cast<char*>(contents.data()), bytes))
    fail("{}: cannot be read", where);
  convert(tensor, std::move(contents), where);
  tensor.external.reset();
}

}  // namespace

std::string_view onnx_type_name(int type) { return type_info(type).name; }
bool onnx_type_is_real(int type) { return type_info(type).real; }

OnnxModel parse_onnx(ByteView file, std::string_view what) {
  if (const FileKind kind = file_kind(file); kind != FileKind::onnx && kind != FileKind::unknown)
    fail("{}: not an ONNX model{}", what, hint(kind));
  OnnxModel model;
  bool has_graph = false;
  ProtobufReader reader(file, what);
  while (reader.next()) {
    if (reader.field() == 7) {
      has_graph = true;
      parse_graph(reader.message(), what, model);
    } else if (reader.field() == 8) {
      std::string domain;
      std::int64_t version = 0;
      ProtobufReader opset = reader.message();
      while (opset.next()) {
        if (opset.field() == 1) domain = opset.text();
        if (opset.field() == 2) version = opset.integer();
      }
      model.opsets[domain == "ai.onnx" ? "" : domain] = version;
    }
  }
  if (!has_graph) fail("{}: not an ONNX model: it has no graph", what);
  return model;
}

OnnxModel read_onnx(const std::filesystem::path& path) {
  const Bytes file = read_file(path);
  OnnxModel model = parse_onnx(file, path.string());
  std::filesystem::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  std::vector<OnnxTensor*> external;
  double bytes = 0.0;
  const auto look_at = [&](OnnxTensor& tensor) {
    bytes += 4.0 * static_cast<double>(element_count(tensor, path.string()));
    if (tensor.external) external.push_back(&tensor);
  };
  for (OnnxTensor& tensor : model.initializers) look_at(tensor);
  for (OnnxNode& node : model.nodes)
    for (OnnxAttribute& attribute : node.attributes)
      if (attribute.tensor) look_at(*attribute.tensor);
  if (bytes > static_cast<double>(default_read_limit))
    fail("{}: its weights take {:.1f} GiB in fp32; models of at most {} GiB are read",
         path.string(), bytes / (1 << 30), default_read_limit >> 30);
  for (OnnxTensor* tensor : external) {
    const auto from = external_file(folder, tensor->name, tensor->external->location);
    read_external(*tensor, from);
    model.external_files.insert(from);
  }
  return model;
}

}  // namespace pixeldp
