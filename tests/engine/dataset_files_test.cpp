#include <doctest/doctest.h>

#include "engine/io/dataset.hpp"
#include "tests/engine/made_files.hpp"
#include "tests/gzip.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {

TEST_CASE("a folder that lacks files, holds another data set or one file twice is refused") {
  const TemporaryFolder folder;
  const auto batch = [](int k) { return "data_batch_" + std::to_string(k) + ".bin"; };
  for (const int k : {1, 2, 4, 5}) {
    const auto label = static_cast<std::uint8_t>(k);
    write_file_atomically(folder / batch(k), cifar({{label}, {label}}));
  }
  const auto load = [&](const char* name) { return load_dataset(name, "train", folder.path()); };
  CHECK_FAILS(load("cifar-10"),
              "lacks data_batch_3.bin, plain or as .gz: the train split of "
              "cifar-10 takes all of data_batch_1.bin, data_batch_2.bin");
  // Pixels of cifar() follow from the label's place, so that labels alone tell these apart.
  write_file_atomically(folder / batch(3), cifar({{3}, {3}}));
  CHECK(load("cifar-10").size() == 10);
  write_file_atomically(folder / batch(3), cifar({{5}, {5}}));
  CHECK_FAILS(load("cifar-10"), "data_batch_3.bin and data_batch_5.bin hold the same images");
  write_file_atomically(folder / batch(3), cifar({{1, 2}, {1, 2}}));
  CHECK_FAILS(load("cifar-10"), "is this a file of CIFAR-100?");
  write_file_atomically(folder / batch(3), cifar({{3}, {10}}));
  CHECK_FAILS(load("cifar-10"), "data_batch_3.bin: label 10 at offset 3073 is not below 10");

  write_file_atomically(folder / "test_batch.bin", cifar({{1}}));
  CHECK_FAILS(load("cifar-100"),
              "lacks train.bin, plain or as .gz: the train split of cifar-100 "
              "takes it; it holds test_batch.bin: name the data set 'cifar-10'");
  CHECK_FAILS(load("mnist"), "'cifar-10'");
}

TEST_CASE("a part of a data set has its own name, and never stands in for the whole") {
  const TemporaryFolder folder;
  const Bytes part = cifar({{0, 1}, {2, 3}});
  write_file_atomically(folder / "test_first2000.bin.gz", gzip(part));
  CHECK_FAILS(load_dataset("cifar-100", "test", folder.path()),
              "name the data set 'cifar-100-first2000'");
  const Dataset some = load_dataset("cifar-100-first2000", "test", folder.path());
  CHECK(some.name == "cifar-100-first2000");
  CHECK(some.classes == 100);
  CHECK(some.labels == Labels{1, 3});
  CHECK(some.sha256() == sha256_hex(part));
  CHECK_FAILS(load_dataset("cifar-100-first2000", "train", folder.path()), "has no train split");
  write_file_atomically(folder / "test.bin", cifar({{4, 5}}));
  CHECK(load_dataset("cifar-100", "test", folder.path()).labels == Labels{5});

  write_file_atomically(folder / "svhn_sample_own_crops.bin", cifar({{7}}));
  CHECK(load_dataset("svhn-sample", "test", folder.path()).labels == Labels{7});
  CHECK_FAILS(load_dataset("svhn", "test", folder.path()), "test_32x32.mat");
}

TEST_CASE("files are found under the names and in the folders that other programs give them") {
  const Bytes images = idx_images(2, 28, 28), labels = idx_labels({7, 2});
  const std::string digest = sha256_hex(concatenation(images, labels));
  for (const char* nested : {"", "raw", "MNIST/raw"}) {
    for (const char* joint : {"-idx", ".idx"}) {
      for (const char* ending : {"", ".gz"}) {
        for (const bool compressed : {false, true}) {
          CAPTURE(nested);
          CAPTURE(joint);
          CAPTURE(ending);
          CAPTURE(compressed);
          const TemporaryFolder folder;
          const auto place = folder / nested;
          std::filesystem::create_directories(place);
          const auto write = [&](const std::string& name, const Bytes& bytes) {
            write_file_atomically(place / (name + ending), compressed ? gzip(bytes) : bytes);
          };
          write(fmt::format("t10k-images{}3-ubyte", joint), images);
          write(fmt::format("t10k-labels{}1-ubyte", joint), labels);
          CHECK(load_dataset("mnist", "test", folder.path()).sha256() == digest);
        }
      }
    }
  }
  const TemporaryFolder root;
  for (const char* nested : {"cifar-10-batches-bin", "cifar-100-binary"})
    std::filesystem::create_directory(root / nested);
  write_file_atomically(root / "cifar-10-batches-bin" / "test_batch.bin", cifar({{3}}));
  write_file_atomically(root / "cifar-100-binary" / "test.bin.gz", cifar({{3, 4}}));
  const std::string here = root.path().string();
  const Environment variable("PIXELDP_DATA", here.c_str());
  CHECK(find_dataset_directory("cifar-10", std::nullopt) == root.path());
  CHECK(load_dataset("cifar-10", "test", root.path()).labels == Labels{3});
  CHECK(load_dataset("cifar-100", "test", root.path()).labels == Labels{4});
  CHECK_FAILS(load_dataset("cifar-10", "train", root.path()), "lacks data_batch_1.bin");
}

TEST_CASE("what lies in a data set's place is named") {
  const auto refused = [](const char* set, const std::string& file, const char* part) {
    CAPTURE(file);
    const TemporaryFolder folder;
    std::filesystem::create_directories((folder / file).parent_path());
    write_file_atomically(folder / file, as_bytes("anything"));
    CHECK_FAILS(load_dataset(set, "test", folder.path()), part);
  };
  refused("cifar-10", "test_batch",
          "the Python version (test_batch); this program reads the binary");
  refused("cifar-10", "cifar-10-batches-py/test_batch", "cifar-10-binary.tar.gz");
  refused("cifar-10", "cifar-10-binary.tar.gz", "unpack it");
  refused("cifar-100", "cifar-100-python/test", "cifar-100-binary.tar.gz");
  refused("cifar-100", "meta", "the Python version");
  refused("cifar-10", "batches.meta.mat", "the MATLAB version");
  refused("mnist", "mnist.npz", "the four IDX files");
  refused("svhn", "test.tar.gz", "cropped digits");
  refused("mnist", "cifar-10-batches-bin/test_batch.bin", "lacks t10k-images-idx3-ubyte");
}

TEST_CASE("find_dataset_directory takes the given directory, then PIXELDP_DATA") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "mnist");
  const std::string here = folder.path().string();
  {
    const Environment variable("PIXELDP_DATA", here.c_str());
    CHECK(find_dataset_directory("mnist", std::nullopt) == folder / "mnist");
    CHECK(find_dataset_directory("mnist", here) == folder.path());
    CHECK_FAILS(find_dataset_directory("mnist", here + "/no"), "/no' of data set mnist");
    std::filesystem::create_directory(folder / "cifar-100");
    CHECK(find_dataset_directory("cifar-100-first2000", std::nullopt) == folder / "cifar-100");
    CHECK_FAILS(find_dataset_directory("cifar-10", std::nullopt), ("now '" + here + "'").c_str());
    CHECK_FAILS(find_dataset_directory("imagenet", here), "unknown data set 'imagenet'");
  }
  const Environment variable("PIXELDP_DATA", nullptr);
  CHECK_FAILS(find_dataset_directory("mnist", std::nullopt), "now unset");
  try {
    find_dataset_directory("mnist", std::nullopt);
  } catch (const Error& error) {
    for (const std::string part : {"configuration", "PIXELDP_DATA", "dataset-fashion-mnist"})
      CHECK(std::string(error.what()).find(part) != std::string::npos);
  }
}

}  // namespace pixeldp
