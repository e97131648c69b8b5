#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace pixeldp::tests {

/// A message of protocol buffers, field by field.
class Message {
 public:
  Message& integer(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& real(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Message& text(int field, const std::string& value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

/// An ONNX model, node by node.
class MadeOnnx {
 public:
  using Dims = std::vector<std::int64_t>;

  static Message tensor(const std::string& name, const Dims& dims,
                        const std::vector<float>& values) {
    std::string raw(values.size() * sizeof(float), '\0');
    if (!raw.empty()) std::memcpy(raw.data(), values.data(), raw.size());
    return tensor_of(name, dims, 1).text(9, raw);
  }
  static Message integers(const std::string& name, const std::vector<std::int64_t>& values) {
    Message made = tensor_of(name, {static_cast<std::int64_t>(values.size())}, 7);
    for (const std::int64_t value : values) made.integer(7, value);
    return made;
  }
  /// A TensorProto without values.
  static Message tensor_of(const std::string& name, const Dims& dims, int type) {
    Message made;
    for (const std::int64_t extent : dims) made.integer(1, extent);
    return made.integer(2, type).text(8, name);
  }
  static Message attribute(const std::string& name, std::int64_t value) {
    return Message().text(1, name).integer(3, value).integer(20, 2);
  }
  static Message attribute(const std::string& name, const Dims& values) {
    Message made;
    made.text(1, name).integer(20, 7);
    for (const std::int64_t value : values) made.integer(8, value);
    return made;
  }

  /// Extents of 0 are free.
  MadeOnnx& input(const std::string& name, const Dims& dims, int type = 1) {
    graph_.message(11, value(name, dims, type));
    return *this;
  }
  MadeOnnx& output(const std::string& name) {
    graph_.message(12, value(name, {}, 1));
    return *this;
  }
  MadeOnnx& initializer(const Message& tensor) {
    graph_.message(5, tensor);
    return *this;
  }
  MadeOnnx& node(const std::string& operation, const std::vector<std::string>& inputs,
                 const std::vector<std::string>& outputs,
                 const std::vector<Message>& attributes = {}) {
    Message made;
    for (const std::string& name : inputs) made.text(1, name);
    for (const std::string& name : outputs) made.text(2, name);
    made.text(3, "the_" + operation).text(4, operation);
    for (const Message& attribute : attributes) made.message(5, attribute);
    graph_.message(1, made);
    return *this;
  }
  std::string bytes(std::int64_t opset = 13) const {
    return Message()
        .integer(1, 8)
        .message(7, graph_)
        .message(8, Message().text(1, "").integer(2, opset))
        .bytes();
  }

 private:
  static Message value(const std::string& name, const Dims& dims, int type) {
    Message shape;
    for (const std::int64_t extent : dims)
      shape.message(1, extent > 0 ? Message().integer(1, extent) : Message().text(2, "N"));
    return Message().text(1, name).message(
        2, Message().message(1, Message().integer(1, type).message(2, shape)));
  }

  Message graph_;
};

}  // namespace pixeldp::tests
