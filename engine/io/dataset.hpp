#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.hpp"

namespace pixeldp {

/// What the images of a data set have in common.
struct ImageForm {
  std::int64_t height = 0, width = 0, channels = 0;
  int classes = 0;
  bool digits = false;  ///< characters, which a mirror turns into something else
};

/// One split of a labelled image data set, as bytes.
struct Dataset {
  std::string name;    ///< one of dataset_names()
  std::string split;   ///< "train" or "test"
  std::string sha256;  ///< of the split's files one after the other, decompressed, in loading order
  std::int64_t height = 0, width = 0, channels = 0;
  int classes = 0;
  Bytes pixels;  ///< N, H, W, C; 0 to 255
  Bytes labels;  ///< N; below `classes`

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  std::int64_t image_size() const { return height * width * channels; }
  /// The number that addresses the random numbers of image `index`; no two images of a data set
  /// share it.
  std::uint32_t image_id(std::int64_t index) const {
    constexpr std::uint32_t train_bit = std::uint32_t{1} << 31;
    return static_cast<std::uint32_t>(index) | (split == "train" ? train_bit : 0);
  }
};

/// Names that load_dataset takes. Two are parts of data sets and have a test split only:
/// "cifar-100-first2000", 2,000 of the test images of cifar-100 in an order of its own, and
/// "svhn-sample", a few crops of house numbers. Under their own names they cannot pass for the
/// whole.
std::span<const std::string_view> dataset_names();

/// Throws a usage Error for an unknown name.
ImageForm image_form(std::string_view name);

/// Where the files of a data set lie: the given directory, else $PIXELDP_DATA/NAME (a part of
/// cifar-100 lies in its folder), else $PIXELDP_DATA itself if it holds a folder that the data set
/// is unpacked into (cifar-10-batches-bin, MNIST/raw), else for fashion-mnist the folder of
/// Debian's package dataset-fashion-mnist. Throws an Error that says all the ways when none leads
/// to a directory, a usage Error for an unknown name.
std::filesystem::path find_dataset_directory(std::string_view name,
                                             const std::optional<std::string>& directory);

/// Reads a split ("train" or "test") from the official files: IDX files for mnist and
/// fashion-mnist, the binary version for cifar-10 and cifar-100 (whose labels are the 100 fine
/// ones), {train,test}_32x32.mat for svhn; each plain or compressed by gzip, whatever its name
/// says, in the directory or in the folder within it that its archive makes. Throws an Error that
/// names the file, the place and what is wrong with it; a usage Error for an unknown name or split.
Dataset load_dataset(std::string_view name, std::string_view split,
                     const std::filesystem::path& directory);

/// A pixel as the networks see it.
inline float pixel_value(std::uint8_t pixel, float shift) {
  return static_cast<float>(pixel) / 255.0f + shift;
}

/// Images first to last - 1 as floats in N, H, W, C: pixel / 255 + shift.
void to_float(const Dataset& dataset, std::int64_t first, std::int64_t last, float* out,
              float shift);
/// The images with these numbers, in this order.
void to_float(const Dataset& dataset, std::span<const std::int64_t> images, float* out,
              float shift);

// Parsers of single files. `what` names the file in errors.

struct IdxImages {
  std::int64_t count = 0, height = 0, width = 0;
  Bytes pixels;  ///< count, height, width
};

/// IDX of unsigned bytes (big-endian header: type 0x08, number of axes, extents) with three axes.
IdxImages parse_idx_images(ByteView file, std::string_view what);
/// The same with one axis; every label must be below `classes`.
Bytes parse_idx_labels(ByteView file, int classes, std::string_view what);

struct CifarImages {
  static constexpr std::int64_t height = 32, width = 32, channels = 3;
  Bytes pixels;  ///< N, 32, 32, 3
  Bytes labels;
};

/// Records of one label byte and 3072 pixels, stored C, H, W.
CifarImages parse_cifar10(ByteView file, std::string_view what);
/// Records of a coarse label (below 20, checked and dropped), a fine label and 3072 pixels.
CifarImages parse_cifar100(ByteView file, std::string_view what);

/// SVHN's cropped digits: a MATLAB file of version 5 with X, uint8 [32, 32, 3, N], and y, uint8
/// [N, 1] or [1, N], where 10 stands for the digit 0.
CifarImages parse_svhn(ByteView file, std::string_view what);

}  // namespace pixeldp
