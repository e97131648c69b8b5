#include "engine/io/file_kind.hpp"

#include <doctest/doctest.h>

#include "engine/io/dataset.hpp"
#include "engine/io/safetensors.hpp"
#include "tests/gzip.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace std::string_literals;

namespace {

/// A zip archive as far as its first name.
std::string zip_of(const std::string& name) {
  std::string zip = "PK\x03\x04"s;
  zip.resize(30);
  zip[26] = static_cast<char>(name.size());
  return zip + name + "contents";
}

const std::pair<FileKind, std::string> samples[] = {
    {FileKind::empty, ""},
    {FileKind::pytorch, zip_of("archive/data.pkl")},
    {FileKind::pytorch, zip_of("resnet/version")},
    {FileKind::numpy, zip_of("x_train.npy")},
    {FileKind::zip, zip_of("model.weights.h5")},
    {FileKind::pickle, "\x80\x02\x8a\nl\xfc\x9c\x46\xf9"s},
    {FileKind::pickle, "\x80\x04\x95}"s},
    {FileKind::onnx,
     "\x08\x03\x12\x04"s
     "CNTK\x1a\x05"
     "2.5.1"s},
    {FileKind::onnx, "\x08\x08\x12\x07pytorch\x1a"s},
    {FileKind::onnx, "\x08\x0a\x3a\xfb\x8e\x01\n\x05"s},
    {FileKind::hdf5, "\x89HDF\r\n\x1a\n\0\0"s},
    {FileKind::tflite, "\x1c\0\0\0TFL3\0\0"s},
    {FileKind::numpy, "\x93NUMPY\x01\0"s},
    {FileKind::safetensors_index, "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {}}"},
    {FileKind::safetensors_index,
     "{\"abcd\":{\"weight_map\": {}}}"},  // a brace where a header's is
    {FileKind::json, "{\n  \"architectures\": []}"},
    {FileKind::html, "\n<!DOCTYPE HTML><html>"},
    {FileKind::html, "\xef\xbb\xbf<html lang=en>"},
    {FileKind::xml, "<?xml version=\"1.0\"?><Error>"},
    {FileKind::git_lfs_pointer, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"},
    {FileKind::gzip, "\x1f\x8b\x08\0"s},
    {FileKind::tar, std::string(257, 'a') + "ustar\0"s + std::string(20, '0')},
    {FileKind::png, "\x89PNG\r\n\x1a\n"s},
    {FileKind::jpeg, "\xff\xd8\xff\xe0"s},
    {FileKind::gif, "GIF89a"},
    {FileKind::webp, "RIFF\x10\0\0\0WEBPVP8 "s},
    {FileKind::bmp, "BM\x36\x03\0\0\0\0\0\0\x36"s},
    {FileKind::tiff, "II*\0\x08"s}};

}  // namespace

TEST_CASE("files are known by their first bytes, and cutting them short is never worse than that") {
  for (const auto& [kind, text] : samples) {
    CAPTURE(name(kind));
    CHECK(file_kind(as_bytes(text)) == kind);
    for (std::size_t size = 0; size < text.size(); ++size)
      CHECK_NOTHROW(file_kind(as_bytes(text).first(size)));
  }
  CHECK(file_kind(as_bytes("BM of something else")) == FileKind::unknown);
  CHECK(file_kind(as_bytes("plain text")) == FileKind::unknown);
  CHECK(hint(FileKind::unknown).empty());
}

TEST_CASE("weights of other kinds are refused by what they are and how to convert them") {
  for (const auto& [kind, text] : samples) {
    CAPTURE(name(kind));
    CHECK_FAILS(parse_safetensors(as_bytes(text), "FILE"), hint(kind).c_str());
    CHECK_FAILS(parse_safetensors(as_bytes(text), "FILE"), "FILE: not a safetensors file; it is ");
  }
  const auto refused = [](const std::string& text, const char* part) {
    CHECK_FAILS(parse_safetensors(as_bytes(text), "FILE"), part);
  };
  refused(zip_of("archive/data.pkl"), "safetensors.torch.save_file(model.state_dict()");
  refused("\x80\x02}"s, "safetensors.torch.save_file(model.state_dict()");
  refused("version https://git-lfs.github.com/spec/v1\n", "git lfs pull");
  refused("<html>", "download it anew");
  refused("{\"weight_map\": {}}", "one dictionary");
}

TEST_CASE("a safetensors file is not taken for another kind, whatever its header's length") {
  // A length of 0x04034b50 reads PK\x03\x04.
  CHECK_FAILS(parse_safetensors(as_bytes("PK\x03\x04\0\0\0\0{}"s), "FILE"),
              "cut short: the header has 67324752 bytes");
}

TEST_CASE("data of other kinds are named in the errors of their readers") {
  const Bytes page{'<', 'h', 't', 'm', 'l', '>', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
  CHECK_FAILS(parse_idx_images(page, "f"), "it is a web page");
  CHECK_FAILS(parse_idx_labels(page, 10, "f"), "it is a web page");
  CHECK_FAILS(parse_cifar10(page, "f"), "it is a web page");
  CHECK_FAILS(parse_svhn(page, "f"), "it is a web page");
  Bytes pickle(3073);
  pickle[0] = 0x80, pickle[1] = 2;
  CHECK_FAILS(parse_cifar10(pickle, "f"), "cifar-10-binary.tar.gz");
  CHECK_FAILS(parse_svhn(as_bytes("\x89HDF\r\n\x1a\n"s), "f"), "an HDF5 file");
  // A record of CIFAR can begin like anything.
  Bytes record(3073);
  record[0] = 8, record[1] = 3, record[2] = 0x3a;
  CHECK(file_kind(record) == FileKind::onnx);
  CHECK(parse_cifar10(record, "f").labels == Bytes{8});
}
