#include "engine/io/append_file.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/error.hpp"
#include "engine/notice.hpp"

namespace pixeldp {
namespace {

/// Whether the path still names the open file, and not one that took its place.
bool still_named(const std::filesystem::path& path, int fd) {
  struct stat open {
  }, named{};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

}  // namespace

AppendFile::AppendFile(const std::filesystem::path& path) {
  if (!open(path))
    fail("{}: another process is writing to it: wait for that, or choose another name",
         path.string());
}

std::optional<AppendFile> AppendFile::if_free(const std::filesystem::path& path) {
  AppendFile file;
  return file.open(path) ? std::optional(std::move(file)) : std::nullopt;
}

bool AppendFile::open(const std::filesystem::path& path) {
  // A file that is replaced between opening and locking is locked in vain: the new one is taken.
  for (;;) {
    do fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) fail("{}: cannot open it for writing: {}", path.string(), std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      if (error == EWOULDBLOCK) {
        close();
        return false;
      }
      warn("{}: it cannot be locked ({}); let no other process write to it", path.string(),
           std::strerror(error));
      return true;
    }
    locked_ = still_named(path, fd_);
    if (locked_) return true;
    close();
  }
}

std::uintmax_t AppendFile::size() const {
  struct stat status {};
  return ::fstat(fd_, &status) == 0 ? static_cast<std::uintmax_t>(status.st_size) : 0;
}

bool AppendFile::write(std::string_view text) {
  while (!torn_ && !text.empty()) {
    const ssize_t n = ::write(fd_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      torn_ = true;
    else
      text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (const auto now = std::chrono::steady_clock::now(); now - synced_ >= std::chrono::seconds(1)) {
    synced_ = now;
    torn_ = !sync() || torn_;
  }
  return !torn_;
}

bool AppendFile::begin(std::string_view text) {
  if (write(text)) return true;
  if (size() > 0) truncate(0);
  return false;
}

bool AppendFile::sync() const {
  int failed = 0;
  do failed = ::fdatasync(fd_);
  while (failed != 0 && errno == EINTR);
  return failed == 0 || errno == EINVAL || errno == EROFS;  // a pipe or a device has no disk
}

void AppendFile::truncate(std::uintmax_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
    fail("cannot shorten an open file: {}", std::strerror(errno));
}

void AppendFile::close() {
  if (fd_ >= 0) {
    sync();
    ::close(fd_);
  }
  fd_ = -1;
}

}  // namespace pixeldp
