#include "engine/io/dataset.hpp"

#include <cstdlib>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

enum class FileFormat { idx, cifar10, cifar100, svhn_mat };

struct Known {
  std::string_view name, folder;
  ImageForm form;
  FileFormat format;
  std::vector<std::string> train, test;  ///< files of the splits; none where there is no such split
};

const std::vector<Known>& all_known() {
  constexpr ImageForm digits{28, 28, 1, 10, true}, clothes{28, 28, 1, 10};
  constexpr ImageForm ten{32, 32, 3, 10}, hundred{32, 32, 3, 100},
      house_numbers{32, 32, 3, 10, true};
  const std::vector<std::string> idx_train{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
      idx_test{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
  static const std::vector<Known> known{
      {"mnist", "mnist", digits, FileFormat::idx, idx_train, idx_test},
      {"fashion-mnist", "fashion-mnist", clothes, FileFormat::idx, idx_train, idx_test},
      {"cifar-10",
       "cifar-10",
       ten,
       FileFormat::cifar10,
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
        "data_batch_5.bin"},
       {"test_batch.bin"}},
      {"cifar-100", "cifar-100", hundred, FileFormat::cifar100, {"train.bin"}, {"test.bin"}},
      {"cifar-100-first2000",
       "cifar-100",
       hundred,
       FileFormat::cifar100,
       {},
       {"test_first2000.bin"}},
      {"svhn",
       "svhn",
       house_numbers,
       FileFormat::svhn_mat,
       {"train_32x32.mat"},
       {"test_32x32.mat"}},
      {"svhn-sample",
       "svhn-sample",
       house_numbers,
       FileFormat::cifar10,
       {},
       {"svhn_sample_own_crops.bin"}}};
  return known;
}

constexpr std::string_view debian_fashion_mnist = "/usr/share/datasets/fashion-mnist";

const Known& find_known(std::string_view name) {
  for (const Known& known : all_known())
    if (known.name == name) return known;
  fail_usage("unknown data set '{}': choose one of {}", name, fmt::join(dataset_names(), ", "));
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
  const auto parse = format == FileFormat::cifar10    ? parse_cifar10
                     : format == FileFormat::cifar100 ? parse_cifar100
                                                      : parse_svhn;
  return parse(payload, path.string());
}

bool exists_maybe_gzip(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error) || fs::exists(path.string() + ".gz", error);
}

/// All files of the split are there. What is there instead, a part of the data set or another one,
/// is not taken for it, but named.
void check_files_exist(const Known& known, std::string_view split,
                       const std::vector<std::string>& files, const fs::path& directory) {
  std::vector<std::string> missing;
  for (const std::string& file : files)
    if (!exists_maybe_gzip(directory / file)) missing.push_back(file);
  if (missing.empty()) return;
  std::string instead;
  for (const Known& other : all_known()) {
    const std::string& sign = other.test.front();
    if (other.test == known.test || !exists_maybe_gzip(directory / sign)) continue;
    instead = fmt::format("; it holds {}: name the data set '{}' to use that", sign, other.name);
    break;
  }
  fail("{} lacks {}, plain or as .gz: the {} split of {} takes {}{}", directory.string(),
       fmt::join(missing, ", "), split, known.name,
       files.size() == 1 ? "it" : fmt::format("all of {}", fmt::join(files, ", ")), instead);
}

/// A file that was copied over another one would count its images twice, and lack the other's.
void check_not_twice(const Dataset& dataset, const std::vector<CifarImages>& parts,
                     const std::vector<std::string>& files, const fs::path& directory) {
  for (std::size_t second = 1; second < parts.size(); ++second)
    for (std::size_t first = 0; first < second; ++first)
      if (parts[first].labels == parts[second].labels &&
          parts[first].pixels == parts[second].pixels)
        fail("{}: {} and {} hold the same images: copy the files of {} anew", directory.string(),
             files[first], files[second], dataset.name);
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
    for (const Known& known : all_known()) list.push_back(known.name);
    return list;
  }();
  return names;
}

ImageForm image_form(std::string_view name) { return find_known(name).form; }

fs::path find_dataset_directory(std::string_view name,
                                const std::optional<std::string>& directory) {
  const Known& known = find_known(name);
  if (directory) {
    if (!directory_exists(*directory))
      fail("the directory '{}' of data set {} does not exist", *directory, name);
    return *directory;
  }
  const char* root = std::getenv("PIXELDP_DATA");
  if (root != nullptr && *root != '\0') {
    const fs::path candidate = fs::path(root) / known.folder;
    if (directory_exists(candidate)) return candidate;
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
  const Known& known = find_known(name);
  if (split != "train" && split != "test")
    fail_usage("unknown split '{}' of data set {}: choose train or test", split, name);
  const std::vector<std::string>& files = split == "train" ? known.train : known.test;
  if (files.empty()) fail_usage("data set {} has no {} split", name, split);
  check_files_exist(known, split, files, directory);

  Dataset dataset;
  dataset.name = name;
  dataset.split = split;
  dataset.height = known.form.height;
  dataset.width = known.form.width;
  dataset.channels = known.form.channels;
  dataset.classes = known.form.classes;
  Sha256 digest;
  if (known.format == FileFormat::idx) {
    load_idx(dataset, directory / files[0], directory / files[1], digest);
  } else {
    std::vector<CifarImages> parts;
    for (const std::string& file : files)
      parts.push_back(read_colours(known.format, directory / file, digest));
    check_not_twice(dataset, parts, files, directory);
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
