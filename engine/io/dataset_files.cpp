#include "engine/io/dataset_files.hpp"

#include <algorithm>
#include <optional>

#include <fmt/ranges.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

bool present(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// The file under one of its names: "t10k-images-idx3-ubyte" is "t10k-images.idx3-ubyte" where the
/// archive was unpacked by some programs.
std::optional<fs::path> find_file(const fs::path& folder, const std::string& name) {
  std::vector<std::string> names{name};
  if (const auto at = name.find("-idx"); at != std::string::npos) {
    names.push_back(name);
    names.back()[at] = '.';
  }
  for (const std::string& candidate : names)
    for (const char* ending : {"", ".gz"})
      if (fs::path path = folder / (candidate + ending); present(path)) return path;
  return std::nullopt;
}

std::vector<fs::path> folders_of(const KnownDataset& known, const fs::path& directory) {
  std::vector<fs::path> folders{directory};
  for (const std::string& nested : known.nested) folders.push_back(directory / nested);
  return folders;
}

/// What may lie in a data set's place, by a file that tells.
struct Stranger {
  std::string_view dataset, sign, text;
};
constexpr Stranger strangers[] = {
    {"cifar-10", "test_batch",
     "the Python version (test_batch); this program reads the binary version, "
     "cifar-10-binary.tar.gz"},
    {"cifar-10", "cifar-10-batches-py",
     "the Python version (cifar-10-batches-py); this program reads the binary version, "
     "cifar-10-binary.tar.gz"},
    {"cifar-10", "batches.meta.mat",
     "the MATLAB version (batches.meta.mat); this program reads the binary version, "
     "cifar-10-binary.tar.gz"},
    {"cifar-10", "cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz: unpack it there"},
    {"cifar-10", "cifar-10-python.tar.gz",
     "the Python version (cifar-10-python.tar.gz); this program reads the binary version, "
     "cifar-10-binary.tar.gz"},
    {"cifar-100", "meta",
     "the Python version (meta); this program reads the binary version, cifar-100-binary.tar.gz"},
    {"cifar-100", "cifar-100-python",
     "the Python version (cifar-100-python); this program reads the binary version, "
     "cifar-100-binary.tar.gz"},
    {"cifar-100", "cifar-100-binary.tar.gz", "cifar-100-binary.tar.gz: unpack it there"},
    {"cifar-100", "cifar-100-python.tar.gz",
     "the Python version (cifar-100-python.tar.gz); this program reads the binary version, "
     "cifar-100-binary.tar.gz"},
    {"mnist", "mnist.npz", "mnist.npz of Keras; this program reads the four IDX files"},
    {"svhn", "test.tar.gz",
     "the whole pictures (test.tar.gz, format 1); this program reads the cropped digits, "
     "train_32x32.mat and test_32x32.mat"}};

/// "; it holds ..." for what the folders hold in place of the files looked for.
std::string held_instead(const KnownDataset& known, const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders) {
    for (const KnownDataset& other : known_datasets()) {
      const std::string& sign = other.test.front();
      if (other.format == FileFormat::image_folder) continue;  // its folders have common names
      if (other.test == known.test || !find_file(folder, sign)) continue;
      return fmt::format("; it holds {}: name the data set '{}' to use that", sign, other.name);
    }
    for (const Stranger& stranger : strangers)
      if (present(folder / stranger.sign)) return fmt::format("; it holds {}", stranger.text);
  }
  return {};
}

}  // namespace

const std::vector<KnownDataset>& known_datasets() {
  constexpr ImageForm digits{28, 28, 1, 10, true}, clothes{28, 28, 1, 10},
      angles{.height = 28,
             .width = 28,
             .channels = 1,
             .classes = 1,
             .digits = true,
             .real_labels = true};
  constexpr ImageForm ten{32, 32, 3, 10}, hundred{32, 32, 3, 100},
      house_numbers{32, 32, 3, 10, true};
  const std::vector<std::string> idx_train{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
      idx_test{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
  static const std::vector<KnownDataset> known{
      {"mnist", "mnist", digits, FileFormat::idx, idx_train, idx_test, {"raw", "MNIST/raw"}},
      {"fashion-mnist",
       "fashion-mnist",
       clothes,
       FileFormat::idx,
       idx_train,
       idx_test,
       {"raw", "FashionMNIST/raw"}},
      {"cifar-10",
       "cifar-10",
       ten,
       FileFormat::cifar10,
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
        "data_batch_5.bin"},
       {"test_batch.bin"},
       {"cifar-10-batches-bin"}},
      {"cifar-100",
       "cifar-100",
       hundred,
       FileFormat::cifar100,
       {"train.bin"},
       {"test.bin"},
       {"cifar-100-binary"}},
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
       {"svhn_sample_own_crops.bin"}},
      {"image-folder", "image-folder", {}, FileFormat::image_folder, {"train"}, {"test", "val"}},
      {"mnist-angle",
       "mnist",
       angles,
       FileFormat::rotated_idx,
       idx_train,
       idx_test,
       {"raw", "MNIST/raw"}}};
  return known;
}

const KnownDataset& find_known(std::string_view name) {
  for (const KnownDataset& known : known_datasets())
    if (known.name == name) return known;
  fail_usage("unknown data set '{}': choose one of {}", name, fmt::join(dataset_names(), ", "));
}

bool has_nested_folder(const KnownDataset& known, const fs::path& directory) {
  return std::ranges::any_of(known.nested, [&](const std::string& nested) {
    std::error_code error;
    return fs::is_directory(directory / nested, error);
  });
}

std::vector<fs::path> find_split_files(const KnownDataset& known, std::string_view split,
                                       const fs::path& directory) {
  const std::vector<std::string>& files = split == "train" ? known.train : known.test;
  const std::vector<fs::path> folders = folders_of(known, directory);
  std::vector<std::string> missing;  // of the folder that lacks the fewest
  fs::path nearest = directory;
  for (const fs::path& folder : folders) {
    std::vector<fs::path> found;
    std::vector<std::string> lacking;
    for (const std::string& file : files) {
      if (auto path = find_file(folder, file))
        found.push_back(std::move(*path));
      else
        lacking.push_back(file);
    }
    if (lacking.empty()) return found;
    if (missing.empty() || lacking.size() < missing.size()) missing = lacking, nearest = folder;
  }
  fail("{} lacks {}, plain or as .gz: the {} split of {} takes {}{}", nearest.string(),
       fmt::join(missing, ", "), split, known.name,
       files.size() == 1 ? "it" : fmt::format("all of {}", fmt::join(files, ", ")),
       held_instead(known, folders));
}

}  // namespace pixeldp
