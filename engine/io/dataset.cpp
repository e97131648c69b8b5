#include "engine/io/dataset.hpp"

#include <array>
#include <cstdlib>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> names{"mnist", "fashion-mnist", "cifar-10", "cifar-100"};
constexpr std::string_view debian_fashion_mnist = "/usr/share/datasets/fashion-mnist";

void check_name(std::string_view name) {
  for (const std::string_view known : names)
    if (name == known) return;
  fail_usage("unknown data set '{}': choose one of {}", name, fmt::join(names, ", "));
}

bool directory_exists(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// One file of the split; its payload goes into the digest.
Bytes read_part(const fs::path& path, Sha256& digest) {
  Bytes payload = read_maybe_gzip(path);
  digest.update(payload);
  return payload;
}

void load_mnist(Dataset& dataset, const fs::path& directory, Sha256& digest) {
  const std::string prefix = dataset.split == "train" ? "train" : "t10k";
  const fs::path image_file = directory / (prefix + "-images-idx3-ubyte");
  const fs::path label_file = directory / (prefix + "-labels-idx1-ubyte");
  dataset.height = dataset.width = 28;
  dataset.channels = 1;
  dataset.classes = 10;

  IdxImages images = parse_idx_images(read_part(image_file, digest), image_file.string());
  if (images.height != dataset.height || images.width != dataset.width)
    fail("{}: images of {}x{}, not {}x{}: is this {}?", image_file.string(), images.height,
         images.width, dataset.height, dataset.width, dataset.name);
  dataset.pixels = std::move(images.pixels);
  dataset.labels =
      parse_idx_labels(read_part(label_file, digest), dataset.classes, label_file.string());
  if (dataset.size() != images.count)
    fail("{} holds {} labels, {} holds {} images", label_file.string(), dataset.size(),
         image_file.string(), images.count);
}

void load_cifar(Dataset& dataset, const fs::path& directory, Sha256& digest) {
  const bool ten = dataset.name == "cifar-10";
  std::vector<std::string> files{ten ? "test_batch.bin" : "test.bin"};
  if (dataset.split == "train") {
    files = {"train.bin"};
    if (ten)
      files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
               "data_batch_5.bin"};
  }
  dataset.height = CifarImages::height;
  dataset.width = CifarImages::width;
  dataset.channels = CifarImages::channels;
  dataset.classes = ten ? 10 : 100;

  for (const std::string& file : files) {
    const fs::path path = directory / file;
    const Bytes payload = read_part(path, digest);
    const CifarImages images =
        ten ? parse_cifar10(payload, path.string()) : parse_cifar100(payload, path.string());
    dataset.pixels.insert(dataset.pixels.end(), images.pixels.begin(), images.pixels.end());
    dataset.labels.insert(dataset.labels.end(), images.labels.begin(), images.labels.end());
  }
}

void check_image(const Dataset& dataset, std::int64_t image) {
  if (image < 0 || image >= dataset.size())
    fail("image {} does not exist: the {} split of {} has images 0 to {}", image, dataset.split,
         dataset.name, dataset.size() - 1);
}

void convert(const Dataset& dataset, std::int64_t image, float* out, float shift) {
  const std::int64_t n = dataset.image_size();
  const std::uint8_t* pixels = dataset.pixels.data() + image * n;
  for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(pixels[i]) / 255.0f + shift;
}

}  // namespace

std::span<const std::string_view> dataset_names() { return names; }

fs::path find_dataset_directory(std::string_view name,
                                const std::optional<std::string>& directory) {
  check_name(name);
  if (directory) {
    if (!directory_exists(*directory))
      fail("the directory '{}' of data set {} does not exist", *directory, name);
    return *directory;
  }
  const char* root = std::getenv("PIXELDP_DATA");
  if (root != nullptr && *root != '\0') {
    const fs::path candidate = fs::path(root) / name;
    if (directory_exists(candidate)) return candidate;
  }
  if (name == "fashion-mnist" && directory_exists(debian_fashion_mnist))
    return debian_fashion_mnist;
  fail(
      "data set {} not found: name its directory in the configuration, or set PIXELDP_DATA to the "
      "folder that holds '{}/' ({}), or for fashion-mnist install Debian's package "
      "dataset-fashion-mnist",
      name, name, root ? fmt::format("now '{}'", root) : "now unset");
}

Dataset load_dataset(std::string_view name, std::string_view split, const fs::path& directory) {
  check_name(name);
  if (split != "train" && split != "test")
    fail_usage("unknown split '{}' of data set {}: choose train or test", split, name);
  Dataset dataset;
  dataset.name = name;
  dataset.split = split;
  Sha256 digest;
  if (name == "mnist" || name == "fashion-mnist")
    load_mnist(dataset, directory, digest);
  else
    load_cifar(dataset, directory, digest);
  dataset.sha256 = digest.hex();
  return dataset;
}

void to_float(const Dataset& dataset, std::int64_t first, std::int64_t last, float* out,
              float shift) {
  if (first == last) return;
  check_image(dataset, first);
  check_image(dataset, last - 1);
  for (std::int64_t image = first; image < last; ++image, out += dataset.image_size())
    convert(dataset, image, out, shift);
}

void to_float(const Dataset& dataset, std::span<const std::int64_t> images, float* out,
              float shift) {
  for (const std::int64_t image : images) {
    check_image(dataset, image);
    convert(dataset, image, out, shift);
    out += dataset.image_size();
  }
}

}  // namespace pixeldp
