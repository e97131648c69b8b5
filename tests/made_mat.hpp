#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <zlib.h>

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp::tests {

/// One variable of a MATLAB file of version 5.
struct MatVariable {
  std::string name;
  std::vector<std::uint32_t> extents;
  Bytes data;
  std::uint8_t array_class = 9;  ///< of the numbers in MATLAB: 9 is uint8
  std::uint32_t data_type = 2;   ///< of the numbers in the file: 2 is uint8
  std::uint8_t flags = 0;        ///< 8: complex, 2: logical
};

inline void append_little_endian(Bytes& bytes, std::uint32_t value) {
  for (const int shift : {0, 8, 16, 24}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

/// Type, length, the bytes themselves, and zeros up to a multiple of eight. MATLAB writes up to
/// four bytes in the short form, others may not.
inline void append_element(Bytes& bytes, std::uint32_t type, const Bytes& contents,
                           bool short_form = false) {
  const auto size = static_cast<std::uint32_t>(contents.size());
  if (short_form && size > 0 && size <= 4) {
    append_little_endian(bytes, size << 16 | type);
  } else {
    append_little_endian(bytes, type);
    append_little_endian(bytes, size);
  }
  bytes.insert(bytes.end(), contents.begin(), contents.end());
  bytes.resize((bytes.size() + 7) / 8 * 8);
}

/// Written byte by byte from the description of the format, so that the library that reads it is
/// checked by something else than itself.
inline Bytes made_mat(const std::vector<MatVariable>& variables, bool compressed,
                      bool short_form = true) {
  const std::string text = "MATLAB 5.0 MAT-file, made for a test";
  Bytes file(text.begin(), text.end());
  file.resize(124, ' ');
  for (const std::uint8_t byte : {0x00, 0x01, int{'I'}, int{'M'}}) file.push_back(byte);
  for (const MatVariable& v : variables) {
    Bytes flags, extents, matrix, element;
    append_little_endian(flags, std::uint32_t{v.flags} << 8 | v.array_class);
    append_little_endian(flags, 0);
    for (const std::uint32_t extent : v.extents) append_little_endian(extents, extent);
    append_element(matrix, 6, flags);
    append_element(matrix, 5, extents);
    append_element(matrix, 1, Bytes(v.name.begin(), v.name.end()), short_form);
    append_element(matrix, v.data_type, v.data, short_form);
    append_element(element, 14, matrix);
    if (compressed) {
      uLongf size = compressBound(element.size());
      Bytes deflated(size);
      if (compress(deflated.data(), &size, element.data(), element.size()) != Z_OK)
        fail("zlib could not compress");
      deflated.resize(size);
      append_little_endian(file, 15);  // compressed variables are not padded
      append_little_endian(file, static_cast<std::uint32_t>(size));
      file.insert(file.end(), deflated.begin(), deflated.end());
    } else {
      file.insert(file.end(), element.begin(), element.end());
    }
  }
  return file;
}

}  // namespace pixeldp::tests
