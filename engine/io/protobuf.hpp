#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/io/file.hpp"

namespace pixeldp {

/// Reads a message of protocol buffers field by field, without knowing its definition:
///
///   while (reader.next()) switch (reader.field()) { case 1: name = reader.text(); ... }
///
/// What is not asked for is passed over. The encoding: protobuf.dev/programming-guides/encoding.
class ProtobufReader {
 public:
  /// `what` names the message in errors; both outlive the reader.
  ProtobufReader(ByteView message, std::string_view what) : message_(message), what_(what) {}

  /// Goes on to the next field; false at the end. Throws an Error for what is no message.
  bool next();
  int field() const { return field_; }

  // The value of the field. Each throws an Error where it is of another type.

  std::int64_t integer() const;
  float real() const;
  ByteView bytes() const;
  std::string_view text() const { return as_text(bytes()); }
  ProtobufReader message() const { return {bytes(), what_}; }
  // Of repeated fields: one value, or many that are packed.
  void append_to(std::vector<std::int64_t>& integers) const;
  /// The values as they are stored, of 4 bytes each or, doubles, of 8.
  void append_to(Bytes& reals) const;

 private:
  enum Wire : int { varint = 0, fixed64 = 1, length = 2, fixed32 = 5 };

  std::uint64_t take_varint();
  ByteView take(std::uint64_t bytes);
  [[noreturn]] void refuse(std::string_view why) const;

  ByteView message_;
  std::string_view what_;
  std::size_t at_ = 0;
  int field_ = 0, wire_ = varint;
  std::uint64_t number_ = 0;  // of a varint
  ByteView value_;            // of all others
};

}  // namespace pixeldp
