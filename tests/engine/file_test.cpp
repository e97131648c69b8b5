#include "engine/io/file.hpp"

#include <fstream>
#include <iterator>
#include <thread>

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/file_size_limit.hpp"
#include "tests/gzip.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * i >> 7);
  return bytes;
}

}  // namespace

TEST_CASE("read_file gives back what was written, whatever the size") {
  const TemporaryFolder folder;
  for (const std::size_t size : {0, 1, 4094, 4095, 4096, 4097, 100'000}) {
    CAPTURE(size);
    write_file_atomically(folder / "data", pattern(size));
    CHECK(read_file(folder / "data") == pattern(size));
  }
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("first_line ends with the first line's end, and is nothing where there is none") {
  const TemporaryFolder folder;
  CHECK(!first_line(folder / "missing"));
  CHECK(!first_line(folder.path()));
  write_file_atomically(folder / "text", std::string_view("one\ntwo\n"));
  CHECK(first_line(folder / "text") == "one\n");
  CHECK(first_line(folder / "text", 4) == "one\n");
  CHECK(!first_line(folder / "text", 3));
  write_file_atomically(folder / "text", std::string_view("cut sho"));
  CHECK(!first_line(folder / "text"));
}

TEST_CASE("read_file says what is wrong with a path") {
  const TemporaryFolder folder;
  CHECK_FAILS(read_file(folder / "missing"), "missing': No such file");
  CHECK_FAILS(read_file(folder.path()), "it is a directory");
  write_file_atomically(folder / "data", pattern(100));
  CHECK(read_file(folder / "data", 100).size() == 100);
  CHECK_FAILS(read_file(folder / "data", 99), "larger than the limit of 99 bytes");
  // Before any of it is read: 16 GiB that the disk does not hold.
  std::filesystem::resize_file(folder / "data", std::uintmax_t{16} << 30);
  CHECK_FAILS(read_file(folder / "data"), "larger than the limit of 2147483648 bytes");
  std::filesystem::resize_file(folder / "data", 100);
  // Has no size of its own and never ends.
  CHECK_FAILS(read_file("/dev/zero", 1 << 20), "larger than the limit");
  if (::geteuid() != 0) {
    std::filesystem::permissions(folder / "data", std::filesystem::perms::none);
    CHECK_FAILS(read_file(folder / "data"), "Permission denied");
  }
}

TEST_CASE("decompress_gzip") {
  const Bytes payload = pattern(700'000);
  const Bytes stream = gzip(payload);
  CHECK(decompress_gzip(stream, "x") == payload);
  CHECK(decompress_gzip(gzip({}), "x").empty());

  SUBCASE("several members are one payload") {
    Bytes two = stream;
    const Bytes second = gzip(pattern(10));
    two.insert(two.end(), second.begin(), second.end());
    Bytes expected = payload;
    const Bytes tail = pattern(10);
    expected.insert(expected.end(), tail.begin(), tail.end());
    CHECK(decompress_gzip(two, "x") == expected);
  }
  SUBCASE("a stream cut short anywhere is an error") {
    const Bytes small = gzip(pattern(100));
    for (std::size_t size = 0; size < small.size(); ++size) {
      CAPTURE(size);
      CHECK_FAILS(decompress_gzip(ByteView(small).first(size), "cut.gz"),
                  "cut.gz: the gzip stream is cut short");
    }
    CHECK_FAILS(decompress_gzip(ByteView(stream).first(stream.size() - 1), "x"), "cut short");
  }
  SUBCASE("a damaged stream is an error") {
    Bytes damaged = stream;
    damaged[damaged.size() - 5] ^= 1;  // in the checksum
    CHECK_FAILS(decompress_gzip(damaged, "bad.gz"), "bad.gz: the gzip stream is corrupt");
    damaged = stream;
    damaged[0] = 0;
    CHECK_FAILS(decompress_gzip(damaged, "x"), "corrupt near byte");
    damaged = stream;
    damaged.push_back('!');
    CHECK_FAILS(decompress_gzip(damaged, "x"), "the gzip stream is");
    damaged.insert(damaged.end(), 20, '!');
    CHECK_FAILS(decompress_gzip(damaged, "x"), "corrupt near byte");
  }
  SUBCASE("expansion stops at the limit") {
    CHECK(decompress_gzip(stream, "x", payload.size()) == payload);
    CHECK_FAILS(decompress_gzip(stream, "x", payload.size() - 1), "more than the limit of 699999");
    const Bytes bomb = gzip(Bytes(std::size_t{64} << 20));
    CHECK(bomb.size() < 100'000);
    CHECK_FAILS(decompress_gzip(bomb, "x", 1 << 20), "more than the limit");
  }
}

TEST_CASE("read_decompressed goes by the first bytes, not by the name") {
  const TemporaryFolder folder;
  CHECK_FAILS(read_decompressed(folder / "x"), "No such file");
  CHECK_FAILS(read_decompressed(folder / std::string(300, 'x')), "File name too long");
  for (const char* name : {"x", "x.gz"}) {
    write_file_atomically(folder / name, gzip(pattern(50)));
    CHECK(read_decompressed(folder / name) == pattern(50));
    write_file_atomically(folder / name, pattern(60));
    CHECK(read_decompressed(folder / name) == pattern(60));
  }
  Bytes cut = gzip(pattern(100));
  cut.resize(30);
  write_file_atomically(folder / "y", cut);
  CHECK_FAILS(read_decompressed(folder / "y"), "y: the gzip stream is cut short");
  write_file_atomically(folder / "y", Bytes{0x1f});
  CHECK(read_decompressed(folder / "y") == Bytes{0x1f});
}

TEST_CASE("write_file_atomically replaces a file and leaves nothing else behind") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", std::string_view("old"));
  write_file_atomically(folder / "f", std::string_view("new and longer"));
  CHECK(as_text(read_file(folder / "f")) == "new and longer");
  CHECK(files_in(folder.path()) == 1);
  CHECK_FAILS(write_file_atomically(folder / "no/f", std::string_view("x")), "no/f': No such file");
  CHECK_FAILS(write_file_atomically(folder.path(), std::string_view("x")), "not a regular file");
  CHECK_FAILS(write_file_atomically("/dev/null", std::string_view("x")), "not a regular file");
}

TEST_CASE("a write that fails half way keeps the old file and removes the new one") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", std::string_view("old"));
  std::string text;
  {
    const tests::FileSizeLimit limit(1000);
    try {
      write_file_atomically(folder / "f", pattern(5000));
    } catch (const Error& error) {
      text = error.what();
    }
  }
  CHECK(text.find("/f': File too large") != std::string::npos);
  CHECK(as_text(read_file(folder / "f")) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a reader beside a writer sees whole files only") {
  const TemporaryFolder folder;
  const Bytes small(10, 'a'), large(300'000, 'b');
  write_file_atomically(folder / "f", small);
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) write_file_atomically(folder / "f", i % 2 ? small : large);
  });
  int damaged = 0;
  for (int i = 0; i < 200; ++i) {
    const Bytes seen = read_file(folder / "f");
    damaged += seen != small && seen != large;
  }
  writer.join();
  CHECK(damaged == 0);
}

TEST_CASE("SHA-256 gives the known answers of FIPS 180-4") {
  CHECK(sha256_hex(as_bytes("")) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex(as_bytes("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 pieces;
  pieces.update(as_bytes("a"));
  pieces.update({});
  pieces.update(as_bytes("bc"));
  CHECK(pieces.hex() == sha256_hex(as_bytes("abc")));
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", std::string_view("abc"));
  CHECK(sha256_file(folder / "f") == sha256_hex(as_bytes("abc")));
  const std::string long_text((std::size_t{1} << 20) + 1, 'x');
  write_file_atomically(folder / "g", long_text);
  CHECK(sha256_files(std::vector{folder / "g", folder / "f"}) ==
        sha256_hex(as_bytes(long_text + "abc")));
  CHECK_FAILS(sha256_file(folder.path()), "it is a directory");
  CHECK_FAILS(sha256_file(folder / "none"), "cannot read");
}

}  // namespace pixeldp
