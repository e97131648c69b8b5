#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pixeldp {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What a reader takes into memory at most, before and after decompression. A gzip stream can
/// expand a thousandfold, so without a limit a small file could exhaust the memory.
inline constexpr std::size_t default_read_limit = std::size_t{2} << 30;

/// The whole file. Throws an Error if it is missing, a directory, unreadable, or longer than
/// limit bytes.
Bytes read_file(const std::filesystem::path& path, std::size_t limit = default_read_limit);

/// The first line of a text, with its end; nothing where there is no file, or no end within `limit`
/// bytes.
std::optional<std::string> first_line(const std::filesystem::path& path,
                                      std::size_t limit = std::size_t{1} << 20);

/// The payload of a gzip stream (RFC 1952; several members in a row count as one payload). `what`
/// names the stream in the Error thrown when it is truncated, corrupt, followed by anything else,
/// or expands to more than limit bytes.
Bytes decompress_gzip(ByteView stream, std::string_view what,
                      std::size_t limit = default_read_limit);

/// The same for a zlib stream (RFC 1950).
Bytes decompress_zlib(ByteView stream, std::string_view what,
                      std::size_t limit = default_read_limit);

/// The whole file, decompressed if its first bytes are those of a gzip stream: names do not tell,
/// since downloads lose or keep a ".gz" as they please.
Bytes read_decompressed(const std::filesystem::path& path, std::size_t limit = default_read_limit);

/// Replaces the file as a whole: a temporary file in the same folder is written, flushed to the
/// disk and renamed, so that whatever happens the path holds the old contents or the new ones.
/// On failure the temporary file is removed and the Error names path and reason. Refuses a path
/// that exists and is not a regular file; a symbolic link is replaced, not followed.
void write_file_atomically(const std::filesystem::path& path, ByteView contents);
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

/// The nearest folder above the running program that holds a file or folder `name`; empty where
/// there is none.
std::filesystem::path folder_above_program(std::string_view name);

/// SHA-256 of bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256();
  void update(ByteView bytes);
  /// 64 lower-case hexadecimal digits. Nothing can be added afterwards.
  std::string hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

std::string sha256_hex(ByteView bytes);
/// Of files as they are stored, compressed or not, one after the other: what `cat FILE... |
/// sha256sum` prints. Throws an Error as read_file does, but for files of any length.
std::string sha256_files(std::span<const std::filesystem::path> paths);
std::string sha256_file(const std::filesystem::path& path);

}  // namespace pixeldp
