#include "engine/io/protobuf.hpp"

#include <cstring>

#include "engine/error.hpp"

namespace pixeldp {

void ProtobufReader::refuse(std::string_view why) const {
  fail("{}: {}, at offset {} of a message of {} bytes: the file is cut short or damaged", what_,
       why, at_, message_.size());
}

std::uint64_t ProtobufReader::take_varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == message_.size()) refuse("a number that does not end");
    const std::uint8_t byte = message_[at_++];
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  refuse("a number of more than 64 bits");
}

ByteView ProtobufReader::take(std::uint64_t bytes) {
  if (bytes > message_.size() - at_) refuse("a field that ends beyond its message");
  const ByteView taken = message_.subspan(at_, bytes);
  at_ += bytes;
  return taken;
}

bool ProtobufReader::next() {
  if (at_ == message_.size()) return false;
  constexpr std::uint64_t most_fields = std::uint64_t{1} << 29;
  const std::uint64_t tag = take_varint();
  if (tag >> 3 == 0 || tag >> 3 >= most_fields) refuse("a field of no number");
  field_ = static_cast<int>(tag >> 3);
  wire_ = static_cast<int>(tag & 7);
  switch (wire_) {
    case varint:
      number_ = take_varint();
      return true;
    case fixed64:
      value_ = take(8);
      return true;
    case length:
      value_ = take(take_varint());
      return true;
    case fixed32:
      value_ = take(4);
      return true;
    default:
      refuse("a field of no type");
  }
}

std::int64_t ProtobufReader::integer() const {
  if (wire_ != varint) refuse("a field that is no integer");
  return static_cast<std::int64_t>(number_);
}

float ProtobufReader::real() const {
  if (wire_ != fixed32) refuse("a field that is no float");
  float value;
  std::memcpy(&value, value_.data(), sizeof value);
  return value;
}

ByteView ProtobufReader::bytes() const {
  if (wire_ != length) refuse("a field that is no text or message");
  return value_;
}

void ProtobufReader::append_to(std::vector<std::int64_t>& integers) const {
  if (wire_ == varint) {
    integers.push_back(integer());
    return;
  }
  ProtobufReader packed(bytes(), what_);
  while (packed.at_ < packed.message_.size())
    integers.push_back(static_cast<std::int64_t>(packed.take_varint()));
}

void ProtobufReader::append_to(Bytes& reals) const {
  if (wire_ == varint) refuse("a field that is no float");
  reals.insert(reals.end(), value_.begin(), value_.end());
}

}  // namespace pixeldp
