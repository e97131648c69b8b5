#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/io/file.hpp"

namespace pixeldp {

/// A tensor of an ONNX file: floating-point types as floats, all others as integers.
struct OnnxTensor {
  /// Where its bytes lie if they are in a file of their own.
  struct External {
    std::string location;
    std::int64_t offset = 0;
    std::optional<std::int64_t> length = {};
  };

  std::string name;
  std::vector<std::int64_t> dims;
  std::variant<std::vector<float>, std::vector<std::int64_t>> values;
  int type = 0;  ///< TensorProto.DataType
  std::optional<External> external = {};

  bool is_real() const { return std::holds_alternative<std::vector<float>>(values); }
};

struct OnnxAttribute {
  std::string name;
  std::int64_t integer = 0;
  float real = 0.0f;
  std::string text = {};
  std::vector<std::int64_t> integers = {};
  std::vector<float> reals = {};
  std::optional<OnnxTensor> tensor = {};
  bool is_graph = false;
};

struct OnnxNode {
  std::string name, operation, domain;
  std::vector<std::string> inputs, outputs;
  std::vector<OnnxAttribute> attributes;
};

/// An input or output of the graph.
struct OnnxValue {
  struct Dim {
    std::int64_t extent = 0;  ///< 0: free
    std::string name = {};    ///< of a free one, if it has any
  };
  std::string name;
  int type = 0;  ///< TensorProto.DataType; 0: no tensor
  std::vector<Dim> dims;
};

struct OnnxModel {
  std::map<std::string, std::int64_t> opsets;  ///< by domain, "" that of ONNX itself
  std::vector<OnnxNode> nodes;
  std::vector<OnnxTensor> initializers;
  std::vector<OnnxValue> inputs, outputs;
  /// Those that read_onnx took weights from besides the model's own, each once, ordered by name.
  std::set<std::filesystem::path> external_files = {};
};

inline constexpr int onnx_float = 1, onnx_bool = 9;

/// "float", "int64" ...: TensorProto.DataType.
std::string_view onnx_type_name(int type);
/// Whether its values are read as floats.
bool onnx_type_is_real(int type);

/// Reads a ModelProto (onnx.proto of ONNX 1.17; not by the library of that name, for it takes a
/// dozen lines for each message here, and no other library). The weights may lie in the file or
/// beside it: those are left empty, `external` says where they are. `what` names the file in
/// errors: of a file that is cut short, of a tensor whose type, extents and bytes do not agree.
OnnxModel parse_onnx(ByteView file, std::string_view what);

/// The same with external weights, which must lie in the file's folder or below. All weights
/// together take 2 GiB in fp32 at most, as in a model file of ours; that is looked at before they
/// are read.
OnnxModel read_onnx(const std::filesystem::path& path);

}  // namespace pixeldp
