#include "engine/io/file.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <span>
#include <utility>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

/// An open file descriptor, closed at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  /// Some file systems report a failed write only here.
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

std::string reason(int error_number) { return std::strerror(error_number); }

/// Calls a system function again for as long as signals interrupt it.
template <typename Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

int open_to_read(const fs::path& path) {
  return retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
}

/// The size of an open file that is to be read: of a pipe, 0. Throws an Error where it could not be
/// opened, and for a directory.
std::size_t size_to_read(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0)
    fail("cannot read '{}': {}", path.string(), reason(errno));
  if (S_ISDIR(status.st_mode)) fail("cannot read '{}': it is a directory", path.string());
  return static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));
}

/// Reads into all of `into`, or as much as there is; 0 at the end of the file.
std::size_t read_some(const Descriptor& file, std::span<std::uint8_t> into, const fs::path& path) {
  const ssize_t n = retry([&] { return ::read(file.get(), into.data(), into.size()); });
  if (n < 0) fail("cannot read '{}': {}", path.string(), reason(errno));
  return static_cast<std::size_t>(n);
}

/// 0, or the error number of the step that failed.
int write_and_flush(Descriptor& file, ByteView contents) {
  while (!contents.empty()) {
    const ssize_t n = retry([&] { return ::write(file.get(), contents.data(), contents.size()); });
    if (n < 0) return errno;
    contents = contents.subspan(static_cast<std::size_t>(n));
  }
  if (retry([&] { return ::fsync(file.get()); }) != 0) return errno;
  return file.close() == 0 ? 0 : errno;
}

/// `wrapper` is zlib's windowBits: the largest window, and one wrapper, called `kind` in errors.
Bytes decompress(ByteView stream, int wrapper, std::string_view kind, std::string_view what,
                 std::size_t limit) {
  z_stream z{};
  if (inflateInit2(&z, wrapper) != Z_OK) fail("{}: zlib could not start: out of memory", what);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&z, inflateEnd);

  constexpr std::size_t chunk_size = std::size_t{1} << 18;
  Bytes payload;
  std::size_t size = 0, position = 0;
  int status = Z_OK;
  // zlib counts its input in 32 bits: it is handed over in pieces.
  while (status != Z_STREAM_END || position < stream.size()) {
    if (status == Z_STREAM_END) inflateReset(&z);  // another member follows
    if (payload.size() - size < chunk_size)
      payload.resize(std::max(std::min(payload.size() * 2, limit), size + chunk_size));
    const std::size_t input = std::min(stream.size() - position, chunk_size);
    z.next_in = const_cast<Bytef*>(stream.data() + position);  // zlib does not write to it
    z.avail_in = static_cast<uInt>(input);
    z.next_out = payload.data() + size;
    z.avail_out = static_cast<uInt>(chunk_size);
    status = inflate(&z, Z_NO_FLUSH);
    position += input - z.avail_in;
    size += chunk_size - z.avail_out;
    if (size > limit)
      fail("{}: the {} stream expands to more than the limit of {} bytes", what, kind, limit);
    if (status == Z_BUF_ERROR || (status == Z_OK && position == stream.size() && z.avail_out > 0))
      fail("{}: the {} stream is cut short after {} bytes", what, kind, stream.size());
    if (status != Z_OK && status != Z_STREAM_END)
      fail("{}: the {} stream is corrupt near byte {}: {}", what, kind, position,
           z.msg ? z.msg : zError(status));
  }
  payload.resize(size);
  return payload;
}

}  // namespace

Bytes read_file(const fs::path& path, std::size_t limit) {
  const Descriptor file(open_to_read(path));
  // The size is only a hint: pipes have none, and a file may grow while it is read. One byte more
  // than that, so that the end of the file shows without growing the buffer.
  constexpr std::size_t least = 4096;
  const std::size_t hint = size_to_read(file, path);
  const auto check_limit = [&](std::size_t bytes) {
    if (bytes > limit)
      fail("cannot read '{}': it is larger than the limit of {} bytes", path.string(), limit);
  };
  check_limit(hint);
  Bytes contents;
  try {
    contents.resize(std::max(hint + 1, least));
  } catch (const std::bad_alloc&) {
    fail("cannot read '{}': its {} bytes do not fit into memory", path.string(), hint);
  }
  std::size_t size = 0;
  for (;;) {
    const std::size_t n = read_some(file, std::span(contents).subspan(size), path);
    size += n;
    check_limit(size);
    if (n == 0) break;
    if (size == contents.size()) contents.resize(std::min(size * 2, limit + 1));
  }
  contents.resize(size);
  return contents;
}

std::optional<std::string> first_line(const fs::path& path, std::size_t limit) {
  std::ifstream file(path, std::ios::binary);
  std::string text(limit, '\0');
  file.read(text.data(), static_cast<std::streamsize>(limit));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return std::nullopt;
  text.resize(end + 1);
  return text;
}

Bytes decompress_gzip(ByteView stream, std::string_view what, std::size_t limit) {
  return decompress(stream, 15 + 16, "gzip", what, limit);
}

Bytes decompress_zlib(ByteView stream, std::string_view what, std::size_t limit) {
  return decompress(stream, 15, "zlib", what, limit);
}

Bytes read_decompressed(const fs::path& path, std::size_t limit) {
  Bytes contents = read_file(path, limit);
  const bool compressed = contents.size() >= 2 && contents[0] == 0x1f && contents[1] == 0x8b;
  return compressed ? decompress_gzip(contents, path.string(), limit) : contents;
}

void write_file_atomically(const fs::path& path, ByteView contents) {
  std::error_code ignored;
  const fs::file_status existing = fs::symlink_status(path, ignored);
  if (fs::exists(existing) && !fs::is_regular_file(existing) && !fs::is_symlink(existing))
    fail("cannot write '{}': it exists and is not a regular file", path.string());

  static std::atomic<unsigned> counter{0};
  fs::path temporary;
  int fd = -1;
  do {  // a name may be left over from a killed process that had the same number
    temporary = fmt::format("{}.{}.{}.tmp", path.string(), ::getpid(), counter++);
    fd = retry(
        [&] { return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  } while (fd < 0 && errno == EEXIST);
  if (fd < 0) fail("cannot write '{}': {}", path.string(), reason(errno));

  Descriptor file(fd);
  int error = write_and_flush(file, contents);
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    fail("cannot write '{}': {}", path.string(), reason(error));
  }
  // The new name itself reaches the disk with the folder. Not every file system can flush a
  // folder, and the contents are whole either way, so a refusal is no failure.
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) ::fsync(directory.get());
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  write_file_atomically(path, as_bytes(contents));
}

void Sha256::Free::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

std::filesystem::path folder_above_program(std::string_view name) {
  std::error_code unknown;
  auto folder = std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path();
  while (!folder.empty() && !std::filesystem::exists(folder / name)) {
    if (folder == folder.parent_path()) return {};
    folder = folder.parent_path();
  }
  return folder;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ ||
      EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), EVP_sha256(), nullptr) != 1)
    fail("OpenSSL could not start a SHA-256 digest");
}

void Sha256::update(ByteView bytes) {
  if (EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size()) != 1)
    fail("OpenSSL could not compute a SHA-256 digest");
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  if (EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), digest.data(), nullptr) != 1)
    fail("OpenSSL could not compute a SHA-256 digest");
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

std::string sha256_hex(ByteView bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.hex();
}

std::string sha256_files(std::span<const fs::path> paths) {
  Sha256 digest;
  Bytes piece(std::size_t{1} << 20);
  for (const fs::path& path : paths) {
    const Descriptor file(open_to_read(path));
    size_to_read(file, path);  // refuses what is no file
    while (const std::size_t n = read_some(file, piece, path))
      digest.update(ByteView(piece).first(n));
  }
  return digest.hex();
}

std::string sha256_file(const fs::path& path) { return sha256_files({&path, 1}); }

}  // namespace pixeldp
