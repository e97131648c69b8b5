#include "engine/io/file_kind.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

using namespace std::string_view_literals;

/// The first name in a zip archive tells who wrote it.
FileKind kind_of_zip(std::string_view text) {
  constexpr std::size_t name_length = 26, name_start = 30;
  if (text.size() < name_start) return FileKind::zip;
  const std::string_view name =
      text.substr(name_start, static_cast<std::uint8_t>(text[name_length]));
  for (const std::string_view entry : {"data.pkl", "/version", "/byteorder", "constants.pkl"})
    if (name.ends_with(entry)) return FileKind::pytorch;
  return name.ends_with(".npy") ? FileKind::numpy : FileKind::zip;
}

/// A message of protocol buffers whose first field, the version, is small, and whose next one is
/// the producer's name or the graph.
bool is_onnx(std::string_view text) {
  constexpr char version_tag = 0x08, producer_tag = 0x12, graph_tag = 0x3a;
  if (text.size() < 8 || text[0] != version_tag || text[1] < 1 || text[1] > 32) return false;
  if (text[2] == graph_tag) return true;
  if (text[2] != producer_tag || text[3] < 0) return false;
  const std::string_view producer = text.substr(4, static_cast<std::size_t>(text[3]));
  return std::ranges::all_of(producer, [](char c) { return c >= ' ' && c <= '~'; });
}

FileKind kind_of_json(std::string_view text) {
  constexpr std::size_t far_enough = 1 << 16;
  return text.substr(0, far_enough).find("\"weight_map\"") == std::string_view::npos
             ? FileKind::json
             : FileKind::safetensors_index;
}

/// What begins with one of its signs is text of that kind, in capitals or not.
bool begins_like(std::string_view text, std::string_view sign) {
  return text.size() >= sign.size() &&
         std::equal(sign.begin(), sign.end(), text.begin(), [](char a, char b) {
           return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
         });
}

FileKind kind_of_text(std::string_view text) {
  if (text.starts_with("version https://git-lfs")) return FileKind::git_lfs_pointer;
  if (text.starts_with("\xef\xbb\xbf"sv)) text.remove_prefix(3);  // byte order mark
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (begins_like(text, "<!doctype html") || begins_like(text, "<html")) return FileKind::html;
  if (begins_like(text, "<?xml")) return FileKind::xml;
  if (text.starts_with('{')) return kind_of_json(text);
  return FileKind::unknown;
}

}  // namespace

FileKind file_kind(ByteView file) {
  if (file.empty()) return FileKind::empty;
  const std::string_view text = as_text(file);
  if (text.starts_with("PK\x03\x04"sv)) return kind_of_zip(text);
  if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5)
    return FileKind::pickle;
  if (text.starts_with("\x89HDF\r\n\x1a\n"sv)) return FileKind::hdf5;
  if (text.starts_with("\x93NUMPY"sv)) return FileKind::numpy;
  if (text.starts_with("\x1f\x8b"sv)) return FileKind::gzip;
  if (text.starts_with("\x89PNG\r\n\x1a\n"sv)) return FileKind::png;
  if (text.starts_with("\xff\xd8\xff"sv)) return FileKind::jpeg;
  if (text.starts_with("GIF8")) return FileKind::gif;
  if (text.starts_with("BM") && text.size() > 10 && text.substr(6, 4) == "\0\0\0\0"sv)
    return FileKind::bmp;
  if (text.starts_with("II*\0"sv) || text.starts_with("MM\0*"sv)) return FileKind::tiff;
  if (text.starts_with("RIFF") && text.size() > 12 && text.substr(8, 4) == "WEBP")
    return FileKind::webp;
  if (text.size() > 8 && text.substr(4, 4) == "TFL3") return FileKind::tflite;
  if (text.size() > 262 && text.substr(257, 5) == "ustar") return FileKind::tar;
  if (is_onnx(text)) return FileKind::onnx;
  return kind_of_text(text);
}

std::string_view name(FileKind kind) {
  switch (kind) {
    case FileKind::unknown:
      return "of an unknown kind";
    case FileKind::empty:
      return "empty";
    case FileKind::pytorch:
      return "a PyTorch checkpoint (a zip archive of pickles)";
    case FileKind::pickle:
      return "a Python pickle";
    case FileKind::onnx:
      return "an ONNX model";
    case FileKind::hdf5:
      return "an HDF5 file";
    case FileKind::tflite:
      return "a TensorFlow Lite model";
    case FileKind::numpy:
      return "a file of NumPy arrays";
    case FileKind::safetensors_index:
      return "the index of a model in several safetensors files";
    case FileKind::json:
      return "a JSON text";
    case FileKind::html:
      return "a web page (HTML)";
    case FileKind::xml:
      return "an XML text";
    case FileKind::git_lfs_pointer:
      return "a pointer of Git LFS";
    case FileKind::gzip:
      return "compressed by gzip";
    case FileKind::zip:
      return "a zip archive";
    case FileKind::tar:
      return "a tar archive";
    case FileKind::png:
      return "a PNG picture";
    case FileKind::jpeg:
      return "a JPEG picture";
    case FileKind::gif:
      return "a GIF picture";
    case FileKind::webp:
      return "a WebP picture";
    case FileKind::bmp:
      return "a BMP picture";
    case FileKind::tiff:
      return "a TIFF picture";
  }
  fail("not a kind of file: {}", static_cast<int>(kind));
}

std::string hint(FileKind kind) {
  std::string_view mend;
  switch (kind) {
    case FileKind::unknown:
      return {};
    case FileKind::html:
    case FileKind::xml:
      mend =
          ", which a server sent in place of the file: download it anew, from the file's own "
          "address";
      break;
    case FileKind::git_lfs_pointer:
      mend = ", which stands for the file: 'git lfs pull' fetches it";
      break;
    case FileKind::gzip:
    case FileKind::zip:
    case FileKind::tar:
      mend = ": unpack it";
      break;
    case FileKind::empty:
      mend = ": copy or download it anew";
      break;
    case FileKind::pytorch:
    case FileKind::pickle:
    case FileKind::onnx:
    case FileKind::hdf5:
    case FileKind::tflite:
    case FileKind::numpy:
    case FileKind::safetensors_index:
    case FileKind::json:
    case FileKind::png:
    case FileKind::jpeg:
    case FileKind::gif:
    case FileKind::webp:
    case FileKind::bmp:
    case FileKind::tiff:
      break;
  }
  return fmt::format("; it is {}{}", name(kind), mend);
}

}  // namespace pixeldp
