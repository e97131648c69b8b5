#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

namespace pixeldp {

/// A file that one process at a time adds to: it is locked (flock) for as long as this lives, and
/// the system unlocks it when the process ends, however it does.
class AppendFile {
 public:
  /// Opens the file, or makes it. Throws an Error that names it where it cannot be opened, or where
  /// another writer has it. Where the file system knows no locks, it goes without, with a warning.
  explicit AppendFile(const std::filesystem::path& path);
  /// The same, but nothing where another writer has it.
  static std::optional<AppendFile> if_free(const std::filesystem::path& path);
  ~AppendFile() { close(); }
  AppendFile(AppendFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        locked_(other.locked_),
        torn_(other.torn_),
        synced_(other.synced_) {}
  AppendFile& operator=(AppendFile&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    locked_ = other.locked_;
    torn_ = other.torn_;
    synced_ = other.synced_;
    return *this;
  }

  /// Whether no other writer can have it: false where the file system knows no locks.
  bool locked() const { return locked_; }
  /// Bytes that it holds.
  std::uintmax_t size() const;
  /// Adds all of the text and returns true; or false, once and for all, where not all of it could
  /// be written: what came next would stand behind a torn line. What is a second old is on the disk
  /// by the next call, so that a machine that loses its power loses little more.
  bool write(std::string_view text);
  /// Writes the first text of an empty file: all of it, or nothing.
  bool begin(std::string_view text);
  /// Keeps the first `size` bytes. Throws an Error.
  void truncate(std::uintmax_t size);

 private:
  AppendFile() = default;
  /// False where another writer has it.
  bool open(const std::filesystem::path& path);
  void close();
  /// False where what was written did not reach the disk.
  bool sync() const;

  int fd_ = -1;
  bool locked_ = false, torn_ = false;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
};

}  // namespace pixeldp
