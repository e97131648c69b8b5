#pragma once

#include "engine/io/safetensors.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void safetensors(ByteView input) {
  const SafetensorsFile file = parse_safetensors(input, "input");
  for (const auto& entry : file.tensors) {
    const SafeTensor& tensor = entry.second;
    accept([&] { require(tensor.to_floats().size() == static_cast<std::size_t>(tensor.size())); });
  }
  const SafetensorsFile again = parse_safetensors(serialize_safetensors(file), "again");
  require(again.tensors == file.tensors && again.metadata == file.metadata);
}

}  // namespace pixeldp::fuzz
