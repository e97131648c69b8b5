#pragma once

#include <string>
#include <string_view>

#include "engine/io/file.hpp"

namespace pixeldp {

/// Kinds of files that are handed to a reader in place of what it takes.
enum class FileKind {
  unknown,
  empty,
  pytorch,  ///< a checkpoint of torch.save: a zip archive
  pickle,   ///< Python's; torch.save's too, before PyTorch 1.6
  onnx,
  hdf5,  ///< Keras weights, MATLAB 7.3
  tflite,
  numpy,              ///< one array, or a zip archive of several
  safetensors_index,  ///< the JSON that names the parts of a model in several files
  json,
  html,
  xml,
  git_lfs_pointer,
  gzip,
  zip,
  tar,
  png,
  jpeg,
  gif,
  webp,
  bmp,
  tiff
};

/// By the first bytes alone: a guess, for the text of an error. Bytes of any other kind can happen
/// to begin alike.
FileKind file_kind(ByteView file);

/// "a web page (HTML)", ...
std::string_view name(FileKind kind);

/// "; it is NAME" and, where that is the same for every reader, how to get what was meant. Nothing
/// for a kind that is not known.
std::string hint(FileKind kind);

}  // namespace pixeldp
