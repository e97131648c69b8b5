#pragma once

#include <zlib.h>

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp {

/// The bytes as a gzip stream of one member.
inline Bytes gzip(ByteView bytes) {
  z_stream z{};
  constexpr int gzip_wrapper = 15 + 16;
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_wrapper, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    fail("zlib could not start");
  Bytes stream(deflateBound(&z, bytes.size()));
  z.next_in = const_cast<Bytef*>(bytes.data());
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = stream.data();
  z.avail_out = static_cast<uInt>(stream.size());
  const int status = deflate(&z, Z_FINISH);
  stream.resize(z.total_out);
  deflateEnd(&z);
  if (status != Z_STREAM_END) fail("zlib could not compress");
  return stream;
}

}  // namespace pixeldp
