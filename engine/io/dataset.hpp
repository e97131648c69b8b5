#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
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
  /// Pictures of other sizes are resized until their shorter side has so many pixels, before the
  /// middle is cut out; 0: the larger of height and width.
  std::int64_t short_side = 0;
  bool real_labels = false;  ///< labels are real numbers, of a regression; `classes` is 1

  /// Whether the pictures have any size, and may be read in a form of one's choice.
  bool of_any_size() const { return height == 0; }
  std::int64_t resized_side() const {
    return short_side > 0 ? short_side : std::max(height, width);
  }
};

using Labels = std::vector<std::int32_t>;

/// The images of a split, wherever they are kept. Any number of threads may read at a time.
class ImageReader {
 public:
  virtual ~ImageReader() = default;
  /// Writes an image's bytes, H, W, C. The index is that of an image of the split.
  virtual void read(std::int64_t index, std::uint8_t* pixels) const = 0;
  /// What Dataset::sha256 says.
  virtual std::string sha256() const = 0;
  /// What Dataset::identity says.
  virtual std::string identity() const { return sha256(); }
  /// Whether reading takes the time of decoding a file, and is worth several threads.
  virtual bool decodes() const = 0;
};

/// One split of a labelled image data set. The images are read when they are asked for.
struct Dataset {
  std::string name;   ///< one of dataset_names()
  std::string split;  ///< "train" or "test"
  std::int64_t height = 0, width = 0, channels = 0;
  int classes = 0;
  std::vector<std::string> class_names;  ///< by label; none where labels are their own names
  Labels labels;                         ///< N; from 0 to classes - 1; none where they are real
  std::vector<float> targets;            ///< N, where labels are real numbers
  std::shared_ptr<const ImageReader> images;

  bool real_labels() const { return !targets.empty(); }
  std::int64_t size() const { return std::max(std::ssize(labels), std::ssize(targets)); }
  std::int64_t image_size() const { return height * width * channels; }
  /// The number that addresses the random numbers of image `index`; no two images of a data set
  /// share it.
  std::uint32_t image_id(std::int64_t index) const {
    constexpr std::uint32_t train_bit = std::uint32_t{1} << 31;
    return static_cast<std::uint32_t>(index) | (split == "train" ? train_bit : 0);
  }
  /// Writes image_size() bytes, H, W, C. Throws an Error where there is no such image, or its file
  /// is damaged. Any number of threads may read at a time.
  void read(std::int64_t index, std::uint8_t* pixels) const;
  /// Identifies the split's files: SHA-256 of these one after the other, decompressed, in loading
  /// order; of rotated digits, of their pixels and angles; of an image folder that of
  /// open_image_folder, for which every file is read.
  std::string sha256() const { return images->sha256(); }
  /// Tells the split's images from others without reading a picture: sha256(), or of an image
  /// folder the SHA-256 of the lines "CLASS/FILE\n" in the order of the images.
  std::string identity() const { return images->identity(); }
};

/// Images that are in memory, N, H, W, C, of files with this SHA-256.
std::shared_ptr<const ImageReader> images_in_memory(Bytes pixels, std::int64_t image_size,
                                                    std::string sha256);

/// Names that load_dataset takes. Two are parts of data sets and have a test split only:
/// "cifar-100-first2000", 2,000 of the test images of cifar-100 in an order of its own, and
/// "svhn-sample", a few crops of house numbers. Under their own names they cannot pass for the
/// whole. "mnist-angle" is made of the files of mnist (engine/io/rotated_digits.hpp).
std::span<const std::string_view> dataset_names();

/// Those of them that can be trained on.
std::vector<std::string> trainable_datasets();

/// Sizes, channels and classes are 0 where pictures have any size. Throws a usage Error for an
/// unknown name.
ImageForm image_form(std::string_view name);

/// Where the files of a data set lie: the given directory, else $PIXELDP_DATA/NAME (a part of
/// cifar-100 lies in its folder), else $PIXELDP_DATA itself if it holds a folder that the data set
/// is unpacked into (cifar-10-batches-bin, MNIST/raw), else for fashion-mnist the folder of
/// Debian's package dataset-fashion-mnist. Throws an Error that says all the ways when none leads
/// to a directory, a usage Error for an unknown name.
std::filesystem::path find_dataset_directory(std::string_view name,
                                             const std::optional<std::string>& directory);

/// Reads a split ("train" or "test") into memory from the official files: IDX files for mnist and
/// fashion-mnist, the binary version for cifar-10 and cifar-100 (whose labels are the 100 fine
/// ones), {train,test}_32x32.mat for svhn; each plain or compressed by gzip, whatever its name
/// says, in the directory or in the folder within it that its archive makes. An image folder is
/// opened (engine/io/image_folder.hpp): its images stay in their files, and are read in the
/// `chosen` form, which is of no interest to others. Throws an Error that names the file, the place
/// and what is wrong with it; a usage Error for an unknown name or split.
Dataset load_dataset(std::string_view name, std::string_view split,
                     const std::filesystem::path& directory, const ImageForm& chosen = {});

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
