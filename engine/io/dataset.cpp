#include "engine/io/dataset.hpp"

#include <algorithm>
#include <cstdlib>

#include "engine/error.hpp"
#include "engine/io/class_names.hpp"
#include "engine/io/dataset_files.hpp"
#include "engine/io/image_folder.hpp"
#include "engine/io/rotated_digits.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view debian_fashion_mnist = "/usr/share/datasets/fashion-mnist";

bool directory_exists(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// One file of the split; its payload goes into the digest.
Bytes read_part(const fs::path& path, Sha256& digest) {
  Bytes payload = read_decompressed(path);
  digest.update(payload);
  return payload;
}

class MemoryReader : public ImageReader {
 public:
  MemoryReader(Bytes pixels, std::int64_t image_size, std::string sha256)
      : pixels_(std::move(pixels)), image_size_(image_size), sha256_(std::move(sha256)) {}

  void read(std::int64_t index, std::uint8_t* pixels) const override {
    std::copy_n(pixels_.data() + index * image_size_, image_size_, pixels);
  }
  std::string sha256() const override { return sha256_; }
  bool decodes() const override { return false; }

 private:
  Bytes pixels_;
  std::int64_t image_size_;
  std::string sha256_;
};

void load_idx(Dataset& dataset, const fs::path& image_file, const fs::path& label_file) {
  Sha256 digest;
  IdxImages images = parse_idx_images(read_part(image_file, digest), image_file.string());
  if (images.height != dataset.height || images.width != dataset.width)
    fail("{}: images of {}x{}, not {}x{}: is this {}?", image_file.string(), images.height,
         images.width, dataset.height, dataset.width, dataset.name);
  const Bytes labels =
      parse_idx_labels(read_part(label_file, digest), dataset.classes, label_file.string());
  if (std::ssize(labels) != images.count)
    fail("{} holds {} labels, {} holds {} images", label_file.string(), labels.size(),
         image_file.string(), images.count);
  dataset.labels.assign(labels.begin(), labels.end());
  dataset.images = images_in_memory(std::move(images.pixels), dataset.image_size(), digest.hex());
}

/// A file that was copied over another one would count its images twice, and lack the other's.
void check_not_twice(const Dataset& dataset, const std::vector<CifarImages>& parts,
                     const std::vector<fs::path>& files) {
  for (std::size_t second = 1; second < parts.size(); ++second)
    for (std::size_t first = 0; first < second; ++first)
      if (parts[first].labels == parts[second].labels &&
          parts[first].pixels == parts[second].pixels)
        fail("{}: {} and {} hold the same images: copy the files of {} anew",
             files[first].parent_path().string(), files[first].filename().string(),
             files[second].filename().string(), dataset.name);
}

/// Files of colour pictures, one after the other.
void load_colours(Dataset& dataset, const std::vector<fs::path>& files,
                  CifarImages (*parse)(ByteView, std::string_view)) {
  Sha256 digest;
  std::vector<CifarImages> parts;
  for (const fs::path& file : files) parts.push_back(parse(read_part(file, digest), file.string()));
  check_not_twice(dataset, parts, files);
  Bytes pixels;
  for (const CifarImages& part : parts) {
    pixels.insert(pixels.end(), part.pixels.begin(), part.pixels.end());
    dataset.labels.insert(dataset.labels.end(), part.labels.begin(), part.labels.end());
  }
  dataset.images = images_in_memory(std::move(pixels), dataset.image_size(), digest.hex());
}

}  // namespace

void Dataset::read(std::int64_t index, std::uint8_t* pixels) const {
  if (index < 0 || index >= size())
    fail("image {} does not exist: the {} split of {} has images 0 to {}", index, split, name,
         size() - 1);
  images->read(index, pixels);
}

std::shared_ptr<const ImageReader> images_in_memory(Bytes pixels, std::int64_t image_size,
                                                    std::string sha256) {
  return std::make_shared<MemoryReader>(std::move(pixels), image_size, std::move(sha256));
}

std::span<const std::string_view> dataset_names() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const KnownDataset& known : known_datasets()) list.push_back(known.name);
    return list;
  }();
  return names;
}

std::vector<std::string> trainable_datasets() {
  std::vector<std::string> names;
  for (const KnownDataset& known : known_datasets())
    if (!known.train.empty()) names.emplace_back(known.name);
  return names;
}

ImageForm image_form(std::string_view name) { return find_known(name).form; }

fs::path find_dataset_directory(std::string_view name,
                                const std::optional<std::string>& directory) {
  const KnownDataset& known = find_known(name);
  if (directory) {
    if (!directory_exists(*directory))
      fail("the directory '{}' of data set {} does not exist", *directory, name);
    return *directory;
  }
  const char* root = std::getenv("PIXELDP_DATA");
  if (root != nullptr && *root != '\0') {
    const fs::path candidate = fs::path(root) / known.folder;
    if (directory_exists(candidate)) return candidate;
    if (has_nested_folder(known, root)) return root;  // as torchvision lays it out
  }
  if (name == "fashion-mnist" && directory_exists(debian_fashion_mnist))
    return debian_fashion_mnist;
  fail(
      "data set {} not found: name its directory by --data or in the configuration, or set "
      "PIXELDP_DATA to the folder that holds '{}/' ({}), or for fashion-mnist install Debian's "
      "package dataset-fashion-mnist",
      name, known.folder, root ? fmt::format("now '{}'", root) : "now unset");
}

Dataset load_dataset(std::string_view name, std::string_view split, const fs::path& directory,
                     const ImageForm& chosen) {
  const KnownDataset& known = find_known(name);
  if (split != "train" && split != "test")
    fail_usage("unknown split '{}' of data set {}: choose train or test", split, name);
  if ((split == "train" ? known.train : known.test).empty())
    fail_usage("data set {} has no {} split", name, split);

  Dataset dataset;
  dataset.name = name;
  dataset.split = split;
  dataset.height = known.form.height;
  dataset.width = known.form.width;
  dataset.channels = known.form.channels;
  dataset.classes = known.form.classes;
  const auto names = class_names(name);
  dataset.class_names.assign(names.begin(), names.end());
  const auto files = [&] { return find_split_files(known, split, directory); };
  switch (known.format) {
    case FileFormat::idx: {
      const std::vector<fs::path> both = files();
      load_idx(dataset, both[0], both[1]);
      return dataset;
    }
    case FileFormat::rotated_idx: {
      const std::vector<fs::path> both = files();
      dataset.classes = 10;
      load_idx(dataset, both[0], both[1]);
      rotate_digits(dataset);
      return dataset;
    }
    case FileFormat::cifar10:
      load_colours(dataset, files(), parse_cifar10);
      return dataset;
    case FileFormat::cifar100:
      load_colours(dataset, files(), parse_cifar100);
      return dataset;
    case FileFormat::svhn_mat:
      load_colours(dataset, files(), parse_svhn);
      return dataset;
    case FileFormat::image_folder:
      return open_image_folder(name, split, directory, chosen);
  }
  fail("not a format of data sets: {}", static_cast<int>(known.format));
}

void to_float(const Dataset& dataset, std::int64_t first, std::int64_t last, float* out,
              float shift) {
  Bytes pixels(static_cast<std::size_t>(dataset.image_size()));
  for (std::int64_t image = first; image < last; ++image) {
    dataset.read(image, pixels.data());
    for (const std::uint8_t pixel : pixels) *out++ = pixel_value(pixel, shift);
  }
}

void to_float(const Dataset& dataset, std::span<const std::int64_t> images, float* out,
              float shift) {
  for (const std::int64_t image : images) {
    to_float(dataset, image, image + 1, out, shift);
    out += dataset.image_size();
  }
}

}  // namespace pixeldp
