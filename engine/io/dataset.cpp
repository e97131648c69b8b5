#include "engine/io/dataset.hpp"

#include <cstdlib>

#include "engine/error.hpp"
#include "engine/io/dataset_files.hpp"

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

void load_idx(Dataset& dataset, const fs::path& image_file, const fs::path& label_file,
              Sha256& digest) {
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

CifarImages read_colours(FileFormat format, const fs::path& path, Sha256& digest) {
  const Bytes payload = read_part(path, digest);
  switch (format) {
    case FileFormat::cifar10:
      return parse_cifar10(payload, path.string());
    case FileFormat::cifar100:
      return parse_cifar100(payload, path.string());
    case FileFormat::svhn_mat:
      return parse_svhn(payload, path.string());
    case FileFormat::idx:
      break;
  }
  fail("{}: not a file of colour pictures", path.string());
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

void check_image(const Dataset& dataset, std::int64_t image) {
  if (image < 0 || image >= dataset.size())
    fail("image {} does not exist: the {} split of {} has images 0 to {}", image, dataset.split,
         dataset.name, dataset.size() - 1);
}

void convert(const Dataset& dataset, std::int64_t image, float* out, float shift) {
  const std::int64_t n = dataset.image_size();
  const std::uint8_t* pixels = dataset.pixels.data() + image * n;
  for (std::int64_t i = 0; i < n; ++i) out[i] = pixel_value(pixels[i], shift);
}

}  // namespace

std::span<const std::string_view> dataset_names() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const KnownDataset& known : known_datasets()) list.push_back(known.name);
    return list;
  }();
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
      "data set {} not found: name its directory in the configuration, or set PIXELDP_DATA to the "
      "folder that holds '{}/' ({}), or for fashion-mnist install Debian's package "
      "dataset-fashion-mnist",
      name, known.folder, root ? fmt::format("now '{}'", root) : "now unset");
}

Dataset load_dataset(std::string_view name, std::string_view split, const fs::path& directory) {
  const KnownDataset& known = find_known(name);
  if (split != "train" && split != "test")
    fail_usage("unknown split '{}' of data set {}: choose train or test", split, name);
  if ((split == "train" ? known.train : known.test).empty())
    fail_usage("data set {} has no {} split", name, split);
  const std::vector<fs::path> files = find_split_files(known, split, directory);

  Dataset dataset;
  dataset.name = name;
  dataset.split = split;
  dataset.height = known.form.height;
  dataset.width = known.form.width;
  dataset.channels = known.form.channels;
  dataset.classes = known.form.classes;
  Sha256 digest;
  if (known.format == FileFormat::idx) {
    load_idx(dataset, files[0], files[1], digest);
  } else {
    std::vector<CifarImages> parts;
    for (const fs::path& file : files) parts.push_back(read_colours(known.format, file, digest));
    check_not_twice(dataset, parts, files);
    for (const CifarImages& images : parts) {
      dataset.pixels.insert(dataset.pixels.end(), images.pixels.begin(), images.pixels.end());
      dataset.labels.insert(dataset.labels.end(), images.labels.begin(), images.labels.end());
    }
  }
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
